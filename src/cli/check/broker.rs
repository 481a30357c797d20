//! Whether the broker lets us in, and carries a message.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::http::check_listener;
use super::report::Finding;
use super::running::Running;
use crate::http::common_name_of;
use crate::session::{NodeId, TopicPrefix, Topics};
use crate::signalling::config::Broker;
use crate::signalling::{
    BrokerUrl, Endpoint, EndpointError, Link, LinkEvent, LinkSetup, MqttLink, Profile, Publish, TlsError,
};
use crate::trust::TrustError;

/// Name, TCP, TLS, CONNECT, SUBSCRIBE: longer than the link's own limits, whose words say more than ours.
const CONNECT_LIMIT: Duration = Duration::from_secs(11);
const ECHO_LIMIT: Duration = Duration::from_secs(3);
const PART: &str = "broker";
const RING_PART: &str = "ring.topic";
const ENDED: &str = "the link ended";

/// Connects, subscribes and sends itself a message; of an embedded broker, only that it can listen.
///
/// With `ring.topic`, also whether that may be subscribed to.
pub async fn check(broker: &Broker, node: &NodeId, ring_topic: Option<&str>, running: &Running) -> Vec<Finding> {
    if broker.embedded {
        let listeners = [
            ("embedded broker, MQTT", broker.embedded_bind, "broker.embedded_bind"),
            ("embedded broker, WebSocket", broker.embedded_websocket_bind, "broker.embedded_websocket_bind"),
        ];
        let mut findings = Vec::new();
        for (part, bind, key) in listeners {
            findings.push(check_listener(part, bind, key, running).await);
        }
        return findings;
    }
    let BrokerUrl::Mqtt { scheme, .. } = &broker.url else {
        return vec![Finding::good(PART, "none: signalling stays inside of this process").with_advice(
            "nobody can watch from elsewhere; set `broker.url` to a broker, or `broker.embedded = true`",
        )];
    };
    let endpoint = match Endpoint::from_config(broker) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return vec![Finding::bad(PART, error.to_string(), advise_on_files(&error))];
        }
    };
    let address = broker.url.to_string();
    let wishes: Vec<String> = ring_topic.iter().map(|topic| (*topic).to_owned()).collect();
    if broker.profile == Profile::AwsIot {
        // Its rules pin client ids and topics to the thing: only the node itself can be tried, and nothing said to it.
        let id = node.to_string();
        let filters = Topics::new(&broker.prefix, node).node_subscriptions();
        let setup = LinkSetup { client_id: id.clone(), subscriptions: filters, wishes, ..LinkSetup::default() };
        let mut link = MqttLink::start(endpoint, setup, fastrand::u64(..));
        let (finding, deaf) = entry(&mut link, &address, &id).await;
        return with_ring_topic(finding, ring_topic, deaf, &id);
    }
    let (id, topic) = own(&broker.prefix, node);
    let mut link = MqttLink::start(endpoint, LinkSetup { wishes, ..setup(&id, &topic) }, fastrand::u64(..));
    let (mut finding, deaf) = echo(&mut link, &address, &id, &topic).await;
    let holder = broker.client_cert_file.as_ref().and_then(|file| common_name_of(&std::fs::read(file).ok()?));
    if let Some(advice) = holder.filter(|_| finding.ok).and_then(|holder| other_holder(&holder, node)) {
        finding = finding.with_advice(advice);
    }
    if finding.ok && !scheme.is_tls() && !is_near(&broker.url) {
        finding = finding.with_advice("nothing on the way there is encrypted: use mqtts:// or wss:// outside of a LAN");
    }
    with_ring_topic(finding, ring_topic, deaf, &id)
}

/// What is to be said of a certificate that is made out to `holder`, if that may be another node's name: a broker that goes by
/// it (`deploy/mosquitto`) takes what a node of another id says without a word, and throws it away.
fn other_holder(holder: &str, node: &NodeId) -> Option<String> {
    let other: NodeId = holder.parse().ok()?;
    (other != *node).then(|| {
        format!(
            "but its certificate is made out to {holder}, and this node's id is {node}: rules that go by the certificate's name \
             give it {holder}'s topics; set `node.id` to that name, or have the certificate made out to {node}"
        )
    })
}

/// What was found of the broker, and of `ring.topic` if it got so far.
fn with_ring_topic(broker: Finding, topic: Option<&str>, is_deaf: bool, id: &str) -> Vec<Finding> {
    let ring = topic.filter(|_| broker.ok).map(|topic| {
        if is_deaf {
            return Finding::bad(
                RING_PART,
                format!("the broker does not let us subscribe to {topic}"),
                format!(
                    "its rules must allow that to the node, or nothing rings by it (asked as client {id}; AWS IoT: iot:Subscribe \
                     and iot:Receive)"
                ),
            );
        }
        let detail = format!("the broker takes the subscription of {topic}");
        Finding::good(RING_PART, detail).with_advice(
            "Mosquitto's acl_file refuses none, and keeps back what may not be read: press once to see that it rings",
        )
    });
    std::iter::once(broker).chain(ring).collect()
}

/// A client id beside the node's own, which would throw a running node off the broker, and a topic that rules which pin
/// topics to client ids allow: the one from this client as a peer to itself as a node.
fn own(prefix: &TopicPrefix, node: &NodeId) -> (String, String) {
    let id: String = node.as_str().chars().take(58).chain("-check".chars()).collect();
    let topic = format!("{prefix}/{id}/in/{id}");
    (id, topic)
}

fn setup(id: &str, topic: &str) -> LinkSetup {
    LinkSetup { client_id: id.to_owned(), subscriptions: vec![topic.to_owned()], ..LinkSetup::default() }
}

/// Whether the address itself says that it is on this machine or its LAN; a name does not say.
fn is_near(url: &BrokerUrl) -> bool {
    let BrokerUrl::Mqtt { host, .. } = url else { return true };
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => !host.contains('.') || [".lan", ".local", ".home.arpa"].iter().any(|end| host.ends_with(end)),
    }
}

/// Whether the broker lets us in and takes our subscriptions; says nothing there. Also whether it refuses our wishes.
async fn entry(link: &mut impl Link, address: &str, id: &str) -> (Finding, bool) {
    let entered = enter(link, address, id).await;
    link.close(Vec::new()).await;
    match entered {
        Ok(is_deaf) => {
            let detail = format!(
                "{address} lets {id} in and takes its subscriptions (a running node of this id was off for a second)"
            );
            (Finding::good(PART, detail), is_deaf)
        }
        Err(finding) => (finding, false),
    }
}

/// Whether the broker lets us in, and carries a message to ourselves. Also whether it refuses our wishes.
async fn echo(link: &mut impl Link, address: &str, id: &str, topic: &str) -> (Finding, bool) {
    let entered = enter(link, address, id).await;
    let found = match entered {
        Ok(is_deaf) => (said(link, address, id, topic).await, is_deaf),
        Err(finding) => (finding, false),
    };
    link.close(Vec::new()).await;
    found
}

/// Waits until the link is up: whether our wishes are refused.
async fn enter(link: &mut impl Link, address: &str, id: &str) -> Result<bool, Finding> {
    let mut is_deaf = false;
    let up = timeout(CONNECT_LIMIT, async {
        loop {
            match link.next().await {
                Some(LinkEvent::Up { .. }) => return Ok(()),
                Some(LinkEvent::Refused(_)) => is_deaf = true,
                Some(LinkEvent::Down { reason }) => return Err(reason),
                Some(LinkEvent::Message { .. } | LinkEvent::Contested(_)) | None => return Err(ENDED.to_owned()),
            }
        }
    });
    match up.await {
        Ok(Ok(())) => Ok(is_deaf),
        Ok(Err(reason)) if reason == ENDED => Err(Finding::bad(PART, reason, "this is a bug; please report it")),
        Ok(Err(reason)) => {
            let advice = advise(&reason, id);
            Err(Finding::bad(PART, reason, advice))
        }
        Err(_) => {
            let detail = format!("{address} did not let us in within {} s", CONNECT_LIMIT.as_secs());
            Err(Finding::bad(PART, detail, advise("did not answer in time", id)))
        }
    }
}

/// Says something to ourselves.
async fn said(link: &mut impl Link, address: &str, id: &str, topic: &str) -> Finding {
    let payload = Bytes::from_static(b"check");
    let sent = link.publish(Publish { topic: topic.to_owned(), payload, retain: false });
    match (sent, timeout(ECHO_LIMIT, message(link)).await) {
        (Ok(()), Ok(Ok(()))) => Finding::good(PART, format!("{address} lets us in and carries messages")),
        (Ok(()), Ok(Err(reason))) => Finding::bad(PART, reason.clone(), advise(&reason, id)),
        (Ok(()), Err(_)) => Finding::bad(
            PART,
            format!("{address} lets us in, and a message to {topic} does not come back"),
            format!(
                "the broker's rules must let this client (id {id}) publish and subscribe there, and the node in its own topics"
            ),
        ),
        (Err(error), _) => Finding::bad(PART, error.to_string(), "try again: the broker went away in between"),
    }
}

/// Waits for what we said; an error is the reason why the link went down.
async fn message(link: &mut impl Link) -> Result<(), String> {
    loop {
        match link.next().await {
            Some(LinkEvent::Message { payload, .. }) if payload == b"check"[..] => return Ok(()),
            Some(LinkEvent::Down { reason }) => return Err(reason),
            Some(_) => {}
            None => return Err(ENDED.to_owned()),
        }
    }
}

/// What to do about files that cannot be used.
fn advise_on_files(error: &EndpointError) -> &'static str {
    match error {
        EndpointError::PasswordFile { .. } | EndpointError::Tls(TlsError::Trust(TrustError::File { .. })) => {
            "the file must be there, be readable for the user that runs the node, and be PEM where it is a certificate or key"
        }
        EndpointError::Tls(TlsError::Trust(TrustError::Empty { .. } | TrustError::Authority { .. })) => {
            "write the whole file anew, from its \"-----BEGIN\" to its \"-----END\" line; DER is made PEM by \
             `openssl x509 -inform der`"
        }
        EndpointError::Tls(TlsError::Pair { .. }) => {
            "`openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` must print the same"
        }
        EndpointError::Tls(TlsError::HalfPair | TlsError::Name { .. } | TlsError::Trust(TrustError::Library(_)))
        | EndpointError::NoUsername
        | EndpointError::Loopback => "mend the keys in `[broker]` that it names",
    }
}

/// By the words that `signalling` puts a failure in. The more special ones come first.
fn advise(reason: &str, id: &str) -> String {
    let table = [
        (
            "an authority that is not known",
            "a private CA: copy its certificate here and set `broker.ca_file`; a public one: `apt install ca-certificates`",
        ),
        (
            "use that name in the URL, or set server_name",
            "write that name in `broker.url`; if it cannot be resolved here, keep the URL and set `broker.server_name` to it",
        ),
        ("use its name in the URL", "write the certificate's name in `broker.url`, or set `broker.server_name` to it"),
        (
            "renew it, or set the clock",
            "if today's date is right in there, the broker needs a new certificate; if not, `timedatectl` shows why not",
        ),
        (
            "clock is wrong",
            "`timedatectl` shows whether a time server was reached; a board without a battery needs one at every start",
        ),
        (
            "asks for a client certificate",
            "set `broker.client_cert_file` and `broker.client_key_file` to those that the broker's owner made for this node",
        ),
        (
            "may ask for a client certificate",
            "set `broker.client_cert_file` and `broker.client_key_file`; if they are, the broker's log says what it misses",
        ),
        (
            "this client's certificate",
            "`openssl x509 -noout -subject -issuer -dates -in CERT` shows whose it is and until when; the broker must trust \
             its issuer, and on AWS it must be active and have a policy",
        ),
        (
            "closed the connection in the TLS handshake",
            "is the port the TLS one (mostly 8883)? An mqtt:// port closes like that",
        ),
        ("does not speak TLS", "use mqtt:// (or ws://) for this port, or the broker's TLS port, mostly 8883"),
        ("none of the protocols in alpn", "mend `broker.alpn`, or leave it out: most brokers need none"),
        (
            "refused the WebSocket",
            "brokers mostly have it at /mqtt; a proxy before it must let `Upgrade: websocket` through",
        ),
        (
            "over WebSocket",
            "something else answers there: the broker's WebSocket port is mostly 9001, 8083 or 443, and its path /mqtt",
        ),
        (
            "no broker listens",
            "start the broker (Debian: `apt install mosquitto`, `systemctl status mosquitto`) or mend host and port in \
             `broker.url`; Mosquitto listens for other machines only where its config has a `listener 1883`",
        ),
        (
            "cannot be resolved",
            "is the name in `broker.url` right, and does this machine have DNS? An IP address works without",
        ),
        (
            "not authorised",
            "check `broker.username` and `broker.password_file` against the broker's own; Mosquitto without a password file \
             wants `allow_anonymous true`",
        ),
        ("client id", "the broker's rules must allow clients of another id than the node's own"),
        ("did not answer in time", "is the address right, and does every firewall on the way let the port through?"),
        ("no route", "is this machine in the network, and is the address right (`ip route`)?"),
        (
            "does not speak mqtt",
            "something else listens there: MQTT over plain TCP is mostly on port 1883 (8883 is TLS: mqtts://; 9001 is \
             WebSocket: ws://)",
        ),
        ("closed the connection", "the broker's log says why: mostly its rules, its TLS port, or a limit on clients"),
        ("refused the subscription", "the broker's rules must allow the subscription"),
    ];
    let known = table.iter().find(|(words, _)| reason.contains(words)).map(|(_, advice)| *advice);
    let advice = known.unwrap_or("the broker's log may say more");
    let is_about_us = ["not authorised", "client id", "subscription"].iter().any(|words| reason.contains(words));
    if is_about_us { format!("{advice} (here: {id})") } else { advice.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalling::LoopbackBroker;

    #[test]
    fn a_certificate_of_another_node_is_named() {
        let node = "other".parse().expect("an id");
        let said = other_holder("porch", &node).expect("another");
        assert!(said.contains("made out to porch, and this node's id is other"), "{said}");
        assert_eq!(other_holder("other", &node), None);
        assert_eq!(other_holder("AWS IoT Certificate", &node), None, "nobody's id");
    }

    #[tokio::test]
    async fn a_broker_that_carries_our_message_is_good() {
        let broker = LoopbackBroker::new();
        let (id, topic) = own(&TopicPrefix::default(), &"porch".parse().expect("an id"));
        assert_eq!(topic, "camera-node/v1/porch-check/in/porch-check");
        let (found, _) = echo(&mut broker.link(setup(&id, &topic)), "mqtt://here", &id, &topic).await;
        assert_eq!(found, Finding::good("broker", "mqtt://here lets us in and carries messages"));
    }

    #[tokio::test]
    async fn a_port_without_a_broker_is_said_to_be_that() {
        let broker = Broker { url: "mqtt://127.0.0.1:1".parse().expect("a URL"), ..Broker::default() };
        let found = check(&broker, &"porch".parse().expect("an id"), None, &Running::default()).await;
        assert!(found[0].detail.contains("no broker listens there"), "{found:?}");
        assert!(found[0].advice.as_ref().is_some_and(|advice| advice.starts_with("start the broker")), "{found:?}");
    }

    #[test]
    fn each_way_to_fail_has_advice_of_its_own() {
        let reasons = [
            "the certificate of h:1 comes from an authority that is not known here: set ca_file to its CA",
            "the certificate of h:1 is not for a but for b: use that name in the URL, or set server_name",
            "the certificate of h:1 expired on 2024-01-01, and here it is 2026-11-21: renew it, or set the clock",
            "the certificate of h:1 is valid from 2026-01-01, and here it is 1970-01-01: this machine's clock is wrong, set it (NTP)",
            "h:1 asks for a client certificate: set client_cert_file and client_key_file",
            "h:1 refused this client's certificate (UnknownCA): client_cert_file must come from an authority that the broker trusts",
            "h:1 closed the connection in the TLS handshake: is that its TLS port?",
            "h:1 does not speak TLS: is that its plain port?",
            "h:1 refused the WebSocket with HTTP status 404: check the path in the URL",
            "h:1 does not speak mqtt over WebSocket: WebSocket protocol error",
            "h:1 does not speak mqtt",
            "h:1 refused the client id",
            "h:1 closed the connection",
        ];
        let advice: Vec<String> = reasons.iter().map(|reason| advise(reason, "porch-check")).collect();
        for (n, one) in advice.iter().enumerate() {
            assert!(!one.starts_with("the broker's log may say more"), "{}", reasons[n]);
            assert!(!advice[..n].contains(one), "{}: {one}", reasons[n]);
        }
    }

    #[tokio::test]
    async fn a_port_without_tls_is_said_to_be_that() {
        let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("mqtts://127.0.0.1:{}", plain.local_addr().expect("bound").port());
        let broker = Broker { url: url.parse().expect("a URL"), ..Broker::default() };
        let node = "porch".parse().expect("an id");
        // A plain broker reads nonsense, and closes.
        let nobody = Running::default();
        let (found, _) = tokio::join!(check(&broker, &node, None, &nobody), async { plain.accept().await.map(drop) });
        assert!(found[0].detail.contains("closed the connection in the TLS handshake"), "{found:?}");
        assert!(
            found[0].advice.as_ref().is_some_and(|advice| advice.starts_with("is the port the TLS one")),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let url = "mqtts://127.0.0.1".parse().expect("a URL");
        let broker = Broker { url, ca_file: Some("/nowhere/ca.pem".into()), ..Broker::default() };
        let found = check(&broker, &"porch".parse().expect("an id"), None, &Running::default()).await;
        assert!(found[0].detail.starts_with("broker.ca_file /nowhere/ca.pem: "), "{found:?}");
        assert!(
            found[0].advice.as_ref().is_some_and(|advice| advice.starts_with("the file must be there")),
            "{found:?}"
        );
    }

    #[test]
    fn only_a_public_address_wants_encryption() {
        for (url, near) in [
            ("mqtt://127.0.0.1", true),
            ("mqtt://192.168.1.7", true),
            ("mqtt://[fd00::1]", true),
            ("mqtt://broker.lan", true),
            ("mqtt://broker", true),
            ("mqtt://203.0.113.7", false),
            ("mqtt://broker.example.org", false),
        ] {
            assert_eq!(is_near(&url.parse().expect("a URL")), near, "{url}");
        }
    }
}
