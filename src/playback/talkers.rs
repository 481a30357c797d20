//! Whoever may talk now, and the place where the network leaves what they say for the speaker's thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

use crate::media::SpokenPacket;

/// Packets that a talker can leave between two periods of the speaker; with more, the oldest are lost.
const MAX_LEFT: usize = 64;

/// All who may talk to one speaker.
#[derive(Debug)]
pub struct Talkers {
    voices: Mutex<Vec<Weak<Inbox>>>,
    count: watch::Sender<usize>,
}

/// What one talker has left.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<VecDeque<SpokenPacket>>);

/// One who may talk, until this is dropped.
#[derive(Debug)]
pub struct Voice {
    inbox: Arc<Inbox>,
    /// It has said something.
    said: AtomicBool,
    count: watch::Sender<usize>,
}

impl Default for Talkers {
    fn default() -> Self {
        Self { voices: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Talkers {
    /// Somebody may talk.
    pub fn join(&self) -> Voice {
        let inbox = Arc::new(Inbox::default());
        let mut voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        voices.retain(|voice| voice.strong_count() > 0);
        voices.push(Arc::downgrade(&inbox));
        Voice { inbox, said: AtomicBool::new(false), count: self.count.clone() }
    }

    /// How many there are who have talked: most who may never do, and no card is held for them.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(super) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let voices = self.voices.lock().unwrap_or_else(PoisonError::into_inner);
        voices.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Inbox {
    /// All that was left since.
    pub(super) fn take(&self) -> VecDeque<SpokenPacket> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Voice {
    /// Leaves a packet; never waits for the speaker.
    pub fn say(&self, packet: SpokenPacket) {
        let mut left = self.inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() == MAX_LEFT {
            left.pop_front();
        }
        left.push_back(packet);
        drop(left);
        if !self.said.swap(true, Ordering::Relaxed) {
            self.count.send_modify(|count| *count += 1);
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if *self.said.get_mut() {
            self.count.send_modify(|count| *count = count.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::MediaTime;

    #[test]
    fn who_leaves_is_counted_no_more_and_what_nobody_takes_is_bounded() {
        let talkers = Talkers::default();
        let count = talkers.count();
        let (first, second) = (talkers.join(), talkers.join());
        let say = |voice: &Voice, sequence| {
            let arrived = MediaTime::default();
            voice.say(SpokenPacket { ssrc: 1, sequence, rtp_time: 0, payload: Bytes::new(), arrived });
        };
        assert_eq!((*count.borrow(), talkers.inboxes().len()), (0, 2), "nobody has said anything");
        say(&second, 0);
        assert_eq!((*count.borrow(), talkers.inboxes().len()), (1, 2));
        drop(second);
        assert_eq!((*count.borrow(), talkers.inboxes().len()), (0, 1));
        (0..200).for_each(|sequence| say(&first, sequence));
        assert_eq!(*count.borrow(), 1);
        let left = talkers.inboxes()[0].take();
        assert_eq!((left.len(), left[0].sequence), (MAX_LEFT, 136));
        assert!(talkers.inboxes()[0].take().is_empty());
    }
}
