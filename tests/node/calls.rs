//! Calls in both directions: `watch --call` and `watch --register` against a node, and what makes it ring.

use std::path::{Path, PathBuf};

use camera_node::config::Config;
use camera_node::node::Node;
use camera_node::signalling::{Link, LinkEvent, LinkSetup, MqttLink, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::stage::{Stage, Watch, alone, command, eventually};
use super::{Duration, SOON};

const BINARY: &str = env!("CARGO_BIN_EXE_camera-node");
/// A call that is taken, on both sides.
const TAKEN: [&str; 9] = ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "connected", "leave"];

/// A folder with the node's socket in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn section(&self) -> String {
        format!("[ring]\nsocket = '{}'\n", self.at("ring.sock").display())
    }

    /// `camera-node ring`: whether it succeeded, and its lines of JSON.
    async fn ring(&self, options: &[&str]) -> (bool, Vec<serde_json::Value>) {
        ring_at(&self.at("ring.sock"), options).await
    }
}

async fn ring_at(socket: &Path, options: &[&str]) -> (bool, Vec<serde_json::Value>) {
    let mut ring = command(BINARY, &["ring", "--json", "--socket"]);
    let output = timeout(Duration::from_secs(60), ring.arg(socket).args(options).output()).await;
    let output = output.expect("it ends").expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.success(), lines)
}

/// The steps that the node has logged of each session, in the sessions' order.
fn steps(log: &mut broadcast::Receiver<camera_node::session::Event>) -> Vec<Vec<&'static str>> {
    let mut sessions: Vec<(camera_node::session::SessionKey, Vec<&'static str>)> = Vec::new();
    while let Ok(event) = log.try_recv() {
        match sessions.iter_mut().find(|(key, _)| *key == event.session) {
            Some((_, steps)) => steps.push(event.step.name()),
            None => sessions.push((event.session, vec![event.step.name()])),
        }
    }
    sessions.into_iter().map(|(_, steps)| steps).collect()
}

async fn registered(stage: &Stage, count: usize) {
    eventually("they are registered", SOON, || stage.node().registered() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_takes_a_call_and_both_sides_log_the_same_steps() {
    let stage = Stage::start("").await;
    let mut log = stage.node().events();
    let seen = Watch::start(&stage, &["--call", "--seconds", "1"]).report().await;
    assert!(seen.frames >= 15, "{seen:?}");
    assert_eq!(seen.events, TAKEN);
    eventually("the node has heard the end", SOON, || stage.viewers() == 0).await;
    assert_eq!(steps(&mut log), [TAKEN]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_rejected_where_calls_are_not_taken_or_all_places_are() {
    let refused = async |stage: &Stage| {
        let output = Watch::command(stage, &["--call"]).output().await.expect("the binary runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let stage = Stage::start("[limits]\nauto_answer = false\n").await;
    let said = refused(&stage).await;
    assert!(said.contains("The camera takes no calls."), "{said}");
    stage.stop().await;

    let stage = Stage::start("[limits]\nmax_viewers = 1\n").await;
    let mut log = stage.node().events();
    let first = Watch::start(&stage, &[]);
    eventually("the first watches", SOON, || stage.viewers() == 1).await;
    // It is told when to call again, and does; its patience is over before.
    let output = Watch::command(&stage, &["--call", "--patience", "3"]).output().await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("All places are taken."), "{said}");
    assert_eq!(steps(&mut log)[1], ["call", "rejected"]);
    first.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registered_viewers_are_rung_and_the_first_to_accept_watches() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let mut log = stage.node().events();
    let (rung, said) = folder.ring(&[]).await;
    assert!(!rung);
    assert_eq!(said, [serde_json::json!({"error": "nobody is registered"})]);

    let quick = Watch::start(&stage, &["--register", "Quick", "--seconds", "2"]);
    let slow = Watch::start(&stage, &["--register", "Slow", "--on-ring", "ignore"]);
    registered(&stage, 2).await;
    let (rung, said) = folder.ring(&["--wait"]).await;
    assert!(rung, "{said:?}");
    let mut names: Vec<_> =
        said[0]["rung"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((names, &said[1]), (vec!["Quick", "Slow"], &serde_json::json!({"answered": "Quick"})));
    let seen = quick.report().await;
    assert!(seen.frames >= 30, "2 s at 30 fps: {seen:?}");
    assert_eq!(seen.events, TAKEN);
    eventually("the node has heard the end", SOON, || stage.viewers() == 0).await;
    slow.interrupt();
    let slow = slow.report().await;
    assert_eq!((slow.frames, slow.events), (0, ["call", "ringing", "cancelled"].map(str::to_owned).to_vec()));
    registered(&stage, 0).await;
    let mut logged = steps(&mut log);
    logged.sort_by_key(Vec::len);
    assert_eq!(logged, [&["call", "ringing", "cancelled"][..], &TAKEN[..]]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_to_one_name_is_declined_or_times_out_and_says_so() {
    let folder = Folder::new();
    let stage = Stage::start(&format!("{}[limits]\nring_timeout_s = 2\n", folder.section())).await;
    let mut log = stage.node().events();
    let no = Watch::start(&stage, &["--register", "No", "--on-ring", "decline"]);
    let away = Watch::start(&stage, &["--register", "Away", "--on-ring", "ignore"]);
    registered(&stage, 2).await;
    let (answered, said) = folder.ring(&["--wait", "--peer", "No"]).await;
    assert!(!answered);
    assert_eq!(said, [serde_json::json!({"rung": ["No"]}), serde_json::json!({"unanswered": [["No", "declined"]]})]);
    let (answered, said) = folder.ring(&["--wait", "--peer", "Away"]).await;
    assert!(!answered);
    assert_eq!(said, [serde_json::json!({"rung": ["Away"]}), serde_json::json!({"unanswered": [["Away", "timeout"]]})]);
    assert_eq!(
        folder.ring(&["--peer", "Nobody"]).await.1,
        [serde_json::json!({"error": "nobody is registered as \"Nobody\""})]
    );
    let (first, second) = (folder.ring(&["--peer", "Away"]).await, folder.ring(&[]).await);
    assert!(first.0 && !second.0, "one ring at a time");
    assert_eq!(second.1, [serde_json::json!({"error": "it rings already"})]);
    assert_eq!(steps(&mut log)[..2], [&["call", "ringing", "rejected"][..], &["call", "ringing", "cancelled"][..]]);
    no.interrupt();
    assert_eq!(no.report().await.events, ["call", "ringing", "rejected"]);
    away.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_in_words() {
    let stage = Stage::start("").await;
    let first = Watch::start(&stage, &["--register", "Kitchen"]);
    registered(&stage, 1).await;
    let output = Watch::command(&stage, &["--register", "Kitchen"]).output().await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Another peer has this name."), "{said}");
    first.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_forgets_no_registration_and_rings_go_on() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let viewer = Watch::start(&stage, &["--register", "Kitchen", "--seconds", "1"]);
    registered(&stage, 1).await;
    stage.restart_broker().await;
    let up = || stage.node().conditions()["broker"].state == camera_node::node::State::Live;
    eventually("the node is back", SOON, up).await;
    let (answered, said) = folder.ring(&["--wait"]).await;
    assert!(answered, "{said:?}");
    assert!(viewer.report().await.frames >= 15);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_with_the_secret_rings_and_the_webhook_hears_of_it() {
    let folder = Folder::new();
    std::fs::write(folder.at("secret"), "open sesame, 0123456789\n").expect("there is room");
    let hook = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let stage = Stage::start(&format!(
        "{}http_secret_file = '{}'\nwebhook = 'http://{}/door'\nlink = 'https://cams.example.org/'\n",
        folder.section(),
        folder.at("secret").display(),
        hook.local_addr().expect("bound"),
    ))
    .await;
    let page = stage.node().page().expect("there is a page");
    let post = async |path: &str, secret: &str| {
        let mut stream = TcpStream::connect(page).await.expect("it listens");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer {secret}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        (answer[9..12].to_owned(), answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
    };
    assert_eq!(post("/ring", "open sesame").await.0, "401");
    assert_eq!(
        post("/ring", "open sesame, 0123456789").await,
        ("409".to_owned(), r#"{"error":"nobody is registered"}"#.to_owned())
    );
    let told = timeout(SOON, heard(&hook)).await.expect("the webhook is told");
    assert_eq!(
        (&told["node"], &told["rung"], &told["source"]),
        (&"stage".into(), &serde_json::json!([]), &"http".into())
    );
    assert_eq!(told["link"], "https://cams.example.org/");

    let viewer = Watch::start(&stage, &["--register", "Tab let", "--seconds", "1"]);
    registered(&stage, 1).await;
    assert_eq!(post("/ring?peer=Nobody", "open sesame, 0123456789").await.0, "404");
    let rung = post("/ring?peer=Tab%20let", "open sesame, 0123456789").await;
    assert_eq!(rung, ("202".to_owned(), r#"{"rung":["Tab let"]}"#.to_owned()));
    // The webhook is not listened to: the ring does not wait for it.
    assert!(viewer.report().await.frames >= 15);
    let told = timeout(SOON, heard(&hook)).await.expect("the webhook is told");
    assert_eq!(told["rung"], serde_json::json!(["Tab let"]));
    stage.stop().await;
}

/// The body of the next request, which is answered.
async fn heard(listener: &TcpListener) -> serde_json::Value {
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert!(stream.read_buf(&mut request).await.expect("more") > 0, "it ended early");
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.expect("sent");
    let text = String::from_utf8(request).expect("text");
    serde_json::from_str(text.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_the_configs_topic_rings_and_on_no_other() {
    let stage = Stage::start("[ring]\ntopic = 'home/door/bell'\n").await;
    let mut log = stage.node().events();
    let viewer = Watch::start(&stage, &["--register", "Kitchen", "--seconds", "1"]);
    registered(&stage, 1).await;
    let broker = camera_node::signalling::config::Broker {
        url: stage.broker_url().parse().expect("a URL"),
        ..camera_node::signalling::config::Broker::default()
    };
    let endpoint = camera_node::signalling::Endpoint::from_config(&broker).expect("no files");
    let setup = LinkSetup { client_id: "button".to_owned(), subscriptions: Vec::new(), will: None };
    let mut link = MqttLink::start(endpoint, setup, 1);
    while !matches!(timeout(SOON, link.next()).await.expect("in time").expect("alive"), LinkEvent::Up { .. }) {}
    for (topic, payload) in [("home/door", "press"), ("home/door/bell", "whatever")] {
        link.publish(Publish { topic: topic.to_owned(), payload: payload.into(), retain: false }).expect("connected");
    }
    assert!(viewer.report().await.frames >= 15);
    link.close(Vec::new()).await;
    eventually("the node has heard the end", SOON, || stage.viewers() == 0).await;
    assert_eq!(steps(&mut log), [TAKEN], "one ring");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listened_to_is_said_before_anything_runs() {
    let _alone = alone().await;
    for (section, said) in [
        ("socket = '/nowhere/ring.sock'", "ring.socket /nowhere/ring.sock"),
        ("gpio_line = 4\ngpio_chip = '/dev/nowhere'", "ring.gpio_line 4 of /dev/nowhere"),
        ("http_secret_file = '/nowhere/secret'", "ring.http_secret_file /nowhere/secret"),
    ] {
        let text = format!("{}\n[broker]\nurl = 'loopback:'\n[ring]\n{section}\n", super::stage::SMALL);
        let config = Config::from_text("stage.toml", &text, []).expect("a good config");
        let error = Node::start(config).await.err().expect("it does not start");
        assert!(format!("{error:#}").contains(said), "{error:#}");
    }
}
