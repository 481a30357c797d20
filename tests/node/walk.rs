//! What `deploy/README.md` tells people to type and to write.
//!
//! Each block of commands there is marked: `<!-- run: NAME -->` is run here, `<!-- ring: NAME -->` by that ring of `tests/run`,
//! and `<!-- needs: … -->` needs what no test has; of such a block our own commands are read as the program would.

use std::path::Path;
use std::process::Command;

use camera_node::cli::Cli;
use camera_node::config::Config;
use clap::Parser;

const README: &str = include_str!("../../deploy/README.md");
const PACKAGED: &str = include_str!("../../deploy/package/camera-node.toml");
const RINGS: &str = include_str!("../run");

/// A fenced block of a Markdown text.
#[derive(Debug, PartialEq)]
struct Block<'a> {
    /// What stands in the line before it.
    mark: &'a str,
    language: &'a str,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let (mut found, mut before) = (Vec::new(), "");
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            found.push(Block { mark: before, language, text });
        }
        before = line;
    }
    found
}

/// What a mark says of a block: `("run", "authority")`.
fn said(mark: &str) -> Option<(&str, &str)> {
    mark.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")
}

/// Why a block of commands must not stand there so.
fn complaint(block: &Block<'_>) -> Option<String> {
    let is_ring = |name: &str| RINGS.contains(&format!("\nring_{name}() {{"));
    match said(block.mark) {
        Some(("run", name)) if RUN.contains(&name) => None,
        Some(("ring", names)) if names.split(' ').all(is_ring) => None,
        Some(("needs", what)) if !what.trim().is_empty() => {
            let wrong = ours(&block.text).into_iter().find_map(|line| Cli::try_parse_from(line).err());
            wrong.map(|error| format!("{error}\n{}", block.text))
        }
        _ => Some(format!("not marked, or with what nobody runs ({:?}):\n{}", block.mark, block.text)),
    }
}

/// The lines of our own program among the commands, as words.
fn ours(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // What it is a command after: elsewhere it is a user's, a unit's or a policy's name.
        let is_command = |at: usize| {
            words[at] == "camera-node" && (at == 0 || matches!(words[at - 1], "sudo" | "&&" | "root@porch.local"))
        };
        let from = (0..words.len()).find(|at| is_command(*at)).unwrap_or(words.len());
        let words = words[from..].iter().take_while(|word| !matches!(**word, "#" | "&&" | "|" | ";" | "||"));
        words.map(|word| word.trim_matches(['\'', '"']).to_owned()).collect::<Vec<_>>()
    };
    text.lines().map(of_line).filter(|words| !words.is_empty()).collect()
}

/// The blocks that are run, each by a test below.
const RUN: &[&str] = &["authority", "broker-authority", "token", "aws-files"];

/// A folder in which a block finds what it names.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("there is room"));
        for folder in ["bin", "etc", "state"] {
            std::fs::create_dir(place.path().join(folder)).expect("there is room");
        }
        let program = env!("CARGO_BIN_EXE_camera-node");
        std::os::unix::fs::symlink(program, place.path().join("bin/camera-node")).expect("ours");
        let sudo = place.path().join("bin/sudo");
        std::fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").expect("there is room");
        std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        std::os::unix::fs::symlink(shipped, place.path().join("deploy")).expect("ours");
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn moved(&self, text: &str) -> String {
        let at = |name: &str| format!("{}/{name}", self.path().display());
        text.replace("/etc/camera-node", &at("etc")).replace("/var/lib/camera-node", &at("state"))
    }

    /// Runs a block, and then more; what both say.
    fn run(&self, name: &str, more: &str) -> String {
        let blocks = blocks(README);
        let block = blocks.iter().find(|block| said(block.mark) == Some(("run", name))).expect("it is in the README");
        let path = format!("{}/bin:{}", self.path().display(), std::env::var("PATH").unwrap_or_default());
        let script = format!("set -euo pipefail\n{}{more}", self.moved(&block.text));
        let mut bash = Command::new("bash");
        let output =
            bash.args(["-c", &script]).current_dir(self.path()).env("PATH", path).output().expect("bash is there");
        let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {told}{complained}");
        told.into_owned()
    }
}

#[test]
fn every_command_is_run_by_a_test_or_says_what_it_needs() {
    let complaints: Vec<String> =
        blocks(README).iter().filter(|block| block.language == "sh").filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn an_unmarked_block_and_a_misspelt_command_are_seen() {
    let of = |mark: &str, text: &str| complaint(&blocks(&format!("{mark}\n```sh\n{text}\n```\n"))[0]);
    for (mark, text) in [
        ("", "true"),
        ("<!-- run: nothing-known -->", "true"),
        ("<!-- ring: moon -->", "true"),
        ("<!-- needs:  -->", "true"),
        ("<!-- needs: a board -->", "ssh x sudo camera-node chekc --config x && true"),
        ("<!-- needs: a board -->", "ssh root@porch.local camera-node check --confg x"),
        ("<!-- needs: a board -->", "camera-node provision \\\n    --endpiont x"),
    ] {
        assert!(of(mark, text).is_some(), "{mark} {text}");
    }
    for (mark, text) in [
        ("<!-- run: token -->", "anything"),
        ("<!-- ring: cross package -->", "cross/build x"),
        ("<!-- needs: a board -->", "sudo camera-node check --config x  # so\nsudo systemctl restart camera-node"),
    ] {
        assert_eq!(of(mark, text), None, "{mark} {text}");
    }
}

#[test]
fn every_config_is_right() {
    let configs: Vec<_> = blocks(README).into_iter().filter(|block| block.language == "toml").collect();
    assert!(configs.len() >= 5, "only {} found", configs.len());
    for block in configs {
        // Who may watch stands elsewhere in the whole file.
        let text = format!("{}\n[access]\ni_trust_the_broker = true\n", block.text);
        Config::from_text("README.md", &text, []).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn the_authorities_sign_what_their_ca_vouches_for() {
    for (name, signed) in [("authority", &["porch"][..]), ("broker-authority", &["broker", "porch"])] {
        let place = Place::new();
        for signed in signed {
            let told = place.run(name, &format!("openssl verify -CAfile ca.pem {signed}.pem"));
            assert!(told.ends_with(&format!("{signed}.pem: OK\n")), "{told}");
        }
    }
}

#[test]
fn the_packages_config_takes_the_walks_broker_and_makes_links_for_it() {
    let place = Place::new();
    let blocks = blocks(README);
    let of_walk = blocks.iter().find(|block| block.language == "toml").expect("it is the first");
    let rest = PACKAGED.find("# Whoever watches needs a link").expect("[access] follows [broker]");
    let config = place.moved(&format!("{}\n{}", of_walk.text, &PACKAGED[rest..]));
    std::fs::write(place.path().join("etc/camera-node.toml"), config).expect("there is room");
    // As the service does at its first start.
    let made = Command::new(env!("CARGO_BIN_EXE_camera-node"))
        .args(["keys", "make", "--kid", "lan", "--algorithm", "HS256", "--dir"])
        .arg(place.path().join("state"))
        .output();
    assert!(made.expect("the binary runs").status.success());
    let told = place.run("token", "");
    let link = "https://web.example.org/page/#broker=wss://broker.example.org:9443/mqtt&node=porch&token=ey";
    assert!(told.starts_with(link), "{told}");
}

#[test]
fn the_files_for_aws_are_json_without_a_gap() {
    let place = Place::new();
    place.run("aws-files", "");
    for name in ["node-policy", "claim-policy", "viewer-policy", "template"] {
        let text = std::fs::read_to_string(place.path().join(format!("mine/{name}.json"))).expect("made");
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!text.contains("REGION") && !text.contains("ACCOUNT"), "{name}: {text}");
        assert_eq!(text.contains("arn:aws:iot:eu-central-1:123456789012:"), name != "template", "{name}");
    }
}
