//! What viewers do over data channels, with a node that does it.

use std::path::Path;

use camera_node::capture::config::{AudioSourceKind, VideoSourceKind};
use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::peer::{Channel, ChannelEnd, Message};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::timeout;

use crate::daemon::Daemon;
use crate::demand::metrics;
use crate::hand::{Hand, ask, next, told};
use crate::ports::free_ports;
use crate::stage::{SMALL, Stage, Watch, command, eventually};
use crate::{Duration, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_asks_and_the_node_answers() {
    let folder = tempfile::tempdir().expect("there is room");
    // What is muted stays so, where the next test's node would find it.
    let stage = Stage::with(|config| config.node.state_folder = Some(folder.path().to_owned())).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;

    let described = ask(&mut control, "describe", json!({})).await;
    assert_eq!(described["result"]["cameras"][0]["name"], "main", "{described}");
    assert_eq!(described["result"]["cameras"][0]["privacy"], false, "{described}");
    assert!(described["result"]["methods"].as_array().is_some_and(|methods| methods.len() >= 9), "{described}");
    let settings = ask(&mut control, "camera.settings", json!({"camera": "main"})).await;
    assert_eq!((&settings["result"]["width"], &settings["result"]["fps"]), (&json!(320), &json!(30)), "{settings}");
    assert!(settings["result"]["sizes"].as_array().is_some_and(|sizes| !sizes.is_empty()), "{settings}");
    let none = ask(&mut control, "camera.controls", json!({"camera": "main"})).await;
    assert_eq!(none["result"], json!({"controls": []}), "a pattern has none: {none}");
    // There are no key frames but those that are asked for.
    hand.hears(true).await;
    eventually("it has had its first picture", SOON, || stage.viewers() == 1).await;
    let made = key_frames(&stage).await;
    assert_eq!(ask(&mut control, "camera.keyFrame", json!({"camera": "main"})).await["result"], json!({}));
    let more = async { while key_frames(&stage).await <= made {} };
    timeout(SOON, more).await.expect("it is made");
    for (method, params, code) in [
        ("camera.settings", json!({"camera": "cellar"}), 30),
        ("camera.setSettings", json!({"camera": "main", "fps": 500}), 61),
        ("camera.setSettings", json!({"camera": "main", "width": 321}), 61),
        ("camera.setControl", json!({"camera": "main", "id": 1, "value": 1}), 60),
        ("camera.dance", json!({}), 12),
    ] {
        let answer = ask(&mut control, method, params).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    let muted = ask(&mut control, "camera.mute", json!({"camera": "main", "muted": true})).await;
    assert_eq!(muted["result"], json!({"muted": true, "kept": true}));
    let is_muted = || stage.node().conditions().get("microphone:main").is_some_and(|it| it.detail == "muted");
    // Silence is sent, and not nothing.
    hand.hears(false).await;
    assert!(is_muted());
    let muted = ask(&mut control, "camera.mute", json!({"camera": "main", "muted": false})).await;
    assert_eq!(muted["result"]["muted"], false);
    hand.hears(true).await;

    // With this one they are sixteen, whatever their labels are.
    let mut many = Vec::new();
    for _ in 0..15 {
        many.push(hand.open("snapshot").await);
    }
    let mut further = hand.open("snapshot").await;
    assert_eq!(timeout(SOON, further.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    let event = told(&mut control).await;
    assert_eq!((&event["event"], &event["params"]["error"]["code"]), (&json!("channelClosed"), &json!(71)), "{event}");
    hand.leave().await;
    stage.stop().await;
}

/// Key frames that the encoder has made, as soon as that has changed, or a moment later.
async fn key_frames(stage: &Stage) -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    let text = metrics(stage.node()).await;
    let count = text.lines().find_map(|line| line.strip_prefix("camera_node_key_frames_total{camera=\"main\"} "));
    count.and_then(|count| count.parse().ok()).expect("it is counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_under_viewers_who_stay() {
    let stage = Stage::with(|config| config.camera[0].audio.source = AudioSourceKind::None).await;
    let mut steps = stage.node().events();
    let viewer = Watch::start(&stage, &["--seconds", "8"]);
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    eventually("both watch", SOON, || stage.viewers() == 2).await;
    // The pattern takes 250 kbit/s of this size and rate where it may.
    let change = json!({"camera": "main", "width": 640, "height": 360, "fps": 24, "bitrateKbps": 100});
    let answer = ask(&mut control, "camera.setSettings", change).await;
    assert_eq!((&answer["result"]["width"], &answer["result"]["bitrateKbps"]), (&json!(640), &json!(100)), "{answer}");
    let kbps = hand.picture_kbps().await;
    assert!((20..180).contains(&kbps), "{kbps} kbit/s under a ceiling of 100");
    let now = ask(&mut control, "camera.settings", json!({"camera": "main"})).await;
    assert_eq!((&now["result"]["height"], &now["result"]["fps"]), (&json!(360), &json!(24)), "{now}");
    let none = ask(&mut control, "camera.mute", json!({"camera": "main", "muted": true})).await;
    assert_eq!(none["error"]["code"], 12, "it has no microphone: {none}");
    // What the node opens, no viewer does.
    let mut own = hand.open("control").await;
    assert_eq!(timeout(SOON, own.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    let event = told(&mut control).await;
    let params = &event["params"];
    assert_eq!((&params["label"], &params["error"]["code"]), (&json!("control"), &json!(70)), "{event}");
    assert!(
        params["error"]["message"].as_str().is_some_and(|words| words.contains("opens this one itself")),
        "{event}"
    );
    assert_eq!(
        ask(&mut control, "describe", json!({})).await["result"]["cameras"][0]["name"],
        "main",
        "it has the other"
    );
    let seen = viewer.report().await;
    assert!(seen.cameras.iter().any(|told| (told.width, told.height, told.fps) == (640, 360, 24)), "{seen:?}");
    assert!(seen.frames >= 20, "pictures before and after: {seen:?}");
    let joins = std::iter::from_fn(|| steps.try_recv().ok()).filter(|event| event.step.name() == "join").count();
    assert_eq!(joins, 2, "the viewer and the hand, once each");
    hand.leave().await;
    stage.stop().await;
}

/// Whether this process, the node in it, has this file open.
fn holds(file: &Path) -> bool {
    let fds = std::fs::read_dir("/proc/self/fd").expect("linux");
    fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|target| target == file)
}

/// A second of a grey film.
fn film(path: &Path) {
    let mut film = b"YUV4MPEG2 W320 H180 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for _ in 0..30 {
        film.extend(b"FRAME\n");
        film.extend(vec![128; 320 * 180 * 3 / 2]);
    }
    std::fs::write(path, film).expect("there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutter_closes_the_device_stays_shut_over_a_restart_and_lifts_on_request_alone() {
    let folder = tempfile::tempdir().expect("there is room");
    let (path, state) = (folder.path().join("film.y4m"), folder.path().join("state"));
    film(&path);
    let shut = |config: &mut Config| {
        config.camera[0].video.source = VideoSourceKind::File;
        config.camera[0].video.file.clone_from(&path);
        config.node.state_folder = Some(state.clone());
    };
    let state_of = |node: &Node, part: &str| node.conditions().get(part).map(|condition| condition.state);
    let stage = Stage::with(shut).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    eventually("it captures", SOON, || holds(&path) && state_of(stage.node(), "camera:main") == Some(State::Live))
        .await;
    eventually("it listens", SOON, || state_of(stage.node(), "microphone:main") == Some(State::Live)).await;

    let answer = ask(&mut control, "camera.privacy", json!({"camera": "main", "on": true})).await;
    assert_eq!(answer["result"], json!({"privacy": true, "kept": true}));
    assert!(!holds(&path), "it is closed when it is said");
    for part in ["camera:main", "microphone:main"] {
        assert_eq!(state_of(stage.node(), part), Some(State::Private), "{part}");
    }
    let seen = Watch::start(&stage, &["--seconds", "2"]).report().await;
    assert!(seen.frames >= 4, "a card, five times a second: {seen:?}");
    assert_eq!(seen.cameras[0].state, "private", "{seen:?}");
    let refused = ask(&mut control, "camera.controls", json!({"camera": "main"})).await;
    assert_eq!(refused["error"]["code"], 62, "{refused}");
    assert!(!holds(&path), "no viewer opens it");
    hand.leave().await;
    stage.stop().await;

    let stage = Stage::with(shut).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    eventually("somebody watches", SOON, || stage.viewers() == 1).await;
    assert_eq!(ask(&mut control, "describe", json!({})).await["result"]["cameras"][0]["privacy"], true);
    eventually("it is shut still", SOON, || state_of(stage.node(), "camera:main") == Some(State::Private)).await;
    assert!(!holds(&path));
    let answer = ask(&mut control, "camera.privacy", json!({"camera": "main", "on": false})).await;
    assert_eq!(answer["result"], json!({"privacy": false, "kept": true}));
    eventually("it captures again", SOON, || {
        holds(&path) && state_of(stage.node(), "camera:main") == Some(State::Live)
    })
    .await;
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_tells_of_board_camera_and_viewer_each_second() {
    let stage = Stage::start("").await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["telemetry"]), None).await;
    let mut telemetry = hand.channel("telemetry").await;
    let figures = ["captureToWire_ms", "captureToWireP95_ms", "encodedToWire_ms"];
    let is_whole = |told: &Value| {
        told["memoryBytes"].is_u64()
            && told["load"].is_f64()
            && told["cameras"]["main"]["viewers"] == 1
            && figures
                .iter()
                .all(|name| told["cameras"]["main"][name].as_f64().is_some_and(|ms| ms > 0.0 && ms < 1_000.0))
            && told["uptime_s"].is_u64()
            && told["cpus"].as_u64() > Some(0)
            && told["memoryAvailableBytes"].as_u64() <= told["memoryBytes"].as_u64()
            && told["memoryOwnBytes"].as_u64() > Some(1_000_000)
            && told["diskFreeBytes"].is_u64()
            && told["viewer"]["loss"].as_f64().is_some_and(|loss| (0.0..=1.0).contains(&loss))
            && told["viewer"]["framesDropped"].is_u64()
            && told["viewer"]["bitrate_bps"].as_u64() > Some(10_000)
            && told["viewer"]["rtt_ms"].is_f64()
    };
    let mut last = Value::Null;
    let whole = async {
        loop {
            last = told(&mut telemetry).await;
            if is_whole(&last) {
                return;
            }
        }
    };
    let came = timeout(Duration::from_secs(30), whole).await;
    assert!(came.is_ok(), "{last}");
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_process_in_order_with_its_own_exit_code() {
    let folder = tempfile::tempdir().expect("there is room");
    let [port, websocket] = free_ports();
    let config = folder.path().join("node.toml");
    let text = format!(
        "{SMALL}\n[broker]\nembedded = true\nembedded_bind = '127.0.0.1:{port}'\nembedded_websocket_bind = \
         '127.0.0.1:{websocket}'\n"
    );
    let text = text.replace("id = \"stage\"", &format!("id = \"stage\"\nstate_folder = {:?}", folder.path()));
    std::fs::write(&config, text).expect("there is room");
    let daemon = Daemon::start(&config, &[]);
    daemon.says("page").await;
    let mut hand = Hand::join(&format!("mqtt://127.0.0.1:{port}"), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    assert_eq!(ask(&mut control, "node.restart", json!({})).await["result"], json!({}));
    let end = timeout(SOON, control.next()).await.expect("it ends soon");
    assert_eq!(end, Err(ChannelEnd::Closed));
    assert_eq!(daemon.exit_code().await, Some(75));
}

/// The example program, listening.
async fn wheels(socket: &Path) -> Child {
    program(&[concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/apps/wheels.py")], socket).await
}

/// A program in Python, listening.
async fn program(program: &[&str], socket: &Path) -> Child {
    let socket = socket.to_str().expect("UTF-8");
    let child = command("python3", &[program, &[socket]].concat()).spawn().expect("python3 is there");
    // It takes the name of one that was killed, so that the name alone says nothing.
    let is_listener = |line: &str| line.ends_with(socket) && line.split_whitespace().nth(3) == Some("00010000");
    let listens = || std::fs::read_to_string("/proc/net/unix").is_ok_and(|open| open.lines().any(is_listener));
    eventually("the program listens", SOON, listens).await;
    child
}

async fn says(channel: &mut Channel, words: &str) {
    loop {
        if next(channel).await == Message::text(words) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_program_talks_to_viewers_and_hears_when_they_fall_silent() {
    let folder = tempfile::tempdir().expect("there is room");
    let socket = folder.path().join("wheels.sock");
    let stage = Stage::start(&format!("[[app]]\nname = 'wheels'\nsocket = {socket:?}\n")).await;
    let labels = ["control", "app:wheels"];
    let mut hand = Hand::join(&stage.broker_url(), "hand", (false, &labels), None).await;
    let mut control = hand.channel("control").await;

    let mut early = hand.open("app:wheels").await;
    assert_eq!(timeout(SOON, early.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    let event = told(&mut control).await;
    assert_eq!((&event["event"], &event["params"]["error"]["code"]), (&json!("channelClosed"), &json!(73)), "{event}");

    let mut program = wheels(&socket).await;
    let mut stick = hand.reopen("app:wheels").await;
    stick.outgoing().send(Message::text("left")).await.expect("open");
    says(&mut stick, "moving left").await;
    // Nobody says anything more: the switch.
    says(&mut stick, "stopped").await;
    stick.outgoing().send(Message::text("right")).await.expect("open");
    says(&mut stick, "moving right").await;
    says(&mut stick, "stopped").await;
    let bytes = Message::binary((0..=255).cycle().take(16_384).collect::<Vec<u8>>());
    stick.outgoing().send(bytes.clone()).await.expect("open");
    while next(&mut stick).await != bytes {}

    // Another viewer is another connection.
    let mut other = Hand::join(&stage.broker_url(), "other", (false, &labels), None).await;
    let _other_control = other.channel("control").await;
    let mut second = other.open("app:wheels").await;
    second.outgoing().send(Message::text("back")).await.expect("open");
    says(&mut second, "moving back").await;

    program.kill().await.expect("ours");
    let ended = async { while stick.next().await.is_ok() {} };
    timeout(SOON, ended).await.expect("the channel ends with the program");
    let event = told(&mut control).await;
    assert_eq!(event["params"]["error"]["code"], 73, "{event}");
    let _program = wheels(&socket).await;
    let mut again = hand.reopen("app:wheels").await;
    again.outgoing().send(Message::text("on")).await.expect("open");
    says(&mut again, "moving on").await;

    let mut nobody = hand.open("app:nobody").await;
    assert_eq!(timeout(SOON, nobody.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    loop {
        let event = told(&mut control).await;
        if event["params"]["label"] == "app:nobody" {
            assert_eq!(event["params"]["error"]["code"], 70, "{event}");
            break;
        }
    }
    hand.leave().await;
    other.leave().await;
    stage.stop().await;
}

/// A program that says what it hears of the node, and how long that is after the last packet, and has bad manners on request.
const ODD: &str = r#"
import json, socket, sys, time
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
ended = []
while True:
    viewer, _ = listener.accept()
    last = time.monotonic()
    while packet := viewer.recv(16385):
        now = time.monotonic()
        if packet[:1] == b"n":
            word = json.loads(packet[1:])
            if word["event"] == "closed":
                ended.append(word["event"])
                break
            try:
                viewer.send(b"t" + json.dumps({"word": word["event"], "after_ms": (now - last) * 1000, "ended": len(ended)}).encode())
            except OSError:
                pass
        else:
            viewer.send({b"tjunk": b"x", b"tlong": b"b" + bytes(16385)}.get(packet, packet))
        last = now
    viewer.close()
"#;

/// The next of the words of the node that the program tells; bare packets of ours come back between.
async fn word(channel: &mut Channel) -> Value {
    loop {
        let said: Value = serde_json::from_slice(&next(channel).await.data).unwrap_or_default();
        if said["word"].is_string() {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_hears_of_silence_in_time_and_one_with_bad_manners_is_cut_off() {
    let folder = tempfile::tempdir().expect("there is room");
    let socket = folder.path().join("odd.sock");
    let _program = program(&["-c", ODD], &socket).await;
    let stage = Stage::start(&format!("[[app]]\nname = 'odd'\nsocket = {socket:?}\n")).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (false, &["control", "app:odd"]), None).await;
    let mut control = hand.channel("control").await;
    let mut channel = hand.open("app:odd").await;
    assert_eq!(word(&mut channel).await["word"], "open");
    for _ in 0..3 {
        let silent = word(&mut channel).await;
        // 300 ms of silence as the node counts; a program is told no sooner, and not when it is too late for what moves.
        let after_ms = silent["after_ms"].as_f64().expect("a number");
        assert!(silent["word"] == "silent" && (250.0..3_000.0).contains(&after_ms), "{silent}");
        channel.outgoing().send(Message::text("here")).await.expect("open");
        assert_eq!(word(&mut channel).await["word"], "heard");
    }
    for (request, code) in [("junk", 10), ("long", 72)] {
        channel.outgoing().send(Message::text(request)).await.expect("open");
        let ended = async { while channel.next().await.is_ok() {} };
        timeout(SOON, ended).await.expect("it is closed");
        let event = told(&mut control).await;
        assert_eq!(
            (&event["params"]["label"], &event["params"]["error"]["code"]),
            (&json!("app:odd"), &json!(code)),
            "{event}"
        );
        channel = hand.reopen("app:odd").await;
    }
    // It has heard of each end: both that it was cut off for, and those of channels that never came.
    let last = word(&mut channel).await;
    assert!(last["ended"].as_u64() >= Some(2), "{last}");
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_that_brings_less_closes_what_it_does_not_cover() {
    let folder = tempfile::tempdir().expect("there is room");
    let socket = folder.path().join("wheels.sock");
    let section = crate::tokens::key(folder.path(), "new", "HS256").await;
    let more = format!("[access]\nmode = 'token'\n{section}\n[[app]]\nname = 'wheels'\nsocket = {socket:?}\n");
    let stage = Stage::start(&more).await;
    let key = folder.path().join("new.secret");
    let token = async |scope: &str| {
        let key = key.to_str().expect("UTF-8");
        let made = ["token", "--peer", "hand", "--key", key, "--node", "stage", "--for", "1h", "--scope", scope];
        crate::tokens::printed(crate::tokens::BINARY, &made).await
    };
    let _program = wheels(&socket).await;
    let first = token("view,control").await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (false, &["telemetry"]), Some(&first)).await;
    let mut telemetry = hand.channel("telemetry").await;
    let mut stick = hand.open("app:wheels").await;
    stick.outgoing().send(Message::text("left")).await.expect("open");
    says(&mut stick, "moving left").await;
    hand.renew(&token("view").await);
    let ended = async { while stick.next().await.is_ok() {} };
    timeout(SOON, ended).await.expect("it is closed with the right to it");
    told(&mut telemetry).await;
    let mut again = hand.reopen("app:wheels").await;
    assert_eq!(timeout(SOON, again.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    hand.leave().await;

    // One that the session was joined for ends with the session.
    let mut hand = Hand::join(&stage.broker_url(), "hand", (false, &["control", "telemetry"]), Some(&first)).await;
    let (mut control, mut telemetry) = hand.both("control", "telemetry").await;
    assert!(ask(&mut control, "camera.keyFrame", json!({"camera": "main"})).await["result"].is_object());
    hand.renew(&token("view").await);
    for channel in [&mut control, &mut telemetry] {
        let ended = async { while channel.next().await.is_ok() {} };
        timeout(SOON, ended).await.expect("the token does not allow what was wanted");
    }
    stage.stop().await;
}
