//! What both cores share with their shells: messages to publish, and where chance comes from.

use bytes::Bytes;

use super::{Message, PeerId, Topics};

/// Random bits, of the operating system in the program and of a seed in tests.
pub type Entropy = Box<dyn FnMut() -> u64 + Send>;

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Full topic.
    pub topic: String,
    /// At most [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    pub payload: Bytes,
    /// Whether the broker is to keep it.
    pub retain: bool,
}

impl Outgoing {
    /// `message` on `peer`'s topic.
    pub(super) fn to_peer(topics: &Topics, peer: &PeerId, message: &Message) -> Self {
        Self { topic: topics.to_peer(peer), payload: message.to_bytes(), retain: false }
    }

    /// `message` on the node's topic for `peer`.
    pub(super) fn to_node(topics: &Topics, peer: &PeerId, message: &Message) -> Self {
        Self { topic: topics.to_node(peer), payload: message.to_bytes(), retain: false }
    }
}
