//! How the node stands with its broker: let in or not, contested by another client of its id, refused a topic.

use crate::session::Boot;

use super::desk::Running;
use super::state::State;

/// The part of the board that `ring.topic` is.
const RING_TOPIC: &str = "ring:topic";

/// In words: how it shows that another client uses this node's id; and how the broker is besides.
pub(super) struct Standing {
    by_turns: Option<String>,
    by_status: Option<String>,
    broker: (State, String),
    /// The broker does not let us hear `ring.topic`.
    is_deaf: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { by_turns: None, by_status: None, broker: (State::Starting, String::new()), is_deaf: false }
    }
}

impl Running {
    /// Whether the broker lets us in.
    pub(super) fn note_broker(&mut self, state: State, detail: &str) {
        self.standing.broker = (state, detail.to_owned());
        self.show_broker();
    }

    /// Whether another client seems to throw us off in turn; in words if so.
    pub(super) fn contested_by_turns(&mut self, by: Option<String>) {
        self.standing.by_turns = by;
        self.show_broker();
    }

    /// Whether another node of our id, with this boot, says its status.
    pub(super) fn contested_by_status(&mut self, boot: Option<Boot>) {
        self.standing.by_status = boot.map(|boot| {
            format!("another client uses this id: a node with boot {boot} says its status in this node's name")
        });
        self.show_broker();
    }

    /// Which topics the broker does not let us hear, of those that we can do without.
    pub(super) fn refused_topics(&mut self, filters: &[String]) {
        self.standing.is_deaf = self.desk.bells.topic.as_ref().is_some_and(|topic| filters.contains(topic));
        self.show_ring_topic();
    }

    /// Whether a message on `ring.topic` would ring; nothing without such a topic.
    pub(super) fn show_ring_topic(&self) {
        let Some(topic) = &self.desk.bells.topic else { return };
        if !self.standing.is_deaf {
            return self.desk.board.note(RING_TOPIC, State::Live, "");
        }
        let words = format!(
            "the broker does not let this node subscribe to ring.topic ({topic}), so nothing rings by it: its rules must \
             allow that to the client {} (AWS IoT: iot:Subscribe and iot:Receive)",
            self.desk.config.node.id()
        );
        self.desk.board.note(RING_TOPIC, State::Refused, words);
    }

    /// That another client uses our id is more than whether the broker lets us in just now.
    fn show_broker(&self) {
        let Standing { by_turns, by_status, broker: (state, detail), .. } = &self.standing;
        match by_turns.as_ref().or(by_status.as_ref()) {
            Some(words) => self.desk.board.note("broker", State::Contested, words.as_str()),
            None => self.desk.board.note("broker", *state, detail.as_str()),
        }
    }
}
