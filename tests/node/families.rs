//! A network of both IP families of which one is dead: addresses and routes are there, and nothing comes back. In network
//! namespaces, which needs root.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;

use crate::lacking::left_out_for;
use crate::mosquitto;
use crate::namespaces::{ip, must, run_in, unused_name};
use crate::relay::report;
use crate::stage::{SMALL, place};

/// A node, and at the other end of its cable a viewer with a broker that has a name with an address of each family.
struct Cable {
    node: String,
    viewer: String,
}

const NAME: &str = "broker.test";

impl Cable {
    /// `None`, and says so, where this user may not. What matches `dead` (nftables) is swallowed.
    async fn lay(dead: &str) -> Option<Self> {
        let cable = Self { node: unused_name("fnode"), viewer: unused_name("fview") };
        let Self { node, viewer } = &cable;
        if !ip(&format!("netns add {viewer}")) {
            left_out_for("network-namespaces");
            return None;
        }
        must(&format!("netns add {node}"));
        must(&format!("-n {viewer} link add in type veth peer name out netns {node}"));
        for (namespace, device, end) in [(viewer, "in", 1), (node, "out", 2)] {
            must(&format!("-n {namespace} addr add 10.79.0.{end}/24 dev {device}"));
            must(&format!("-n {namespace} addr add fd79::{end}/64 dev {device} nodad"));
            must(&format!("-n {namespace} link set {device} up"));
            must(&format!("-n {namespace} link set lo up"));
        }
        let rules = format!(
            "table inet cable {{ chain input {{ type filter hook input priority 0; iif lo accept; {dead} drop; }}; }}"
        );
        let nft = run_in(viewer, "nft", &[&rules]).status().await;
        assert!(nft.is_ok_and(|status| status.success()), "nftables swallows {dead}");
        // What `ip netns exec` lays over /etc (ip-netns(8)).
        std::fs::create_dir_all(cable.names()).expect("root may");
        std::fs::write(cable.names().join("hosts"), format!("fd79::1 {NAME}\n10.79.0.1 {NAME}\n")).expect("written");
        Some(cable)
    }

    fn names(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.node)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.names());
        for namespace in [&self.node, &self.viewer] {
            ip(&format!("netns del {namespace}"));
        }
    }
}

/// A picture comes although all that matches `dead` is swallowed.
async fn plays_without(dead: &str) {
    let Some(cable) = Cable::lay(dead).await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("mosquitto.conf"), "listener 1883\nallow_anonymous true\n").expect("written");
    let mut broker = run_in(&cable.viewer, "/usr/sbin/mosquitto", &["-c", &at("mosquitto.conf")]);
    let _broker: Child = broker.stderr(Stdio::null()).spawn().expect("it can be run");
    let text = format!("{SMALL}[broker]\nurl = \"mqtt://{NAME}\"\n[access]\ni_trust_the_broker = true\n");
    std::fs::write(at("node.toml"), text).expect("written");
    let program = env!("CARGO_BIN_EXE_camera-node");
    let mut node = run_in(&cable.node, program, &["run", "--config", &at("node.toml")]);
    // The page, which nobody looks at here.
    let _node: Child = node.env("CAMERA_NODE__HTTP__ENABLED", "false").spawn().expect("it can be run");
    let options = ["watch", "--json", "--node", "stage", "--broker", "mqtt://127.0.0.1", "--seconds", "2"];
    let watch = run_in(&cable.viewer, program, &options).stdout(Stdio::piped()).spawn().expect("it can be run");
    let seen = report(watch, Duration::from_secs(60)).await;
    assert!(seen.frames >= 3, "{dead}: {seen:?}");
    assert_eq!(seen.events, ["join", "peer", "opening", "offer", "answer", "connected", "leave"], "{dead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_ip_family_is_dead_the_other_finds_the_broker_and_carries_the_picture() {
    let _place = place().await;
    if !mosquitto::is_installed() {
        return;
    }
    // Neighbours still find each other, or the kernel would know after three seconds that nobody is there.
    tokio::join!(plays_without("meta nfproto ipv6 meta l4proto != icmpv6"), plays_without("meta nfproto ipv4"));
}
