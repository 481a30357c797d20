//! Tells a URL of every ring: what notifies a phone whose browser is closed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::crypto;

use super::config::WebhookUrl;
use crate::session::NodeId;

/// One attempt; a phone that rings later than this rings for nobody.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Before the second and last attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where to tell, and what stays the same.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: WebhookUrl,
    node: NodeId,
    name: String,
    link: Option<String>,
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// When, since 1970.
    pub at: Duration,
    /// What was pressed.
    pub source: &'static str,
    /// Who is rung, by name.
    pub rung: Vec<String>,
}

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The TLS library has no authorities it could trust.
    #[error("ring.webhook: TLS: {0}")]
    Tls(std::io::Error),
    /// Nobody is there.
    #[error("ring.webhook: {0}")]
    Lost(hyper_util::client::legacy::Error),
    /// No answer in time.
    #[error("ring.webhook: no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
    /// Somebody is there and does not take it.
    #[error("ring.webhook: refused with {0}")]
    Refused(StatusCode),
}

impl WebhookError {
    /// Whether the same may go well a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Tls(_) => false,
            Self::Lost(_) | Self::Late => true,
            Self::Refused(status) => status.is_server_error(),
        }
    }
}

/// What is posted.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    node: &'a NodeId,
    name: &'a str,
    time: String,
    source: &'static str,
    rung: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

impl Webhook {
    /// A webhook of this node; `link` leads to the page.
    ///
    /// # Errors
    /// [`WebhookError::Tls`].
    pub fn new(url: WebhookUrl, node: NodeId, name: String, link: Option<String>) -> Result<Self, WebhookError> {
        let builder = HttpsConnectorBuilder::new();
        // A small board's image often has no `ca-certificates`.
        let builder = match builder.with_provider_and_native_roots(crypto::ring::default_provider()) {
            Ok(builder) => builder,
            Err(_) => HttpsConnectorBuilder::new()
                .with_provider_and_webpki_roots(crypto::ring::default_provider())
                .map_err(|error| WebhookError::Tls(std::io::Error::other(error)))?,
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url, node, name, link })
    }

    /// Tells of a visit; tries twice, and gives up after some seconds.
    ///
    /// # Errors
    /// How the last attempt failed.
    pub async fn tell(&self, visit: &Visit) -> Result<(), WebhookError> {
        let body = self.body(visit);
        match self.attempt(body.clone()).await {
            Err(error) if error.may_pass() => {
                tracing::debug!(%error, "once more");
                sleep(AGAIN_AFTER).await;
                self.attempt(body).await
            }
            told => told,
        }
    }

    fn body(&self, visit: &Visit) -> Bytes {
        let told = Told {
            event: "ring",
            node: &self.node,
            name: &self.name,
            time: rfc3339(visit.at),
            source: visit.source,
            rung: &visit.rung,
            link: self.link.as_deref(),
        };
        serde_json::to_vec(&told).expect("plain data").into()
    }

    async fn attempt(&self, body: Bytes) -> Result<(), WebhookError> {
        let request = hyper::Request::builder()
            .method(Method::POST)
            .uri(self.url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("camera-node/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .expect("the URL has been read as one, the headers are ours");
        let answer = timeout(ANSWER_WITHIN, self.client.request(request)).await.map_err(|_| WebhookError::Late)?;
        let status = answer.map_err(WebhookError::Lost)?.status();
        if status.is_success() { Ok(()) } else { Err(WebhookError::Refused(status)) }
    }
}

/// The time in words that programs read ([RFC 3339](https://www.rfc-editor.org/rfc/rfc3339)), in UTC, by the second.
fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    // Days since the first of March of the year 0, so that leap days come last: 719,468 of them lie before 1970.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_264_496, "2026-11-21T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
    }

    /// Answers one request after the other with these; gives what was asked.
    async fn told_to(answers: &'static [&'static str]) -> (Result<(), WebhookError>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook?door=1", listener.local_addr().expect("bound"));
        let server = tokio::spawn(async move {
            let mut heard = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    stream.read_buf(&mut request).await.expect("more");
                }
                heard.push(String::from_utf8(request).expect("text"));
                let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await.expect("sent");
            }
            heard
        });
        let url = WebhookUrl::try_from(url).expect("a URL");
        let node = "porch".parse().expect("an id");
        let hook = Webhook::new(url, node, "Porch".to_owned(), Some("https://cam/".to_owned())).expect("authorities");
        let visit = Visit { at: Duration::from_secs(1_795_264_496), source: "gpio", rung: vec!["Kitchen".to_owned()] };
        let told = hook.tell(&visit).await;
        (told, server.await.expect("no panic"))
    }

    #[tokio::test]
    async fn it_is_told_who_rings_where_and_when() {
        let (told, heard) = told_to(&["204 No Content"]).await;
        told.expect("it was taken");
        assert!(heard[0].starts_with("POST /hook?door=1 HTTP/1.1\r\n"), "{heard:?}");
        let body = heard[0].split("\r\n\r\n").nth(1).expect("a body");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(body).expect("JSON"),
            serde_json::json!({
                "event": "ring", "node": "porch", "name": "Porch", "time": "2026-11-21T12:34:56Z",
                "source": "gpio", "rung": ["Kitchen"], "link": "https://cam/",
            })
        );
    }

    #[tokio::test]
    async fn a_failure_that_may_pass_is_tried_once_more_and_another_is_not() {
        let (told, heard) = told_to(&["503 Busy", "200 OK"]).await;
        assert!(told.is_ok() && heard.len() == 2, "{told:?} {heard:?}");
        let (told, heard) = told_to(&["404 Not Found"]).await;
        assert_eq!(told.expect_err("refused").to_string(), "ring.webhook: refused with 404 Not Found");
        assert_eq!(heard.len(), 1);
        let (told, _) = told_to(&["500 Broken", "500 Broken"]).await;
        assert!(matches!(told, Err(WebhookError::Refused(StatusCode::INTERNAL_SERVER_ERROR))), "{told:?}");
    }
}
