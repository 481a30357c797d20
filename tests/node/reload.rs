//! SIGHUP: the config is read again, and whoever watches sees on.

use std::time::Duration;

use camera_node::peer::{Channel, ChannelEnd, Message};
use camera_node::signalling::{Endpoint, Link, LinkSetup, MqttLink};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::time::timeout;

use crate::hand::{Hand, ask, told};
use crate::ports::free_ports;
use crate::stage::{Report, SMALL, Watch, command, embedded_broker, eventually, heard, place, watch_at};
use crate::systemd::{Systemd, by_itself, signal};
use crate::tokens::{BINARY, key, printed};

const SOON: Duration = Duration::from_secs(20);
/// A picture may stand for so long while its camera is opened anew, on a machine that does other things too.
const STANDS_MS: f64 = 6_000.0;

/// A node that has said READY.
async fn start(systemd: &mut Systemd, config: &str) -> Child {
    systemd.write("node.toml", config);
    let log = std::fs::File::create(systemd.path("log")).expect("there is room");
    let node = systemd.start().stderr(log).spawn().expect("it can be run");
    systemd.hears("ready", SOON, |line| line == "READY=1").await;
    node
}

/// `systemctl reload`, with what systemd 253 and later want to hear.
async fn reload(systemd: &mut Systemd, node: &Child, config: &str) {
    systemd.write("node.toml", config);
    signal(node, Signal::HUP);
    systemd.hears("it reloads", SOON, |line| line == "RELOADING=1").await;
    let stamp = systemd.hears("since when", SOON, |line| line.starts_with("MONOTONIC_USEC=")).await;
    assert!(stamp["MONOTONIC_USEC=".len()..].parse::<u64>().is_ok_and(|since| since > 0), "{stamp}");
    systemd.hears("ready again", SOON, |line| line == "READY=1").await;
}

/// The next status line with these words in it.
async fn says(systemd: &mut Systemd, words: &str) -> String {
    systemd.hears(words, SOON, |line| line.starts_with("STATUS=") && line.contains(words)).await
}

async fn stop(mut node: Child) {
    signal(&node, Signal::TERM);
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
}

fn joins(seen: &Report) -> usize {
    seen.events.iter().filter(|step| *step == "join").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_see_on_while_name_camera_and_limits_change() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let mut systemd = Systemd::new();
    let config = format!("{SMALL}\n[broker]\nurl = \"{url}\"\n");
    let node = start(&mut systemd, &config).await;
    let viewer = Watch::at(&url, &[]);
    says(&mut systemd, "1 viewer").await;

    let other = config
        .replace("id = \"stage\"", "id = \"stage\"\nname = \"Porch\"")
        .replace("width = 320\nheight = 180", "width = 384\nheight = 216")
        .replace("source = \"tone\"", "source = \"none\"");
    reload(&mut systemd, &node, &format!("{other}\n[limits]\nmax_viewers = 2\n[log]\nlevel = \"debug\"\n")).await;
    let well = |line: &str| line.starts_with("STATUS=Porch: 1 viewer") && line.contains("camera ok");
    systemd.hears("well again", SOON, well).await;
    // Somebody new sees the new size, and in silence.
    let late = watch_at(&url, &["--seconds", "1"]).await;
    assert!(late.frames >= 3 && late.audio_packets == 0, "{late:?}");
    assert_eq!((late.cameras[0].width, late.cameras[0].height), (384, 216));
    let log = systemd.path("log");
    let is_told_more = || std::fs::read(&log).is_ok_and(|text| String::from_utf8_lossy(&text).contains(" DEBUG "));
    eventually("the log tells of its steps", SOON, is_told_more).await;

    // A level that was not offered: everybody joins anew.
    let large = other.replace("width = 384\nheight = 216\nfps = 30", "width = 1344\nheight = 768\nfps = 5");
    assert_ne!(large, other);
    reload(&mut systemd, &node, &large).await;
    let other_viewer = Watch::at(&url, &[]);
    says(&mut systemd, "2 viewers").await;
    other_viewer.kill();
    viewer.interrupt();
    let seen = viewer.report().await;
    assert_eq!(joins(&seen), 2, "one for each level: {seen:?}");
    assert!(seen.frames >= 40 && seen.longest_gap_ms < 2.0 * STANDS_MS, "{seen:?}");
    stop(node).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_is_refused_in_words_and_the_one_before_goes_on() {
    let _place = place().await;
    let mut systemd = Systemd::new();
    let good = by_itself("");
    let node = start(&mut systemd, &good).await;
    says(&mut systemd, "stage: 0 viewers").await;
    reload(&mut systemd, &node, &format!("{good}\n[brokr]\n")).await;
    let status = says(&mut systemd, "config refused").await;
    assert!(status.contains("stays in force") && status.contains("node.toml:"), "{status}");
    // A file that it names is not there.
    let broken = format!("{good}\n[access]\nmode = \"token\"\n[[access.keys]]\nfile = \"/nowhere/key.pem\"\n");
    reload(&mut systemd, &node, &broken).await;
    says(&mut systemd, "/nowhere/key.pem").await;
    // What needs a restart is named, and the rest is applied.
    let other = good.replace("id = \"stage\"", "id = \"other\"\nname = \"Barn\"");
    reload(&mut systemd, &node, &other).await;
    let status = says(&mut systemd, "config restart").await;
    assert!(status.starts_with("STATUS=Barn: ") && status.contains("node.id"), "{status}");
    reload(&mut systemd, &node, &good).await;
    let status = says(&mut systemd, "stage: 0 viewers").await;
    assert!(!status.contains("config"), "{status}");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_broker_is_gone_to_while_viewers_see_on() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let (first, second) = (embedded_broker(any, any).await, embedded_broker(any, any).await);
    let urls = [&first, &second].map(|broker| format!("mqtt://{}", broker.tcp_addr()));
    let setup = LinkSetup {
        client_id: "eve".to_owned(),
        subscriptions: vec!["camera-node/v1/stage/status".to_owned()],
        ..LinkSetup::default()
    };
    let mut eve = MqttLink::start(Endpoint::plain("127.0.0.1", first.tcp_addr().port()), setup, 1);
    let mut systemd = Systemd::new();
    let config = format!("{SMALL}\n[broker]\nurl = \"{}\"\n", urls[0]);
    let node = start(&mut systemd, &config).await;
    let online = heard(&mut eve, "online").await;
    let viewer = Watch::at(&urls[0], &["--seconds", "8"]);
    says(&mut systemd, "1 viewer").await;

    reload(&mut systemd, &node, &config.replace(&urls[0], &urls[1])).await;
    let offline = heard(&mut eve, "offline").await;
    assert_eq!((&offline["boot"], &offline["conn"]), (&online["boot"], &online["conn"]), "of that connection");
    let late = watch_at(&urls[1], &["--seconds", "1"]).await;
    assert!(late.frames >= 3, "there for new viewers: {late:?}");
    let seen = viewer.report().await;
    // Of 240; a busy machine leaves some out.
    assert!(joins(&seen) == 1 && seen.frames >= 80 && seen.longest_gap_ms < STANDS_MS, "{seen:?}");
    stop(node).await;
    eve.close(Vec::new()).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_moves_and_stays_where_it_is_if_the_new_place_is_taken() {
    let _place = place().await;
    let [here, there] = free_ports();
    let mut systemd = Systemd::new();
    let at = |port: u16| by_itself("").replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let node = start(&mut systemd, &at(here)).await;
    assert!(healthz(here).await["parts"]["config"].is_null(), "nothing to say of it");
    reload(&mut systemd, &node, &at(there)).await;
    says(&mut systemd, &format!("page http://127.0.0.1:{there}/")).await;
    assert_eq!(healthz(there).await["parts"]["config"]["state"], "ok");
    assert!(TcpStream::connect(("127.0.0.1", here)).await.is_err(), "nobody is there any more");

    let taken = TcpListener::bind(("127.0.0.1", here)).await.expect("free again");
    reload(&mut systemd, &node, &at(here)).await;
    let status = says(&mut systemd, "config refused").await;
    assert!(status.contains("[http] stays as it was") || status.contains("http.bind: cannot listen"), "{status}");
    let config = healthz(there).await["parts"]["config"].clone();
    assert_eq!(config["state"], "degraded", "and not down: {config}");
    assert!(config["detail"].as_str().is_some_and(|detail| detail.starts_with("refused: ")), "{config}");
    drop(taken);
    reload(&mut systemd, &node, &at(here)).await;
    assert_eq!(healthz(here).await["parts"]["config"]["state"], "ok");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_at_the_nodes_own_broker_sees_on_while_the_page_around_it_begins_anew() {
    let _place = place().await;
    let [port] = free_ports();
    let mut systemd = Systemd::new();
    let own = "[broker]\nembedded = true\nembedded_bind = \"127.0.0.1:0\"\nembedded_websocket_bind = \"127.0.0.1:0\"\n";
    let config = format!("{}\n{own}", SMALL.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    let node = start(&mut systemd, &config).await;
    let url = format!("ws://127.0.0.1:{port}/mqtt");
    let viewer = Watch::at(&url, &["--seconds", "6"]);
    says(&mut systemd, "1 viewer").await;
    let other = config.replace("[http]\n", "[http]\nframe_ancestors = []\n");
    assert_ne!(other, config);
    reload(&mut systemd, &node, &other).await;
    let late = watch_at(&url, &["--seconds", "1"]).await;
    assert!(late.frames >= 3, "{late:?}");
    let seen = viewer.report().await;
    // Of 180; a busy machine leaves some out.
    assert!(joins(&seen) == 1 && seen.frames >= 60 && seen.longest_gap_ms < STANDS_MS, "{seen:?}");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_watch_and_what_rings_change_too() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let mut systemd = Systemd::new();
    let [first, second] = ["first.sock", "second.sock"].map(|name| systemd.path(name).display().to_string());
    let config = format!("{SMALL}\n[broker]\nurl = \"{url}\"\n[ring]\nsocket = \"{first}\"\n");
    let node = start(&mut systemd, &config).await;
    let viewer = Watch::at(&url, &[]);
    says(&mut systemd, "1 viewer").await;
    assert!(rings(&first).await.contains("nobody"), "it listens");

    let keys = [key(systemd.folder(), "old", "EdDSA").await, key(systemd.folder(), "new", "HS256").await];
    let with =
        |keys: &[String]| format!("{}[access]\nmode = \"token\"\n{}", config.replace(&first, &second), keys.join("\n"));
    reload(&mut systemd, &node, &with(&keys)).await;
    says(&mut systemd, "0 viewers").await;
    drop(viewer);

    // A key is taken out: whoever came in by it goes, and nobody else.
    let by_old = with_token(&systemd, &url, "old.private.pem").await;
    let by_new = with_token(&systemd, &url, "new.secret").await;
    reload(&mut systemd, &node, &with(&keys[1..])).await;
    let shown_out = by_old.report().await;
    assert!(shown_out.error.as_deref().is_some_and(|why| why.contains("right to watch has ended")), "{shown_out:?}");
    by_new.interrupt();
    let seen = by_new.report().await;
    assert!(joins(&seen) == 1 && seen.error.is_none(), "it has seen on: {seen:?}");
    says(&mut systemd, "0 viewers").await;
    assert!(rings(&second).await.contains("nobody"), "it listens there now");
    assert!(!std::path::Path::new(&first).exists(), "and here no more");
    stop(node).await;
    broker.stop().await;
}

/// Somebody who has come in by a token of this key, and sees.
async fn with_token(systemd: &Systemd, broker: &str, key: &str) -> Watch {
    let beside = |name: &str| systemd.path(name).display().to_string();
    let (pictures, token) = (beside(&format!("{key}.h264")), beside(&format!("{key}.token")));
    let made = ["token", "--key", &beside(key), "--peer", "watch-*", "--node", "stage", "--for", "1h"];
    std::fs::write(&token, printed(BINARY, &made).await).expect("there is room");
    let viewer = Watch::at(broker, &["--token-file", &token, "--out", &pictures]);
    eventually("it sees", SOON, || std::fs::metadata(&pictures).is_ok_and(|file| file.len() > 0)).await;
    viewer
}

/// What is answered to a `list` on this channel.
async fn listed(files: &mut Channel) -> Value {
    files.outgoing().send(Message::text(json!({"do": "list"}).to_string())).await.expect("the channel is open");
    told(files).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_files_changes_goes_and_comes_under_a_session_that_goes_on() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let mut systemd = Systemd::new();
    let none = format!("{SMALL}\n[broker]\nurl = \"{url}\"\n");
    let [first, second] = ["first", "second"].map(|name| {
        let folder = systemd.path(name);
        std::fs::create_dir(&folder).expect("there is room");
        std::fs::write(folder.join(format!("{name}.mp4")), name).expect("there is room");
        format!("{none}[files]\nfolder = {folder:?}\n")
    });
    let node = start(&mut systemd, &first).await;
    let mut hand = Hand::join(&url, "hand", (false, &["control", "files"]), None).await;
    let mut control = hand.channel("control").await;
    let mut open = hand.open("files").await;
    assert_eq!(listed(&mut open).await["files"][0]["name"], "first.mp4");

    reload(&mut systemd, &node, &second).await;
    let mut opened_since = hand.open("files").await;
    for files in [&mut open, &mut opened_since] {
        let list = listed(files).await;
        assert_eq!(
            (list["files"].as_array().map(Vec::len), &list["files"][0]["name"]),
            (Some(1), &json!("second.mp4"))
        );
    }

    reload(&mut systemd, &node, &none).await;
    let refused = listed(&mut open).await;
    assert_eq!(refused["error"]["code"], 12, "{refused}");
    let mut refused = hand.open("files").await;
    assert_eq!(timeout(SOON, refused.next()).await.expect("it ends"), Err(ChannelEnd::Closed));
    let event = told(&mut control).await;
    assert_eq!((&event["event"], &event["params"]["error"]["code"]), (&json!("channelClosed"), &json!(70)), "{event}");

    reload(&mut systemd, &node, &first).await;
    let mut again = hand.reopen("files").await;
    assert_eq!(listed(&mut again).await["files"][0]["name"], "first.mp4");
    assert_eq!(listed(&mut open).await["files"][0]["name"], "first.mp4");
    // The session is the one of the beginning.
    assert!(ask(&mut control, "describe", json!({})).await["result"]["cameras"].is_array());
    hand.leave().await;
    stop(node).await;
    broker.stop().await;
}

/// What `camera-node ring` says of this socket.
async fn rings(socket: &str) -> String {
    let args = ["ring", "--socket", socket];
    let output = command(env!("CARGO_BIN_EXE_camera-node"), &args).output().await.expect("the binary runs");
    String::from_utf8_lossy(&output.stderr).to_lowercase()
}

/// What the node says of itself.
pub async fn healthz(port: u16) -> serde_json::Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("in time").expect("text");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).expect("JSON")
}
