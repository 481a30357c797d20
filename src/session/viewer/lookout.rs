//! Whether the node is there: from its retained `status`, or by asking.

use std::time::Duration;

use super::super::{Boot, Presence, Status};

/// A retained status comes with the subscription; a broker without retained messages needs a question.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// No answer for so long means that the node is away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The question is asked again this often while the node is away.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What is known of the node's presence.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    known: Option<Known>,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    boot: Boot,
    conn: u32,
    online: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No broker.
    #[default]
    Blind,
    /// Nothing seen yet; ask then.
    AskAt(Duration),
    /// Asked; without an answer by then the node is away.
    Asked { until: Duration },
    /// The node has been seen on this connection to the broker.
    Seen,
}

/// What to do about the node's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Publish `probe`.
    Ask,
    /// It is away.
    Away,
}

impl Lookout {
    pub(super) fn link_up(&mut self, now: Duration) {
        self.phase = Phase::AskAt(now + ASK_AFTER);
    }

    pub(super) fn link_down(&mut self) {
        self.phase = Phase::Blind;
    }

    /// The node's run, if it is there as far as we know.
    pub(super) fn online(&self) -> Option<&Boot> {
        self.known.as_ref().filter(|known| known.online).map(|known| &known.boot)
    }

    /// Whether the node has been seen, there or away, since we are at the broker.
    pub(super) fn has_seen(&self) -> bool {
        self.phase == Phase::Seen
    }

    /// The node has said goodbye.
    pub(super) fn said_goodbye(&mut self) {
        if let Some(known) = &mut self.known {
            known.online = false;
        }
    }

    /// Takes in a status; `false` if it is older than what is known.
    pub(super) fn seen(&mut self, status: &Status) -> bool {
        let online = status.state == Presence::Online;
        if let Some(known) = &self.known {
            // A connection's will can come after the next connection has spoken, and an earlier run's even later.
            let same_run = known.boot == status.boot;
            let older = same_run && status.conn < known.conn;
            let foreign_will = !same_run && !online && known.online;
            if older || foreign_will {
                return false;
            }
        }
        self.known = Some(Known { boot: status.boot.clone(), conn: status.conn, online });
        if self.phase != Phase::Blind {
            self.phase = Phase::Seen;
        }
        true
    }

    pub(super) fn poll(&mut self, now: Duration) -> Option<Finding> {
        match self.phase {
            Phase::AskAt(at) if at <= now => {
                self.phase = Phase::Asked { until: now + ANSWER_TIMEOUT };
                Some(Finding::Ask)
            }
            Phase::Asked { until } if until <= now => {
                self.phase = Phase::AskAt(now + ASK_AGAIN);
                self.said_goodbye();
                Some(Finding::Away)
            }
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::AskAt(at) | Phase::Asked { until: at } => Some(at),
            Phase::Blind | Phase::Seen => None,
        }
    }
}
