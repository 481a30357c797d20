//! The node as a service: what it tells systemd, and how it ends when a part of it hangs. The service manager is a socket
//! of the test's own.

use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::stage::{SMALL, alone};

/// Time for what happens at once, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);
/// A stuck thread is noticed after 10 s.
const STUCK: Duration = Duration::from_secs(40);

/// What systemd is to a service: a socket that hears, and a config.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
    /// Said, and not yet asked for.
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a new place");
        Self { folder, socket, heard: Vec::new() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("there is room");
    }

    /// `camera-node run`, as the unit would start it.
    fn start(&self) -> Command {
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
    async fn hears(&mut self, what: &str, within: Duration, fits: impl Fn(&str) -> bool) -> String {
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

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(pid, signal).expect("it is our child");
}

/// A node without broker: nothing but itself.
fn by_itself(more: &str) -> String {
    format!("{SMALL}\n[broker]\nurl = \"loopback:\"\n{more}")
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_how_it_is_and_that_it_stops() {
    let _alone = alone().await;
    let mut manager = Manager::new();
    manager.write("node.toml", &by_itself(""));
    let mut node = manager.start().stderr(Stdio::null()).spawn().expect("it can be run");
    manager.hears("ready", SOON, |line| line == "READY=1").await;
    let status = manager.hears("well", SOON, |line| line.starts_with("STATUS=") && line.contains("camera ok")).await;
    assert!(status.starts_with("STATUS=stage: 0 viewers, "), "{status}");
    assert!(status.contains("broker ok") && status.contains("; page http://127.0.0.1:"), "{status}");
    // Fed four times as often as systemd asks for.
    for _ in 0..3 {
        manager.hears("fed", Duration::from_secs(4), |line| line == "WATCHDOG=1").await;
    }
    signal(&node, Signal::TERM);
    manager.hears("stops", SOON, |line| line == "STOPPING=1").await;
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
}

/// An ALSA card whose opening waits for ever: alsa-lib's own `file` plugin, reading from a pipe that nobody writes to.
fn wedged_card(manager: &Manager) {
    let pipe = manager.path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let text = format!(
        "pcm.wedged {{ type file\n slave.pcm {{ type null }}\n file \"/dev/null\"\n infile \"{}\"\n format \"raw\" }}\n",
        pipe.display()
    );
    manager.write("asound.conf", &text);
}

fn with_wedged_card(text: &str) -> String {
    text.replace("source = \"tone\"", "source = \"alsa\"\ndevice = \"wedged\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wedged_thread_ends_its_process_and_one_that_waits_for_its_camera_does_not() {
    let _alone = alone().await;
    // Three nodes at once, as it takes its time.
    let mut patient = Manager::new();
    let away = by_itself("").replace("\"test-pattern\"", "\"v4l2\"\ndevice = \"usb-no-such-camera\"");
    patient.write("node.toml", &away);
    let mut waiting = patient.start().stderr(Stdio::null()).spawn().expect("it can be run");
    let status = patient.hears("away", SOON, |line| line.contains("camera away")).await;
    assert!(status.contains("usb-no-such-camera"), "{status}");

    let mut manager = Manager::new();
    wedged_card(&manager);
    manager.write("node.toml", &with_wedged_card(&by_itself("")));
    let start = || {
        let mut command = manager.start();
        command.env("ALSA_CONFIG_PATH", manager.path("asound.conf"));
        command
    };
    let mut unwatched = start();
    unwatched.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").stderr(Stdio::null());
    let mut unwatched = unwatched.spawn().expect("it can be run");
    let mut node = start().spawn().expect("it can be run");
    let mut log = BufReader::new(node.stderr.take().expect("piped")).lines();
    manager.hears("ready", SOON, |line| line == "READY=1").await;
    manager.hears("fed", SOON, |line| line == "WATCHDOG=1").await;
    let status = manager.hears("the end", STUCK, |line| line.starts_with("STATUS=ended: ")).await;
    assert!(status.contains("sound-main"), "{status}");
    assert_eq!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").code(), Some(1));
    let mut last = String::new();
    while let Some(line) = log.next_line().await.expect("it can be read") {
        last = line;
    }
    assert!(last.contains("ERROR") && last.contains("sound-main") && last.contains("no sign of life"), "{last}");
    assert!(!manager.heard.iter().any(|line| line == "WATCHDOG=1"), "a stuck node is not fed for");
    assert_eq!(timeout(SOON, unwatched.wait()).await.expect("in time").expect("ours").code(), Some(1));

    assert!(waiting.try_wait().expect("ours").is_none(), "it has waited for longer than the others");
    // All that was said meanwhile, and then something new.
    while patient.socket.try_recv(&mut [0; 4_096]).is_ok() {}
    patient.heard.clear();
    patient.hears("fed", SOON, |line| line == "WATCHDOG=1").await;
    signal(&waiting, Signal::TERM);
    assert!(timeout(SOON, waiting.wait()).await.expect("in time").expect("ours").success());
}
