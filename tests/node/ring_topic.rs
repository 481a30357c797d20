//! A broker that does not let the node hear `ring.topic`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};

use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::stage::{SMALL, command, eventually, place, watch_at};

const SOON: Duration = Duration::from_secs(15);
const TOPIC: &str = "home/door/bell";

/// Debian's broker with its own rules engine: an `acl_file` never refuses a subscription, it keeps messages back.
async fn broker_without(topic: &str, folder: &Path, port: u16) -> Mosquitto {
    let rules = serde_json::json!({
        "defaultACLAccess": {
            "publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true,
        },
        "clients": [],
        "groups": [{ "groupname": "anyone", "roles": [{ "rolename": "anyone" }] }],
        "roles": [{ "rolename": "anyone", "acls": [{ "acltype": "subscribeLiteral", "topic": topic, "allow": false }] }],
        "anonymousGroup": "anyone",
    });
    let file = folder.join("rules.json");
    std::fs::write(&file, rules.to_string()).expect("written");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nplugin {}\nplugin_opt_config_file {}\n",
        rules_engine().display(),
        file.display()
    );
    Mosquitto::start(folder, &text, &[port]).await
}

/// Part of Debian's package, in the machine's own library folder.
fn rules_engine() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("linux").flatten();
    let found = folders.map(|folder| folder.path().join("mosquitto_dynamic_security.so")).find(|path| path.exists());
    found.expect("the package mosquitto brings it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_ring_topic_is_named_and_costs_nothing_else() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let broker = broker_without(TOPIC, folder.path(), port).await;
    let url = format!("mqtt://127.0.0.1:{port}");
    let text = format!("{SMALL}\n[broker]\nurl = '{url}'\n[ring]\ntopic = '{TOPIC}'\n");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, &text).expect("written");
    let node = Node::start(Config::from_text("node.toml", &text, []).expect("a good config")).await.expect("it starts");
    let state = |part: &str| node.conditions().get(part).map(|condition| condition.state);
    eventually("the node is at the broker", SOON, || state("broker") == Some(State::Live)).await;
    assert_eq!(state("ring:topic"), Some(State::Refused));
    let detail = node.conditions()["ring:topic"].detail.clone();
    assert!(detail.contains("subscribe to ring.topic (home/door/bell)") && detail.contains("stage"), "{detail}");
    let seen = watch_at(&url, &["--seconds", "1"]).await;
    assert!(seen.frames >= 3, "viewers are served: {seen:?}");

    let found = check(&file).await;
    let ring = found.iter().find(|one| one["part"] == "ring.topic").expect("it was asked");
    assert!(ring["ok"] == false && ring["detail"].as_str().is_some_and(|detail| detail.contains(TOPIC)), "{ring}");
    let at_broker = found.iter().find(|one| one["part"] == "broker").expect("it was asked");
    assert_eq!(at_broker["ok"], true, "{at_broker}");

    broker.kill().await;
    let _broker = broker_without("something/else", folder.path(), port).await;
    eventually("it may be heard", SOON, || state("ring:topic") == Some(State::Live)).await;
    let found = check(&file).await;
    assert!(found.iter().any(|one| one["part"] == "ring.topic" && one["ok"] == true), "{found:?}");
    node.stop().await.expect("no thread is stuck");
}

async fn check(config: &Path) -> Vec<serde_json::Value> {
    let file = config.display().to_string();
    let mut check = command(env!("CARGO_BIN_EXE_camera-node"), &["check", "--json", "--config", &file]);
    let output = check.output().await.expect("the binary runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
