//! The command line as other programs see it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use qrcode::{Color, EcLevel, QrCode};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::ports::free_ports;
use crate::stage::{SMALL, Watch, place};

/// Exit code and standard output.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_camera-node")).args(args).output().expect("the binary runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn who_asks_for_json_gets_json_also_of_a_bad_config() {
    let config = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(config.path(), "[brokr]\n").expect("there is room");
    let path = config.path().display().to_string();
    let (code, said) = run(&["check", "--json", "--config", &path]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &said[0]["part"], &said[0]["ok"]), (Some(2), &"config".into(), &false.into()));
    assert!(said[0]["detail"].as_str().is_some_and(|detail| detail.contains("nearest is `broker`")), "{said}");

    for failing in [
        &["token", "--json", "--key", "/nowhere", "--peer", "v-*", "--node", "x", "--for", "1h"][..],
        &["ring", "--json", "--socket", "/nowhere"],
        &["link", "--json", "--config", &path],
    ] {
        let (code, said) = run(failing);
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let error = said["error"].as_str().expect("an error");
        assert!(code != Some(0) && (error.contains("/nowhere") || error.contains("brokr")), "{failing:?}: {error}");
    }

    let (code, said) = run(&["watch", "--json", "--node", "x", "--broker", "mqtt://h", "--password-file", "/nowhere"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(1));
    assert!(said["error"].as_str().is_some_and(|error| error.contains("/nowhere")), "{said}");
}

#[test]
fn ring_without_a_bell_names_all_three_ways_to_one() {
    let output = Command::new(env!("CARGO_BIN_EXE_camera-node")).arg("ring").output().expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    for way in ["--config <FILE>", "--socket <PATH>", "--broker <URL>"] {
        assert!(said.contains(way), "{way}: {said}");
    }
    let both = ["ring", "--config", "x", "--socket", "y"];
    let output = Command::new(env!("CARGO_BIN_EXE_camera-node")).args(both).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
}

/// A node with a broker of its own, and where that takes viewers.
fn of_its_own(folder: &TempDir) -> (std::path::PathBuf, String) {
    let [http, mqtt, websocket] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let page = SMALL.replace("127.0.0.1:0", &http);
    assert_ne!(page, SMALL);
    let own = format!("embedded = true\nembedded_bind = \"{mqtt}\"\nembedded_websocket_bind = \"{websocket}\"\n");
    let config = folder.path().join("node.toml");
    std::fs::write(&config, format!("{page}\n[broker]\n{own}")).expect("there is room");
    (config, format!("mqtt://{mqtt}"))
}

fn check(config: &Path) -> (Option<i32>, String) {
    run(&["check", "--config", &config.display().to_string()])
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_no_fault_in_what_the_node_that_runs_has_and_in_all_that_another_has() {
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let (config, _) = of_its_own(&folder);
    assert_eq!(check(&config).0, Some(0), "nobody runs yet");
    let node = Daemon::start(&config, &[]);
    node.says("broker connection up").await;
    let (code, said) = check(&config);
    let in_use = said.matches("is in use by the node that runs with this config (process ").count();
    assert_eq!((code, in_use), (Some(0), 3), "http and the broker's two: {said}");

    let other = folder.path().join("other.toml");
    std::fs::copy(&config, &other).expect("there is room");
    let (code, said) = check(&other);
    assert_eq!((code, said.matches("camera-node (process ").count()), (Some(1), 3), "{said}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_node_at_once() {
    let _place = place().await;
    let folder = tempfile::tempdir().expect("there is room");
    let (config, broker) = of_its_own(&folder);
    let node = Daemon::start(&config, &[]);
    node.says("broker connection up").await;
    let viewer = Watch::at(&broker, &[]);
    node.says("step=\"connected\"").await;
    // It does not take its leave, which is waited for.
    viewer.freeze();
    node.signal(Signal::INT);
    node.says("stopping").await;
    node.signal(Signal::TERM);
    let code = tokio::time::timeout(Duration::from_secs(15), node.exit_code()).await.expect("it ends");
    assert_eq!(code, Some(130));
    viewer.kill();
}

#[test]
fn devices_are_listed_for_people_and_for_programs() {
    let (code, said) = run(&["devices", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(0));
    for list in ["cameras", "sound"] {
        assert!(said[list].is_array(), "{list}: {said}");
    }
    let (code, said) = run(&["devices"]);
    assert_eq!(code, Some(0));
    assert!(["Cameras", "Microphones", "Speakers"].iter().all(|kind| said.contains(kind)), "{said}");
}

/// The modules of the code in what `link` prints, true for dark ones: half a character each, drawn where it is light.
fn modules(said: &str) -> Vec<Vec<bool>> {
    let drawn = said.lines().skip_while(|line| !line.is_empty()).skip(1);
    let drawn = drawn.take_while(|line| line.chars().all(|half| " \u{2580}\u{2584}\u{2588}".contains(half)));
    let rows = |line: &str| {
        let half = |light: &str| line.chars().map(|half| !light.contains(half)).collect::<Vec<_>>();
        [half("\u{2580}\u{2588}"), half("\u{2584}\u{2588}")]
    };
    drawn.flat_map(rows).collect()
}

/// The modules of this code within four light ones at each side.
fn framed(code: &QrCode) -> Vec<Vec<bool>> {
    let (width, quiet) = (code.width(), 4);
    let is_dark = |x: usize, y: usize| {
        let within = x >= quiet && y >= quiet && x < width + quiet && y < width + quiet;
        within && code[(x - quiet, y - quiet)] == Color::Dark
    };
    (0..width + 2 * quiet).map(|y| (0..width + 2 * quiet).map(|x| is_dark(x, y)).collect()).collect()
}

#[test]
fn a_link_is_printed_and_drawn_for_a_terminal_of_eighty_columns() {
    let folder = tempfile::tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (code, said) = run(&["link"]);
    assert_eq!((code, said.lines().next()), (Some(0), Some("http://127.0.0.1:8080/")), "{said}");
    // What has no partner at the lower edge is not drawn.
    let drawn = modules(&said);
    let short = QrCode::new("http://127.0.0.1:8080/").expect("short");
    assert_eq!(drawn[..drawn.len() - 1], framed(&short), "{said}");

    let keys = ["keys", "make", "--kid", "k", "--dir", &at("")];
    assert_eq!(run(&keys).0, Some(0));
    for (id, fits) in [("front-door", true), ("x".repeat(48).as_str(), false)] {
        let config = at("node.toml");
        // As the node makes it on its first start.
        std::fs::create_dir(at(id)).expect("there is room");
        std::fs::write(at(&format!("{id}/broker-password")), "BQQ1DmGxTnbk9jRZ6wCvJw\n").expect("there is room");
        let text = format!(
            "[node]\nid = '{id}'\nstate_folder = '{}'\n[broker]\nembedded = true\n[http]\nbind = '192.0.2.7:8080'\n\
             [access]\nmode = 'token'\n[[access.keys]]\nkid = 'k'\nfile = '{}'\n",
            at(""),
            at("k.public.pem")
        );
        std::fs::write(&config, text).expect("there is room");
        let (code, said) = run(&["link", "--config", &config, "--scope", "view,talk,control,files"]);
        assert_eq!(code, Some(0), "{said}");
        let link = said.lines().next().expect("a link");
        let begins = format!("http://camera-{id}.local:8080/#password=BQQ1DmGxTnbk9jRZ6wCvJw&token=");
        assert!(link.starts_with(&begins), "{link}");
        let drawn = modules(&said);
        let long = QrCode::with_error_correction_level(link, EcLevel::L).expect("it fits");
        assert_eq!(drawn[..drawn.len() - 1], framed(&long), "{said}");
        let columns = drawn[0].len();
        let words = format!("A phone can read it in a terminal of {columns} columns or more.");
        assert_eq!((columns <= 80, said.contains(&words)), (fits, !fits), "{columns}: {said}");
        assert!(said.ends_with("Whoever has this link can watch.\n"), "{said}");
    }
}
