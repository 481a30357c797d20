//! A thread of a node that does not go on, whatever it was doing: stopped from outside, as a debugger does.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::lacking::left_out_for;

/// Stops the thread of this name in `node`; it goes on when what is given back is dropped. `None`, and says so, where this user
/// may not.
pub async fn stop(node: &Child, name: &str) -> Option<Child> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stop-thread.py");
    let pid = node.id().expect("it runs").to_string();
    let mut command = Command::new("python3");
    let mut stopper = command
        .args([script, &pid, name])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tests/run has installed python3");
    let mut said = BufReader::new(stopper.stdout.take().expect("piped")).lines();
    if said.next_line().await.expect("it can be read").as_deref() == Some("stopped") {
        return Some(stopper);
    }
    let why = stopper.wait_with_output().await.expect("ours").stderr;
    let why = String::from_utf8_lossy(&why).into_owned();
    assert!(why.contains("not permitted"), "{name}: {why}");
    left_out_for("other-processes");
    None
}
