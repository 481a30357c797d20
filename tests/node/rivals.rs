//! Two nodes with one id, which brokers let in by turns.

use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use rumqttc::Packet;

use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::recorder::Recorder;
use crate::stage::{SMALL, embedded_broker, eventually, place, watch_at};

const SOON: Duration = Duration::from_secs(30);

async fn node(broker: &str) -> Node {
    let text = format!("{SMALL}\n[broker]\nurl = \"{broker}\"\n");
    Node::start(Config::from_text("twin.toml", &text, []).expect("a good config")).await.expect("it starts")
}

fn is_contested(node: &Node) -> bool {
    let broker = &node.conditions()["broker"];
    broker.state == State::Contested && broker.detail.starts_with("another client uses this id")
}

/// It has noticed that it is thrown off in turn, and has just been: the other is there.
fn gives_way(node: &Node) -> bool {
    node.conditions()["broker"].detail.contains("lets stage in and soon closes its connection")
}

/// Two nodes come to the broker behind `recorder`: both say what is wrong, they stop to storm, and one of them serves.
async fn take_turns(recorder: &Recorder) {
    let url = format!("mqtt://127.0.0.1:{}", recorder.port);
    let connects = || recorder.seen().iter().filter(|entry| matches!(entry.packet, Packet::Connect(_))).count();
    let first = node(&url).await;
    eventually("the first is at the broker", SOON, || first.conditions()["broker"].state == State::Live).await;
    let second = node(&url).await;
    eventually("it is said", SOON, || is_contested(&first) || is_contested(&second)).await;
    eventually("one gives way", SOON, || gives_way(&first) || gives_way(&second)).await;
    assert!(connects() <= 12, "{} connections until then", connects());
    // It stays away for half a minute at least, in which the other is there for viewers.
    let seen = watch_at(&url, &["--seconds", "2"]).await;
    assert!(seen.frames >= 5, "one keeps serving: {seen:?}");
    assert!(connects() <= 13, "only the viewer's own was added: {}", connects());
    first.stop().await.expect("no thread is stuck");
    second.stop().await.expect("no thread is stuck");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_one_id_are_noticed_at_mosquitto() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let _broker = Mosquitto::open(folder.path(), port).await;
    take_turns(&Recorder::start(port).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_one_id_are_noticed_at_the_embedded_broker() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    take_turns(&Recorder::start(broker.tcp_addr().port()).await).await;
    broker.stop().await;
}
