//! What is said to AWS IoT Core to become one of its things, and what it answers.
//!
//! [Device provisioning MQTT API](https://docs.aws.amazon.com/iot/latest/developerguide/fleet-provision-api.html): a request
//! for a certificate is signed (`create-from-csr`), and the token that comes with the certificate lets a template make a
//! thing of the board (`provision`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::signalling::{Link, LinkEvent, Publish, PublishError};

/// A provisioning template's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateName(String);

impl FromStr for TemplateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if fits && (1..=36).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("a template's name is 1 to 36 of A-Z, a-z, 0-9, '_' and '-', not {text:?}"))
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `create-from-csr` gives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// By which AWS knows the certificate.
    pub certificate_id: String,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Lets a template use the certificate, for an hour.
    pub certificate_ownership_token: String,
}

/// What `provision` gives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The thing that the certificate belongs to now.
    pub thing_name: String,
    /// What the template says besides.
    #[serde(default)]
    pub device_configuration: serde_json::Value,
}

/// What AWS says where it says no.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rejection {
    /// As in HTTP.
    pub status_code: u16,
    /// A word for programs.
    pub error_code: String,
    /// A sentence for people.
    pub error_message: String,
}

impl Default for Rejection {
    fn default() -> Self {
        Self { status_code: 0, error_code: "no errorCode".to_owned(), error_message: "no errorMessage".to_owned() }
    }
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// AWS said no.
    #[error("AWS IoT rejected {asked}: {} (status {}): {}", .said.error_code, .said.status_code, .said.error_message)]
    Rejected {
        /// What was asked for.
        asked: String,
        /// Its words.
        said: Rejection,
    },
    /// The connection ended.
    #[error(
        "no way to AWS IoT with the claim certificate: {reason}; AWS also closes the connection of a claim whose policy does \
         not allow what is asked (deploy/aws-iot/claim-policy.json allows it)"
    )]
    Lost {
        /// The link's words.
        reason: String,
    },
    /// No answer.
    #[error(
        "AWS IoT did not answer {asked} within {} s: the claim's policy must allow iot:Receive for the answer's topics",
        ANSWER_WITHIN.as_secs()
    )]
    Silent {
        /// What was asked for.
        asked: String,
    },
    /// An answer that is none.
    #[error("AWS IoT answered {asked} with what cannot be read: {source}")]
    Unreadable {
        /// What was asked for.
        asked: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The request could not be sent.
    #[error(transparent)]
    Unsent(#[from] PublishError),
}

/// What must be subscribed to before anything is asked: the answers' topics.
pub fn subscriptions(template: &TemplateName) -> Vec<String> {
    let answers = |topic: &str| [format!("{topic}/accepted"), format!("{topic}/rejected")];
    [answers(CREATE), answers(&register_topic(template))].concat()
}

/// Asks for a certificate for this request (PKCS #10, PEM).
///
/// # Errors
/// [`ClaimError`].
pub async fn create(link: &mut impl Link, csr_pem: &str) -> Result<Issued, ClaimError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        certificate_signing_request: &'a str,
    }
    let request = Request { certificate_signing_request: csr_pem };
    ask(link, CREATE, &request, "the request for a certificate".to_owned()).await
}

/// Asks the template to make a thing of this board.
///
/// # Errors
/// [`ClaimError`].
pub async fn register(
    link: &mut impl Link,
    template: &TemplateName,
    token: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<Registered, ClaimError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        certificate_ownership_token: &'a str,
        parameters: &'a BTreeMap<String, String>,
    }
    let request = Request { certificate_ownership_token: token, parameters };
    let asked = format!("this board (template {template})");
    ask(link, &register_topic(template), &request, asked).await
}

/// Waits until the answers' topics are subscribed to.
///
/// # Errors
/// [`ClaimError::Lost`].
pub async fn enter(link: &mut impl Link) -> Result<(), ClaimError> {
    loop {
        match link.next().await {
            Some(LinkEvent::Up { .. }) => return Ok(()),
            Some(LinkEvent::Down { reason }) => return Err(ClaimError::Lost { reason }),
            Some(_) => {}
            None => return Err(ClaimError::Lost { reason: ENDED.to_owned() }),
        }
    }
}

async fn ask<T: DeserializeOwned>(
    link: &mut impl Link,
    topic: &str,
    request: &impl Serialize,
    asked: String,
) -> Result<T, ClaimError> {
    let payload = serde_json::to_vec(request).expect("text has a form in JSON");
    link.publish(Publish { topic: topic.to_owned(), payload: payload.into(), retain: false })?;
    let answer = async {
        loop {
            match link.next().await {
                Some(LinkEvent::Message { topic: came, payload, retained: false }) => match came.strip_prefix(topic) {
                    Some("/accepted") => return Ok((true, payload)),
                    Some("/rejected") => return Ok((false, payload)),
                    _ => {}
                },
                Some(LinkEvent::Down { reason }) => return Err(reason),
                Some(_) => {}
                None => return Err(ENDED.to_owned()),
            }
        }
    };
    match timeout(ANSWER_WITHIN, answer).await {
        Err(_) => Err(ClaimError::Silent { asked }),
        Ok(Err(reason)) => Err(ClaimError::Lost { reason }),
        Ok(Ok((true, payload))) => {
            serde_json::from_slice(&payload).map_err(|source| ClaimError::Unreadable { asked, source })
        }
        Ok(Ok((false, payload))) => Err(match serde_json::from_slice(&payload) {
            Ok(said) => ClaimError::Rejected { asked, said },
            Err(source) => ClaimError::Unreadable { asked, source },
        }),
    }
}

fn register_topic(template: &TemplateName) -> String {
    format!("$aws/provisioning-templates/{template}/provision/json")
}

const CREATE: &str = "$aws/certificates/create-from-csr/json";
const ENDED: &str = "the link ended";
/// A template's hook (Lambda) may take five seconds by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::signalling::{LinkSetup, LoopbackBroker, LoopbackLink};

    fn template() -> TemplateName {
        "cameras".parse().expect("a name")
    }

    async fn board(broker: &LoopbackBroker) -> LoopbackLink {
        let subscriptions = subscriptions(&template());
        let mut link = broker.link(LinkSetup { client_id: "board".to_owned(), subscriptions, ..LinkSetup::default() });
        enter(&mut link).await.expect("in memory");
        link
    }

    /// What AWS is asked on `topic`, and how `create` ends when it answers so.
    async fn answered(ending: &str, answer: &str) -> (Value, Result<Issued, ClaimError>) {
        let broker = LoopbackBroker::new();
        let mut link = board(&broker).await;
        let setup =
            LinkSetup { client_id: "aws".to_owned(), subscriptions: vec![CREATE.to_owned()], ..LinkSetup::default() };
        let mut aws = broker.link(setup);
        let (asked, ended) = tokio::join!(
            async {
                loop {
                    if let Some(LinkEvent::Message { payload, .. }) = aws.next().await {
                        let topic = format!("{CREATE}/{ending}");
                        aws.publish(Publish { topic, payload: answer.to_owned().into(), retain: false }).expect("up");
                        return serde_json::from_slice(&payload).expect("JSON");
                    }
                }
            },
            create(&mut link, "a CSR")
        );
        (asked, ended)
    }

    #[tokio::test]
    async fn each_answer_to_a_request_is_told_for_what_it_is() {
        let good = json!({ "certificateId": "i", "certificatePem": "p", "certificateOwnershipToken": "t" }).to_string();
        let (asked, issued) = answered("accepted", &good).await;
        assert_eq!(asked, json!({ "certificateSigningRequest": "a CSR" }));
        assert_eq!(issued.expect("accepted").certificate_ownership_token, "t");
        let said = r#"{"statusCode":400,"errorCode":"InvalidCsr","errorMessage":"no"}"#;
        let asked = "the request for a certificate";
        for (ending, answer, words) in [
            ("rejected", said, format!("AWS IoT rejected {asked}: InvalidCsr (status 400): no")),
            ("rejected", "{}", format!("AWS IoT rejected {asked}: no errorCode (status 0): no errorMessage")),
            ("rejected", "<p>", format!("AWS IoT answered {asked} with what cannot be read: ")),
            ("accepted", "{}", format!("AWS IoT answered {asked} with what cannot be read: missing field")),
        ] {
            let error = answered(ending, answer).await.1.expect_err(answer).to_string();
            assert!(error.starts_with(&words), "{error}");
        }
    }

    #[tokio::test]
    async fn a_lost_connection_ends_the_wait() {
        let broker = LoopbackBroker::new();
        let mut link = board(&broker).await;
        broker.cut("board");
        let lost = register(&mut link, &template(), "t", &BTreeMap::new()).await.expect_err("it was cut");
        assert!(matches!(lost, ClaimError::Lost { .. }), "{lost}");
        broker.stop();
        let unsent = create(&mut link, "").await.expect_err("it is gone");
        assert!(matches!(unsent, ClaimError::Unsent(_)), "{unsent}");
    }

    #[test]
    fn the_shipped_policy_allows_what_is_said_and_heard_and_nothing_else() {
        let policy: Value =
            serde_json::from_str(include_str!("../../../deploy/aws-iot/claim-policy.json")).expect("JSON");
        let mut allowed: Vec<String> = Vec::new();
        for statement in policy["Statement"].as_array().expect("a list") {
            assert_eq!(statement["Effect"], "Allow");
            for resource in statement["Resource"].as_array().expect("a list") {
                allowed.push(format!("{} {}", statement["Action"], resource).replace(['"'], ""));
            }
        }
        let of = |action: &str, what: &str| format!("iot:{action} arn:aws:iot:REGION:ACCOUNT:{what}");
        let mut wanted = vec![of("Connect", "client/provision-*")];
        let shipped: TemplateName = "camera-node".parse().expect("a name");
        for topic in [CREATE.to_owned(), register_topic(&shipped)] {
            wanted.push(of("Publish", &format!("topic/{topic}")));
        }
        for topic in subscriptions(&shipped) {
            wanted.push(of("Subscribe", &format!("topicfilter/{topic}")));
            wanted.push(of("Receive", &format!("topic/{topic}")));
        }
        allowed.sort();
        wanted.sort();
        assert_eq!(allowed, wanted);
    }

    #[test]
    fn a_templates_name_leads_to_no_other_topic() {
        for bad in ["", "a/b", "+", "#", "ä", &"a".repeat(37)] {
            assert!(bad.parse::<TemplateName>().is_err(), "{bad}");
        }
    }
}
