//! The node as a service: what it tells systemd, and how it ends when a part of it hangs.

use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::ports::free_ports;
use crate::stage::place;
use crate::stopped_thread;
use crate::systemd::{Systemd, by_itself, signal};

/// Time for what happens at once, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);
/// A stuck thread is noticed after 10 s.
const STUCK: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_how_it_is_and_that_it_stops() {
    let _place = place().await;
    let mut systemd = Systemd::new();
    systemd.write("node.toml", &by_itself(""));
    let mut node = systemd.start().stderr(Stdio::null()).spawn().expect("it can be run");
    systemd.hears("ready", SOON, |line| line == "READY=1").await;
    // Ready is not yet well: the camera and the broker come up side by side, and each change is told.
    let well = |line: &str| line.starts_with("STATUS=") && line.contains("camera ok") && line.contains("broker ok");
    let status = systemd.hears("well", SOON, well).await;
    assert!(status.starts_with("STATUS=stage: 0 viewers, "), "{status}");
    assert!(status.contains("; page http://127.0.0.1:"), "{status}");
    // Fed four times as often as systemd asks for.
    for _ in 0..3 {
        systemd.hears("fed", Duration::from_secs(4), |line| line == "WATCHDOG=1").await;
    }
    signal(&node, Signal::TERM);
    systemd.hears("stops", SOON, |line| line == "STOPPING=1").await;
    assert!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").success());
}

/// An ALSA card whose opening waits for ever: alsa-lib's own `file` plugin, reading from a pipe that nobody writes to.
fn wedged_card(systemd: &Systemd) {
    let pipe = systemd.path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let text = format!(
        "pcm.wedged {{ type file\n slave.pcm {{ type null }}\n file \"/dev/null\"\n infile \"{}\"\n format \"raw\" }}\n",
        pipe.display()
    );
    systemd.write("asound.conf", &text);
}

fn with_wedged_card(text: &str) -> String {
    text.replace("source = \"tone\"", "source = \"alsa\"\ndevice = \"wedged\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wedged_thread_ends_its_process_and_one_that_waits_for_its_camera_does_not() {
    let _place = place().await;
    // Three nodes at once, as it takes its time.
    let mut patient = Systemd::new();
    let away = by_itself("").replace("\"test-pattern\"", "\"v4l2\"\ndevice = \"usb-no-such-camera\"");
    let [nobody] = free_ports();
    let away = away.replace("loopback:", &format!("mqtt://127.0.0.1:{nobody}"));
    patient.write("node.toml", &away);
    let mut waiting = patient.start().stderr(Stdio::null()).spawn().expect("it can be run");
    patient.hears("ready all the same", SOON, |line| line == "READY=1").await;
    let both = |line: &str| line.contains("camera away") && line.contains("broker away");
    let status = patient.hears("away", SOON, both).await;
    assert!(status.contains("usb-no-such-camera"), "{status}");

    let mut systemd = Systemd::new();
    wedged_card(&systemd);
    systemd.write("node.toml", &with_wedged_card(&by_itself("")));
    let start = || {
        let mut command = systemd.start();
        command.env("ALSA_CONFIG_PATH", systemd.path("asound.conf"));
        command
    };
    let mut unwatched = start();
    unwatched.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").stderr(Stdio::null());
    let mut unwatched = unwatched.spawn().expect("it can be run");
    let mut node = start().spawn().expect("it can be run");
    let mut log = BufReader::new(node.stderr.take().expect("piped")).lines();
    systemd.hears("ready", SOON, |line| line == "READY=1").await;
    systemd.hears("fed", SOON, |line| line == "WATCHDOG=1").await;
    let status = systemd.hears("the end", STUCK, |line| line.starts_with("STATUS=ended: ")).await;
    assert!(status.contains("sound-main"), "{status}");
    assert_eq!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").code(), Some(1));
    let mut last = String::new();
    while let Some(line) = log.next_line().await.expect("it can be read") {
        last = line;
    }
    assert!(last.contains("ERROR") && last.contains("sound-main") && last.contains("no sign of life"), "{last}");
    assert!(!systemd.heard.iter().any(|line| line == "WATCHDOG=1"), "a stuck node is not fed for");
    assert_eq!(timeout(SOON, unwatched.wait()).await.expect("in time").expect("ours").code(), Some(1));

    assert!(waiting.try_wait().expect("ours").is_none(), "it has waited for longer than the others");
    // All that was said meanwhile, and then something new.
    while patient.socket.try_recv(&mut [0; 4_096]).is_ok() {}
    patient.heard.clear();
    patient.hears("fed", SOON, |line| line == "WATCHDOG=1").await;
    signal(&waiting, Signal::TERM);
    assert!(timeout(SOON, waiting.wait()).await.expect("in time").expect("ours").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_never_answers_and_an_encoder_that_never_returns_end_the_process() {
    let _place = place().await;
    // Two nodes at once, as it takes its time.
    tokio::join!(ends_without("capture-main"), ends_without("encode-main"));
}

/// A node with a picture on its way ends when this thread does not go on, and says which.
async fn ends_without(thread: &str) {
    let mut systemd = Systemd::new();
    systemd.write("node.toml", &by_itself("").replace("linger_s = 1", "on_demand = false"));
    let mut node = systemd.start().spawn().expect("it can be run");
    let mut log = BufReader::new(node.stderr.take().expect("piped")).lines();
    systemd.hears("well", SOON, |line| line.contains("camera ok")).await;
    let Some(stopper) = stopped_thread::stop(&node, thread).await else { return };
    let status = systemd.hears("the end", STUCK, |line| line.starts_with("STATUS=ended: ")).await;
    assert!(status.contains(thread), "{status}");
    // It is gone all the same, and so is the thread.
    let ended = timeout(SOON, stopper.wait_with_output()).await.expect("in time").expect("ours");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(timeout(SOON, node.wait()).await.expect("in time").expect("ours").code(), Some(1));
    let mut last = String::new();
    while let Some(line) = log.next_line().await.expect("it can be read") {
        last = line;
    }
    assert!(last.contains("ERROR") && last.contains(thread) && last.contains("no sign of life"), "{last}");
    assert!(!systemd.heard.iter().any(|line| line == "WATCHDOG=1"), "a stuck node is not fed for");
}
