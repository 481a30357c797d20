//! What systemd is to a service, played by a socket of the test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::stage::SMALL;

/// A socket that hears what services say, and a folder for their configs.
pub struct Systemd {
    folder: TempDir,
    pub socket: UnixDatagram,
    /// Said, and not yet asked for.
    pub heard: Vec<String>,
}

impl Systemd {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a new place");
        Self { folder, socket, heard: Vec::new() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("there is room");
    }

    /// `camera-node run`, as the unit would start it.
    pub fn start(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camera-node"));
        command
            .args(["run", "--config"])
            .arg(self.path("node.toml"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("WATCHDOG_USEC", "4000000")
            .env_remove("WATCHDOG_PID")
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Waits for a line that `fits`; what was said before it is forgotten.
    pub async fn hears(&mut self, what: &str, within: Duration, fits: impl Fn(&str) -> bool) -> String {
        let found = async {
            loop {
                if let Some(at) = self.heard.iter().position(|line| fits(line)) {
                    return self.heard.drain(..=at).next_back().expect("it is there");
                }
                let mut datagram = [0; 4_096];
                let length = self.socket.recv(&mut datagram).await.expect("it can be read");
                let text = String::from_utf8(datagram[..length].to_vec()).expect("text");
                self.heard.extend(text.lines().map(str::to_owned));
            }
        };
        timeout(within, found).await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
    }
}

pub fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(pid, signal).expect("it is our child");
}

/// A node without broker: nothing but itself.
pub fn by_itself(more: &str) -> String {
    format!("{SMALL}\n[broker]\nurl = \"loopback:\"\n{more}")
}
