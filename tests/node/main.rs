//! The whole node in this process, with real sockets and its embedded broker; viewers are real `camera-node watch`
//! processes.

mod aws_policies;
mod aws_rules;
mod aws_traffic;
mod brokers;
mod calls;
mod certificates;
mod channels;
mod clock;
mod commands;
mod coturn;
mod daemon;
mod demand;
mod expiry;
mod families;
mod faults;
mod files;
mod hand;
mod https;
mod joins;
mod lacking;
mod lan;
mod later;
mod mosquitto;
mod namespaces;
mod network;
mod ports;
mod provision;
mod recorder;
mod refused_relay;
mod relay;
mod reload;
mod replay;
mod restarts;
mod ring_topic;
mod rivals;
mod service;
mod snapshots;
mod spy;
mod stage;
mod stopped_thread;
mod streets;
mod systemd;
mod talk;
mod tokens;
mod walk;

use std::time::Duration;

use camera_node::capture::config::{AudioSourceKind, VideoSourceKind};
use camera_node::config::Config;
use camera_node::node::{Node, State};
use stage::{SMALL, Stage, Told, Watch, eventually, place};

/// Time for what happens at once, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_hears_and_leaves_in_the_protocols_order() {
    let stage = Stage::start("").await;
    let mut steps = stage.node().events();
    let seen = Watch::start(&stage, &["--seconds", "3"]).report().await;

    assert!(seen.frames >= 20, "3 s at 30 fps: {seen:?}");
    assert!(seen.stamps_distinct >= 20, "every frame is a new one: {seen:?}");
    assert!(seen.audio_packets >= 100, "3 s at 50 packets: {seen:?}");
    assert!(seen.latency_ms.as_ref().is_some_and(|ms| ms.p50 < 500.0), "pictures are of now: {seen:?}");
    let order = ["join", "peer", "opening", "offer", "answer", "connected", "leave"];
    assert_eq!(seen.events, order, "the viewer's log");
    let quick = seen.latency_ms.as_ref().is_some_and(|ms| ms.p50 <= ms.p95 && ms.p95 <= ms.max);
    assert!(quick && seen.rtt_ms.is_some_and(|ms| (0.0..500.0).contains(&ms)), "as they are called: {seen:?}");
    assert!(seen.fps > 5.0 && seen.fps < 35.0 && (50_000.0..4_000_000.0).contains(&seen.bitrate_bps), "{seen:?}");
    let mut heard = Vec::new();
    eventually("the node has logged the end", SOON, || {
        while let Ok(event) = steps.try_recv() {
            heard.push(event.step.name());
        }
        heard.last() == Some(&"leave")
    })
    .await;
    assert_eq!(heard, order, "the node's log");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_viewers_come_and_go_and_leave_nothing_behind() {
    let stage = Stage::start_alone("").await;
    let before = stage.resources();
    let viewers: Vec<_> = (0..10).map(|_| Watch::start(&stage, &["--seconds", "3"])).collect();
    eventually("all watch", SOON, || stage.viewers() == 10).await;
    let [encoded, captured] = [demand::encoded(&stage).await, demand::captured(&stage).await];
    assert!(encoded > 0 && encoded < 2 * captured, "one encode for all: {encoded} of {captured} frames");
    for viewer in viewers {
        let seen = viewer.report().await;
        assert!(seen.frames >= 10, "{seen:?}");
        assert!(seen.first_frame_ms.is_some_and(|ms| ms > 0.0), "{seen:?}");
    }
    eventually("all are gone", SOON, || stage.viewers() == 0).await;
    eventually("their sockets are closed", SOON, || stage.resources() <= before).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_stops_reading_slows_nobody() {
    let stage = Stage::start("").await;
    let stuck = Watch::start(&stage, &[]);
    eventually("the first watches", SOON, || stage.viewers() == 1).await;
    stuck.freeze();
    let seen = Watch::start(&stage, &["--seconds", "5"]).report().await;
    // Of 150; a busy machine leaves some out.
    assert!(seen.frames >= 60, "5 s at 30 fps beside a stuck viewer: {seen:?}");
    assert!(seen.latency_ms.as_ref().is_some_and(|ms| ms.max < 1_000.0), "nothing queued up: {seen:?}");
    stuck.kill();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_cannot_write_its_pictures_gives_its_place_back() {
    let stage = Stage::start("").await;
    let watch = Watch::start(&stage, &["--out", "/dev/full"]);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    eventually("it has left", SOON, || stage.viewers() == 0).await;
    drop(watch);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_viewers_free_everything() {
    let stage = Stage::start_alone("[limits]\nsilence_timeout_s = 2\n").await;
    let before = stage.resources();
    let tasks_before = demand::tasks(&stage).await;
    let viewers: Vec<_> = (0..4).map(|_| Watch::start(&stage, &[])).collect();
    eventually("all watch", SOON, || stage.viewers() == 4).await;
    for viewer in viewers {
        viewer.kill();
    }
    eventually("nobody is sent to", SOON, || stage.viewers() == 0).await;
    eventually("their sockets are closed", SOON, || stage.resources() <= before).await;
    let ended = async {
        while demand::tasks(&stage).await > tasks_before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("their tasks have ended");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_takes_three_seconds_at_most_though_a_viewer_answers_nothing() {
    let stage = Stage::start("").await;
    let viewer = Watch::start(&stage, &[]);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    viewer.freeze();
    let stopped = tokio::time::timeout(Duration::from_secs(3), stage.stop()).await;
    assert!(stopped.is_ok(), "it takes longer than 3 s");
    viewer.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_is_survived_by_pictures_and_met_again() {
    let stage = Stage::start("").await;
    let viewer = Watch::start(&stage, &["--seconds", "8"]);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    stage.restart_broker().await;
    let seen = viewer.report().await;
    // Of 240; a busy machine leaves some out.
    assert!(seen.frames >= 100, "8 s at 30 fps across a broker's restart: {seen:?}");
    let joined = seen.events.iter().filter(|step| *step == "join").count();
    assert_eq!(joined, 1, "the session went on: {seen:?}");
    let late = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(late.frames >= 3, "a new viewer joins after it: {late:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_the_size_that_the_camera_has_settled_on() {
    let file = tempfile::Builder::new().suffix(".y4m").tempfile().expect("there is room");
    let grey = vec![0x80; 64 * 48 * 3 / 2];
    std::fs::write(file.path(), [b"YUV4MPEG2 W64 H48 F15:1\nFRAME\n", &grey[..]].concat()).expect("there is room");
    let stage = Stage::with(|config| {
        config.camera[0].video.source = VideoSourceKind::File;
        config.camera[0].video.file = file.path().to_owned();
    })
    .await;
    let seen = Watch::start(&stage, &["--seconds", "2"]).report().await;
    let settled = Told { name: "main".to_owned(), width: 64, height: 48, fps: 15, state: "running".to_owned() };
    assert_eq!(seen.cameras, [settled], "320x180 at 30 was asked for");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_without_any_broker() {
    let _place = place().await;
    let text = format!("{SMALL}\n[broker]\nurl = \"loopback:\"\n");
    let node = Node::start(Config::from_text("alone.toml", &text, []).expect("a good config")).await;
    let node = node.expect("it starts");
    eventually("it is by itself", SOON, || node.conditions()["broker"].state == State::Live).await;
    let camera_works = || node.conditions().get("camera:main").is_some_and(|camera| camera.state == State::Live);
    eventually("its camera works", SOON, camera_works).await;
    node.stop().await.expect("no thread is stuck");
}

#[tokio::test]
async fn the_demo_works_with_no_network_but_loopback() {
    let config = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(config.path(), SMALL).expect("there is room");
    let seen = Watch::start_alone(config.path(), "/dev/stderr").report().await;
    assert!(seen.frames >= 3 && seen.audio_packets >= 10, "{seen:?}");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_no_picture() {
    let config = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(config.path(), SMALL).expect("there is room");
    let seen = Watch::start_alone(config.path(), "/dev/full").report().await;
    assert!(seen.frames >= 3, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_without_a_microphone_is_watched_in_silence() {
    let stage = Stage::with(|config| config.camera[0].audio.source = AudioSourceKind::None).await;
    let seen = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(seen.frames >= 3, "{seen:?}");
    assert_eq!(seen.audio_packets, 0, "{seen:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_cannot_be_encoded_are_replaced_by_a_card_that_says_so() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("tiny.y4m");
    std::fs::write(&file, b"YUV4MPEG2 W2 H2 F30:1\nFRAME\n\x80\x80\x80\x80\x80\x80").expect("there is room");
    let stage = Stage::with(|config| {
        config.camera[0].video.source = VideoSourceKind::File;
        config.camera[0].video.file = file;
    })
    .await;
    let seen = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(seen.frames >= 2, "a few cards a second: {seen:?}");
    assert_eq!(stage.node().conditions()["encoder:main"].state, State::Failed);
    stage.stop().await;
}
