//! The link and Debian's mosquitto, where it is installed.

use tokio::process::{Child, Command};

use futures_util::{SinkExt, StreamExt};
use rumqttc::{Codec, Connect, Packet, QoS};
use tokio_util::codec::Framed;

use super::ports::free_ports;
use super::*;

pub(super) struct Mosquitto {
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
        let mut child = Command::new(BINARY)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .kill_on_drop(true)
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("it can be run");
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert_eq!(child.try_wait().expect("ours"), None, "mosquitto ended at once: does somebody have its port?");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.child = Some(child);
    }
}

const BINARY: &str = "/usr/sbin/mosquitto";

impl Mosquitto {
    /// `address` is one of its listeners.
    pub(super) async fn start_with(address: SocketAddr, folder: tempfile::TempDir, config: &str) -> Self {
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("written");
        let mut broker = Self { address, folder, child: None };
        broker.start().await;
        broker
    }
}

/// Says so if not.
pub(super) fn installed() -> bool {
    lacking::is_installed(BINARY)
}

async fn mosquitto() -> Option<Mosquitto> {
    if !installed() {
        return None;
    }
    let [port] = free_ports();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
    Some(Mosquitto::start_with(address, folder, &text).await)
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

#[tokio::test]
async fn a_link_notices_a_changed_network_at_once() {
    if let Some(mut broker) = mosquitto().await {
        a_changed_network_is_noticed_at_once(&mut broker).await;
    }
}

#[tokio::test]
async fn a_message_of_any_size_that_the_broker_keeps_costs_no_connection() {
    let Some(broker) = mosquitto().await else { return };
    let stream = tokio::net::TcpStream::connect(broker.address).await.expect("it listens");
    let mut stranger = Framed::new(stream, Codec { max_incoming_size: 1_000, max_outgoing_size: usize::MAX });
    stranger.send(Packet::Connect(Connect::new("stranger"))).await.expect("sent");
    assert!(matches!(stranger.next().await, Some(Ok(Packet::ConnAck(_)))));
    let mut large = rumqttc::Publish::new("camera-node/v1/cam/out/ann", QoS::AtLeastOnce, vec![7; 1_000_000]);
    (large.pkid, large.retain) = (1, true);
    stranger.send(Packet::Publish(large.clone())).await.expect("sent");
    assert!(matches!(stranger.next().await, Some(Ok(Packet::PubAck(_)))), "the broker keeps it");

    let mut ann = peer(broker.address, "ann");
    assert_eq!(up(&mut ann).await, 1);
    // One that is not kept, and another of each in a row.
    for number in 0..4 {
        (large.pkid, large.retain) = (2 + number, number % 2 == 1);
        stranger.send(Packet::Publish(large.clone())).await.expect("sent");
        assert!(matches!(stranger.next().await, Some(Ok(Packet::PubAck(_)))));
    }
    ann.publish(message("out/ann", "hello", false)).expect("up");
    assert_eq!(said(&mut ann).await, "out/ann: hello", "on the same connection");
    ann.close(Vec::new()).await;
}
