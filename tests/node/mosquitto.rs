//! Debian's mosquitto on free ports.

use std::path::Path;

use tokio::process::{Child, Command};

use crate::lacking;

/// A running broker. Dropped, it is killed.
pub struct Mosquitto(Child);

const BINARY: &str = "/usr/sbin/mosquitto";

/// Says so if not.
pub fn is_installed() -> bool {
    lacking::is_installed(BINARY)
}

impl Mosquitto {
    /// One on this port that lets everybody in and do everything, and keeps nothing beyond its end.
    pub async fn open(folder: &Path, port: u16) -> Self {
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        Self::start(folder, &text, &[port]).await
    }

    /// With the config in `folder/mosquitto.conf`, listening on `ports` when this returns.
    pub async fn start(folder: &Path, config: &str, ports: &[u16]) -> Self {
        let file = folder.join("mosquitto.conf");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(&file).kill_on_drop(true).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("it can be run");
        for port in ports {
            while tokio::net::TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                assert_eq!(
                    child.try_wait().expect("ours"),
                    None,
                    "mosquitto ended at once: does somebody have its port?"
                );
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        Self(child)
    }

    /// Kills it: nobody is told goodbye.
    pub async fn kill(mut self) {
        self.0.kill().await.expect("it runs");
    }
}
