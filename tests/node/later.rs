//! Sessions that go on while the network changes under them, in network namespaces of the test's own: needs root.

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Child;

use crate::mosquitto::is_installed;
use crate::namespaces::run_in;
use crate::stage::{Report, SMALL, Watch, eventually, place};
use crate::streets::{BROKER, Street};

/// Bytes of pictures that show that they come: a second or two of them, and more than lies in the file's buffer.
const SOME: u64 = 12_000;
/// Time for what takes a few seconds, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(40);
/// Pictures are back within so long of a new address.
const BACK_WITHIN_MS: f64 = 5_000.0;

/// A node and a viewer that watches it.
struct Scene {
    street: Street,
    folder: TempDir,
    _broker: Child,
    _node: Child,
    watch: Watch,
}

impl Scene {
    /// `None`, and says so, where this user may not.
    async fn start() -> Option<Self> {
        let street = Street::build()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let broker = street.broker(folder.path());
        let config = folder.path().join("node.toml");
        let text = format!("{SMALL}\n[broker]\nurl = \"mqtt://{BROKER}\"\n[access]\ni_trust_the_broker = true\n");
        std::fs::write(&config, text).expect("written");
        let config = config.display().to_string();
        let binary = env!("CARGO_BIN_EXE_camera-node");
        let node = run_in(&street.node, binary, &["run", "--config", &config]).spawn().expect("it can be run");
        let pictures = folder.path().join("pictures.h264").display().to_string();
        let url = format!("mqtt://{BROKER}");
        let options = ["watch", "--json", "--node", "stage", "--broker", &url, "--out", &pictures];
        let mut watch = run_in(&street.viewer, binary, &options);
        let watch = Watch::of(watch.stdout(Stdio::piped()).spawn().expect("it can be run"));
        let scene = Self { street, folder, _broker: broker, _node: node, watch };
        scene.shows(SOME).await;
        Some(scene)
    }

    /// Waits for so many more bytes of pictures.
    async fn shows(&self, more: u64) {
        let pictures = self.folder.path().join("pictures.h264");
        let size = || std::fs::metadata(&pictures).map_or(0, |file| file.len());
        let enough = size() + more;
        eventually("there are pictures", PATIENCE, || size() >= enough).await;
    }

    /// Ends it once pictures have come for a while again.
    async fn report(self) -> Report {
        self.shows(3 * SOME).await;
        self.watch.interrupt();
        self.watch.report().await
    }
}

/// One session from the beginning to the end, live at the end.
fn assert_one_session(seen: &Report) {
    let count = |step: &str| seen.events.iter().filter(|known| *known == step).count();
    assert_eq!(count("join"), 1, "{seen:?}");
    assert_eq!(count("silent"), count("recovered"), "{seen:?}");
    assert_eq!(seen.events.last().map(String::as_str), Some("leave"), "{seen:?}");
}

/// And with another offer, that a new address takes.
fn assert_restarted(seen: &Report) {
    assert_one_session(seen);
    assert!(seen.events.iter().filter(|step| *step == "offer").count() > 1, "{seen:?}");
    assert!(seen.longest_gap_ms < BACK_WITHIN_MS, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_gets_another_address_sees_on_in_the_same_session() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let Some(scene) = Scene::start().await else { return };
    scene.street.replug(&scene.street.viewer);
    let seen = scene.report().await;
    assert_restarted(&seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gets_another_address_is_seen_on_in_the_same_session() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let Some(scene) = Scene::start().await else { return };
    scene.street.replug(&scene.street.node);
    let seen = scene.report().await;
    assert_restarted(&seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_in_which_nothing_passes_end_no_session() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let Some(scene) = Scene::start().await else { return };
    scene.street.viewers_port("down");
    // The length of the break is what is tested.
    tokio::time::sleep(Duration::from_secs(10)).await;
    scene.street.viewers_port("up");
    let seen = scene.report().await;
    assert_one_session(&seen);
    // The old path mends by itself, long before TCP has told the broker that the viewer is there again.
    assert!((9_000.0..10_000.0 + BACK_WITHIN_MS).contains(&seen.longest_gap_ms), "{seen:?}");
}
