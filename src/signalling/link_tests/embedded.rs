//! The link and the embedded broker; and the broker alone, as a browser meets it.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::*;
use crate::session::TopicPrefix;
use crate::signalling::{EmbeddedBroker, EmbeddedConfig};

struct Embedded {
    config: EmbeddedConfig,
    running: Option<EmbeddedBroker>,
}

impl TestBroker for Embedded {
    fn address(&self) -> SocketAddr {
        self.config.tcp
    }

    async fn stop(&mut self) {
        self.running.take().expect("running").stop().await;
    }

    async fn start(&mut self) {
        let broker = EmbeddedBroker::start(self.config.clone()).await.expect("the embedded broker starts");
        self.config.tcp = broker.tcp_addr();
        self.config.websocket = broker.ws_addr();
        self.running = Some(broker);
    }
}

async fn embedded(reserved: Vec<Login>) -> Embedded {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let prefix = TopicPrefix::default();
    let config = EmbeddedConfig { tcp: any, websocket: any, prefix, reserved, password: None, origins: Vec::new() };
    let mut broker = Embedded { config, running: None };
    broker.start().await;
    broker
}

#[tokio::test]
async fn a_link_carries_messages_both_ways() {
    carries_messages_both_ways(&mut embedded(Vec::new()).await).await;
}

#[tokio::test]
async fn a_link_leaves_a_will_only_when_it_vanishes() {
    leaves_a_will_only_when_it_vanishes(&mut embedded(Vec::new()).await).await;
}

#[tokio::test]
async fn a_link_comes_back_after_a_broker_restart() {
    comes_back_after_a_broker_restart(&mut embedded(Vec::new()).await).await;
}

#[tokio::test]
async fn nobody_takes_the_nodes_place_without_its_password() {
    let login = Login { username: "cam".to_owned(), password: "secret".to_owned() };
    let broker = embedded(vec![login.clone()]).await;
    let mut thief = node(broker.address());
    let reason = down(&mut thief).await;
    assert!(reason.starts_with("not authorised"), "{reason}");
    let with_login = broker.running.as_ref().expect("running").endpoint(Some(login));
    let setup = LinkSetup { client_id: "cam".to_owned(), subscriptions: Vec::new(), ..LinkSetup::default() };
    let mut cam = MqttLink::start(with_login, setup, 1);
    assert_eq!(up(&mut cam).await, 1);
}

#[tokio::test]
async fn a_refused_subscription_is_named() {
    let broker = embedded(Vec::new()).await;
    let subscriptions = vec![format!("{PREFIX}/cam/out/eve"), format!("{PREFIX}/cam/out/+")];
    let setup = LinkSetup { client_id: "eve".to_owned(), subscriptions, ..LinkSetup::default() };
    let mut eve = MqttLink::start(endpoint(broker.address()), setup, 1);
    let reason = down(&mut eve).await;
    assert!(reason.contains("does not let this client subscribe to camera-node/v1/cam/out/+"), "{reason}");
}

#[tokio::test]
async fn a_link_is_up_without_what_it_only_wishes_for() {
    let broker = embedded(Vec::new()).await;
    let subscriptions = vec![format!("{PREFIX}/cam/out/eve")];
    let wishes = vec![format!("{PREFIX}/cam/out/+"), format!("{PREFIX}/+/status")];
    let setup = LinkSetup { client_id: "eve".to_owned(), subscriptions, wishes, ..LinkSetup::default() };
    let mut eve = MqttLink::start(endpoint(broker.address()), setup, 1);
    assert_eq!(event(&mut eve).await, LinkEvent::Refused(vec![format!("{PREFIX}/cam/out/+")]));
    assert_eq!(up(&mut eve).await, 1);
    let mut cam = node(broker.address());
    up(&mut cam).await;
    cam.publish(message("status", "online", false)).expect("up");
    assert_eq!(said(&mut eve).await, "status: online", "the other wish is granted");
}

#[tokio::test]
async fn what_a_client_says_in_anothers_name_reaches_nobody() {
    let broker = embedded(Vec::new()).await;
    let mut cam = node(broker.address());
    up(&mut cam).await;
    let mut eve = peer(broker.address(), "eve");
    up(&mut eve).await;
    eve.publish(message("in/ann", "leave", false)).expect("queued");
    eve.publish(message("status", "offline 1", true)).expect("queued");
    eve.publish(message("in/eve", "hello", false)).expect("queued");
    assert_eq!(said(&mut cam).await, "in/eve: hello");
}

/// CONNECT of MQTT 3.1.1 with the client id `web`; the answer's first four bytes.
async fn connect_over_websocket(broker: &Embedded, origin: &str) -> Result<Vec<u8>, String> {
    let mut request = format!("ws://{}/mqtt", broker.config.websocket).into_client_request().expect("a url");
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    request.headers_mut().insert("Origin", HeaderValue::from_str(origin).expect("a header"));
    let stream = TcpStream::connect(broker.config.websocket).await.expect("it listens");
    let (mut socket, response) =
        tokio_tungstenite::client_async(request, stream).await.map_err(|error| error.to_string())?;
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    let connect = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03web";
    socket.send(Message::binary(&connect[..])).await.expect("sent");
    match socket.next().await {
        Some(Ok(Message::Binary(answer))) => Ok(answer.to_vec()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn a_browser_gets_in_past_connections_that_say_nothing() {
    let broker = embedded(Vec::new()).await;
    let mut idle = Vec::new();
    for address in [broker.config.websocket, broker.config.tcp] {
        for _ in 0..20 {
            idle.push(TcpStream::connect(address).await.expect("it listens"));
        }
    }
    let answer = timeout(Duration::from_secs(2), connect_over_websocket(&broker, "http://127.0.0.1:8080")).await;
    assert_eq!(answer.expect("in time"), Ok(vec![0x20, 2, 0, 0]));
    let mut ann = peer(broker.address(), "ann");
    assert_eq!(up(&mut ann).await, 1);
    let refused = connect_over_websocket(&broker, "https://evil.example").await.expect_err("a strange page");
    assert!(refused.contains("403"), "{refused}");
    let begun = now();
    broker.running.expect("running").stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "stopped in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let broker = embedded(Vec::new()).await;
    let mut config = broker.config.clone();
    config.websocket = SocketAddr::from(([127, 0, 0, 1], 0));
    let refused = EmbeddedBroker::start(config).await.err().expect("in use").to_string();
    assert!(refused.contains(&broker.config.tcp.to_string()) && refused.contains("in use"), "{refused}");
}
