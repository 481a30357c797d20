//! A day at the door on AWS IoT Core: all that a node and its viewers say beside watching is held against its rules.

use std::collections::BTreeSet;
use std::path::Path;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::signalling::Profile;
use camera_node::signalling::config::Broker;
use rumqttc::{Packet, Publish};
use serde_json::{Value, json};

use crate::SOON;
use crate::aws_policies;
use crate::aws_rules::broken_aws_rules;
use crate::brokers::{as_on_aws, link, recorded, say};
use crate::mosquitto::is_installed;
use crate::recorder::Recorder;
use crate::snapshots::Asker;
use crate::stage::{SMALL, Watch, eventually, place};
use crate::tokens::{BINARY, key, printed};

const BELL: &str = "home/door/bell";
/// Characters of base64 in a large `picture`, which has 64,000 at most.
const LARGE: usize = 50_000;

/// Messages that have been carried: who said or heard them, and what they say.
fn said(recorder: &Recorder) -> Vec<(String, Value)> {
    let seen = recorder.seen().into_iter();
    let messages = seen.filter_map(|entry| match entry.packet {
        Packet::Publish(Publish { topic, payload, .. }) if entry.from_client => Some((topic, payload)),
        _ => None,
    });
    messages.map(|(topic, payload)| (topic, serde_json::from_slice(&payload).expect("JSON"))).collect()
}

/// Messages of this type that have been said.
fn count(recorder: &Recorder, kind: &str) -> usize {
    said(recorder).iter().filter(|(_, message)| message["type"] == kind).count()
}

async fn token(key: &Path) -> String {
    let key = key.to_str().expect("UTF-8");
    let made = ["token", "--node", "stage", "--peer", "*", "--for", "1h", "--key", key];
    printed(BINARY, &made).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_with_a_picture_a_new_token_and_new_servers_is_what_aws_iot_takes() {
    if !is_installed() {
        return;
    }
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name);
    let key = key(folder.path(), "k", "EdDSA").await;
    let recorded = recorded().await;
    let recorder = &recorded.recorder;
    let config = |servers: &str| {
        // Large enough for a picture that nearly fills its message.
        let camera = SMALL.replace("width = 320\nheight = 180\nfps = 30", "width = 1280\nheight = 720\nfps = 5");
        let text = format!("{camera}\n{servers}\n[ring]\ntopic = '{BELL}'\n[access]\nmode = 'token'\n{key}");
        let mut config = Config::from_text("stage.toml", &text, []).expect("a good config");
        config.broker = as_on_aws(recorder, true);
        config
    };
    let mut node = Node::start(config("")).await.expect("it starts");
    eventually("the node is at the broker", SOON, || node.conditions()["broker"].state == State::Live).await;
    let through = format!("mqtt://127.0.0.1:{}", recorder.port);
    let token_file = at("token").display().to_string();
    let private = at("k.private.pem");
    std::fs::write(at("token"), token(&private).await).expect("there is room");
    let with_token = ["--token-file", token_file.as_str(), "--no-decode"];

    let kitchen = Watch::at(&through, &[&with_token[..], &["--register", "Kitchen"]].concat());
    eventually("it is registered", SOON, || node.registered() == 1).await;
    let mut asker = Asker::at(&through, "v-asker").await;
    let picture = asker.ask(json!({ "token": token(&private).await })).await;
    let length = picture["jpeg"].as_str().map(str::len);
    assert!(length.is_some_and(|length| length >= LARGE), "{length:?} {}", picture["type"]);

    // Whatever is at the door has a way of its own to the broker.
    let url = format!("mqtt://127.0.0.1:{}", recorded.port).parse().expect("a URL");
    let bell = link(&Broker { url, profile: Profile::Any, ..Broker::default() }, "bell", &[]).await;
    say(&bell, BELL);
    eventually("it is answered", SOON, || node.viewers() == 1).await;
    std::fs::write(at("token"), token(&private).await).expect("there is room");
    node.reload(config("[[ice.servers]]\nurls = ['stun:127.0.0.1:9']")).await.expect("a good config");
    eventually("the servers are told again", SOON, || count(recorder, "peer") >= 2).await;
    eventually("the token is renewed", SOON, || count(recorder, "renew") >= 1).await;
    let connects = || recorder.seen().iter().filter(|entry| matches!(entry.packet, Packet::Connect(_))).count();
    for cut in 1..=2 {
        recorder.cut();
        eventually("node, kitchen and asker are back", SOON, || connects() == 3 + 3 * cut).await;
    }
    let call = Watch::at(&through, &[&with_token[..], &["--call", "--seconds", "1"]].concat()).report().await;
    assert!(call.frames > 0, "{call:?}");
    kitchen.interrupt();
    let kitchen = kitchen.report().await;
    assert!(kitchen.events.starts_with(&["call", "ringing", "accepted"].map(str::to_owned)), "{kitchen:?}");
    assert_eq!(kitchen.events.iter().filter(|step| *step == "connected").count(), 1, "{kitchen:?}");
    node.stop().await.expect("no thread is stuck");
    drop(asker);

    let types: BTreeSet<String> =
        said(recorder).iter().filter_map(|(_, message)| message["type"].as_str().map(str::to_owned)).collect();
    // Acknowledgements and candidates are carried by others where those come in time.
    for kind in [
        "status",
        "register",
        "registered",
        "snapshot",
        "picture",
        "call",
        "ringing",
        "callResponse",
        "peer",
        "offer",
        "answer",
        "renew",
        "leave",
    ] {
        assert!(types.contains(kind), "no {kind} among {types:?}");
    }
    let seen = recorder.seen();
    assert_eq!(broken_aws_rules(&seen, true), Vec::<String>::new());
    // The bell's topic is the owner's, who lets the node hear it.
    let refused: BTreeSet<String> = aws_policies::refused(&seen, "stage").into_iter().collect();
    let bell = ["iot:Receive topic/", "iot:Subscribe topicfilter/"].map(|action| format!("stage: {action}{BELL}"));
    assert_eq!(refused, BTreeSet::from(bell));
}
