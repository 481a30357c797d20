//! Calls in both directions: `watch --call` and `watch --register` against a node, and what makes it ring.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use camera_node::config::Config;
use camera_node::node::Node;
use camera_node::session::{Event, SessionKey};
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::mosquitto::{self, Mosquitto};
use super::ports::free_ports;
use super::stage::{Stage, Watch, command, eventually, place};
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

/// What the node logs, by session.
struct Log {
    events: broadcast::Receiver<Event>,
    sessions: Vec<(SessionKey, Vec<&'static str>)>,
}

impl Log {
    fn of(node: &Node) -> Self {
        Self { events: node.events(), sessions: Vec::new() }
    }

    /// Waits until the sessions, in whatever order, have these steps; `ringing` may be overtaken by what ends a call.
    async fn has(&mut self, sessions: &[&[&str]]) {
        let bare = |steps: &[&'static str]| -> Vec<&'static str> {
            let is_over = steps.last().is_some_and(|last| matches!(*last, "cancelled" | "rejected"));
            steps.iter().copied().filter(|step| !(is_over && *step == "ringing")).collect()
        };
        let mut wanted: Vec<Vec<&str>> = sessions.iter().map(|steps| steps.to_vec()).collect();
        wanted.sort();
        eventually(&format!("the node has logged {sessions:?}"), SOON, || {
            self.read();
            let mut logged: Vec<Vec<&str>> = self.sessions.iter().map(|(_, steps)| bare(steps)).collect();
            logged.sort();
            logged == wanted
        })
        .await;
    }

    fn read(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            match self.sessions.iter_mut().find(|(key, _)| *key == event.session) {
                Some((_, steps)) => steps.push(event.step.name()),
                None => self.sessions.push((event.session, vec![event.step.name()])),
            }
        }
    }

    /// Waits until so many calls ring.
    async fn rings(&mut self, count: usize) {
        eventually("they ring", SOON, || {
            self.read();
            self.sessions.iter().filter(|(_, steps)| steps.last() == Some(&"ringing")).count() == count
        })
        .await;
    }
}

/// What `watch` says when it does not get to watch.
async fn refused(stage: &Stage, options: &[&str]) -> String {
    let output = timeout(Duration::from_secs(60), Watch::command(stage, options).output()).await;
    let output = output.expect("it ends").expect("the binary runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn registered(stage: &Stage, count: usize) {
    eventually("they are registered", SOON, || stage.node().registered() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_takes_a_call_and_both_sides_log_the_same_steps() {
    let stage = Stage::start("").await;
    let mut log = Log::of(stage.node());
    let seen = Watch::start(&stage, &["--call", "--seconds", "1"]).report().await;
    assert!(seen.frames > 0, "{seen:?}");
    assert_eq!(seen.events, TAKEN);
    log.has(&[&TAKEN]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_takes_no_calls_declines() {
    let stage = Stage::start("[limits]\nauto_answer = false\n").await;
    let mut log = Log::of(stage.node());
    let said = refused(&stage, &["--call"]).await;
    assert!(said.contains("The camera takes no calls."), "{said}");
    log.has(&[&["call", "rejected"]]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_whose_places_are_taken_is_busy() {
    let stage = Stage::start("[limits]\nmax_viewers = 1\n").await;
    let mut log = Log::of(stage.node());
    let first = Watch::start(&stage, &[]);
    let watches = ["join", "peer", "opening", "offer", "answer", "connected"];
    log.has(&[&watches]).await;
    let second = Watch::start(&stage, &["--call"]);
    log.has(&[&watches, &["call", "rejected"]]).await;
    // It is told to call again later, and stopped before.
    second.interrupt();
    assert_eq!(second.report().await.frames, 0);
    first.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registered_viewers_are_rung_and_the_first_to_accept_watches() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let mut log = Log::of(stage.node());
    let (rung, said) = folder.ring(&[]).await;
    assert!(!rung);
    assert_eq!(said, [json!({"error": "nobody is registered"})]);

    let quick = Watch::start(&stage, &["--register", "Quick", "--seconds", "1"]);
    let slow = Watch::start(&stage, &["--register", "Slow", "--on-ring", "ignore"]);
    registered(&stage, 2).await;
    // So that the other one rings before this one answers.
    quick.freeze();
    let ((answered, said), (again, busy)) = tokio::join!(folder.ring(&["--wait"]), async {
        log.rings(1).await;
        let again = folder.ring(&[]).await;
        quick.thaw();
        again
    });
    assert!(!again, "one ring at a time");
    assert_eq!(busy, [json!({"error": "it rings already"})]);
    assert!(answered, "{said:?}");
    let mut names: Vec<_> =
        said[0]["rung"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((names, &said[1]), (vec!["Quick", "Slow"], &json!({"answered": "Quick"})));
    let seen = quick.report().await;
    assert!(seen.frames > 0, "{seen:?}");
    assert_eq!(seen.events, TAKEN);
    log.has(&[&["call", "cancelled"], &TAKEN]).await;
    slow.interrupt();
    let slow = slow.report().await;
    assert_eq!((slow.frames, slow.events), (0, ["call", "ringing", "cancelled"].map(str::to_owned).to_vec()));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_declined_says_so_and_a_name_belongs_to_one() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let mut log = Log::of(stage.node());
    let no = Watch::start(&stage, &["--register", "No", "--on-ring", "decline"]);
    registered(&stage, 1).await;
    let said = refused(&stage, &["--register", "No"]).await;
    assert!(said.contains("Another peer has this name."), "{said}");
    let (answered, said) = folder.ring(&["--wait", "--peer", "No"]).await;
    assert!(!answered);
    assert_eq!(said, [json!({"rung": ["No"]}), json!({"unanswered": [["No", "declined"]]})]);
    let nobody = folder.ring(&["--peer", "Nobody"]).await;
    assert_eq!(nobody, (false, vec![json!({"error": "nobody is registered as \"Nobody\""})]));
    log.has(&[&["call", "rejected"]]).await;
    no.interrupt();
    assert_eq!(no.report().await.events, ["call", "ringing", "rejected"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_nobody_answers_in_time_is_cancelled() {
    let folder = Folder::new();
    let stage = Stage::start(&format!("{}[limits]\nring_timeout_s = 2\n", folder.section())).await;
    let mut log = Log::of(stage.node());
    let away = Watch::start(&stage, &["--register", "Away", "--on-ring", "ignore"]);
    registered(&stage, 1).await;
    let (answered, said) = folder.ring(&["--wait"]).await;
    assert!(!answered);
    assert_eq!(said, [json!({"rung": ["Away"]}), json!({"unanswered": [["Away", "timeout"]]})]);
    log.has(&[&["call", "cancelled"]]).await;
    away.kill();
    stage.stop().await;
}

/// What the node logs of a call that it has hung up; see [`Log::has`] for `ringing`.
const HUNG_UP: [&str; 8] = ["call", "accepted", "peer", "opening", "offer", "answer", "connected", "cancelled"];

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_ends_all_calls_for_good_and_nothing_else() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let mut log = Log::of(stage.node());
    let rung = Watch::start(&stage, &["--register", "Kitchen"]);
    registered(&stage, 1).await;
    assert!(folder.ring(&["--wait"]).await.0);
    let caller = Watch::command(&stage, &["--call"]).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let called = &TAKEN[..TAKEN.len() - 1];
    log.has(&[called, called]).await;

    let (success, said) = folder.ring(&["--hang-up"]).await;
    assert!(success);
    assert_eq!(said[0]["hungUp"]["rung"], json!([]));
    let mut names: Vec<_> =
        said[0]["hungUp"]["calls"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert!(names.len() == 2 && names[0] == "Kitchen" && names[1].starts_with("watch-"), "{said:?}");

    // Two seconds of pictures are more than whoever joins again would wait.
    let watcher = Watch::start(&stage, &["--seconds", "2"]).report().await;
    assert!(watcher.frames > 0, "{watcher:?}");
    let watched = ["join", "peer", "opening", "offer", "answer", "connected", "leave"];
    log.has(&[&HUNG_UP, &HUNG_UP, &watched]).await;
    let caller = timeout(SOON, caller.wait_with_output()).await.expect("it ends").expect("it ran");
    let said: serde_json::Value = serde_json::from_slice(&caller.stdout).expect("JSON");
    assert_eq!((said["error"].as_str(), caller.status.success()), (Some("stage: The camera has hung up."), false));
    rung.interrupt();
    let events = rung.report().await.events;
    // The end of DTLS may be heard so much earlier that it is taken for the reason.
    let last = events.last().map(String::as_str);
    assert!(matches!(last, Some("cancelled" | "leave")) && events[..events.len() - 1] == *called, "{events:?}");
    assert_eq!(folder.ring(&["--hang-up"]).await, (true, vec![json!({"hungUp": {"rung": [], "calls": []}})]));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_hung_up_rings_no_more() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let mut log = Log::of(stage.node());
    let away = Watch::start(&stage, &["--register", "Away", "--on-ring", "ignore"]);
    registered(&stage, 1).await;
    let ((answered, ring), hung_up) = tokio::join!(folder.ring(&["--wait"]), async {
        log.rings(1).await;
        folder.ring(&["--hang-up"]).await
    });
    assert_eq!(hung_up, (true, vec![json!({"hungUp": {"rung": ["Away"], "calls": []}})]));
    assert!(!answered);
    assert_eq!(ring, [json!({"rung": ["Away"]}), json!({"unanswered": [["Away", "hung-up"]]})]);
    log.has(&[&["call", "cancelled"]]).await;
    // The line is free again.
    let (rung, said) = folder.ring(&[]).await;
    assert!(rung, "{said:?}");
    away.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_comes_after_the_cancel_opens_nothing() {
    let folder = Folder::new();
    let stage = Stage::start(&format!("{}[limits]\nring_timeout_s = 1\n", folder.section())).await;
    let mut log = Log::of(stage.node());
    let late = Watch::start(&stage, &["--register", "Late", "--seconds", "1"]);
    registered(&stage, 1).await;
    // It has the call in its hands, and answers when the node has given up.
    late.freeze();
    let (answered, said) = folder.ring(&["--wait"]).await;
    assert!(!answered);
    assert_eq!(said[1], json!({"unanswered": [["Late", "timeout"]]}));
    late.thaw();
    log.has(&[&["call", "cancelled"]]).await;
    // Its next ring is another call, which it takes: nothing is left of the first.
    let mut answered = false;
    for _ in 0..20 {
        let (taken, said) = folder.ring(&["--wait"]).await;
        assert_ne!(said[0], json!({"error": "it rings already"}));
        answered = taken;
        if taken {
            break;
        }
    }
    assert!(answered, "it never answers in time");
    let seen = late.report().await;
    assert_eq!(seen.events[seen.events.len() - TAKEN.len()..], TAKEN, "{seen:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_forgets_no_registration_and_rings_go_on() {
    let folder = Folder::new();
    let stage = Stage::start(&folder.section()).await;
    let viewer = Watch::start(&stage, &["--register", "Kitchen", "--seconds", "1"]);
    registered(&stage, 1).await;
    stage.restart_broker().await;
    // The node may not have noticed yet, or not be back yet.
    let (answered, said) = timeout(SOON, async {
        loop {
            let (answered, said) = folder.ring(&["--wait"]).await;
            if said[0] != json!({"error": "the broker is away"}) {
                break (answered, said);
            }
        }
    })
    .await
    .expect("the node is back");
    assert!(answered, "{said:?}");
    assert!(viewer.report().await.frames > 0);
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
    assert_eq!((&told["node"], &told["rung"], &told["source"]), (&"stage".into(), &json!([]), &"http".into()));
    assert_eq!(told["link"], "https://cams.example.org/");

    let viewer = Watch::start(&stage, &["--register", "Tab let", "--seconds", "1"]);
    registered(&stage, 1).await;
    assert_eq!(post("/ring?peer=Nobody", "open sesame, 0123456789").await.0, "404");
    let rung = post("/ring?peer=Tab%20let", "open sesame, 0123456789").await;
    assert_eq!(rung, ("202".to_owned(), r#"{"rung":["Tab let"]}"#.to_owned()));
    // The webhook is not listened to: the ring does not wait for it.
    assert!(viewer.report().await.frames > 0);
    let told = timeout(SOON, heard(&hook)).await.expect("the webhook is told");
    assert_eq!(told["rung"], json!(["Tab let"]));
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
async fn what_cannot_be_listened_to_is_said_before_anything_runs() {
    let _place = place().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_the_configs_topic_rings_and_on_no_other() {
    if !mosquitto::is_installed() {
        return;
    }
    let _place = place().await;
    let folder = Folder::new();
    let [port] = free_ports();
    let _broker = Mosquitto::open(folder.0.path(), port).await;
    let url = format!("mqtt://127.0.0.1:{port}");
    let text = format!("{}\n[broker]\nurl = '{url}'\n[ring]\ntopic = 'home/door/bell'\n", super::stage::SMALL);
    let node =
        Node::start(Config::from_text("stage.toml", &text, []).expect("a good config")).await.expect("it starts");
    let mut log = Log::of(&node);
    let viewer = Watch::at(&url, &["--register", "Kitchen", "--seconds", "1"]);
    eventually("it is registered", SOON, || node.registered() == 1).await;

    let broker = Broker { url: url.parse().expect("a URL"), ..Broker::default() };
    let endpoint = Endpoint::from_config(&broker).expect("no files");
    let setup = LinkSetup { client_id: "button".to_owned(), subscriptions: Vec::new(), ..LinkSetup::default() };
    let mut link = MqttLink::start(endpoint, setup, 1);
    while !matches!(timeout(SOON, link.next()).await.expect("in time"), Some(LinkEvent::Up { .. })) {}
    link.publish(Publish { topic: "home/door".to_owned(), payload: "press".into(), retain: false }).expect("connected");
    let args = ["ring", "--broker", &url, "--topic", "home/door/bell"];
    let rung = command(env!("CARGO_BIN_EXE_camera-node"), &args).output().await.expect("the binary runs");
    assert!(rung.status.success(), "{}", String::from_utf8_lossy(&rung.stderr));
    assert!(viewer.report().await.frames > 0);
    log.has(&[&TAKEN]).await;

    let viewer = Watch::at(&url, &["--register", "Hall"]);
    eventually("it is registered", SOON, || node.registered() == 1).await;
    link.publish(Publish { topic: "home/door/bell".to_owned(), payload: "press".into(), retain: false })
        .expect("connected");
    log.has(&[&TAKEN, &TAKEN[..TAKEN.len() - 1]]).await;
    let rung = command(BINARY, &[&args[..], &["--hang-up"]].concat()).output().await.expect("the binary runs");
    assert!(rung.status.success(), "{}", String::from_utf8_lossy(&rung.stderr));
    log.has(&[&TAKEN, &HUNG_UP]).await;
    viewer.kill();
    link.close(Vec::new()).await;
    node.stop().await.expect("no thread is stuck");
}
