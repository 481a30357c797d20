//! The rules of the house, executable: who may use whom, where a crate may be named, how long a file may be.
//!
//! A change of the design changes the tables here in the same commit. Every rule has a twin that feeds it a bad example,
//! so that a rule which no longer sees anything does not pass for one that is kept.

#[path = "architecture/faults.rs"]
mod faults;

use std::path::{Path, PathBuf};

/// What a module may name of another.
#[derive(Clone, Copy)]
enum Part {
    /// Everything public.
    All,
    /// Its section of the config file.
    Config,
    /// What its `mod.rs` re-exports of these files.
    Of(&'static [&'static str]),
}
use Part::{All, Config, Of};

/// Who may use whom. A module that is not listed has no place yet: give it one. `lib.rs` and `main.rs` may use everything.
const EDGES: &[(&str, &[(&str, Part)])] = &[
    ("media", &[]),
    ("sys", &[]),
    ("trust", &[]),
    ("access", &[("media", All)]),
    // Whom a session lets in is decided inside of it, with its own idea of the time, and nowhere else.
    ("session", &[("media", All), ("access", All)]),
    ("rate", &[("media", All)]),
    ("fanout", &[("media", All)]),
    ("capture", &[("media", All), ("sys", All)]),
    ("encode", &[("media", All), ("sys", All)]),
    ("playback", &[("media", All), ("sys", All)]),
    // What a camera's control is, a viewer is shown as the driver tells it.
    ("control", &[("media", All), ("access", All), ("sys", Of(&["control"]))]),
    ("signalling", &[("media", All), ("session", All), ("trust", All)]),
    (
        "peer",
        &[
            ("media", All),
            ("fanout", All),
            ("rate", All),
            ("control", All),
            ("session", Of(&["ids", "port"])),
            // TURN over TCP and TLS: what the kernel may queue, and whose certificate is good.
            ("sys", Of(&["sockets"])),
            ("trust", All),
        ],
    ),
    ("bell", &[("media", All), ("sys", All), ("session", All), ("trust", All)]),
    ("http", &[("media", All), ("session", All), ("signalling", All)]),
    ("config", &[("media", All), ("session", Of(&["ids"])), ("*", Config)]),
    ("node", &[("*", All)]),
    ("cli", &[("*", All)]),
    ("fuzz", &[("*", All)]),
];

/// Crates that only these modules or files know, so that each can be exchanged.
const CRATES: &[(&str, &[&str])] = &[
    ("webrtc", &["peer"]),
    ("rtc", &["peer"]),
    ("rumqttc", &["signalling"]),
    ("mqtt5", &["signalling"]),
    ("openh264", &["encode", "sys/h264_bitrate.rs"]),
    ("openh264_sys2", &["encode", "sys/h264_bitrate.rs"]),
    ("axum", &["http"]),
    ("rust_embed", &["http"]),
    // In `http`: the fingerprint of the page's certificate.
    ("ring", &["access", "signalling", "trust.rs", "http"]),
    // In `peer`: the names that browsers hide their addresses behind.
    ("mdns_sd", &["http", "peer"]),
    // In `cli/provision`: the request for a certificate.
    ("rcgen", &["http", "cli/provision"]),
    ("x509_parser", &["http"]),
    ("qrcode", &["cli"]),
    ("gpiocdev", &["bell"]),
    ("hyper_rustls", &["bell"]),
    ("sd_notify", &["node"]),
    ("aec3", &["playback"]),
];

/// One idea a file.
const MAX_BODY_LINES: usize = 400;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// What may lie at the top, besides dot-files. `target` is cargo's default and ignored by git.
const TOP_LEVEL: &[&str] = &[
    "src",
    "tests",
    "deploy",
    "cross",
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "target",
];

// ── the rules, on this tree ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn modules_use_only_those_the_table_allows() {
    assert_kept(edges_not_in_table(&sources()));
}

#[test]
fn a_crate_behind_a_seam_is_named_only_there() {
    assert_kept(crates_out_of_place(&sources()));
}

#[test]
fn unsafe_stands_only_in_sys() {
    assert_kept(unsafe_outside_sys(&sources()));
}

#[test]
fn a_file_is_at_most_400_lines_before_its_tests() {
    assert_kept(long_bodies(&sources()));
}

#[test]
fn names_say_what_is_inside() {
    assert_kept(empty_names(&tree()));
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    let names = std::fs::read_dir(root())
        .expect("the package has a folder")
        .map(|entry| entry.expect("the folder can be read").file_name().to_string_lossy().into_owned());
    assert_kept(top_level_strangers(names));
}

// ── the same rules, on what they must refuse ────────────────────────────────────────────────────────────────────────

#[test]
fn the_edge_rule_sees_every_spelling_of_a_path() {
    for (path, text) in [
        ("capture/v4l2.rs", "use crate::encode::EncodeError;"),
        ("capture/v4l2.rs", "use crate::{media::Frame, peer};"),
        ("capture/v4l2.rs", "use crate::{self as node, media::{Frame, Pcm}, rate::{self, x}};"),
        ("capture/v4l2.rs", "fn f() { let x = crate::fanout::Ring::new(); }"),
        ("capture/v4l2.rs", "fn f() -> super::super::http::Page { todo() }"),
        ("capture/mod.rs", "use super::peer::Peer;"),
        ("capture/v4l2.rs", "mod tests { use super::super::super::http::Page; }"),
        ("capture/v4l2.rs", "macro_rules! m { () => { $crate::http::f() } }"),
        ("session/node.rs", "#[cfg(test)] mod tests { use crate::signalling::Publish; }"),
        ("peer/mod.rs", "use crate::session::node::NodeCore;"),
        ("peer/mod.rs", "use crate::session::{PeerEvent, NodeCore};"),
        ("peer/mod.rs", "use crate::session; fn f(core: session::NodeCore) {}"),
        ("config.rs", "use crate::http; type Section = http::Page;"),
        ("config.rs", "use crate::encode::openh264::Encoder;"),
        ("nowhere/mod.rs", "use crate::media::Frame;"),
    ] {
        assert!(!edges_not_in_table(&with_session(path, text)).is_empty(), "not seen: {path}: {text}");
    }
}

#[test]
fn the_edge_rule_lets_allowed_paths_pass() {
    for (path, text) in [
        ("capture/v4l2.rs", "use crate::media::{Frame, Pcm}; use super::CaptureError; use crate::sys::v4l2;"),
        ("capture/v4l2.rs", "// use crate::http::Page;\n/* crate::http */ const A: &str = \"crate::http::Page\";"),
        ("capture/v4l2.rs", "fn f<'a>(c: char) { let x = ('\\'', '\"', r#\"crate::http::\"#); } pub(crate) fn g() {}"),
        ("capture/v4l2.rs", "mod tests { use super::super::CaptureError; use super::*; }"),
        ("peer/mod.rs", "use crate::session::{Candidate, PeerCommand, SessionKey};"),
        ("config.rs", "use crate::{capture::config::CameraConfig, media::Bounded};"),
        ("config.rs", "use crate::{http, session::NodeId}; type Section = http::config::HttpConfig;"),
        ("node/mod.rs", "use crate::{capture, http, session};"),
        ("main.rs", "use camera_node::cli;"),
        ("node/mod.rs", "fn f() -> impl Future<Output = ()> + use<> { let x = 1; async move { x; } }"),
    ] {
        assert_kept(edges_not_in_table(&with_session(path, text)));
    }
}

#[test]
fn the_crate_rule_sees_a_crate_out_of_place() {
    for (path, text) in [
        ("node/mod.rs", "use webrtc::peer_connection::Thing;"),
        ("node/mod.rs", "use {std::fmt, rtc::sdp};"),
        ("node/mod.rs", "fn f(x: rumqttc::Event) {}"),
        ("sys/v4l2.rs", "use openh264_sys2 as sys;"),
        ("cli/demo.rs", "fn f() { ::axum::serve(); }"),
    ] {
        assert!(!crates_out_of_place(&one(path, text)).is_empty(), "not seen: {path}: {text}");
    }
    for (path, text) in [
        ("peer/mod.rs", "use webrtc::peer_connection::Thing; // rumqttc::"),
        ("sys/h264_bitrate.rs", "use openh264_sys2::API;"),
        ("session/mod.rs", "use crate::webrtc::X; struct rtc; mod a { use super::mqtt5::X; }"),
    ] {
        assert_kept(crates_out_of_place(&one(path, text)));
    }
}

#[test]
fn the_unsafe_rule_sees_it_outside_sys() {
    assert!(!unsafe_outside_sys(&one("capture/mod.rs", "fn f() { unsafe { g() } }")).is_empty());
    assert_kept(unsafe_outside_sys(&one("sys/mod.rs", "fn f() { unsafe { g() } }")));
    assert_kept(unsafe_outside_sys(&one(
        "capture/mod.rs",
        "#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";",
    )));
}

#[test]
fn the_length_rule_counts_up_to_the_tests() {
    let lines = |n: usize| "fn f() {}\n".repeat(n);
    assert!(!long_bodies(&one("media/mod.rs", &lines(401))).is_empty());
    assert!(!long_bodies(&one("media/mod.rs", &format!("#[cfg(test)]\nuse a;\n{}", lines(400)))).is_empty());
    assert_kept(long_bodies(&one(
        "media/mod.rs",
        &format!("{}#[cfg(test)]\nmod tests {{\n{}}}", lines(400), lines(500)),
    )));
    assert_kept(long_bodies(&one("media/tests.rs", &lines(900))));
}

#[test]
fn the_name_rules_see_bad_names() {
    assert!(!empty_names(&[PathBuf::from("src/peer/utils.rs")]).is_empty());
    assert!(!empty_names(&[PathBuf::from("tests/helpers/x.mjs")]).is_empty());
    assert_kept(empty_names(&[PathBuf::from("src/peer/packets.rs")]));
    assert!(!top_level_strangers(["deny.toml".to_owned()].into_iter()).is_empty());
    assert_kept(top_level_strangers([".clippy.toml".to_owned(), "src".to_owned()].into_iter()));
}

// ── how a rule looks at a file ──────────────────────────────────────────────────────────────────────────────────────

/// A file below `src`, its path relative to it.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// `capture/v4l2.rs` is `["capture", "v4l2"]`; `lib.rs` and `main.rs` are `[]`.
    fn module(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if names.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main" | "build")) {
            names.pop();
        }
        names
    }

    fn complain(&self, what: &str) -> String {
        format!("src/{}: {what}", self.path.display())
    }
}

fn edges_not_in_table(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let module = source.module();
        let Some(user) = module.first() else { continue };
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| name == user) else {
            complaints.push(source.complain(&format!("`{user}` is in no row of the table")));
            continue;
        };
        let mut paths = paths(&source.text, &module);
        // `use crate::http;` says nothing yet; `http::config::…` further down does.
        let imported: Vec<String> = paths
            .iter()
            .filter(|path| path.root == Root::Ours && path.names.len() == 1)
            .map(|path| path.names[0].clone())
            .collect();
        for path in &mut paths {
            if path.names.first().is_some_and(|name| imported.contains(name)) {
                path.root = Root::Ours;
            }
        }
        for path in paths.iter().filter(|path| path.root == Root::Ours) {
            let Some(used) = path.names.first() else { continue };
            let fits =
                |(name, part): &(&str, Part)| (name == used || *name == "*") && allows(sources, used, *part, path);
            if used != user && !allowed.iter().any(fits) {
                complaints.push(source.complain(&format!("may not use crate::{}", path.names.join("::"))));
            }
        }
    }
    complaints
}

fn allows(sources: &[Source], used: &str, part: Part, path: &Named) -> bool {
    let Some(next) = path.names.get(1) else { return true };
    match part {
        All => true,
        Config => next == "config",
        Of(files) => {
            let facade = sources.iter().find(|source| source.path == Path::new(used).join("mod.rs"));
            let exported = facade.map(|source| paths(&source.text, &source.module())).unwrap_or_default();
            exported.iter().any(|path| {
                path.names.len() > 1
                    && files.contains(&path.names[path.names.len() - 2].as_str())
                    && path.names.last() == Some(next)
            })
        }
    }
}

fn crates_out_of_place(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for path in paths(&source.text, &source.module()).into_iter().filter(|path| path.root == Root::Named) {
            let Some((name, places)) =
                CRATES.iter().find(|(name, _)| Some(*name) == path.names.first().map(String::as_str))
            else {
                continue;
            };
            if !places.iter().any(|place| source.path.starts_with(place)) {
                complaints.push(source.complain(&format!("names `{name}`, which belongs to {places:?}")));
            }
        }
    }
    complaints
}

fn unsafe_outside_sys(sources: &[Source]) -> Vec<String> {
    let outside = sources.iter().filter(|source| !source.path.starts_with("sys"));
    outside
        .filter(|source| words(&source.text).iter().any(|word| word == "unsafe"))
        .map(|source| source.complain("has `unsafe`"))
        .collect()
}

fn long_bodies(sources: &[Source]) -> Vec<String> {
    let bodies = sources.iter().filter(|source| !source.path.iter().any(|part| part == "tests" || part == "tests.rs"));
    bodies
        .filter_map(|source| {
            let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
            let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
            let body = tests.unwrap_or(lines.len());
            (body > MAX_BODY_LINES).then(|| source.complain(&format!("{body} lines before the tests")))
        })
        .collect()
}

fn empty_names(paths: &[PathBuf]) -> Vec<String> {
    let empty = |path: &&PathBuf| {
        path.iter().any(|part| {
            let stem = part.to_string_lossy().to_lowercase();
            EMPTY_NAMES.contains(&stem.split('.').next().unwrap_or_default())
        })
    };
    paths.iter().filter(empty).map(|path| format!("{}: the name says nothing", path.display())).collect()
}

fn top_level_strangers(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name}: does not belong at the top level"))
        .collect()
}

// ── reading Rust, just enough ───────────────────────────────────────────────────────────────────────────────────────

#[derive(PartialEq, Clone, Copy)]
enum Root {
    /// `crate`, `self`, `super`: made absolute within this crate.
    Ours,
    /// A crate's name, or something in scope.
    Named,
}

struct Named {
    root: Root,
    names: Vec<String>,
}

/// Every path of a file: from its `use` trees, and wherever one is spelt with `::`.
fn paths(text: &str, module: &[String]) -> Vec<Named> {
    let words = words(text);
    let mut found = Vec::new();
    // Inline modules around the current word, each with the brace depth outside it.
    let (mut inline, mut depth, mut at) = (Vec::<(String, usize)>::new(), 0, 0);
    while let Some(word) = words.get(at) {
        let is_name =
            |at: usize| words.get(at).is_some_and(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'));
        let mut raw = Vec::new();
        match word.as_str() {
            "mod" if words.get(at + 2).is_some_and(|word| word == "{") => {
                inline.push((words[at + 1].clone(), depth));
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|(_, outside)| *outside == depth);
            }
            // `use<…>` in a return type says which lifetimes are captured, and names nothing.
            "use" if words.get(at + 1).is_none_or(|word| word != "<") => at = use_tree(&words, at + 1, &[], &mut raw),
            _ if is_name(at) && (at == 0 || words[at - 1] != "::" || at == 1 || !is_name(at - 2)) => {
                let mut names = vec![word.clone()];
                while words.get(at + 1).is_some_and(|word| word == "::") && is_name(at + 2) {
                    names.push(words[at + 2].clone());
                    at += 2;
                }
                if names.len() > 1 {
                    raw.push(names);
                }
            }
            _ => {}
        }
        at += 1;
        let here: Vec<String> = module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
        found.extend(raw.into_iter().map(|names| absolute(names, &here)));
    }
    found
}

/// Reads one branch of a `use` tree from `at` on, adds its paths to `found`, returns where it ends.
fn use_tree(words: &[String], mut at: usize, stem: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = stem.to_vec();
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| word != "}") {
                    at = use_tree(words, at, &path, found);
                    at += usize::from(words.get(at).is_some_and(|word| word == ","));
                }
                return at + 1;
            }
            "," | "}" | ";" => break,
            // What it is called here says nothing about what it is.
            "as" => at += 1,
            "::" => {}
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    found.push(path);
    at
}

fn absolute(names: Vec<String>, here: &[String]) -> Named {
    let mut base = match names.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        Some("self" | "super") => here.to_vec(),
        _ => return Named { root: Root::Named, names },
    };
    for name in names {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => _ = base.pop(),
            _ => base.push(name),
        }
    }
    Named { root: Root::Ours, names: base }
}

/// Identifiers, `::` and single other characters, without comments, strings, characters and lifetimes.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                depth += usize::from(starts(at, "/*"));
                if starts(at, "*/") {
                    depth -= 1;
                    at += 1;
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars[at..]) {
            let end = format!("\"{}", "#".repeat(hashes));
            at += hashes + 2;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += 1 + usize::from(chars[at] == '\\');
            }
            at += 1;
        } else if c == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
            at += 2 + usize::from(chars[at + 1] == '\\');
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let from = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            words.push(chars[from..at].iter().collect());
        } else if starts(at, "::") {
            words.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
            at += 1;
        }
    }
    words
}

/// `r"`, `r#"`, `r##"` …: the number of hashes.
fn raw_string(chars: &[char]) -> Option<usize> {
    let hashes = chars.get(1..)?.iter().take_while(|c| **c == '#').count();
    (chars[0] == 'r' && chars.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

// ── finding the files ───────────────────────────────────────────────────────────────────────────────────────────────

fn assert_kept(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of ours, relative to the top.
fn tree() -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("our folders can be read") {
            let entry = entry.expect("our folders can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if !entry.file_type().expect("has a type").is_dir() {
                files.push(path.strip_prefix(root()).expect("below the top").to_owned());
            } else if !matches!(name.as_str(), ".git" | "target" | "node_modules" | "dist" | "out") {
                folders.push(path);
            }
        }
    }
    files
}

fn sources() -> Vec<Source> {
    let sources: Vec<Source> = tree()
        .into_iter()
        .filter(|path| path.starts_with("src") && path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| Source {
            text: std::fs::read_to_string(root().join(&path)).expect("our sources can be read"),
            path: path.strip_prefix("src").expect("filtered above").to_owned(),
        })
        .collect();
    assert!(sources.len() > 10, "only {} sources found: the rules see nothing", sources.len());
    sources
}

fn one(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: PathBuf::from(path), text: text.to_owned() }]
}

fn with_session(path: &str, text: &str) -> Vec<Source> {
    let mut sources = one(path, text);
    sources.extend(one(
        "session/mod.rs",
        "mod ids; mod port; pub use ids::{NodeId, PeerId, SessionKey}; pub use port::{Candidate, PeerCommand, PeerEvent};",
    ));
    sources
}
