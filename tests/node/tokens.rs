//! Tokens from end to end: keys and tokens made by the program and by the shipped example, a node that asks for them,
//! and viewers with and without.

use std::fs;
use std::path::Path;

use super::stage::{Stage, Watch, command, eventually};
use super::{Duration, SOON};

/// What a command prints; it must succeed.
pub async fn printed(program: &str, args: &[&str]) -> String {
    let output = command(program, args).output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_camera-node");

/// Makes a key in `folder` and gives the section of the config that names it.
pub async fn key(folder: &Path, kid: &str, algorithm: &str) -> String {
    let folder = folder.to_str().expect("UTF-8");
    let said = printed(BINARY, &["keys", "make", "--kid", kid, "--algorithm", algorithm, "--dir", folder]).await;
    said[said.find("[[access.keys]]").expect("a section to copy")..].to_owned()
}

/// Why a viewer was not let in.
async fn refused(stage: &Stage, options: &[&str]) -> String {
    let output = Watch::command(stage, options).output().await.expect("the binary runs");
    assert!(!output.status.success(), "it was let in");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_token_watches_and_only_until_it_ends_or_is_revoked() {
    let folder = tempfile::tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (eddsa, hs256) = (key(folder.path(), "new", "EdDSA").await, key(folder.path(), "old", "HS256").await);
    fs::write(at("revoked"), "").expect("there is room");
    let revoked = at("revoked");
    let stage = Stage::start(&format!("[access]\nmode = 'token'\nrevoked_file = '{revoked}'\n{eddsa}\n{hs256}")).await;

    let none = refused(&stage, &["--patience", "10"]).await;
    assert!(none.contains("A token is needed to watch this camera."), "{none}");

    let made = ["token", "--json", "--peer", "watch-*", "--key", &at("new.private.pem"), "--node"];
    let make = async |node: &str, lasts: &str| {
        let said = printed(BINARY, &[&made[..], &[node, "--for", lasts]].concat()).await;
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        fs::write(at("token"), said["token"].as_str().expect("a token")).expect("there is room");
        said["jti"].as_str().expect("its name").to_owned()
    };
    let token = at("token");
    let with_token = ["--token-file", token.as_str()];

    make("cellar", "1h").await;
    let other = refused(&stage, &with_token).await;
    assert!(other.contains("The token is refused: it is for another camera."), "{other}");

    make("stage", "6s").await;
    let over = Watch::command(&stage, &with_token).output().await.expect("the binary runs");
    assert_eq!(over.status.code(), Some(1));
    let words = String::from_utf8_lossy(&over.stderr);
    assert!(words.contains("The right to watch has ended."), "{words}");
    let told: serde_json::Value = serde_json::from_slice(&over.stdout).expect("JSON");
    let error = told["error"].as_str().expect("why it ended");
    assert!(error.contains("has ended") && told["frames"].as_u64() > Some(0), "with what was seen: {told}");

    let mut steps = stage.node().events();
    make("stage", "8s").await;
    let viewer = Watch::start(&stage, &[&with_token[..], &["--seconds", "12"]].concat());
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    make("stage", "1h").await;
    let seen = viewer.report().await;
    assert!(seen.frames >= 200, "12 s at 30 fps, on a machine that does other things too: {seen:?}");
    let joins = std::iter::from_fn(|| steps.try_recv().ok()).filter(|event| event.step.name() == "join").count();
    assert_eq!(joins, 1, "one session, beyond its first token: {seen:?}");

    let jti = make("stage", "1h").await;
    let viewer = Watch::start(&stage, &with_token);
    eventually("it watches", SOON, || stage.viewers() == 1).await;
    fs::write(&revoked, format!("{jti}\n")).expect("there is room");
    eventually("it is shown out", Duration::from_secs(20), || stage.viewers() == 0).await;
    drop(viewer);

    // A customer's backend, in another language, with the other key.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/make-token.py");
    let script = script.to_str().expect("UTF-8");
    let said = printed("python3", &[script, &at("old.secret"), "old", "stage", "watch-*", "view", "60"]).await;
    fs::write(&token, said).expect("there is room");
    let seen = Watch::start(&stage, &[&with_token[..], &["--seconds", "1"]].concat()).report().await;
    assert!(seen.frames >= 3, "{seen:?}");
    stage.stop().await;
}
