//! The link and Debian's mosquitto, where it is installed.

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
