//! Whether tokens can be checked: the keys, the list of revoked tokens, the clock.

use std::os::unix::fs::PermissionsExt;

use super::report::Finding;
use crate::access::config::{Access, KeyFile, UnsetClock};
use crate::access::{Algorithm, WallClock};
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
    found.extend(access.keys.iter().filter(|key| is_open_secret(key)).map(|key| {
        let file = key.file.display();
        Finding::good(
            format!("access key {}", key.kid),
            format!("{file} can be read by others, who may make tokens of it"),
        )
        .with_advice(format!("`chmod 600 {file}`, or an EdDSA key, of which the node has only what it checks with"))
    }));
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

/// Of an EdDSA key the node has the public half, which is no secret.
fn is_open_secret(key: &KeyFile) -> bool {
    const OTHERS: u32 = 0o077;
    let mode = std::fs::metadata(&key.file).map_or(0, |file| file.permissions().mode());
    key.algorithm == Algorithm::Hs256 && mode & OTHERS != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::SigningKey;
    use crate::access::config::Mode;

    #[test]
    fn a_secret_that_others_may_read_is_told_of() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        let of = |algorithm, mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
            is_open_secret(&KeyFile { algorithm, file: file.path().to_owned(), ..KeyFile::default() })
        };
        assert!(of(Algorithm::Hs256, 0o644) && of(Algorithm::Hs256, 0o640));
        assert!(!of(Algorithm::Hs256, 0o600) && !of(Algorithm::EdDsa, 0o644));
    }

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
