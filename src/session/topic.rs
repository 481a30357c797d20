//! Topic names: `{prefix}/{node}/status`, `…/in/{peer}`, `…/out/{peer}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{NodeId, PeerId};

/// The first one or two levels of every topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPrefix(String);

/// A topic prefix that MQTT or a broker's limits would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a topic prefix is one or two levels of A-Z, a-z, 0-9, '_', '-' and '.', at most 64 characters in all, not {0:?}"
)]
pub struct BadPrefix(String);

impl TopicPrefix {
    /// The prefix as it stands in a topic, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TopicPrefix {
    fn default() -> Self {
        Self("camera-node/v1".to_owned())
    }
}

impl TryFrom<String> for TopicPrefix {
    type Error = BadPrefix;

    /// Two levels, as AWS IoT Core allows seven slashes in a topic and rules want some of them; 64 characters, as it
    /// allows 256 bytes and there are two ids to come; and no character with a meaning of its own in MQTT.
    fn try_from(got: String) -> Result<Self, BadPrefix> {
        let is_level = |level: &str| {
            !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if got.len() <= 64 && got.split('/').count() <= 2 && got.split('/').all(is_level) {
            Ok(Self(got))
        } else {
            Err(BadPrefix(got))
        }
    }
}

impl FromStr for TopicPrefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        Self::try_from(text.to_owned())
    }
}

impl From<TopicPrefix> for String {
    fn from(prefix: TopicPrefix) -> Self {
        prefix.0
    }
}

impl fmt::Display for TopicPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
    pub fn new(prefix: &TopicPrefix, node: &NodeId) -> Self {
        Self { base: format!("{prefix}/{node}") }
    }

    /// The node's id.
    pub fn node(&self) -> &str {
        self.base.rsplit('/').next().unwrap_or_default()
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
        Topics::new(&TopicPrefix::default(), &"porch".parse().expect("a node id"))
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
        for good in ["cams", "site.7/cams", "camera-node/v1", "a/b_c"] {
            assert!(good.parse::<TopicPrefix>().is_ok(), "{good:?}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "a/+", "#", "$aws/x", "$SYS", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<TopicPrefix>().is_err(), "{bad:?}");
        }
    }
}
