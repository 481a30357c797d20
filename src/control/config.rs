//! The `[[app]]` sections: programs beside the node that viewers talk to; `[files]`: the folder they see into.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A program that viewers with the scope `control` reach by a data channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// What stands behind `app:` in the channel's label: 1 to 32 of `a-z 0-9 -`.
    pub name: String,
    /// The Unix socket (SOCK_SEQPACKET) at which it listens; begins with `/`.
    pub socket: PathBuf,
}

impl App {
    /// What is wrong with it: the key, and why.
    pub fn broken(&self) -> Option<(&'static str, String)> {
        if self.name.is_empty() {
            return Some((
                "name",
                "is what stands behind \"app:\" in the channel's label: give it one, like \"ptz\"".to_owned(),
            ));
        }
        let is_name = (1..=32).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name {
            return Some(("name", format!("is 1 to 32 of a-z, 0-9 and '-', not {:?}", self.name)));
        }
        // The kernel's limit on addresses is 108 bytes with the zero at the end.
        let bytes = self.socket.as_os_str().len();
        match bytes {
            0 => Some(("socket", "is the path at which the program listens".to_owned())),
            1..108 => None,
            _ => Some(("socket", format!("has {bytes} bytes, and the system takes 107"))),
        }
    }
}

/// The folder that viewers with the scope `files` see into.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// Its plain files are listed, fetched and deleted; absent, there is no such channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_plain_name_and_a_path_that_the_system_takes() {
        let app = |name: &str, socket: &str| App { name: name.to_owned(), socket: socket.into() }.broken();
        assert_eq!(app("ptz-2", "/run/ptz.sock"), None);
        assert_eq!(App { socket: "/run/x".into(), ..App::default() }.broken().map(|(key, _)| key), Some("name"));
        for name in ["", "PTZ", "a/b", &"a".repeat(33)] {
            assert_eq!(app(name, "/run/x").map(|(key, _)| key), Some("name"), "{name}");
        }
        for socket in ["", &"/a".repeat(54)] {
            assert_eq!(app("ptz", socket).map(|(key, _)| key), Some("socket"), "{socket}");
        }
    }
}
