//! A broker that is killed in mid-call, and comes back.

use std::time::Duration;

use bytes::Bytes;
use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::signalling::{Endpoint, Link, LinkSetup, MqttLink, Publish};

use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::stage::{SMALL, eventually, heard, place, watch_at};

const SOON: Duration = Duration::from_secs(15);
const STATUS: &str = "camera-node/v1/stage/status";

/// Half of what is watched: a picture that depended on the broker would be missed.
const DEAD_FOR: Duration = Duration::from_secs(4);

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

    let options = ["--seconds", "8"];
    let watching = watch_at(&url, &options);
    let restarting = async {
        eventually("it watches", SOON, || node.viewers() == 1).await;
        broker.kill().await;
        eventually("the node has noticed", SOON, || node.conditions()["broker"].state == State::Away).await;
        tokio::time::sleep(DEAD_FOR).await;
        let broker = Mosquitto::open(folder.path(), port).await;
        // One who comes with the broker sees the camera within five seconds.
        let options = ["--seconds", "1"];
        let back = eventually("the node is there for new viewers", Duration::from_secs(5), is_at_broker);
        let (late, ()) = tokio::join!(watch_at(&url, &options), back);
        assert!(late.frames >= 3 && late.first_frame_ms.is_some_and(|ms| ms < 5_000.0), "{late:?}");
        broker
    };
    let (seen, _broker) = tokio::join!(watching, restarting);
    // Of 400; a busy machine leaves pictures out, but hardly a sound.
    assert!(seen.audio_packets >= 250 && seen.frames >= 80, "8 s across the broker's death: {seen:?}");
    assert!(seen.longest_gap_ms < 1_000.0 * DEAD_FOR.as_secs_f64(), "no pause as long as the broker's: {seen:?}");
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
    let setup =
        LinkSetup { client_id: "eve".to_owned(), subscriptions: vec![STATUS.to_owned()], ..LinkSetup::default() };
    let mut eve = MqttLink::start(Endpoint::plain("127.0.0.1", port), setup, 1);
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
    let setup =
        LinkSetup { client_id: "late".to_owned(), subscriptions: vec![STATUS.to_owned()], ..LinkSetup::default() };
    let mut late = MqttLink::start(Endpoint::plain("127.0.0.1", port), setup, 1);
    assert_eq!(told(&heard(&mut late, "online").await), told(&online), "and the broker keeps that");
    node.stop().await.expect("no thread is stuck");
}
