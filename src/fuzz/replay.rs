//! Every input that is kept, in every target: seeds that reach far, and what once broke something.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
    files(folder).iter().map(stem).collect()
}

#[test]
fn every_input_that_is_kept_breaks_nothing() {
    for (name, target) in TARGETS {
        let kept = |group: &str| files(&folder(group).join(name));
        assert!(kept("corpus").len() >= 3, "{name} has hardly a seed");
        for file in kept("corpus").into_iter().chain(kept("regressions")) {
            let bytes = std::fs::read(&file).expect("a readable file");
            assert!(std::panic::catch_unwind(|| target(&bytes)).is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn every_target_can_be_fuzzed_and_no_input_belongs_to_none() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("targets")), targets);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).expect("a readable file");
    let binaries = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let binaries: BTreeSet<String> = binaries.filter(|name| *name != "camera-node-fuzz").map(str::to_owned).collect();
    assert_eq!(binaries, targets);
    for group in ["corpus", "regressions"] {
        assert!(names(&folder(group)).is_subset(&targets), "{group} has a folder of no target");
    }
}
