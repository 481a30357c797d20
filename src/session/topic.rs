//! Topic names: `{prefix}/{node}/status`, `…/in/{peer}`, `…/out/{peer}`.

use super::{NodeId, PeerId};

/// The prefix of all topics unless configured otherwise.
pub const DEFAULT_PREFIX: &str = "camera-node/v1";

/// A topic prefix that MQTT or a broker's limit on slashes would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a topic prefix is one or two levels of 1 to 64 of A-Z, a-z, 0-9, '_', '-' and '.', not {0:?}")]
pub struct BadPrefix(String);

/// The topics of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    base: String,
}

/// What a message's topic says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// The node's presence.
    Status,
    /// From this peer to the node.
    In(PeerId),
    /// From the node to this peer.
    Out(PeerId),
}

impl Topics {
    /// The topics of `node` under `prefix`.
    ///
    /// # Errors
    /// [`BadPrefix`] when `prefix` has more than two levels (AWS IoT Core allows seven slashes in a topic and rules
    /// want some of them) or a character with a meaning of its own in MQTT.
    pub fn new(prefix: &str, node: &NodeId) -> Result<Self, BadPrefix> {
        let level_fits = |level: &str| {
            (1..=64).contains(&level.len())
                && level.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if prefix.split('/').count() <= 2 && prefix.split('/').all(level_fits) {
            Ok(Self { base: format!("{prefix}/{node}") })
        } else {
            Err(BadPrefix(prefix.to_owned()))
        }
    }

    /// Presence of the node.
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// From `peer` to the node.
    pub fn to_node(&self, peer: &PeerId) -> String {
        format!("{}/in/{peer}", self.base)
    }

    /// From the node to `peer`.
    pub fn to_peer(&self, peer: &PeerId) -> String {
        format!("{}/out/{peer}", self.base)
    }

    /// What the node subscribes to: everything for it, and its own presence.
    pub fn node_subscriptions(&self) -> Vec<String> {
        vec![format!("{}/in/+", self.base), self.status()]
    }

    /// What `peer` subscribes to: everything for it, and the node's presence.
    pub fn peer_subscriptions(&self, peer: &PeerId) -> Vec<String> {
        vec![self.to_peer(peer), self.status()]
    }

    /// What `topic` is; `None` for another node's, or no topic of this protocol.
    pub fn parse(&self, topic: &str) -> Option<Topic> {
        let rest = topic.strip_prefix(&self.base)?.strip_prefix('/')?;
        match rest.split_once('/') {
            None if rest == "status" => Some(Topic::Status),
            Some(("in", peer)) => peer.parse().ok().map(Topic::In),
            Some(("out", peer)) => peer.parse().ok().map(Topic::Out),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::new(DEFAULT_PREFIX, &"porch".parse().expect("a node id")).expect("the default prefix")
    }

    #[test]
    fn topics_are_read_back_as_they_were_written() {
        let peer: PeerId = "tab-1".parse().expect("a peer id");
        assert_eq!(topics().status(), "camera-node/v1/porch/status");
        assert_eq!(topics().parse(&topics().status()), Some(Topic::Status));
        assert_eq!(topics().parse(&topics().to_node(&peer)), Some(Topic::In(peer.clone())));
        assert_eq!(topics().parse(&topics().to_peer(&peer)), Some(Topic::Out(peer)));
    }

    #[test]
    fn foreign_topics_are_no_topics_of_ours() {
        for topic in [
            "",
            "camera-node/v1/porch",
            "camera-node/v1/porch2/status",
            "camera-node/v1/porch/in/",
            "camera-node/v1/porch/in/a/b",
            "camera-node/v1/porch/in/a b",
            "camera-node/v1/porch/of/a",
            "camera-node/v1/porch/status/x",
        ] {
            assert_eq!(topics().parse(topic), None, "{topic:?}");
        }
    }

    #[test]
    fn a_prefix_has_one_or_two_plain_levels() {
        let node: NodeId = "porch".parse().expect("a node id");
        for good in ["cams", "site.7/cams"] {
            assert!(Topics::new(good, &node).is_ok(), "{good:?}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "a/+", "#", "$aws/x", "a b"] {
            assert!(Topics::new(bad, &node).is_err(), "{bad:?}");
        }
    }
}
