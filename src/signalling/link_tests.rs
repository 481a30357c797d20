//! What a link must do, held against each broker there is on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Endpoint, Link, LinkEvent, LinkSetup, Login, MAX_PAYLOAD_BYTES, MqttLink, Publish, PublishError};

/// A broker that can be stopped and started again on its port.
trait TestBroker {
    fn address(&self) -> SocketAddr;
    async fn stop(&mut self);
    async fn start(&mut self);
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let host = address.ip().to_string();
    Endpoint { host, port: address.port(), login: None, keep_alive: Duration::from_secs(30), retain: true }
}

const PREFIX: &str = "camera-node/v1";

/// The node `cam`: hears its peers, leaves a will.
fn node(address: SocketAddr) -> MqttLink {
    let will = |conn: u32| Publish {
        topic: format!("{PREFIX}/cam/status"),
        payload: format!("offline {conn}").into(),
        retain: true,
    };
    let subscriptions = vec![format!("{PREFIX}/cam/in/+"), format!("{PREFIX}/cam/status")];
    let setup = LinkSetup { client_id: "cam".to_owned(), subscriptions, will: Some(Box::new(will)) };
    MqttLink::start(endpoint(address), setup, 7)
}

/// A peer of `cam`.
fn peer(address: SocketAddr, id: &str) -> MqttLink {
    let subscriptions = vec![format!("{PREFIX}/cam/status"), format!("{PREFIX}/cam/out/{id}")];
    MqttLink::start(endpoint(address), LinkSetup { client_id: id.to_owned(), subscriptions, will: None }, 8)
}

fn message(topic: &str, payload: impl Into<Bytes>, retain: bool) -> Publish {
    Publish { topic: format!("{PREFIX}/cam/{topic}"), payload: payload.into(), retain }
}

async fn event(link: &mut MqttLink) -> LinkEvent {
    timeout(Duration::from_secs(20), link.next()).await.expect("an event in time").expect("a live link")
}

async fn up(link: &mut MqttLink) -> u32 {
    match event(link).await {
        LinkEvent::Up { conn } => conn,
        other => panic!("not up but {other:?}"),
    }
}

async fn down(link: &mut MqttLink) -> String {
    loop {
        if let LinkEvent::Down { reason } = event(link).await {
            return reason;
        }
    }
}

/// The next message as `topic's end: text`, with `(retained)` after it.
async fn said(link: &mut MqttLink) -> String {
    match event(link).await {
        LinkEvent::Message { topic, payload, retained } => {
            let topic = topic.strip_prefix("camera-node/v1/cam/").expect("one of ours").to_owned();
            format!("{topic}: {}{}", String::from_utf8_lossy(&payload), if retained { " (retained)" } else { "" })
        }
        other => panic!("not a message but {other:?}"),
    }
}

async fn carries_messages_both_ways(broker: &mut impl TestBroker) {
    let mut cam = node(broker.address());
    assert_eq!(up(&mut cam).await, 1);
    cam.publish(message("status", "online 1", true)).expect("up");
    assert_eq!(said(&mut cam).await, "status: online 1");
    let mut ann = peer(broker.address(), "ann");
    let mut bob = peer(broker.address(), "bob");
    for link in [&mut ann, &mut bob] {
        assert_eq!(up(link).await, 1);
        assert_eq!(said(link).await, "status: online 1 (retained)");
    }
    ann.publish(message("in/ann", "join", false)).expect("up");
    assert_eq!(said(&mut cam).await, "in/ann: join");
    // More than a window at once, in order.
    for number in 0..100 {
        cam.publish(message("out/ann", number.to_string(), false)).expect("room for a hundred");
    }
    for number in 0..100 {
        assert_eq!(said(&mut ann).await, format!("out/ann: {number}"));
    }
    let large = "x".repeat(100 * 1024);
    ann.publish(message("in/ann", large.clone(), false)).expect("below the limit");
    assert_eq!(said(&mut cam).await.len(), large.len() + "in/ann: ".len());
    let refused = ann.publish(message("in/ann", vec![0; MAX_PAYLOAD_BYTES + 1], false));
    assert!(matches!(refused, Err(PublishError::TooLarge { bytes, .. }) if bytes == MAX_PAYLOAD_BYTES + 1));
    ann.publish(message("in/ann", vec![b'y'; MAX_PAYLOAD_BYTES], false)).expect("exactly the limit");
    assert_eq!(said(&mut cam).await.len(), MAX_PAYLOAD_BYTES + "in/ann: ".len());
    ann.publish(message("in/ann", "still here", false)).expect("up");
    assert_eq!(said(&mut cam).await, "in/ann: still here");
}

async fn leaves_a_will_only_when_it_vanishes(broker: &mut impl TestBroker) {
    let mut ann = peer(broker.address(), "ann");
    up(&mut ann).await;
    let mut cam = node(broker.address());
    up(&mut cam).await;
    drop(cam);
    assert_eq!(said(&mut ann).await, "status: offline 1");

    let mut cam = node(broker.address());
    up(&mut cam).await;
    // Queued before the end: it goes out first.
    cam.publish(message("out/ann", "leave", false)).expect("up");
    let begun = tokio::time::Instant::now();
    cam.close(vec![message("status", "goodbye", true)]).await;
    assert!(begun.elapsed() < Duration::from_millis(1100), "closed in {:?}", begun.elapsed());
    assert_eq!(cam.next().await, None);
    assert_eq!(said(&mut ann).await, "out/ann: leave");
    assert_eq!(said(&mut ann).await, "status: goodbye");

    // Had there been a will, it would come before what this one says.
    let mut cam = node(broker.address());
    up(&mut cam).await;
    cam.publish(message("status", "online", true)).expect("up");
    assert_eq!(said(&mut ann).await, "status: online");
}

async fn comes_back_after_a_broker_restart(broker: &mut impl TestBroker) {
    let mut ann = peer(broker.address(), "ann");
    let mut cam = node(broker.address());
    assert_eq!(up(&mut ann).await, 1);
    assert_eq!(up(&mut cam).await, 1);
    broker.stop().await;
    let reason = down(&mut cam).await;
    assert!(reason.contains("closed the connection"), "{reason}");
    let away = cam.publish(message("out/ann", "lost", false));
    assert!(matches!(away, Err(PublishError::Away { .. })), "{away:?}");
    // The next attempt finds nobody, and says so.
    let reason = down(&mut cam).await;
    assert!(reason.contains("refused the connection"), "{reason}");
    broker.start().await;
    assert_eq!(up(&mut cam).await, 2);
    while !matches!(event(&mut ann).await, LinkEvent::Up { conn: 2 }) {}
    ann.publish(message("in/ann", "join again", false)).expect("up");
    assert_eq!(said(&mut cam).await, "in/ann: join again", "subscribed anew");
    drop(cam);
    assert_eq!(said(&mut ann).await, "status: offline 2", "and the will counts along");
}

#[cfg(feature = "embedded-broker")]
mod embedded {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::http::HeaderValue;

    use super::*;
    use crate::signalling::config::TopicPrefix;
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
        let config = EmbeddedConfig { tcp: any, websocket: any, prefix, reserved, origins: Vec::new() };
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
        let setup = LinkSetup { client_id: "cam".to_owned(), subscriptions: Vec::new(), will: None };
        let mut cam = MqttLink::start(with_login, setup, 1);
        assert_eq!(up(&mut cam).await, 1);
    }

    #[tokio::test]
    async fn a_refused_subscription_is_named() {
        let broker = embedded(Vec::new()).await;
        let subscriptions = vec![format!("{PREFIX}/cam/out/eve"), format!("{PREFIX}/cam/out/+")];
        let setup = LinkSetup { client_id: "eve".to_owned(), subscriptions, will: None };
        let mut eve = MqttLink::start(endpoint(broker.address()), setup, 1);
        let reason = down(&mut eve).await;
        assert!(reason.contains("does not let this client subscribe to camera-node/v1/cam/out/+"), "{reason}");
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
        let begun = tokio::time::Instant::now();
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
}

mod mosquitto {
    use std::path::Path;

    use tokio::process::{Child, Command};

    use super::*;

    struct Mosquitto {
        address: SocketAddr,
        folder: tempfile::TempDir,
        child: Option<Child>,
    }

    impl TestBroker for Mosquitto {
        fn address(&self) -> SocketAddr {
            self.address
        }

        async fn stop(&mut self) {
            self.child.take().expect("running").kill().await.expect("killed");
        }

        async fn start(&mut self) {
            let child = Command::new(BINARY)
                .arg("-c")
                .arg(self.folder.path().join("mosquitto.conf"))
                .kill_on_drop(true)
                .stderr(std::process::Stdio::null())
                .spawn();
            self.child = Some(child.expect("it can be run"));
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    const BINARY: &str = "/usr/sbin/mosquitto";

    async fn mosquitto() -> Option<Mosquitto> {
        if !Path::new(BINARY).exists() {
            skipped();
            return None;
        }
        // Free a moment ago; nothing else here asks for a given port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!("listener {} 127.0.0.1\nallow_anonymous true\npersistence false\n", address.port());
        std::fs::write(folder.path().join("mosquitto.conf"), text).expect("written");
        let mut broker = Mosquitto { address, folder, child: None };
        broker.start().await;
        Some(broker)
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn skipped() {
        eprintln!("skipped: {BINARY} is not installed");
    }

    #[tokio::test]
    async fn a_link_carries_messages_both_ways() {
        if let Some(mut broker) = mosquitto().await {
            carries_messages_both_ways(&mut broker).await;
        }
    }

    #[tokio::test]
    async fn a_link_leaves_a_will_only_when_it_vanishes() {
        if let Some(mut broker) = mosquitto().await {
            leaves_a_will_only_when_it_vanishes(&mut broker).await;
        }
    }

    #[tokio::test]
    async fn a_link_comes_back_after_a_broker_restart() {
        if let Some(mut broker) = mosquitto().await {
            comes_back_after_a_broker_restart(&mut broker).await;
        }
    }
}

#[tokio::test]
async fn a_link_without_a_broker_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let mut link = peer(address, "ann");
    assert_eq!(down(&mut link).await, format!("{address} refused the connection: no broker listens there"));

    let mut nowhere = endpoint(address);
    nowhere.host = "no-such-broker.invalid".to_owned();
    let setup = || LinkSetup { client_id: "ann".to_owned(), subscriptions: Vec::new(), will: None };
    let mut link = MqttLink::start(nowhere, setup(), 1);
    let reason = down(&mut link).await;
    assert!(reason.starts_with("the name no-such-broker.invalid cannot be resolved"), "{reason}");

    // It takes the connection, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut link = MqttLink::start(endpoint(silent.local_addr().expect("an address")), setup(), 1);
    let reason = down(&mut link).await;
    assert!(reason.ends_with("did not answer in time"), "{reason}");
    let begun = tokio::time::Instant::now();
    link.close(Vec::new()).await;
    assert!(begun.elapsed() < Duration::from_millis(100), "nothing to wait for, yet it took {:?}", begun.elapsed());

    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut link = MqttLink::start(endpoint(web.local_addr().expect("an address")), setup(), 1);
    let (mut stream, _) = web.accept().await.expect("a connection");
    let answer = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: 200\r\n\r\n{}", "?".repeat(200));
    tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.expect("sent");
    let reason = down(&mut link).await;
    assert!(reason.contains("does not speak mqtt"), "{reason}");
}
