//! Whether the broker lets us in, and carries a message.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::http::check_listener;
use super::report::Finding;
use crate::session::NodeId;
use crate::signalling::config::Broker;
use crate::signalling::{BrokerUrl, Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};

/// Name, TCP, CONNECT, SUBSCRIBE: a broker that takes longer would lose viewers too.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
const ECHO_LIMIT: Duration = Duration::from_secs(3);
const PART: &str = "broker";

/// Connects, subscribes and sends itself a message; of an embedded broker, only that it can listen.
pub async fn check(broker: &Broker, node: &NodeId) -> Vec<Finding> {
    if broker.embedded {
        let mqtt = check_listener("embedded broker, MQTT", broker.embedded_bind, "broker.embedded_bind").await;
        let websocket = broker.embedded_websocket_bind;
        return vec![
            mqtt,
            check_listener("embedded broker, WebSocket", websocket, "broker.embedded_websocket_bind").await,
        ];
    }
    let BrokerUrl::Mqtt { .. } = broker.url else {
        return vec![Finding::good(PART, "none: signalling stays inside of this process").with_advice(
            "nobody can watch from elsewhere; set `broker.url` to a broker, or `broker.embedded = true`",
        )];
    };
    let endpoint = match Endpoint::from_config(broker) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let advice = "the file must be there and be readable for the user that runs the node";
            return vec![Finding::bad(PART, error.to_string(), advice)];
        }
    };
    let address = broker.url.to_string();
    let (id, topic) = own(broker.prefix.as_str(), node);
    let link = MqttLink::start(endpoint, setup(&id, &topic), fastrand::u64(..));
    vec![echo(link, &address, &id, &topic).await]
}

/// A client id beside the node's own, which would throw a running node off the broker, and a topic that rules which pin
/// topics to client ids allow: the one from this client as a peer to itself as a node.
fn own(prefix: &str, node: &NodeId) -> (String, String) {
    let id: String = node.as_str().chars().take(58).chain("-check".chars()).collect();
    let topic = format!("{prefix}/{id}/in/{id}");
    (id, topic)
}

fn setup(id: &str, topic: &str) -> LinkSetup {
    LinkSetup { client_id: id.to_owned(), subscriptions: vec![topic.to_owned()], will: None }
}

async fn echo(mut link: impl Link, address: &str, id: &str, topic: &str) -> Finding {
    let finding = match timeout(CONNECT_LIMIT, link.next()).await {
        Err(_) => {
            let detail = format!("{address} did not let us in within {} s", CONNECT_LIMIT.as_secs());
            Finding::bad(PART, detail, advise("did not answer in time", id))
        }
        Ok(Some(LinkEvent::Up { .. })) => {
            let payload = Bytes::from_static(b"check");
            let sent = link.publish(Publish { topic: topic.to_owned(), payload, retain: false });
            match (sent, timeout(ECHO_LIMIT, message(&mut link)).await) {
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
        Ok(Some(LinkEvent::Down { reason })) => {
            let advice = advise(&reason, id);
            Finding::bad(PART, reason, advice)
        }
        Ok(Some(LinkEvent::Message { .. }) | None) => {
            Finding::bad(PART, "the link ended", "this is a bug; please report it")
        }
    };
    link.close(Vec::new()).await;
    finding
}

/// Waits for any message; an error is the reason why the link went down.
async fn message(link: &mut impl Link) -> Result<(), String> {
    loop {
        match link.next().await {
            Some(LinkEvent::Message { .. }) => return Ok(()),
            Some(LinkEvent::Down { reason }) => return Err(reason),
            Some(LinkEvent::Up { .. }) => {}
            None => return Err("the link ended".to_owned()),
        }
    }
}

/// By the words that `signalling` puts a failure in.
fn advise(reason: &str, id: &str) -> String {
    let table = [
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
            "something else listens there: MQTT over plain TCP is mostly on port 1883 (8883 is TLS, 9001 WebSocket)",
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

    #[tokio::test]
    async fn a_broker_that_carries_our_message_is_good() {
        let broker = LoopbackBroker::new();
        let (id, topic) = own("camera-node/v1", &"porch".parse().expect("an id"));
        assert_eq!(topic, "camera-node/v1/porch-check/in/porch-check");
        let found = echo(broker.link(setup(&id, &topic)), "mqtt://here", &id, &topic).await;
        assert_eq!(found, Finding::good("broker", "mqtt://here lets us in and carries messages"));
    }

    #[tokio::test]
    async fn a_port_without_a_broker_is_said_to_be_that() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let broker = Broker { url: format!("mqtt://127.0.0.1:{port}").parse().expect("a URL"), ..Broker::default() };
        let found = check(&broker, &"porch".parse().expect("an id")).await;
        assert!(found[0].detail.contains("no broker listens there"), "{found:?}");
        assert!(found[0].advice.as_ref().is_some_and(|advice| advice.starts_with("start the broker")), "{found:?}");
    }
}
