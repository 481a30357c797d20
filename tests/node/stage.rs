//! A node to test, and viewers to test it with.

use std::process::Stdio;
use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::session::TopicPrefix;
use camera_node::signalling::embedded::{EmbeddedBroker, EmbeddedConfig};
use camera_node::signalling::{Link, LinkEvent, MqttLink};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// A node's config, with a picture small enough for ten decoders on two cores, and wide enough for the time stamp.
pub const SMALL: &str = r#"
[node]
id = "stage"
[[camera]]
linger_s = 1
[camera.video]
source = "test-pattern"
width = 320
height = 180
fps = 30
[camera.h264]
bitrate_kbps = 500
[camera.audio]
source = "tone"
[http]
bind = "127.0.0.1:0"
[ice]
include_loopback = true
"#;

/// Tests that run at once at most. They mostly wait; a few of them leave two cores time enough.
const PLACES: u32 = 4;
static STAGES: Semaphore = Semaphore::const_new(PLACES as usize);

/// Held by a test while nodes and viewers of its own run.
pub async fn place() -> SemaphorePermit<'static> {
    STAGES.acquire().await.expect("never closed")
}

/// Held by a test that counts what the process has, or needs the machine for itself.
pub async fn alone() -> SemaphorePermit<'static> {
    STAGES.acquire_many(PLACES).await.expect("never closed")
}

/// A running node with a broker beside it that can be restarted.
pub struct Stage {
    node: Node,
    broker: Mutex<Option<EmbeddedBroker>>,
    tcp: std::net::SocketAddr,
    websocket: std::net::SocketAddr,
    _place: SemaphorePermit<'static>,
}

impl Stage {
    /// A node with a small test picture; `more` is added to its config.
    pub async fn start(more: &str) -> Self {
        Self::of(place().await, more, |_| {}).await
    }

    /// The same, with nothing beside it.
    pub async fn start_alone(more: &str) -> Self {
        Self::of(alone().await, more, |_| {}).await
    }

    /// The same, with the config changed by `change`.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(place().await, "", change).await
    }

    async fn of(place: SemaphorePermit<'static>, more: &str, change: impl FnOnce(&mut Config)) -> Self {
        let any = ([127, 0, 0, 1], 0).into();
        let broker = embedded_broker(any, any).await;
        let text = format!("{SMALL}\n[broker]\nurl = \"mqtt://{}\"\n{more}", broker.tcp_addr());
        let mut config = Config::from_text("stage.toml", &text, []).expect("the stage's config is good");
        change(&mut config);
        let node = Node::start(config).await.expect("the node starts");
        let stage = Self {
            node,
            tcp: broker.tcp_addr(),
            websocket: broker.ws_addr(),
            broker: Mutex::new(Some(broker)),
            _place: place,
        };
        let up = || stage.node.conditions()["broker"].state == State::Live;
        eventually("the node is at the broker", Duration::from_secs(15), up).await;
        stage
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where clients find the broker.
    pub fn broker_url(&self) -> String {
        format!("mqtt://{}", self.tcp)
    }

    /// Where its broker takes MQTT.
    pub fn broker(&self) -> std::net::SocketAddr {
        self.tcp
    }

    /// Viewers that are sent pictures.
    pub fn viewers(&self) -> usize {
        self.node.viewers()
    }

    /// Sockets this process holds.
    pub fn resources(&self) -> usize {
        let fds = std::fs::read_dir("/proc/self/fd").expect("linux");
        fds.flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Ends the broker and starts another at the same place.
    pub async fn restart_broker(&self) {
        let mut slot = self.broker.lock().await;
        slot.take().expect("there is a broker").stop().await;
        // A client that knocks at the closed port may for a moment hold it itself (a TCP connection to itself).
        let free = || std::net::TcpListener::bind(self.tcp).and(std::net::TcpListener::bind(self.websocket)).is_ok();
        eventually("the broker's ports are free", Duration::from_secs(10), free).await;
        *slot = Some(embedded_broker(self.tcp, self.websocket).await);
    }

    pub async fn stop(self) {
        self.node.stop().await.expect("no thread is stuck");
        if let Some(broker) = self.broker.into_inner() {
            broker.stop().await;
        }
    }
}

/// A broker that lets any client be a node.
pub async fn embedded_broker(tcp: std::net::SocketAddr, websocket: std::net::SocketAddr) -> EmbeddedBroker {
    let config = EmbeddedConfig {
        tcp,
        websocket,
        prefix: TopicPrefix::default(),
        reserved: Vec::new(),
        password: None,
        origins: Vec::new(),
    };
    EmbeddedBroker::start(config).await.expect("loopback has free ports")
}

/// A `camera-node watch` process. Dropped, it is killed.
pub struct Watch(Child);

/// What `watch --json` says at its end.
#[derive(Debug, Deserialize)]
pub struct Report {
    pub first_frame_ms: Option<f64>,
    pub frames: u32,
    pub longest_gap_ms: f64,
    pub fps: f64,
    pub bitrate_bps: f64,
    pub rtt_ms: Option<f64>,
    pub packets_lost: u64,
    pub audio_packets: u32,
    pub stamps_distinct: u32,
    pub talk_heard: Option<bool>,
    pub latency_ms: Option<Latency>,
    pub cameras: Vec<Told>,
    pub error: Option<String>,
    pub events: Vec<String>,
}

/// What `status` told of a camera.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Told {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub state: String,
}

#[derive(Debug, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub max: f64,
}

impl Watch {
    pub fn start(stage: &Stage, options: &[&str]) -> Self {
        Self(Self::command(stage, options).stdout(Stdio::piped()).spawn().expect("the binary runs"))
    }

    /// What [`Watch::start`] runs.
    pub fn command(stage: &Stage, options: &[&str]) -> Command {
        let broker = format!("mqtt://{}", stage.tcp);
        let mut watch =
            command(env!("CARGO_BIN_EXE_camera-node"), &["watch", "--json", "--node", "stage", "--broker", &broker]);
        watch.args(options);
        watch
    }

    /// One of another broker's than a stage's.
    pub fn at(broker: &str, options: &[&str]) -> Self {
        let mut watch =
            command(env!("CARGO_BIN_EXE_camera-node"), &["watch", "--json", "--node", "stage", "--broker", broker]);
        Self(watch.args(options).stdout(Stdio::piped()).spawn().expect("the binary runs"))
    }

    /// One that watches a demo of this config (whose node is called `stage`) for a second, both in a network of their own
    /// that has nothing but loopback; the demo writes its log into `log`.
    pub fn start_alone(config: &std::path::Path, log: &str) -> Self {
        const SCRIPT: &str = r#"
            ip link set lo up || exit
            "$0" demo --config "$1" --mqtt-port 1883 --ws-port 0 --http-port 0 >/dev/null 2>"$2" &
            "$0" watch --json --node stage --broker mqtt://127.0.0.1:1883 --seconds 1
            kill -INT $! && wait $!
        "#;
        let child = Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", SCRIPT, env!("CARGO_BIN_EXE_camera-node")])
            .args([config.as_os_str(), log.as_ref()])
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("unshare is part of every Debian");
        Self(child)
    }

    /// One that was started otherwise.
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Waits for its end.
    pub async fn report(self) -> Report {
        let ended = tokio::time::timeout(Duration::from_secs(60), self.0.wait_with_output());
        let output = ended.await.expect("it ends").expect("it ran");
        let text = String::from_utf8(output.stdout).expect("JSON is text");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Stops it in its tracks: it reads nothing, and says nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end and report.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("it is our child");
    }
}

/// What `camera-node watch` saw of the node `stage` at a broker.
pub async fn watch_at(broker: &str, options: &[&str]) -> Report {
    let args = ["watch", "--json", "--node", "stage", "--broker", broker];
    let mut watch = command(env!("CARGO_BIN_EXE_camera-node"), &args);
    Watch(watch.args(options).stdout(Stdio::piped()).spawn().expect("the binary runs")).report().await
}

/// A process that does not outlive its test.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    command
}

/// Waits until `condition` holds; fails with `what` if that takes longer than `limit`.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let held = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(limit, held).await.is_ok(), "not within {limit:?}: {what}");
}

/// The next status with this state that `link` hears.
pub async fn heard(link: &mut MqttLink, state: &str) -> serde_json::Value {
    loop {
        let event = timeout(Duration::from_secs(20), link.next()).await.expect("in time").expect("it lives");
        if let LinkEvent::Message { payload, .. } = event {
            let status: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            if status["state"] == state {
                return status;
            }
        }
    }
}
