//! The command line as other programs see it.

use std::process::Command;

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
