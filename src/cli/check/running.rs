//! The node that runs with the same config file: what it has is in use, and no fault.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::Finding;
use super::surroundings::Holder;

/// The program's name, as `/proc/PID/comm` has it.
const NAME: &str = "camera-node";

/// The processes that run with the config that is checked: one, or none.
#[derive(Debug, Clone, Default)]
pub struct Running(Vec<u32>);

impl Running {
    /// Looks for them. Everybody may read another's command line.
    pub fn with(config: &Path) -> Self {
        let Ok(config) = fs::canonicalize(config) else { return Self::default() };
        let own = std::process::id();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let all = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Self(all.filter(|pid| *pid != own && runs_with(*pid, &config)).collect())
    }

    /// These.
    #[cfg(test)]
    pub fn of(pids: &[u32]) -> Self {
        Self(pids.to_vec())
    }

    /// Which of them is among `holders`. Other users' programs are seen by root only: where nobody is seen, it is believed
    /// to be the one.
    pub fn among(&self, holders: &[Holder]) -> Option<u32> {
        match holders {
            [] => self.0.first().copied(),
            some => some.iter().map(|holder| holder.pid).find(|pid| self.0.contains(pid)),
        }
    }
}

/// What is said of a part that the running node has.
pub fn in_its_hands(part: impl Into<String>, what: &str, pid: u32) -> Finding {
    Finding::good(part, format!("{what} is in use by the node that runs with this config (process {pid})"))
}

fn runs_with(pid: u32, config: &Path) -> bool {
    let home = PathBuf::from(format!("/proc/{pid}"));
    let is_node = fs::read_to_string(home.join("comm")).is_ok_and(|name| name.trim_end() == NAME);
    let Some(named) = is_node.then(|| fs::read(home.join("cmdline")).ok()).flatten().as_deref().and_then(config_of)
    else {
        return false;
    };
    // A relative path hangs on its folder, which only root and its user may know.
    let folder = fs::read_link(home.join("cwd")).unwrap_or_default();
    fs::canonicalize(folder.join(named)).is_ok_and(|path| path == config)
}

/// The config in a command line of `camera-node run`, whose words end with NUL each.
fn config_of(command_line: &[u8]) -> Option<PathBuf> {
    let words: Vec<&str> =
        command_line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    if !words.contains(&"run") {
        return None;
    }
    let named = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--config") {
        Some("") => words.get(at + 1).copied(),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    named.map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_tells_its_config() {
        let of = |words: &str| config_of(words.replace(' ', "\0").as_bytes());
        let there = Some(PathBuf::from("/etc/node.toml"));
        assert_eq!(of("camera-node run --config /etc/node.toml "), there);
        assert_eq!(of("/usr/bin/camera-node run --config=/etc/node.toml "), there);
        assert_eq!(of("camera-node check --config /etc/node.toml "), None);
        assert_eq!(of("camera-node run --config"), None);
    }

    #[test]
    fn who_else_holds_a_thing_is_not_the_node() {
        let running = Running::of(&[7]);
        let holder = |pid| Holder { name: NAME.to_owned(), pid };
        assert_eq!(running.among(&[holder(5), holder(7)]), Some(7));
        assert_eq!(running.among(&[holder(5)]), None, "a node of another config");
        assert_eq!(running.among(&[]), Some(7), "whom only root would see");
        assert_eq!(Running::default().among(&[]), None);
    }
}
