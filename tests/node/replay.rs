//! What `watch --out` writes is a source for another node, which passes it on as it is.

use crate::daemon::Daemon;
use crate::ports::free_ports;
use crate::stage::{SMALL, Stage, Watch};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_has_written_is_a_camera_to_another_node() {
    let folder = tempfile::tempdir().expect("there is room");
    let film = folder.path().join("film.h264");
    let stage = Stage::start("").await;
    let written = Watch::start(&stage, &["--seconds", "2", "--out", &film.display().to_string()]).report().await;
    assert!(written.frames >= 10, "{written:?}");

    let [http, mqtt, websocket] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let source = format!("source = \"file\"\nfile = \"{}\"", film.display());
    let config = SMALL.replace("127.0.0.1:0", &http).replace("source = \"test-pattern\"", &source);
    let own = format!("embedded = true\nembedded_bind = \"{mqtt}\"\nembedded_websocket_bind = \"{websocket}\"\n");
    let path = folder.path().join("node.toml");
    std::fs::write(&path, format!("{config}\n[broker]\n{own}")).expect("there is room");
    let node = Daemon::start(&path, &[]);
    node.says("broker connection up").await;
    let seen = Watch::at(&format!("mqtt://{mqtt}"), &["--seconds", "3"]).report().await;
    // It is played in a loop: its stamps come back.
    assert!(seen.frames >= written.frames / 2 && seen.stamps_distinct >= 10, "{seen:?} of {written:?}");
    let log = node.stop().await;
    for private in ["a=candidate", "candidate:", "ice-ufrag", "a=fingerprint"] {
        assert!(!log.contains(private), "{private} is in the log: {log}");
    }
    stage.stop().await;
}
