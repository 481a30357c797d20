//! Bytes over data channels: still pictures, and the files of one folder.

use std::os::unix::fs::symlink;
use std::path::Path;

use camera_node::access::Sha256;
use camera_node::control::config::Files;
use camera_node::peer::{Channel, ChannelEnd, Message};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::SOON;
use crate::hand::{Hand, ask, next, told};
use crate::stage::Stage;
use crate::tokens::{BINARY, key, printed};

/// Asks on a channel of bytes, and gives what is told before them.
async fn request(channel: &mut Channel, request: Value) -> Value {
    channel.outgoing().send(Message::text(request.to_string())).await.expect("the channel is open");
    told(channel).await
}

/// The next bytes, at least so many.
async fn bytes(channel: &mut Channel, least: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < least {
        let message = next(channel).await;
        assert!(!message.text && message.data.len() <= 16_384, "{} bytes", message.data.len());
        all.extend(message.data);
    }
    all
}

fn sha256(bytes: &[u8]) -> String {
    let mut hash = Sha256::default();
    hash.update(bytes);
    hash.hex()
}

/// A folder with a clip that no two blocks of are alike, and with what is not to be seen, beside a secret.
fn media(base: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let folder = base.join("media");
    std::fs::create_dir_all(folder.join("deeper")).expect("there is room");
    std::fs::write(base.join("secret"), "secret").expect("there is room");
    std::fs::write(folder.join(".hidden"), "hidden").expect("there is room");
    std::fs::write(folder.join("deeper/clip"), "deeper").expect("there is room");
    symlink("../secret", folder.join("link")).expect("there is room");
    let mut random = fastrand::Rng::with_seed(3);
    let clip: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3_000_001).collect();
    std::fs::write(folder.join("clip.mp4"), &clip).expect("there is room");
    (folder, clip)
}

async fn with(folder: &Path) -> Stage {
    Stage::with(|config| config.files = Files { folder: Some(folder.to_owned()) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_on_after_the_connection_broke_and_is_the_same() {
    let base = tempfile::tempdir().expect("there is room");
    let (folder, clip) = media(base.path());
    let stage = with(&folder).await;
    let mut hand = Hand::join(&stage.broker_url(), "one", (true, &["control", "files"]), None).await;
    hand.channel("control").await;
    let mut files = hand.open("files").await;
    let begun = request(&mut files, json!({"do": "fetch", "name": "clip.mp4"})).await;
    assert_eq!((&begun["bytes"], &begun["sha256"]), (&json!(3_000_001), &json!(sha256(&clip))), "{begun}");
    let mut got = bytes(&mut files, 1_000_000).await;
    // Gone in the middle, without a word.
    drop((files, hand));

    let mut hand = Hand::join(&stage.broker_url(), "two", (true, &["control", "files"]), None).await;
    hand.channel("control").await;
    let mut files = hand.open("files").await;
    let again = request(&mut files, json!({"do": "fetch", "name": "clip.mp4", "offset": got.len()})).await;
    assert_eq!((&again["sha256"], &again["offset"]), (&begun["sha256"], &json!(got.len())), "{again}");
    let left = clip.len() - got.len();
    got.extend(bytes(&mut files, left).await);
    assert!(got == clip, "{} bytes", got.len());
    // The same channel takes the next request.
    let end = request(&mut files, json!({"do": "fetch", "name": "clip.mp4", "offset": clip.len()})).await;
    assert_eq!(end["offset"], clip.len(), "{end}");
    assert_eq!(request(&mut files, json!({"do": "list"})).await["files"][0]["name"], "clip.mp4");
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_seen_or_taken_away_but_the_folders_own_files() {
    let base = tempfile::tempdir().expect("there is room");
    let (folder, _) = media(base.path());
    let stage = with(&folder).await;
    let mut hand = Hand::join(&stage.broker_url(), "one", (false, &["control", "files"]), None).await;
    hand.channel("control").await;
    let mut files = hand.open("files").await;
    let list = request(&mut files, json!({"do": "list"})).await;
    let names: Vec<&Value> = list["files"].as_array().expect("a list").iter().map(|file| &file["name"]).collect();
    assert_eq!(names, ["clip.mp4"]);
    let secret = base.path().join("secret");
    for (name, code) in [
        ("missing", 80),
        ("link", 80),
        ("deeper", 80),
        (".hidden", 10),
        ("..", 10),
        ("../secret", 10),
        ("deeper/clip", 10),
        (secret.to_str().expect("UTF-8"), 10),
        ("clip.mp4\0", 10),
        ("", 10),
    ] {
        for what in ["fetch", "delete"] {
            let answer = request(&mut files, json!({"do": what, "name": name})).await;
            assert_eq!(answer["error"]["code"], code, "{what} {name:?}: {answer}");
        }
    }
    let beyond = request(&mut files, json!({"do": "fetch", "name": "clip.mp4", "offset": 3_000_002})).await;
    assert_eq!((&beyond["error"]["code"], &beyond["error"]["range"]["maximum"]), (&json!(61), &json!(3_000_001)));
    assert_eq!(request(&mut files, json!({"do": "delete", "name": "clip.mp4"})).await, json!({"deleted": "clip.mp4"}));
    assert_eq!(request(&mut files, json!({"do": "list"})).await, json!({"files": []}));
    assert!(!folder.join("clip.mp4").exists() && folder.join("deeper/clip").exists() && secret.exists());
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_folder_has_no_such_channel_and_says_so() {
    let stage = Stage::start("").await;
    let mut hand = Hand::join(&stage.broker_url(), "one", (false, &["control", "files"]), None).await;
    let mut control = hand.channel("control").await;
    let _files = hand.open("files").await;
    let event = told(&mut control).await;
    assert_eq!((&event["event"], &event["params"]["error"]["code"]), (&json!("channelClosed"), &json!(70)), "{event}");
    hand.leave().await;
    stage.stop().await;
}

/// Waits until the node has closed it, whatever it says before.
async fn is_closed(channel: &mut Channel) {
    let ended = async { while channel.next().await.is_ok() {} };
    timeout(SOON, ended).await.expect("it is closed");
    assert_eq!(channel.next().await, Err(ChannelEnd::Closed));
}

/// What is told of the end of a channel `files`: the error's number and its words.
async fn refusal(control: &mut Channel) -> (Value, String) {
    let event = told(control).await;
    assert_eq!((&event["event"], &event["params"]["label"]), (&json!("channelClosed"), &json!("files")), "{event}");
    let error = &event["params"]["error"];
    assert_eq!(error["name"], "NotAllowedError", "{event}");
    (error["code"].clone(), error["message"].as_str().expect("words").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_files_nothing_is_done_and_the_viewer_is_told_why() {
    let base = tempfile::tempdir().expect("there is room");
    let (folder, _) = media(base.path());
    let section = key(base.path(), "k", "HS256").await;
    let stage = Stage::start(&format!("[files]\nfolder = {folder:?}\n[access]\nmode = 'token'\n{section}")).await;
    let secret = base.path().join("k.secret");
    let token = async |scope: &str| {
        let secret = secret.to_str().expect("UTF-8");
        let made = ["token", "--peer", "hand", "--key", secret, "--node", "stage", "--for", "1h", "--scope", scope];
        printed(BINARY, &made).await
    };
    let first = token("view,control").await;
    let mut hand = Hand::join(&stage.broker_url(), "hand", (false, &["control"]), Some(&first)).await;
    let mut control = hand.channel("control").await;
    let needs = (json!(20), "this channel needs the scope files".to_owned());

    // Asked in one breath with the opening: it may be there before the node has looked at anything.
    let mut files = hand.open("files").await;
    let _ = files.outgoing().send(Message::text(json!({"do": "delete", "name": "clip.mp4"}).to_string())).await;
    is_closed(&mut files).await;
    assert_eq!(refusal(&mut control).await, needs);
    assert!(folder.join("clip.mp4").exists(), "nothing was done");
    // The session goes on.
    assert_eq!(ask(&mut control, "describe", json!({})).await["result"]["cameras"][0]["name"], "main");

    hand.renew(&token("view,control,files").await);
    let mut files = hand.reopen("files").await;
    // The new token has its way through the broker: until it is there, channels are closed as before.
    let begun = loop {
        let asked = json!({"do": "fetch", "name": "clip.mp4"}).to_string();
        let sent = files.outgoing().send(Message::text(asked)).await.is_ok();
        match timeout(SOON, files.next()).await.expect("an answer or an end") {
            Ok(message) if sent => break serde_json::from_slice::<Value>(&message.data).expect("JSON"),
            _ => {
                assert_eq!(refusal(&mut control).await, needs);
                files = hand.reopen("files").await;
            }
        }
    };
    assert_eq!(begun["bytes"], 3_000_001, "{begun}");

    // In the middle of the file.
    bytes(&mut files, 16_384).await;
    hand.renew(&token("view,control").await);
    is_closed(&mut files).await;
    assert_eq!(refusal(&mut control).await, needs);
    hand.leave().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_still_pictures_at_full_size_one_after_the_other() {
    let folder = tempfile::tempdir().expect("there is room");
    let stage = Stage::with(|config| config.node.state_folder = Some(folder.path().to_owned())).await;
    let mut hand = Hand::join(&stage.broker_url(), "one", (false, &["control", "snapshot"]), None).await;
    let mut control = hand.channel("control").await;
    // It sees nothing: the camera is opened for each picture.
    assert_eq!(stage.viewers(), 0);
    let mut snapshot = hand.open("snapshot").await;
    for (asked, size) in [
        (json!({}), (320, 180)),
        (json!({"camera": "main", "quality": 100}), (320, 180)),
        (json!({"width": 64}), (64, 36)),
    ] {
        let header = request(&mut snapshot, asked).await;
        assert_eq!((&header["camera"], &header["type"]), (&json!("main"), &json!("image/jpeg")), "{header}");
        let length = usize::try_from(header["bytes"].as_u64().expect("a number")).expect("few");
        let jpeg = bytes(&mut snapshot, length).await;
        assert_eq!(jpeg.len(), length);
        let read = turbojpeg::read_header(&jpeg).expect("a JPEG");
        assert_eq!((read.width, read.height), size);
        assert_eq!((&header["width"], &header["height"]), (&json!(size.0), &json!(size.1)));
    }
    for (asked, code) in [(json!({"camera": "cellar"}), 30), (json!({"width": 1}), 10), (json!("x"), 10)] {
        assert_eq!(request(&mut snapshot, asked.clone()).await["error"]["code"], code, "{asked}");
    }
    ask(&mut control, "camera.privacy", json!({"camera": "main", "on": true})).await;
    assert_eq!(request(&mut snapshot, json!({})).await["error"]["code"], 33);
    hand.leave().await;
    stage.stop().await;
}
