//! Who this node is.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::session::NodeId;

/// `[node]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// The node's name in topics, and its MQTT client id: 1 to 64 of `A-Z a-z 0-9 _ -`. Absent: made of the host's name
    /// and six digits that differ from machine to machine, the same at every start.
    pub id: Option<NodeId>,
    /// What people see. Absent: the id.
    pub name: Option<String>,
    /// Folder for what the node makes itself and must have again after a restart: the embedded broker's password, the
    /// certificate of its https page. Absent: `$STATE_DIRECTORY` (systemd sets it), else `/var/lib/camera-node` for root,
    /// else `~/.local/state/camera-node`. Begins with `/`.
    pub state_folder: Option<PathBuf>,
}

impl NodeSection {
    /// The id that is set, or else this machine's.
    pub fn id(&self) -> NodeId {
        self.id.clone().unwrap_or_else(|| {
            let read = |path| fs::read_to_string(path).unwrap_or_default();
            id_of(&read("/proc/sys/kernel/hostname"), &read("/etc/machine-id"))
        })
    }

    /// What people see.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id().to_string())
    }
}

/// The id of a machine: `porch-3fa92c`. Boards flashed from one image share a host name, so part of the machine id is
/// mixed in, as a digest far too short to lead back to it (machine-id(5) asks for that).
fn id_of(hostname: &str, machine_id: &str) -> NodeId {
    let host: String = hostname
        .trim()
        .split('.')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(48)
        .collect();
    let host = if host.is_empty() { "camera" } else { &host };
    let id = match machine_id.trim() {
        "" => host.to_owned(),
        machine => format!("{host}-{:06x}", digest(machine) & 0x00ff_ffff),
    };
    NodeId::try_from(id).expect("at most 55 characters, all of the allowed set")
}

/// FNV-1a, salted with our name: no secret hangs on it, it only has to stay the same for ever.
fn digest(machine_id: &str) -> u32 {
    b"camera-node/"
        .iter()
        .chain(machine_id.as_bytes())
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_id_stays_the_same_and_differs_from_its_twins() {
        let porch = id_of("porch.example.org\n", "4f5bb0a3c1e84d1e9bf0b3a6a9a1a001\n");
        assert_eq!(porch.as_str(), "porch-47bd99");
        assert_ne!(porch, id_of("porch", "4f5bb0a3c1e84d1e9bf0b3a6a9a1a002"));
    }

    #[test]
    fn a_machine_without_names_still_gets_an_id() {
        assert_eq!(id_of("", "").as_str(), "camera");
        assert_eq!(id_of("käse/+#", "").as_str(), "kse");
    }
}
