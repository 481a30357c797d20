//! Whether tokens can be checked: the keys, the list of revoked tokens, the clock.

use super::report::Finding;
use crate::access::WallClock;
use crate::access::config::{Access, UnsetClock};
use crate::node::{AccessFiles, whole_story};
use crate::session::NodeId;

const PART: &str = "access";

/// Reads what the node would read; of a node that asks for no tokens there is nothing to say.
pub fn check(access: &Access, node: &NodeId) -> Vec<Finding> {
    let files = match AccessFiles::open(access, node) {
        Ok((files, _)) => files,
        Err(error) => {
            let advice = "the file must be there, readable for the user that runs the node, and what the config says it \
                          is: `camera-node keys list` looks at each key, `camera-node keys make` makes one";
            return vec![Finding::bad(PART, whole_story(&error), advice)];
        }
    };
    if !files.are_needed() {
        return Vec::new();
    }
    let mut found = vec![Finding::good(PART, format!("tokens are checked with {} keys", access.keys.len()))];
    if let WallClock::Unset { .. } = files.clock() {
        found.push(match access.unset_clock {
            UnsetClock::Accept => Finding::good("clock", "is not set; tokens are taken without a look at their end"),
            UnsetClock::Refuse => Finding::bad(
                "clock",
                "stands before a time that has passed, so no token is taken",
                "set it: `timedatectl set-ntp true`, or `unset_clock = \"accept\"` for a board that never learns the time; if \
                 it is right, delete `access.clock_file`, which was written while it was ahead",
            ),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::config::{KeyFile, Mode};
    use crate::access::{Algorithm, SigningKey};

    #[test]
    fn keys_and_clock_are_tried_and_an_open_node_needs_neither() {
        let node: NodeId = "porch".parse().expect("an id");
        assert!(check(&Access::default(), &node).is_empty());
        let folder = tempfile::tempdir().expect("there is room");
        let file = folder.path().join("key");
        let key = KeyFile { file: file.clone(), ..KeyFile::default() };
        let clock = folder.path().join("clock");
        let access =
            Access { mode: Mode::Token, keys: vec![key], clock_file: Some(clock.clone()), ..Access::default() };
        let parts = |access: &Access| -> Vec<(String, bool)> {
            check(access, &node).into_iter().map(|finding| (finding.part, finding.ok)).collect()
        };
        assert_eq!(parts(&access), [("access".to_owned(), false)]);
        let public = SigningKey::from_random(Algorithm::EdDsa, [1; 32]).to_public_file().expect("an EdDSA key");
        std::fs::write(&file, public).expect("there is room");
        assert_eq!(parts(&access), [("access".to_owned(), true)]);
        std::fs::write(&clock, "99999999999").expect("there is room");
        assert_eq!(parts(&access), [("access".to_owned(), true), ("clock".to_owned(), false)]);
    }
}
