//! The section `[limits]`: how many may watch, what a peer may ask, and how long each step may take.

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// Limits on sessions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Viewers at the same time.
    pub max_viewers: Bounded<1, 256>,
    /// What happens when one more comes.
    pub when_full: WhenFull,
    /// Joins of one peer; the first ten may come at once.
    pub joins_per_minute: Bounded<1, 600>,
    /// Messages of one peer; twice as many may come at once. More are dropped unread: what matters comes again.
    pub messages_per_second: Bounded<10, 1000>,
    /// Messages of all peers together; twice as many may come at once.
    pub messages_per_second_in_all: Bounded<10, 10000>,
    /// Whether the number of viewers is published in `status`, where everyone at the broker can read it.
    pub announce_viewers: bool,
    /// Seconds from the offer to the viewer's answer.
    pub answer_timeout_s: Bounded<1, 300>,
    /// Seconds from the answer to the connection.
    pub connect_timeout_s: Bounded<1, 300>,
    /// Whether the camera takes calls of viewers, at once; if not, it rejects them.
    pub auto_answer: bool,
    /// Seconds that a registered viewer rings before the node gives up.
    pub ring_timeout_s: Bounded<1, 120>,
    /// Seconds that a silent viewer's session is kept, so that an ICE restart can save it.
    pub silence_timeout_s: Bounded<1, 300>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_viewers: const { Bounded::new(16) },
            when_full: WhenFull::Refuse,
            joins_per_minute: const { Bounded::new(30) },
            messages_per_second: const { Bounded::new(50) },
            messages_per_second_in_all: const { Bounded::new(500) },
            announce_viewers: false,
            answer_timeout_s: const { Bounded::new(20) },
            connect_timeout_s: const { Bounded::new(30) },
            auto_answer: true,
            ring_timeout_s: const { Bounded::new(45) },
            silence_timeout_s: const { Bounded::new(30) },
        }
    }
}

/// What happens when one more viewer comes than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It gets the error "busy".
    #[default]
    Refuse,
    /// The one that has watched longest gives up its place, and gets `leave` with `limit`.
    DropOldest,
}
