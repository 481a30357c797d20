//! What no single key can get wrong: keys that need, or rule out, each other.

use std::collections::BTreeSet;

use super::Config;
use super::document::{Document, Step, shown};
use super::error::Problem;

/// All the rules that `config` breaks.
pub fn broken(config: &Config, document: &Document<'_>) -> Vec<Problem> {
    let mut found = Findings { document, problems: Vec::new() };
    cameras(config, &mut found);
    found.problems
}

struct Findings<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn add(&mut self, path: &[Step], message: impl Into<String>) {
        let place = self.document.place_of(path);
        self.problems.push(Problem { place, key: Some(shown(path)), message: message.into() });
    }
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn cameras(config: &Config, found: &mut Findings<'_>) {
    if config.camera.is_empty() {
        found.add(&[key("camera")], "a node has a camera: write one [[camera]] section, or none for the default one");
    }
    let mut names = BTreeSet::new();
    for (n, camera) in config.camera.iter().enumerate() {
        let camera_path = [key("camera"), Step::Index(n)];
        if !names.insert(&camera.name) {
            let path = [&camera_path[..], &[key("name")]].concat();
            found.add(&path, format!("another camera is called \"{}\" as well", camera.name));
        } else if n == 1 {
            found.add(&camera_path, "one camera a node for now: run a second node for a second camera");
        }
    }
}
