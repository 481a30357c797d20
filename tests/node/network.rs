//! A node whose network changes under it, in network namespaces of the test's own: needs root.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

use crate::lacking::left_out_for;
use crate::mosquitto::is_installed;
use crate::namespaces::{ip, run_in, unused_name};
use crate::stage::{SMALL, place};

/// Two namespaces with a cable between them; gone with this value.
struct Cable {
    node: String,
    broker: String,
}

impl Cable {
    /// `None`, and says so, where this user may not.
    fn lay() -> Option<Self> {
        let cable = Self { node: unused_name("node"), broker: unused_name("broker") };
        if !ip(&format!("netns add {}", cable.node)) || !ip(&format!("netns add {}", cable.broker)) {
            left_out_for("network-namespaces");
            return None;
        }
        let Self { node, broker } = &cable;
        for command in [
            format!("-n {broker} link add far type veth peer name near netns {node}"),
            format!("-n {broker} addr add 10.77.0.1/24 dev far"),
            format!("-n {broker} link set far up"),
            format!("-n {node} addr add 10.77.0.2/24 dev near"),
            format!("-n {node} link set lo up"),
            format!("-n {node} link set near up"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
        Some(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.node));
        ip(&format!("netns del {}", self.broker));
    }
}

/// Waits for a line of the broker's log with these words in it.
async fn says(log: &mut Lines<BufReader<ChildStderr>>, words: &str, within: Duration) {
    let found = async {
        loop {
            let line = log.next_line().await.expect("it can be read").expect("the broker lives");
            if line.contains(words) {
                return;
            }
        }
    };
    assert!(timeout(within, found).await.is_ok(), "not within {within:?}: {words}");
}

fn broker(cable: &Cable, folder: &Path) -> (Child, Lines<BufReader<ChildStderr>>) {
    let file = folder.join("mosquitto.conf");
    std::fs::write(&file, "listener 1883 10.77.0.1\nallow_anonymous true\nlog_dest stderr\n").expect("written");
    let path = file.display().to_string();
    let mut command = run_in(&cable.broker, "/usr/sbin/mosquitto", &["-c", &path]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it can be run");
    let log = BufReader::new(child.stderr.take().expect("piped")).lines();
    (child, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gets_another_address_is_back_at_the_broker_at_once() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let Some(cable) = Cable::lay() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_broker, mut log) = broker(&cable, folder.path());
    let config = folder.path().join("node.toml");
    // Twenty minutes, so that no probe of the link's own can be what notices.
    let text = format!(
        "{SMALL}\n[broker]\nurl = \"mqtt://10.77.0.1\"\nkeep_alive_s = 1200\n[access]\ni_trust_the_broker = true\n"
    );
    std::fs::write(&config, text).expect("written");
    let path = config.display().to_string();
    let options = ["run", "--config", &path];
    let _node = run_in(&cable.node, env!("CARGO_BIN_EXE_camera-node"), &options).spawn().expect("it can be run");
    says(&mut log, "New client connected from 10.77.0.2", Duration::from_secs(15)).await;

    let node = &cable.node;
    assert!(ip(&format!("-n {node} addr add 10.77.0.3/24 dev near")));
    assert!(ip(&format!("-n {node} addr del 10.77.0.2/24 dev near")));
    // The second address goes with the first, to which it was an addition, unless it is put there again.
    ip(&format!("-n {node} addr add 10.77.0.3/24 dev near"));
    says(&mut log, "New client connected from 10.77.0.3", Duration::from_secs(5)).await;
}
