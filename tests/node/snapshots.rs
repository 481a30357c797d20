//! Still pictures, of a node that nobody watches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camera_node::node::State;
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::SOON;
use crate::hand::{Hand, ask};
use crate::stage::{Stage, eventually};

const BASE: &str = "camera-node/v1/stage";

/// A peer that talks MQTT and nothing else.
struct Asker {
    link: MqttLink,
    seq: u32,
}

impl Asker {
    async fn at(broker: &str) -> Self {
        let url = broker.parse().expect("a URL");
        let endpoint = Endpoint::from_config(&Broker { url, ..Broker::default() }).expect("no files are needed");
        let subscriptions = vec![format!("{BASE}/out/asker")];
        let setup = LinkSetup { client_id: "asker".to_owned(), subscriptions, ..LinkSetup::default() };
        let mut link = MqttLink::start(endpoint, setup, 1);
        let first = timeout(SOON, link.next()).await.expect("in time");
        assert!(matches!(first, Some(LinkEvent::Up { .. })), "{first:?}");
        Self { link, seq: 0 }
    }

    /// What the node answers.
    async fn ask(&mut self, more: Value) -> Value {
        self.seq += 1;
        let mut message = json!({"v": 1, "type": "snapshot", "seq": self.seq});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
        let publish = Publish { topic: format!("{BASE}/in/asker"), payload: message.to_string().into(), retain: false };
        self.link.publish(publish).expect("up");
        loop {
            let event = timeout(SOON, self.link.next()).await.expect("in time").expect("it lives");
            if let LinkEvent::Message { payload, .. } = event {
                let answer: Value = serde_json::from_slice(&payload).expect("JSON");
                if answer["re"] == self.seq {
                    return answer;
                }
            }
        }
    }

    /// The size of the picture in an answer, held against what the JPEG says.
    async fn size(&mut self, more: Value) -> (u64, u64) {
        let answer = self.ask(more).await;
        assert_eq!(answer["type"], "picture", "{answer}");
        let jpeg = STANDARD.decode(answer["jpeg"].as_str().expect("text")).expect("base64");
        let header = turbojpeg::read_header(&jpeg).expect("a JPEG");
        let told = (answer["width"].as_u64().expect("a number"), answer["height"].as_u64().expect("a number"));
        assert_eq!((header.width as u64, header.height as u64), told);
        told
    }
}

fn state(stage: &Stage, part: &str) -> Option<State> {
    stage.node().conditions().get(part).map(|condition| condition.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_nobody_watches_opens_for_a_picture_and_its_microphone_does_not() {
    let stage = Stage::start("").await;
    let mut asker = Asker::at(&stage.broker_url()).await;
    let idle =
        || state(&stage, "camera:main") == Some(State::Idle) && state(&stage, "microphone:main") == Some(State::Idle);
    eventually("nobody watches", SOON, idle).await;
    assert_eq!(asker.size(json!({})).await, (320, 180));
    assert_eq!(state(&stage, "camera:main"), Some(State::Live), "it lingers");
    assert_eq!(state(&stage, "microphone:main"), Some(State::Idle));
    assert_eq!(asker.size(json!({"camera": "main", "width": 160, "maxBytes": 4096})).await, (160, 90));
    assert_eq!(asker.ask(json!({"camera": "cellar"})).await["code"], 30);
    eventually("it closes again", SOON, idle).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_camera_gives_nobody_a_picture_and_gives_one_when_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("there is room");
    let stage = Stage::with(|config| config.node.state_folder = Some(folder.path().to_owned())).await;
    let mut asker = Asker::at(&stage.broker_url()).await;
    asker.size(json!({})).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    let shut = ask(&mut control, "camera.privacy", json!({"camera": "main", "on": true})).await;
    assert_eq!(shut["result"]["privacy"], true, "{shut}");
    // Its viewers see a card all the while: that is no picture either.
    let answer = asker.ask(json!({})).await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(33)), "{answer}");
    ask(&mut control, "camera.privacy", json!({"camera": "main", "on": false})).await;
    asker.size(json!({})).await;
    hand.leave().await;
    stage.stop().await;
}
