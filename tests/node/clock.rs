//! A clock that is wrong at the start, as that of a board without a battery is: it is told by the time at which the program
//! was built, and by the latest time that a run before has kept.

use std::path::{Path, PathBuf};

use crate::certificates::Authority;
use crate::daemon::Daemon;
use crate::lacking::left_out_for;
use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::stage::{SMALL, Watch, command, embedded_broker, place};

/// libfaketime, wherever Debian puts it on this machine; says so if not.
pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").expect("linux").flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    if found.is_none() {
        left_out_for("libfaketime");
    }
    found
}

/// The node, with a clock that is so far off.
fn run(config: &Path, library: &Path, off: &str) -> Daemon {
    let library = library.display().to_string();
    // Only the wall clock: pictures are paced by the other.
    Daemon::start(config, &[("LD_PRELOAD", &library), ("FAKETIME", off), ("DONT_FAKE_MONOTONIC", "1")])
}

async fn token(folder: &Path, lasts: &str) -> String {
    let key = folder.join("k.private.pem").display().to_string();
    let args = ["token", "--key", &key, "--peer", "watch-*", "--node", "stage", "--for", lasts];
    let output = command(env!("CARGO_BIN_EXE_camera-node"), &args).output().await.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = folder.join(format!("token-{lasts}"));
    std::fs::write(&file, output.stdout).expect("there is room");
    file.display().to_string()
}

/// What a viewer with this token says that is not let in.
async fn refused(broker: &str, token: &str) -> String {
    let args = ["watch", "--node", "stage", "--broker", broker, "--token-file", token, "--patience", "5"];
    let output = command(env!("CARGO_BIN_EXE_camera-node"), &args).output().await.expect("the binary runs");
    assert!(!output.status.success(), "it was let in");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_with_a_clock_far_behind_judges_tokens_by_the_time_it_has_seen() {
    let Some(library) = faketime() else { return };
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let keys = folder.path().display().to_string();
    let args = ["keys", "make", "--kid", "k", "--algorithm", "EdDSA", "--dir", &keys];
    let made = command(env!("CARGO_BIN_EXE_camera-node"), &args).output().await.expect("the binary runs");
    let made = String::from_utf8(made.stdout).expect("text");
    let key = &made[made.find("[[access.keys]]").expect("a section to copy")..];
    let any = ([127, 0, 0, 1], 0).into();
    let broker = embedded_broker(any, any).await;
    let url = format!("mqtt://{}", broker.tcp_addr());
    let clock = folder.path().join("clock");
    let config = folder.path().join("node.toml");
    let text = format!("{SMALL}\n[broker]\nurl = '{url}'\n[access]\nmode = 'token'\nclock_file = {clock:?}\n{key}\n");
    std::fs::write(&config, text).expect("there is room");
    let kept = || -> u64 {
        let text = std::fs::read_to_string(&clock).expect("it was kept");
        text.trim().parse().expect("a number")
    };
    // Two that were made today, and it is a month later.
    let (lasting, ended) = (token(folder.path(), "60d").await, token(folder.path(), "20d").await);

    // The first start of all: nothing tells the time but the program itself.
    let node = run(&config, &library, "-9000d");
    node.says("broker connection up").await;
    node.says("part=\"clock\" state=\"away\" detail=\"stands before a time that has passed").await;
    let unknown = refused(&url, &lasting).await;
    assert!(unknown.contains("does not know the time"), "{unknown}");
    node.stop().await;
    assert!(!clock.exists(), "such a time is not kept");

    let node = run(&config, &library, "+30d");
    node.says("broker connection up").await;
    let seen = Watch::at(&url, &["--token-file", &lasting, "--seconds", "1"]).report().await;
    assert!(seen.frames >= 3, "{seen:?}");
    assert!(refused(&url, &ended).await.contains("The token has expired."));
    let log = node.stop().await;
    assert!(!log.contains("part=\"clock\" state=\"away\""), "{log}");
    let latest = kept();
    let now = camera_node::sys::since_unix_epoch().as_secs();
    assert!(latest.abs_diff(now + 30 * 86_400) < 600, "{latest}, and it is {now}");

    // Later than the program was built, and before what was seen; then before both.
    for off in ["+10d", "-9000d"] {
        let node = run(&config, &library, off);
        node.says("broker connection up").await;
        node.says("part=\"clock\" state=\"away\" detail=\"stands before a time that has passed").await;
        let unknown = refused(&url, &lasting).await;
        assert!(unknown.contains("does not know the time"), "{off}: {unknown}");
        let over = refused(&url, &ended).await;
        assert!(over.contains("The token has expired."), "by the kept time too, {off}: {over}");
        node.stop().await;
        assert_eq!(kept(), latest, "the floor holds, {off}");
    }

    let node = run(&config, &library, "+31d");
    node.says("broker connection up").await;
    let seen = Watch::at(&url, &["--token-file", &lasting, "--seconds", "1"]).report().await;
    assert!(seen.frames >= 3, "the clock is right again: {seen:?}");
    node.stop().await;
    assert!(kept() > latest);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_certificate_is_not_valid_yet_is_reached_when_the_clock_is_set() {
    let Some(library) = faketime().filter(|_| is_installed()) else { return };
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let ca = Authority::new(folder.path(), "ours");
    let pair = ca.sign("broker", &["localhost"]);
    let [port] = free_ports();
    let (cert, key) = (pair.cert_file.display(), pair.key_file.display());
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {cert}\nkeyfile {key}\n");
    let broker = Mosquitto::start(folder.path(), &text, &[port]).await;
    let config = folder.path().join("node.toml");
    let (url, ca_file) = (format!("mqtts://localhost:{port}"), ca.ca_file.display());
    let text =
        format!("{SMALL}\n[broker]\nurl = '{url}'\nca_file = '{ca_file}'\n[access]\ni_trust_the_broker = true\n");
    std::fs::write(&config, text).expect("there is room");
    // As a board without a battery starts, until it has asked a time server.
    std::fs::write(at("offset"), "-9000d").expect("there is room");
    let (library, offset) = (library.display().to_string(), at("offset"));
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &offset),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let node = Daemon::start(&config, &variables);
    node.says("this machine's clock is wrong, set it").await;
    assert!(!node.log().contains("broker connection up"), "{}", node.log());
    std::fs::write(&offset, "+0").expect("there is room");
    node.says("broker connection up").await;
    node.stop().await;
    drop(broker);
}
