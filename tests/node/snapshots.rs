//! Still pictures, of a node that nobody watches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camera_node::node::State;
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::SOON;
use crate::hand::{Hand, ask};
use crate::stage::{Stage, eventually};
use crate::tokens::{BINARY, key, printed};

const BASE: &str = "camera-node/v1/stage";

/// A peer that talks MQTT and nothing else.
pub struct Asker {
    id: &'static str,
    link: MqttLink,
    seq: u32,
}

impl Asker {
    pub async fn at(broker: &str, id: &'static str) -> Self {
        let url = broker.parse().expect("a URL");
        let endpoint = Endpoint::from_config(&Broker { url, ..Broker::default() }).expect("no files are needed");
        let subscriptions = vec![format!("{BASE}/out/{id}")];
        let setup = LinkSetup { client_id: id.to_owned(), subscriptions, ..LinkSetup::default() };
        let mut link = MqttLink::start(endpoint, setup, 1);
        let first = timeout(SOON, link.next()).await.expect("in time");
        assert!(matches!(first, Some(LinkEvent::Up { .. })), "{first:?}");
        Self { id, link, seq: 0 }
    }

    /// What the node answers.
    pub async fn ask(&mut self, more: Value) -> Value {
        self.seq += 1;
        let mut message = json!({"v": 1, "type": "snapshot", "seq": self.seq});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
        let publish =
            Publish { topic: format!("{BASE}/in/{}", self.id), payload: message.to_string().into(), retain: false };
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
    let mut asker = Asker::at(&stage.broker_url(), "asker").await;
    let idle =
        || state(&stage, "camera:main") == Some(State::Idle) && state(&stage, "microphone:main") == Some(State::Idle);
    eventually("nobody watches", SOON, idle).await;
    assert_eq!(asker.size(json!({})).await, (320, 180));
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
    let mut asker = Asker::at(&stage.broker_url(), "asker").await;
    asker.size(json!({})).await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (true, &["control"]), None).await;
    let mut control = hand.channel("control").await;
    let shut = ask(&mut control, "camera.privacy", json!({"camera": "main", "on": true})).await;
    assert_eq!(shut["result"]["privacy"], true, "{shut}");
    // Its viewers see a card all the while: that is no picture either.
    let answer = asker.ask(json!({})).await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(33)), "{answer}");
    let (status, _, body) = get(&stage, "/snapshot.jpg", HERE).await;
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&body));
    assert!(!body.starts_with(&[0xff, 0xd8]), "no JPEG");
    ask(&mut control, "camera.privacy", json!({"camera": "main", "on": false})).await;
    asker.size(json!({})).await;
    hand.leave().await;
    stage.stop().await;
}

/// Status, head in lower case, and body.
async fn get(stage: &Stage, path: &str, more: &str) -> (u16, String, Vec<u8>) {
    let page = stage.node().page().expect("it serves the page");
    let mut stream = TcpStream::connect(page).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("in time").expect("read");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, answer[end + 4..].to_vec())
}

const HERE: &str = "Host: localhost\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_this_machine_fetches_a_picture_and_a_page_of_another_site_does_not() {
    let stage = Stage::start("").await;
    let (status, head, jpeg) = get(&stage, "/snapshot.jpg?width=160", HERE).await;
    assert_eq!(status, 200, "{head}");
    let header = turbojpeg::read_header(&jpeg).expect("a JPEG");
    assert_eq!((header.width, header.height), (160, 90));
    for line in ["content-type: image/jpeg", "cache-control: no-store", "cross-origin-resource-policy: same-origin"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("access-control"), "{head}");
    for (path, more, status) in [
        ("/snapshot.jpg?camera=main", HERE, 200),
        ("/snapshot.jpg?camera=cellar", HERE, 404),
        ("/snapshot.jpg?width=5", HERE, 400),
        ("/snapshot.jpg?width=x", HERE, 400),
        ("/snapshot.jpg?token=abc", HERE, 400),
        ("/snapshot.jpg", "Host: rebound.example\r\n", 403),
    ] {
        let (answered, head, body) = get(&stage, path, more).await;
        assert_eq!(answered, status, "{path}: {}", String::from_utf8_lossy(&body));
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
        if status == 200 {
            let whole = turbojpeg::read_header(&body).expect("a JPEG");
            assert_eq!((whole.width, whole.height), (320, 180), "{path}");
        }
    }
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(get(&stage, "/snapshot.jpg", HERE).await);
    }
    let limited = answers.iter().find(|(status, ..)| *status == 429);
    assert!(limited.is_some_and(|(_, head, _)| head.contains("retry-after: ")), "a limit for all of them together");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_same_tokens_count_as_over_the_broker() {
    let folder = tempfile::tempdir().expect("there is room");
    let key = key(folder.path(), "k", "EdDSA").await;
    let stage = Stage::start(&format!("[access]\nmode = 'token'\n{key}")).await;
    let private = folder.path().join("k.private.pem");
    let private = private.to_str().expect("UTF-8");
    let token = async |peer: &str, scope: &str| {
        let made =
            ["token", "--json", "--node", "stage", "--for", "1h", "--key", private, "--peer", peer, "--scope", scope];
        let said: Value = serde_json::from_str(&printed(BINARY, &made).await).expect("JSON");
        said["token"].as_str().expect("a token").to_owned()
    };
    let (all, other, blind) = (token("*", "view").await, token("tab", "view").await, token("*", "files").await);
    let bearer = |token: &str| format!("{HERE}Authorization: Bearer {token}\r\n");
    let (status, head, _) = get(&stage, "/snapshot.jpg", HERE).await;
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    for wrong in [bearer("junk"), bearer(&other), bearer(&blind)] {
        assert_eq!(get(&stage, "/snapshot.jpg", &wrong).await.0, 403, "{wrong}");
    }
    assert_eq!(get(&stage, "/snapshot.jpg", &bearer(&all)).await.0, 200);
    let basic = STANDARD.encode(format!("any:{all}"));
    assert_eq!(
        get(&stage, "/snapshot.jpg", &format!("Host: cam.example\r\nAuthorization: Basic {basic}\r\n")).await.0,
        200
    );
    stage.stop().await;
}
