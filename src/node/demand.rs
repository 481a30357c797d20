//! Whether a source is wanted now: the wish of viewers, waited for by a device's thread.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared between those who want a source and the thread that drives it.
#[derive(Debug, Default)]
pub struct Demand {
    wish: Mutex<Wish>,
    changed: Condvar,
}

/// What is asked of the thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Deliver: somebody watches, or wants a still picture.
    pub wanted: bool,
    /// End for good.
    pub stop: bool,
    /// Deliver nothing, whoever wants it: a person has shut it.
    pub shut: bool,
    watched: bool,
    glimpsed: bool,
}

impl Demand {
    /// Asks for delivery, or says that nobody needs it any more.
    pub fn want(&self, wanted: bool) {
        self.change(|wish| wish.watched = wanted);
    }

    /// The same for a still picture: either is reason enough.
    pub fn glimpse(&self, wanted: bool) {
        self.change(|wish| wish.glimpsed = wanted);
    }

    /// Ends the thread that waits on this.
    pub fn stop(&self) {
        self.change(|wish| wish.stop = true);
    }

    /// Shuts the source, or opens it again.
    pub fn shut(&self, shut: bool) {
        self.change(|wish| wish.shut = shut);
    }

    /// What is asked now.
    pub fn wish(&self) -> Wish {
        *self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until delivery is wanted, the source is shut or opened, or the end is near, at most for `time`.
    pub fn wait_until_wanted(&self, time: Duration) -> Wish {
        let wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let was_shut = wish.shut;
        let idle = |wish: &mut Wish| !wish.wanted && !wish.stop && wish.shut == was_shut;
        let (wish, _) = self.changed.wait_timeout_while(wish, time, idle).unwrap_or_else(PoisonError::into_inner);
        *wish
    }

    /// Blocks while it is shut, at most for `time`.
    pub fn wait_while_shut(&self, time: Duration) {
        let wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |wish: &mut Wish| wish.shut && !wish.stop;
        drop(self.changed.wait_timeout_while(wish, time, stays).unwrap_or_else(PoisonError::into_inner));
    }

    /// Pauses for `time`, less when delivery is no longer wanted or the end is near.
    pub fn pause(&self, time: Duration) -> Wish {
        let wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        let was_shut = wish.shut;
        let goes_on = |wish: &mut Wish| wish.wanted && !wish.stop && wish.shut == was_shut;
        let (wish, _) = self.changed.wait_timeout_while(wish, time, goes_on).unwrap_or_else(PoisonError::into_inner);
        *wish
    }

    fn change(&self, edit: impl FnOnce(&mut Wish)) {
        let mut wish = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut wish);
        wish.wanted = wish.watched || wish.glimpsed;
        drop(wish);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiting_thread_wakes_for_a_wish_and_for_the_end() {
        let demand = Arc::new(Demand::default());
        let waiting = std::thread::spawn({
            let demand = Arc::clone(&demand);
            move || (demand.wait_until_wanted(LONG), demand.pause(LONG))
        });
        demand.want(true);
        while !demand.wish().wanted {}
        demand.stop();
        let (_, paused) = waiting.join().expect("the thread ends");
        assert!(paused.stop, "a pause of a minute ends at once");
    }

    #[test]
    fn watching_and_a_still_picture_are_each_reason_enough() {
        let demand = Demand::default();
        demand.want(true);
        demand.glimpse(true);
        demand.want(false);
        assert!(demand.wish().wanted);
        demand.glimpse(false);
        assert!(!demand.wish().wanted);
    }
}
