//! The node and its viewers at brokers of other people's making: Debian's mosquitto as `deploy/` sets it up, and in the
//! place of AWS IoT Core, whose rules are held against what was really sent.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Profile, Publish};
use rumqttc::Packet;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::aws_policies;
use crate::aws_rules::{broken_aws_rules, most_in_a_second};
use crate::certificates::Authority;
use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::recorder::{Carrier, Entry, Recorder, Tls};
use crate::stage::{Report, SMALL, eventually, place};

const SOON: Duration = Duration::from_secs(15);

fn config(broker: Broker) -> Config {
    let mut config = Config::from_text("stage.toml", SMALL, []).expect("the stage's config is good");
    config.broker = broker;
    config
}

async fn node(broker: Broker) -> Node {
    let node = Node::start(config(broker)).await.expect("the node starts");
    eventually("the node is at the broker", SOON, || node.conditions()["broker"].state == State::Live).await;
    node
}

async fn watch(options: &[&str]) -> Report {
    let child = Command::new(env!("CARGO_BIN_EXE_camera-node"))
        .args(["watch", "--json", "--node", "stage"])
        .args(options)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let output = timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("it ends").expect("it ran");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `ring.topic` in `deploy/doorbell.md`.
const BELL: &str = "home/door/bell";

/// The shipped files with the places and ports of a test.
struct Shipped {
    broker: Mosquitto,
    folder: tempfile::TempDir,
    ca: Authority,
    nodes: u16,
    viewers: u16,
}

impl Shipped {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = Authority::new(folder.path(), "ours");
        let [nodes, viewers] = free_ports();
        ca.sign("broker", &["localhost"]);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/mosquitto");
        for acl in ["nodes.acl", "viewers.acl"] {
            std::fs::copy(shipped.join(acl), at(acl)).expect("it is shipped");
        }
        let mut rules = File::options().append(true).open(at("nodes.acl")).expect("ours");
        rules.write_all(in_doorbell_md("acl", "topic").as_bytes()).expect("there is room");
        let made = Command::new("mosquitto_passwd").args(["-c", "-b", &at("viewers.passwd"), "ada", "s3cret"]).status();
        assert!(made.await.expect("it comes with mosquitto").success());
        // It is made readable for its maker alone.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(at("viewers.passwd"), readable).expect("ours");
        let text = std::fs::read_to_string(shipped.join("camera-node.conf")).expect("it is shipped");
        let text = text
            .replace("/etc/mosquitto/certs/ca.pem", &at("ours-ca.pem"))
            .replace("/etc/mosquitto/certs/", &at(""))
            .replace("/etc/mosquitto/", &at(""))
            .replace("listener 8883", &format!("listener {nodes} 127.0.0.1"))
            .replace("listener 9443", &format!("listener {viewers} 127.0.0.1"));
        let broker = Mosquitto::start(folder.path(), &text, &[nodes, viewers]).await;
        std::fs::write(at("password"), "s3cret\n").expect("written");
        Self { broker, folder, ca, nodes, viewers }
    }

    /// Before the nodes' listener, which it comes to as the node `id`.
    async fn record_node(&self, id: &str) -> Recorder {
        let (roots, pair) = (self.roots(), self.ca.sign(id, &[]));
        let clients = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().expect("an authority");
        let server = rustls::ServerConfig::builder().with_client_cert_verifier(clients);
        let client = rustls::ClientConfig::builder().with_root_certificates(roots);
        let client = client.with_client_auth_cert(chain(&pair.cert_file), key(&pair.key_file));
        Recorder::within_tls(self.nodes, self.tls(server, client.expect("a pair")), Carrier::Tcp).await
    }

    /// Before the viewers' listener.
    async fn record_viewers(&self) -> Recorder {
        let server = rustls::ServerConfig::builder().with_no_client_auth();
        let client = rustls::ClientConfig::builder().with_root_certificates(self.roots()).with_no_client_auth();
        Recorder::within_tls(self.viewers, self.tls(server, client), Carrier::WebSocket).await
    }

    fn roots(&self) -> Arc<rustls::RootCertStore> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(chain(&self.ca.ca_file));
        Arc::new(roots)
    }

    /// A recorder has the broker's own certificate.
    fn tls(
        &self,
        server: rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert>,
        client: rustls::ClientConfig,
    ) -> Tls {
        let at = |name: &str| self.folder.path().join(name);
        let server = server.with_single_cert(chain(&at("broker.pem")), key(&at("broker.key"))).expect("a pair");
        let name = "localhost".try_into().expect("a name");
        Tls { acceptor: Arc::new(server).into(), connector: Arc::new(client).into(), name }
    }

    fn node(&self, id: &str) -> Broker {
        let pair = self.ca.sign(id, &[]);
        Broker {
            url: format!("mqtts://localhost:{}", self.nodes).parse().expect("a URL"),
            ca_file: Some(self.ca.ca_file.clone()),
            client_cert_file: Some(pair.cert_file),
            client_key_file: Some(pair.key_file),
            ..Broker::default()
        }
    }

    /// A viewer whose broker listens on `port`, for so long.
    async fn watch(&self, port: u16, seconds: u32) -> Report {
        let (url, seconds) = (format!("wss://localhost:{port}/mqtt"), seconds.to_string());
        let ca_file = self.ca.ca_file.display().to_string();
        let password_file = self.folder.path().join("password").display().to_string();
        let login = ["--ca-file", &ca_file, "--username", "ada", "--password-file", &password_file];
        watch(&[["--seconds", &seconds, "--broker", &url].as_slice(), &login].concat()).await
    }

    fn viewer(&self) -> Broker {
        Broker {
            url: format!("wss://localhost:{}/mqtt", self.viewers).parse().expect("a URL"),
            ca_file: Some(self.ca.ca_file.clone()),
            username: Some("ada".to_owned()),
            password_file: Some(self.folder.path().join("password")),
            ..Broker::default()
        }
    }
}

fn chain(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).expect("a file").map(|one| one.expect("PEM")).collect()
}

fn key(file: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(file).expect("PEM")
}

/// The block of this kind, with these words in it, that `deploy/doorbell.md` tells to add to a file.
pub fn in_doorbell_md(kind: &str, words: &str) -> String {
    let blocks = include_str!("../../deploy/doorbell.md").split("```").skip(1).step_by(2);
    let mut blocks = blocks.filter_map(|block| block.strip_prefix(kind));
    blocks.find(|block| block.contains(words)).expect("it stands there").to_owned()
}

pub async fn link(broker: &Broker, id: &str, filters: &[&str]) -> MqttLink {
    let endpoint = Endpoint::from_config(broker).expect("its files are there");
    let subscriptions = filters.iter().map(|filter| (*filter).to_owned()).collect();
    let mut link =
        MqttLink::start(endpoint, LinkSetup { client_id: id.to_owned(), subscriptions, ..LinkSetup::default() }, 1);
    let first = timeout(SOON, link.next()).await.expect("in time");
    assert_eq!(first, Some(LinkEvent::Up { conn: 1 }), "{id}");
    link
}

pub fn say(link: &MqttLink, topic: &str) {
    let message = Publish { topic: topic.to_owned(), payload: "{}".into(), retain: false };
    link.publish(message).expect("up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_is_watched_over_websocket_through_the_shipped_mosquitto_config() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let shipped = Shipped::start().await;
    let node = node(shipped.node("stage")).await;
    let seen = shipped.watch(shipped.viewers, 2).await;
    assert!(seen.frames >= 10, "2 s at 30 fps: {seen:?}");
    node.stop().await.expect("no thread is stuck");
    drop(shipped.broker);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_mosquitto_rules_let_nobody_speak_for_another() {
    if !is_installed() {
        return;
    }
    let shipped = Shipped::start().await;
    let topic = |rest: &str| format!("camera-node/v1/{rest}");
    let all = topic("#");
    let filters = [&topic("porch/in/+"), &topic("porch/status"), BELL];
    let mut porch = link(&shipped.node("porch"), "porch", &filters).await;
    let yard = link(&shipped.node("yard"), "yard", &[]).await;
    let mut eve = link(&shipped.viewer(), "eve", &[&all]).await;
    // What is not allowed goes first: were it let through, it would be heard first.
    say(&eve, &topic("porch/in/ann"));
    say(&eve, &topic("porch/status"));
    say(&yard, &topic("porch/status"));
    say(&yard, &topic("porch/out/eve"));
    say(&yard, BELL);
    say(&eve, BELL);
    say(&eve, &topic("porch/in/eve"));
    let heard = |event| match event {
        Some(LinkEvent::Message { topic, .. }) => topic,
        other => panic!("not a message but {other:?}"),
    };
    assert_eq!(heard(timeout(SOON, porch.next()).await.expect("in time")), topic("porch/in/eve"));
    // By what `deploy/doorbell.md` adds.
    let doorbell = link(&shipped.node("doorbell"), "doorbell", &[]).await;
    say(&doorbell, BELL);
    assert_eq!(heard(timeout(SOON, porch.next()).await.expect("in time")), BELL);
    say(&porch, &topic("porch/out/ann"));
    say(&porch, &topic("porch/out/eve"));
    assert_eq!(heard(timeout(SOON, eve.next()).await.expect("in time")), topic("porch/out/eve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_and_its_viewers_send_is_what_aws_iot_takes() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    for retain in [true, false] {
        let shipped = Shipped::start().await;
        let (recorder, viewers) = (shipped.record_node("stage").await, shipped.record_viewers().await);
        let url = format!("mqtts://localhost:{}", recorder.port).parse().expect("a URL");
        let node = node(Broker { url, retain, profile: Profile::AwsIot, ..shipped.node("stage") }).await;
        let watching = || shipped.watch(viewers.port, 3);
        let count = || recorder.seen().iter().filter(|entry| matches!(entry.packet, Packet::Connect(_))).count();
        let cutting = async {
            // Once more would look like another client of the same id, which is given a minute.
            for cut in 1..=2 {
                eventually("the node is back", SOON, || count() == cut).await;
                recorder.cut();
                viewers.cut();
            }
            eventually("the node is back", SOON, || count() == 3).await;
        };
        let (one, two, three, ()) = tokio::join!(watching(), watching(), watching(), cutting);
        for report in [one, two, three] {
            assert!(report.frames >= 20, "{report:?}");
        }
        node.stop().await.expect("no thread is stuck");
        for seen in [recorder.seen(), viewers.seen()] {
            assert!(seen.iter().any(|e| matches!(&e.packet, Packet::Publish(_)) && e.from_client), "it can be read");
            assert_eq!(broken_aws_rules(&seen, retain), Vec::<String>::new());
            assert_eq!(
                aws_policies::refused(&seen, "stage"),
                Vec::<String>::new(),
                "the shipped policies allow all of it"
            );
        }
        let is_kept = |e: &Entry| matches!(&e.packet, Packet::Publish(p) if e.from_client && p.retain);
        assert_eq!(recorder.seen().iter().any(is_kept), retain, "presence is kept only where it may be");
    }
}

/// A mosquitto without rules, which listens on `port`, and the recorder before it.
pub struct Recorded {
    pub port: u16,
    pub recorder: Recorder,
    _broker: Mosquitto,
    _folder: tempfile::TempDir,
}

pub async fn recorded() -> Recorded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
    let broker = Mosquitto::start(folder.path(), &text, &[port]).await;
    let recorder = Recorder::start(port).await;
    Recorded { port, recorder, _broker: broker, _folder: folder }
}

/// As the profile sets it, but in the clear.
pub fn as_on_aws(recorder: &Recorder, retain: bool) -> Broker {
    let url = format!("mqtt://127.0.0.1:{}", recorder.port).parse().expect("a URL");
    Broker { url, retain, profile: Profile::AwsIot, ..Broker::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_messages_is_spread_to_what_aws_iot_takes() {
    if !is_installed() {
        return;
    }
    let recorded = recorded().await;
    let recorder = &recorded.recorder;
    let link = link(&as_on_aws(recorder, true), "stage", &[]).await;
    // What waits already is not queued again: each to another.
    for n in 0..150 {
        say(&link, &format!("camera-node/v1/stage/out/ann-{n}"));
    }
    let sent = || recorder.seen().iter().filter(|entry| matches!(entry.packet, Packet::Publish(_))).count();
    eventually("all are sent", SOON, || sent() == 150).await;
    let most = most_in_a_second(&recorder.seen());
    assert!(most.values().all(|most| *most <= 62), "{most:?}");
    assert_eq!(broken_aws_rules(&recorder.seen(), true), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_spread_to_what_aws_iot_takes() {
    if !is_installed() {
        return;
    }
    let recorded = recorded().await;
    let recorder = &recorded.recorder;
    let link = link(&as_on_aws(recorder, true), "stage", &[]).await;
    for n in 0..24 {
        let payload = vec![b' '; 64 * 1024].into();
        let topic = format!("camera-node/v1/stage/out/ann-{n}");
        link.publish(Publish { topic, payload, retain: false }).expect("up");
    }
    let sent = || recorder.seen().iter().filter(|entry| matches!(entry.packet, Packet::Publish(_))).count();
    eventually("all are sent", SOON, || sent() == 24).await;
    assert_eq!(broken_aws_rules(&recorder.seen(), true), Vec::<String>::new());
}
