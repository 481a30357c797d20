//! The named states a person sees: in `status`, `/healthz`, `/metrics`, the log, and on the page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::sys::DeviceError;

use super::pulse::Pulses;

/// What one part of the node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody asks for it (`on_demand`), or the config has none.
    Idle,
    /// A person has shut it: it captures nothing.
    Private,
    /// Being opened or connected.
    Starting,
    /// Delivering.
    Live,
    /// The device is not there; it is looked for again.
    Away,
    /// No device was ever there, and what stands in for it delivers; it is looked for.
    Missing,
    /// Another program holds the device; it is tried again.
    Busy,
    /// The device is there and not ours to open; it is tried again, as one just plugged in becomes ours in a moment.
    Denied,
    /// The device is there and gives nothing; it is opened again.
    Stalled,
    /// Another client of the broker uses this node's id: the two are let in by turns.
    Contested,
    /// What is asked is refused (a right by the broker, a login by a TURN server, a port by the system, an edited config by
    /// us); what was before stays.
    Refused,
    /// The device gives nothing we can use; it is tried again in case it is exchanged.
    Unsupported,
    /// At work, but not for much longer unless somebody does something.
    Expiring,
    /// Nothing more can be written where the node keeps what it must have again.
    Full,
    /// What was asked anew waits until the program is started anew.
    Restart,
    /// Its time is over: what is still at work goes on, but strangers have no reason to believe it.
    Expired,
    /// Something else is wrong; it is tried again.
    Failed,
}

impl State {
    /// The word that stands in `status`, in labels and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Private => "private",
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Away => "away",
            Self::Missing => "missing",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Stalled => "stalled",
            Self::Contested => "contested",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Expiring => "expiring",
            Self::Full => "full",
            Self::Restart => "restart",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The state that follows from the error of a camera, a microphone or a speaker.
    pub const fn after(error: &DeviceError) -> Self {
        match error {
            DeviceError::NotFound { .. } | DeviceError::Gone { .. } => Self::Away,
            DeviceError::Busy { .. } => Self::Busy,
            DeviceError::Denied { .. } => Self::Denied,
            DeviceError::Unsupported { .. } => Self::Unsupported,
            DeviceError::Stalled { .. } => Self::Stalled,
            DeviceError::Io { .. } => Self::Failed,
        }
    }
}

/// One part's state and, in a sentence, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is doing.
    pub state: State,
    /// For a person; empty when there is nothing to add.
    pub detail: String,
}

/// All parts' conditions, by the part's name (`camera:main`, `microphone:main`, `broker`). Shared by everything that
/// reports or shows them.
#[derive(Debug)]
pub struct Board {
    /// Signs of life of the threads that note what they do.
    pub pulses: Pulses,
    parts: Mutex<BTreeMap<String, Condition>>,
    changed: watch::Sender<u32>,
}

impl Default for Board {
    fn default() -> Self {
        Self { pulses: Pulses::default(), parts: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Board {
    /// Notes what `part` is doing; says so in the log and to watchers if that is news.
    pub fn note(&self, part: &str, state: State, detail: impl Into<String>) {
        let now = Condition { state, detail: detail.into() };
        let before = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.insert(part.to_owned(), now.clone())
        };
        if before.as_ref() == Some(&now) {
            return;
        }
        let detail = now.detail.as_str();
        match state {
            State::Idle | State::Private | State::Starting | State::Live => {
                tracing::info!(part, state = state.word(), detail, "state")
            }
            _ if before.is_some_and(|b| b.state == state) => {
                tracing::info!(part, state = state.word(), detail, "state");
            }
            _ => tracing::warn!(part, state = state.word(), detail, "state"),
        }
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// There is no such part any more.
    pub fn forget(&self, part: &str) {
        let was_there = self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(part).is_some();
        if was_there {
            self.changed.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// What every part is doing now.
    pub fn conditions(&self) -> BTreeMap<String, Condition> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes whenever a condition changes.
    pub fn watch(&self) -> watch::Receiver<u32> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 17] = [
        State::Idle,
        State::Private,
        State::Starting,
        State::Live,
        State::Away,
        State::Missing,
        State::Busy,
        State::Denied,
        State::Stalled,
        State::Contested,
        State::Unsupported,
        State::Expiring,
        State::Full,
        State::Refused,
        State::Restart,
        State::Expired,
        State::Failed,
    ];

    #[test]
    fn each_state_has_a_word_of_its_own_that_stands_in_the_table_of_faults() {
        let table = include_str!("../../deploy/faults.md");
        let words: std::collections::BTreeSet<_> = ALL.iter().map(|state| state.word()).collect();
        assert_eq!(words.len(), ALL.len());
        for word in words {
            assert!(table.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn each_error_has_its_state() {
        let device = || "/dev/video0".to_owned();
        let source = std::io::Error::from_raw_os_error(5);
        for (error, state) in [
            (DeviceError::NotFound { device: device() }, State::Away),
            (DeviceError::Gone { device: device() }, State::Away),
            (DeviceError::Busy { device: device() }, State::Busy),
            (DeviceError::Denied { device: device() }, State::Denied),
            (DeviceError::Unsupported { device: device(), reason: String::new() }, State::Unsupported),
            (DeviceError::Stalled { device: device(), waited: std::time::Duration::ZERO }, State::Stalled),
            (DeviceError::Io { device: device(), operation: "read", source }, State::Failed),
        ] {
            assert_eq!(State::after(&error), state, "{error}");
        }
    }

    #[test]
    fn watchers_wake_for_news_and_not_for_repetition() {
        let board = Board::default();
        let mut watcher = board.watch();
        board.note("camera:main", State::Away, "not there");
        assert!(watcher.has_changed().expect("the board lives"));
        watcher.borrow_and_update();
        board.note("camera:main", State::Away, "not there");
        assert!(!watcher.has_changed().expect("the board lives"));
        board.note("camera:main", State::Live, "");
        assert!(watcher.has_changed().expect("the board lives"));
    }
}
