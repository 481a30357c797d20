//! A camera that is wanted by nobody is let go, and taken again for whoever comes; `/metrics` tells of all of it.

use std::time::Duration;

use camera_node::node::{Node, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Stage, Watch, eventually};

/// Time for what happens at once, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_nobody_watches_is_let_go_and_taken_again_for_the_next_who_comes() {
    let stage = Stage::start("").await;
    let camera = || stage.node().conditions()["camera:main"].state;
    eventually("nobody wants it", SOON, || camera() == State::Idle).await;
    for _ in 0..2 {
        let watch = Watch::start(&stage, &["--seconds", "2"]);
        eventually("it is wanted", SOON, || camera() == State::Live).await;
        let seen = watch.report().await;
        assert!(seen.frames >= 3, "{seen:?}");
        // After `linger_s`, of a second here.
        eventually("nobody wants it any more", SOON, || camera() == State::Idle).await;
    }
    let idle = captured(&stage).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(captured(&stage).await, idle, "nothing is captured for nobody");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_all_that_goes_through_the_node() {
    let stage = Stage::start("").await;
    let watch = Watch::start(&stage, &["--seconds", "6"]);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    stage.restart_broker().await;
    eventually("it is back", SOON, || stage.node().conditions()["broker"].state == State::Live).await;
    let wanted = [
        "camera_node_frames_captured_total{camera=\"main\"} ",
        "camera_node_frames_encoded_total{camera=\"main\"} ",
        "camera_node_encoded_bytes_total{camera=\"main\"} ",
        "camera_node_key_frames_total{camera=\"main\"} ",
        "camera_node_encode_seconds_count{camera=\"main\"} ",
        "camera_node_stage_seconds_count{camera=\"main\",stage=\"encoded\"} ",
        "camera_node_capture_to_wire_seconds_count{camera=\"main\"} ",
        "camera_node_encoded_to_wire_seconds_count{camera=\"main\"} ",
        "camera_node_viewers{camera=\"main\"} ",
        "camera_node_viewer_bitrate_bps{viewer=\"watch-",
        "camera_node_state{part=\"camera:main\",state=\"live\"} ",
        "camera_node_mqtt_reconnects_total ",
        "camera_node_tasks ",
    ];
    let mut missing = Vec::new();
    for _ in 0..100 {
        let text = metrics(stage.node()).await;
        let is_counted = |name: &&str| text.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
        missing = wanted.into_iter().filter(|name| !is_counted(name)).collect();
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(missing.is_empty(), "{missing:?}");
    watch.report().await;
    eventually("it has left", SOON, || stage.viewers() == 0).await;
    let text = metrics(stage.node()).await;
    assert!(!text.contains("viewer=\"watch-"), "who has gone is forgotten: {text}");
    stage.stop().await;
}

/// Frames that the camera has delivered.
pub async fn captured(stage: &Stage) -> u64 {
    counted(stage, "camera_node_frames_captured_total{camera=\"main\"}").await
}

/// Frames that the encoder has made.
pub async fn encoded(stage: &Stage) -> u64 {
    counted(stage, "camera_node_frames_encoded_total{camera=\"main\"}").await
}

/// Tasks that have not ended.
pub async fn tasks(stage: &Stage) -> u64 {
    counted(stage, "camera_node_tasks").await
}

async fn counted(stage: &Stage, name: &str) -> u64 {
    let text = metrics(stage.node()).await;
    let count = text.lines().find_map(|line| line.strip_prefix(name));
    count.and_then(|count| count.trim().parse().ok()).expect("it is counted")
}

/// What `/metrics` says.
pub async fn metrics(node: &Node) -> String {
    let page = node.page().expect("a page");
    let mut page = TcpStream::connect(page).await.expect("the page is there");
    page.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    page.read_to_string(&mut answer).await.expect("an answer");
    answer
}
