//! Rows of the table in `deploy/faults.md`: each fault is a named state, viewers see on or see a card, and it heals by itself.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use camera_node::capture::config::VideoSourceKind;
use camera_node::node::State;
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::timeout;

use crate::clock::faketime;
use crate::lacking::left_out_for;
use crate::ports::free_ports;
use crate::reload::healthz;
use crate::stage::{SMALL, Stage, Watch, embedded_broker, eventually, place, watch_at};
use crate::systemd::{Systemd, by_itself, signal};
use crate::talk::write_tone;

const SOON: Duration = Duration::from_secs(20);
/// No picture is older than this, on a machine that does other things too: a card comes five times a second.
const FROZEN_MS: f64 = 6_000.0;

/// A raw film of one grey picture.
fn film(path: &Path, width: usize, height: usize) {
    let grey = vec![0x80; width * height * 3 / 2];
    let content = [format!("YUV4MPEG2 W{width} H{height} F15:1\nFRAME\n").as_bytes(), &grey].concat();
    // As a whole, so that nobody opens half of it.
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).expect("there is room");
    std::fs::rename(&beside, path).expect("the same folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_goes_is_a_card_and_comes_back_with_another_size() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("camera.y4m");
    film(&path, 320, 180);
    let stage = Stage::with(|config| {
        config.camera[0].video.source = VideoSourceKind::File;
        config.camera[0].video.file.clone_from(&path);
    })
    .await;
    let camera = || stage.node().conditions().get("camera:main").map(|camera| camera.state);
    let encoder =
        || stage.node().conditions().get("encoder:main").map_or_else(String::new, |encoder| encoder.detail.clone());
    let mut steps = stage.node().events();
    let viewer = Watch::start(&stage, &[]);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    eventually("it is there", SOON, || camera() == Some(State::Live) && encoder().starts_with("320x180")).await;

    // What it has open has ended, and there is no other.
    let unplug = || {
        let open = std::fs::File::options().write(true).open(&path).expect("ours");
        std::fs::remove_file(&path).expect("ours");
        open.set_len(0).expect("ours");
    };
    unplug();
    eventually("it is away", SOON, || camera() == Some(State::Away)).await;
    eventually("cards are sent in the size asked", SOON, || encoder().starts_with("320x180")).await;
    // What is there is no camera.
    std::fs::write(&path, "not a film").expect("there is room");
    eventually("it cannot be used", SOON, || camera() == Some(State::Unsupported)).await;
    film(&path, 256, 144);
    eventually("it is back", SOON, || camera() == Some(State::Live)).await;
    let late = watch_at(&stage.broker_url(), &["--seconds", "1"]).await;
    assert_eq!((late.cameras[0].width, late.cameras[0].height), (256, 144), "as it is now");
    let mut joins = 0;
    let mut joined = |by_now: u32| {
        joins += std::iter::from_fn(|| steps.try_recv().ok()).filter(|event| event.step.name() == "join").count();
        joins == by_now as usize
    };
    assert!(joined(2), "one session each for all of it");

    // More than whoever watches was offered: they are offered it, which takes another session.
    unplug();
    film(&path, 1_344, 768);
    eventually("it is back with larger pictures", SOON, || encoder().starts_with("1344x768")).await;
    eventually("who watches has joined anew", SOON, || joined(3)).await;
    eventually("and watches", SOON, || stage.viewers() == 1).await;
    viewer.interrupt();
    let seen = viewer.report().await;
    assert!(seen.longest_gap_ms < 2.0 * FROZEN_MS, "{seen:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_for_ice_over_tcp_is_said_costs_no_viewer_and_is_forgotten_when_it_is_free() {
    let [port] = free_ports();
    let holder = std::net::TcpListener::bind(("0.0.0.0", port)).expect("it is free");
    let stage = Stage::with(|config| {
        config.ice.tcp = true;
        config.ice.tcp_port = port;
    })
    .await;
    let entrance = || stage.node().conditions().get("ice:tcp").cloned();
    eventually("it is said", SOON, || entrance().is_some()).await;
    let said = entrance().expect("it stays");
    assert_eq!(said.state, State::Refused);
    assert!(said.detail.contains(&port.to_string()) && said.detail.contains("ice.tcp_port"), "{said:?}");
    let health = healthz(stage.node().page().expect("a page").port()).await;
    assert_eq!(health["parts"]["ice:tcp"]["state"], "degraded", "{health}");
    let seen = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(seen.frames >= 1, "{seen:?}");
    assert!(entrance().is_some(), "still taken");
    drop(holder);
    // Tried again with each who comes.
    let seen = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert!(seen.frames >= 1, "{seen:?}");
    eventually("it is forgotten", SOON, || entrance().is_none()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_microphone_and_a_speaker_that_were_away_are_back_and_said_to_be() {
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let mut systemd = Systemd::new();
    let config = SMALL.replace("source = \"tone\"", "source = \"alsa\"\ndevice = \"plugged\"");
    let speaker = "[camera.speaker]\nsink = \"alsa\"\ndevice = \"jacked\"\n";
    let config = format!("{config}\n[broker]\nurl = \"{url}\"\n{speaker}");
    systemd.write("node.toml", &config.replace("linger_s = 1", "on_demand = false"));
    systemd.write("asound.conf", "");
    let mut command = systemd.start();
    command.env("ALSA_CONFIG_PATH", systemd.path("asound.conf")).stderr(Stdio::null());
    let mut node = command.spawn().expect("it can be run");
    let away = systemd.hears("away", SOON, |line| line.contains("microphone away")).await;
    assert!(away.contains("plugged: not there") && !away.contains("speaker"), "nobody has talked yet: {away}");
    write_tone(&systemd.path("tone.wav"));
    let tone = systemd.path("tone.wav");
    let talker = Watch::at(&url, &["--talk", tone.to_str().expect("a plain path")]);
    let away = systemd.hears("away too", SOON, |line| line.contains("speaker away")).await;
    assert!(away.contains("jacked: not there"), "{away}");
    // alsa-lib reads it again when it is another file.
    systemd.write("asound.new", "pcm.plugged { type null }\npcm.jacked { type null }\n");
    std::fs::rename(systemd.path("asound.new"), systemd.path("asound.conf")).expect("ours");
    let well = |line: &str| line.starts_with("STATUS=") && !line.contains("microphone") && !line.contains("speaker");
    systemd.hears("back", SOON, well).await;
    signal(&node, Signal::TERM);
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
    talker.kill();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_forth_and_two_back_stops_neither_picture_nor_sound() {
    let Some(faketime) = faketime() else { return };
    let _place = place().await;
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let mut systemd = Systemd::new();
    systemd.write("node.toml", &format!("{SMALL}\n[broker]\nurl = \"{url}\"\n"));
    systemd.write("offset", "+0");
    let log = std::fs::File::create(systemd.path("log")).expect("there is room");
    let mut node = systemd
        .start()
        .env("LD_PRELOAD", faketime)
        .env("FAKETIME_TIMESTAMP_FILE", systemd.path("offset"))
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .stderr(log)
        .spawn()
        .expect("it can be run");
    systemd.hears("ready", SOON, |line| line == "READY=1").await;
    let viewer = Watch::at(&url, &[]);
    systemd.hears("it watches", SOON, |line| line.contains("1 viewer")).await;
    let log = systemd.path("log");
    let hours = |log: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(log).expect("the node's log");
        text.lines().filter_map(|line| line.get(..13).filter(|at| at.starts_with("20"))).map(str::to_owned).collect()
    };
    for offset in ["+3600", "-3600"] {
        systemd.write("offset", offset);
        let before = hours(&log).last().cloned();
        // Each who comes is a line in the log, with the time.
        let late = watch_at(&url, &["--seconds", "2"]).await;
        assert!(late.frames >= 3 && late.audio_packets >= 10, "there for new viewers: {late:?}");
        let other = || hours(&log).last().cloned() != before;
        eventually("the node's clock has jumped", SOON, other).await;
    }
    viewer.interrupt();
    let seen = viewer.report().await;
    assert_eq!(seen.events.iter().filter(|step| *step == "join").count(), 1, "{seen:?}");
    // 4 s and more at 30 pictures and 50 packets a second; a busy machine leaves some out.
    assert!(seen.frames >= 60 && seen.audio_packets >= 120 && seen.longest_gap_ms < FROZEN_MS, "{seen:?}");
    assert!(seen.latency_ms.is_some_and(|ms| ms.p50 < 1_000.0), "the pictures' own stamps did not jump");
    signal(&node, Signal::TERM);
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
    broker.stop().await;
}

/// Whether this user may mount; says so if not.
async fn may_mount(folder: &Path) -> bool {
    let script = "mount -t tmpfs -o size=512k tmpfs \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(folder).stderr(Stdio::null());
    let may = command.status().await.is_ok_and(|status| status.success());
    if !may {
        left_out_for("mounts");
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_costs_no_viewer_and_is_forgotten_when_there_is_room() {
    let _place = place().await;
    let mut systemd = Systemd::new();
    let disk = systemd.path("disk");
    std::fs::create_dir(&disk).expect("there is room");
    if !may_mount(&disk).await {
        return;
    }
    let more = "[http.tls]\nbind = \"127.0.0.1:0\"\nself_signed = true\n";
    let state = format!("id = \"stage\"\nstate_folder = \"{}\"", disk.display());
    systemd.write("node.toml", &by_itself(more).replace("id = \"stage\"", &state));
    // A disk of its own, which only the node's namespace has.
    let script = "mount -t tmpfs -o size=512k tmpfs \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(&disk).arg(env!("CARGO_BIN_EXE_camera-node"));
    command.args(["run", "--config"]).arg(systemd.path("node.toml"));
    command.env("NOTIFY_SOCKET", systemd.path("notify")).stderr(Stdio::null()).kill_on_drop(true);
    let mut node = command.spawn().expect("it can be run");
    systemd.hears("ready", SOON, |line| line == "READY=1").await;
    let pid = node.id().expect("it runs");
    let filler =
        PathBuf::from(format!("/proc/{pid}/root")).join(disk.strip_prefix("/").expect("absolute")).join("filler");
    let file = std::fs::File::create(&filler).expect("there is room yet");
    let full = (0..1_024_u64).find_map(|n| file.write_all_at(&[1; 1_024], n * 1_024).err()).expect("512 kB");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let status = systemd.hears("full", SOON, |line| line.contains("storage full")).await;
    assert!(status.contains("camera ok"), "{status}");
    std::fs::remove_file(&filler).expect("ours");
    drop(file);
    systemd.hears("room again", SOON, |line| line.starts_with("STATUS=") && !line.contains("storage")).await;
    signal(&node, Signal::TERM);
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
}
