//! Whether what the node makes itself can be kept.

use super::report::Finding;
use crate::config::Config;
use crate::node::{CERTIFICATE, StateFolder, known_password, whole_story};

const PART: &str = "node.state_folder";

/// Nothing where nothing is to be kept. A folder that can only be read will do once all of it is there.
pub fn check(config: &Config) -> Vec<Finding> {
    let wants_certificate = config.http.enabled && config.http.tls.self_signed;
    if !config.asks_for_password() && !wants_certificate {
        return Vec::new();
    }
    let folder = StateFolder::of(&config.node);
    let is_missing = || {
        let password = config.asks_for_password() && known_password(&folder)?.is_none();
        anyhow::Ok(password || wants_certificate && folder.read(CERTIFICATE)?.is_none())
    };
    let tried = is_missing().and_then(|is_missing| if is_missing { folder.try_out() } else { Ok(()) });
    vec![match tried {
        Ok(()) => Finding::good(PART, format!("what the node makes is kept in {}", folder.path().display())),
        Err(error) => Finding::bad(
            PART,
            whole_story(&error),
            "set `node.state_folder` to a folder that the node's user may write to (systemd's StateDirectory= makes one)",
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &str, more: &str) -> Vec<Finding> {
        let text = format!("[node]\nstate_folder = '{folder}'\n{more}");
        check(&Config::from_text("here", &text, []).expect("right"))
    }

    #[test]
    fn a_folder_that_takes_nothing_is_found_before_the_node_starts() {
        let wanted = "[http.tls]\nself_signed = true\n";
        assert!(of("/proc/nowhere", "").is_empty(), "nothing is to be kept");
        let found = of("/proc/nowhere", wanted);
        assert!(!found[0].ok && found[0].detail.contains("/proc/nowhere"), "{found:?}");
        let base = tempfile::tempdir().expect("there is room");
        let there = base.path().display().to_string();
        assert!(of(&there, wanted)[0].ok);
    }
}
