//! The section `[session]`: how many may watch, and how long each step may take.

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// Limits on sessions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Viewers at the same time; one more gets the error "busy".
    pub max_viewers: Bounded<1, 256>,
    /// Whether the number of viewers is published in `status`, where everyone at the broker can read it.
    pub announce_viewers: bool,
    /// Seconds from the offer to the viewer's answer.
    pub answer_timeout_s: Bounded<1, 300>,
    /// Seconds from the answer to the connection.
    pub connect_timeout_s: Bounded<1, 300>,
    /// Seconds that a silent viewer's session is kept, so that an ICE restart can save it.
    pub silence_timeout_s: Bounded<1, 300>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_viewers: const { Bounded::new(16) },
            announce_viewers: false,
            answer_timeout_s: const { Bounded::new(20) },
            connect_timeout_s: const { Bounded::new(30) },
            silence_timeout_s: const { Bounded::new(30) },
        }
    }
}
