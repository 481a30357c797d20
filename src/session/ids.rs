//! Who is who: node, peer, session.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that may stand in a topic is something other than `[A-Za-z0-9_-]{1,64}`, or a session id than 32 lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {rule}, not {got:?}")]
pub struct BadId {
    what: &'static str,
    rule: &'static str,
    got: String,
}

impl BadId {
    pub(super) fn new(what: &'static str, rule: &'static str, got: String) -> Self {
        Self { what, rule, got }
    }
}

macro_rules! topic_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it stands in a topic.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(got: String) -> Result<Self, BadId> {
                let fits = (1..=64).contains(&got.len())
                    && got.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if fits {
                    Ok(Self(got))
                } else {
                    Err(BadId { what: $what, rule: "1 to 64 of A-Z, a-z, 0-9, '_' and '-'", got })
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

topic_name!(
    /// A node's id: the second level of its topics, and its MQTT client id.
    NodeId,
    "a node id"
);
topic_name!(
    /// A peer's id: the last level of its topics, which a broker's access rules can pin to the client.
    PeerId,
    "a peer id"
);

/// A session's id: 32 lower-case hex digits, chosen at random by the side that starts it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// The id made of these 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The id as it stands in messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadId;

    fn try_from(got: String) -> Result<Self, BadId> {
        if got.len() == 32 && got.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(got))
        } else {
            Err(BadId { what: "a session id", rule: "32 lower-case hex digits", got })
        }
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a session is known by inside a node: nobody can touch another peer's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose session.
    pub peer: PeerId,
    /// Which of that peer's.
    pub session: SessionId,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eight digits tell sessions of one peer apart for a reader of the log.
        write!(f, "{}/{}", self.peer, &self.session.as_str()[..8])
    }
}
