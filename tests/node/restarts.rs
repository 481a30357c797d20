//! A broker that is killed in mid-call, and comes back.

use std::time::Duration;

use bytes::Bytes;
use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::signalling::{Endpoint, Link, LinkSetup, MqttLink, Publish};
use tokio::time::timeout;

use crate::demand::metrics;
use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::stage::{SMALL, Watch, eventually, heard, place, watch_at};

const SOON: Duration = Duration::from_secs(15);
const STATUS: &str = "camera-node/v1/stage/status";

/// Pictures that are made while the broker is dead: four seconds of them.
const MADE_MEANWHILE: u64 = 120;
/// Those that are between the encoder and the viewer's count when both are read, a second of them.
const ON_THEIR_WAY: u64 = 30;

/// What the node counts of its camera.
async fn count(node: &Node, name: &str) -> u64 {
    let text = metrics(node).await;
    let name = format!("camera_node_{name}_total{{camera=\"main\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
}

fn listener(client_id: &str, port: u16) -> MqttLink {
    let (client_id, subscriptions) = (client_id.to_owned(), vec![STATUS.to_owned()]);
    MqttLink::start(
        Endpoint::plain("127.0.0.1", port),
        LinkSetup { client_id, subscriptions, ..LinkSetup::default() },
        1,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_mid_call_costs_no_picture_and_is_met_again_within_five_seconds() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let broker = Mosquitto::open(folder.path(), port).await;
    let url = format!("mqtt://127.0.0.1:{port}");
    let config = format!("{SMALL}\n[broker]\nurl = \"{url}\"\n");
    let node =
        Node::start(Config::from_text("node.toml", &config, []).expect("a good config")).await.expect("it starts");
    let is_at_broker = || node.conditions()["broker"].state == State::Live;
    eventually("the node is at the broker", SOON, is_at_broker).await;

    let online = heard(&mut listener("eve", port), "online").await;

    // Nothing is decoded, so that no busy machine makes it leave pictures out.
    let pictures = folder.path().join("pictures.h264");
    let viewer = Watch::at(&url, &["--no-decode", "--out", pictures.to_str().expect("UTF-8")]);
    eventually("it watches", SOON, || std::fs::metadata(&pictures).is_ok_and(|file| file.len() > 0)).await;
    broker.kill().await;
    let before = count(&node, "frames_encoded").await;
    let asked = count(&node, "key_frames_asked").await;
    eventually("the node has noticed", SOON, || node.conditions()["broker"].state == State::Away).await;
    let made = async {
        while count(&node, "frames_encoded").await < before + MADE_MEANWHILE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), made).await.expect("the camera goes on");
    assert_eq!(count(&node, "key_frames_asked").await, asked, "nobody has missed anything");

    let _broker = Mosquitto::open(folder.path(), port).await;
    // One who comes with the broker sees the camera within five seconds.
    let options = ["--seconds", "1"];
    let back = eventually("the node is there for new viewers", Duration::from_secs(5), is_at_broker);
    let (late, ()) = tokio::join!(watch_at(&url, &options), back);
    assert!(late.frames >= 3 && late.first_frame_ms.is_some_and(|ms| ms < 5_000.0), "{late:?}");
    // Nothing outlived this broker's end.
    let again = heard(&mut listener("adam", port), "online").await;
    assert_eq!((&again["boot"], &again["cameras"]), (&online["boot"], &online["cameras"]));
    assert!(again["conn"].as_u64() > online["conn"].as_u64(), "{again}");

    let made = count(&node, "frames_encoded").await - before;
    viewer.interrupt();
    let seen = viewer.report().await;
    assert!(u64::from(seen.frames) + ON_THEIR_WAY >= made, "of {made} pictures since the broker's death: {seen:?}");
    assert_eq!(seen.packets_lost, 0, "{seen:?}");
    // A picture is made each 33 ms at most, and a packet of sound each 20.
    assert!(u64::from(seen.audio_packets) >= made, "{seen:?}");
    assert_eq!(seen.events.iter().filter(|step| *step == "join").count(), 1, "the session went on: {seen:?}");
    node.stop().await.expect("no thread is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_right_again_when_an_old_will_comes_after_it() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let _broker = Mosquitto::open(folder.path(), port).await;
    let config = format!("{SMALL}\n[broker]\nurl = \"mqtt://127.0.0.1:{port}\"\n");
    let node =
        Node::start(Config::from_text("node.toml", &config, []).expect("a good config")).await.expect("it starts");
    let mut eve = listener("eve", port);
    let online = heard(&mut eve, "online").await;
    // As a broker would that notices late that the connection before is dead.
    let mut old = online.clone();
    old["state"] = "offline".into();
    let payload = Bytes::from(old.to_string());
    eve.publish(Publish { topic: STATUS.to_owned(), payload, retain: true }).expect("up");
    heard(&mut eve, "offline").await;
    // How the camera is may have changed meanwhile.
    let told = |status: &serde_json::Value| (status["boot"].clone(), status["conn"].clone());
    assert_eq!(told(&heard(&mut eve, "online").await), told(&online), "the node says it again");
    assert_eq!(told(&heard(&mut listener("late", port), "online").await), told(&online), "and the broker keeps that");
    node.stop().await.expect("no thread is stuck");
}
