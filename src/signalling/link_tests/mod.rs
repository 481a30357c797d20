//! What a link must do, held against each broker there is on this machine.

#[cfg(feature = "embedded-broker")]
mod embedded;
mod mosquitto;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    Endpoint, Link, LinkEvent, LinkSetup, Login, MAX_PAYLOAD_BYTES, MqttLink, NetworkChange, Publish, PublishError,
};
use crate::trust::{certificates, lacking, ports};

#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// A broker that can be stopped and started again on its port.
trait TestBroker {
    fn address(&self) -> SocketAddr;
    async fn stop(&mut self);
    async fn start(&mut self);
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::plain(address.ip().to_string(), address.port())
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
    let setup =
        LinkSetup { client_id: "cam".to_owned(), subscriptions, will: Some(Box::new(will)), ..LinkSetup::default() };
    MqttLink::start(endpoint(address), setup, 7)
}

/// A peer of `cam`.
fn peer(address: SocketAddr, id: &str) -> MqttLink {
    let subscriptions = vec![format!("{PREFIX}/cam/status"), format!("{PREFIX}/cam/out/{id}")];
    MqttLink::start(endpoint(address), LinkSetup { client_id: id.to_owned(), subscriptions, ..LinkSetup::default() }, 8)
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
    let begun = now();
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

async fn a_changed_network_is_noticed_at_once(broker: &mut impl TestBroker) {
    let endpoint = endpoint(broker.address()).with_keep_alive(Duration::from_secs(1200));
    let setup = LinkSetup { client_id: "ann".to_owned(), subscriptions: Vec::new(), ..LinkSetup::default() };
    let mut link = MqttLink::start(endpoint, setup, 3);
    let reports = link.network_reports();
    assert_eq!(up(&mut link).await, 1);
    // Neither is about the way that this connection has: were it, the next would be the second in a row.
    assert!(reports.tell(NetworkChange::Other));
    assert!(reports.tell(NetworkChange::AddressGone("192.0.2.7".parse().expect("an address"))));
    for conn in 2..=3 {
        let begun = now();
        assert!(reports.tell(NetworkChange::AddressGone(broker.address().ip())));
        assert_eq!(event(&mut link).await, LinkEvent::Down { reason: "the network changed".to_owned() });
        assert_eq!(up(&mut link).await, conn);
        assert!(begun.elapsed() < Duration::from_secs(3), "back after {:?}", begun.elapsed());
    }
    link.close(Vec::new()).await;
    assert!(!reports.tell(NetworkChange::Other), "nobody listens any more");
}

#[tokio::test]
async fn a_changed_network_ends_the_wait_for_a_broker() {
    let [port] = ports::free_ports();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut link = peer(address, "ann");
    let reports = link.network_reports();
    down(&mut link).await;
    // The waits double: by themselves, four attempts take over seven seconds.
    let broker = tokio::net::TcpListener::bind(address).await.expect("still free");
    let begun = now();
    for _ in 0..4 {
        let (stream, _) = timeout(Duration::from_secs(5), async {
            loop {
                reports.tell(NetworkChange::Other);
                match timeout(Duration::from_millis(200), broker.accept()).await {
                    Ok(accepted) => return accepted.expect("a connection"),
                    Err(_) => continue,
                }
            }
        })
        .await
        .expect("within a second or two");
        drop(stream);
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "never twice in a second: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_link_without_a_broker_says_why() {
    let [port] = ports::free_ports();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut link = peer(address, "ann");
    assert_eq!(down(&mut link).await, format!("{address} refused the connection: no broker listens there"));

    let mut nowhere = endpoint(address);
    nowhere.host = "no-such-broker.invalid".to_owned();
    let setup = || LinkSetup { client_id: "ann".to_owned(), subscriptions: Vec::new(), ..LinkSetup::default() };
    let mut link = MqttLink::start(nowhere, setup(), 1);
    let reason = down(&mut link).await;
    assert!(reason.starts_with("the name no-such-broker.invalid cannot be resolved"), "{reason}");

    // It takes the connection, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut link = MqttLink::start(endpoint(silent.local_addr().expect("an address")), setup(), 1);
    let reason = down(&mut link).await;
    assert!(reason.ends_with("did not answer in time"), "{reason}");
    let begun = now();
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

#[tokio::test]
async fn a_broker_that_stops_answering_is_given_up() {
    let broker = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut link = peer(broker.local_addr().expect("an address"), "ann");
    let (mut stream, _) = broker.accept().await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x20, 2, 0, 0]).await.expect("CONNACK");
    // And never a SUBACK.
    let reason = down(&mut link).await;
    assert!(reason.ends_with("stopped answering"), "{reason}");
}
