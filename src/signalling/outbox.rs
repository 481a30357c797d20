//! Core: what waits to be published.
//!
//! Whoever hears no answer asks again, and gets the same answer again: while one waits, another is not needed. What has
//! waited for so long that nobody waits for it any more is not sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Publish, PublishError};

/// Messages in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<(Instant, Publish)>);

impl Outbox {
    /// Puts a message behind the others, unless the same waits already.
    ///
    /// # Errors
    /// [`PublishError::Full`].
    pub(crate) fn put(&mut self, message: Publish, now: Instant) -> Result<(), PublishError> {
        self.drop_late(now);
        // Of what the broker keeps, the last must stay the last.
        if !message.retain && self.0.iter().any(|(_, waiting)| *waiting == message) {
            return Ok(());
        }
        if self.0.len() >= MAX_MESSAGES {
            return Err(PublishError::Full { topic: message.topic });
        }
        self.0.push_back((now, message));
        Ok(())
    }

    /// The next to be published.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Publish> {
        self.drop_late(now);
        self.0.pop_front().map(|(_, message)| message)
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn drop_late(&mut self, now: Instant) {
        self.0.retain(|(since, message)| message.retain || now < *since + WAITED_FOR);
    }
}

/// Room for a burst to all viewers at once; a link that needs more is stuck, and sessions repeat what was lost.
const MAX_MESSAGES: usize = 256;
/// After 15.5 s without an acknowledgement a message counts as lost.
const WAITED_FOR: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Publish {
        Publish { topic: "t".to_owned(), payload: text.to_owned().into(), retain: false }
    }

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_waits_already_is_not_queued_twice() {
        let (mut outbox, now) = (Outbox::default(), epoch());
        for text in ["busy", "offer", "busy"] {
            outbox.put(message(text), now).expect("room");
        }
        assert_eq!(
            [outbox.take(now), outbox.take(now), outbox.take(now)],
            [Some(message("busy")), Some(message("offer")), None]
        );
        outbox.put(message("busy"), now).expect("room");
        assert_eq!(outbox.take(now), Some(message("busy")), "the one before has gone");
    }

    #[test]
    fn what_the_broker_keeps_is_said_in_order_to_the_end() {
        let (mut outbox, now) = (Outbox::default(), epoch());
        let status = |text| Publish { retain: true, ..message(text) };
        for text in ["online", "offline", "online"] {
            outbox.put(status(text), now).expect("room");
        }
        let said: Vec<_> = std::iter::from_fn(|| outbox.take(now + 2 * WAITED_FOR)).collect();
        assert_eq!(said, [status("online"), status("offline"), status("online")]);
    }

    #[test]
    fn nobody_waits_for_long_and_there_is_room_for_so_many() {
        let (mut outbox, now) = (Outbox::default(), epoch());
        outbox.put(message("old"), now).expect("room");
        let later = now + WAITED_FOR;
        for n in 0..MAX_MESSAGES {
            outbox.put(message(&n.to_string()), later).expect("room");
        }
        assert!(matches!(outbox.put(message("more"), later), Err(PublishError::Full { .. })));
        assert_eq!(outbox.take(later), Some(message("0")), "the old one is gone");
    }
}
