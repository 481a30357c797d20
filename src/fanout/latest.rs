//! A slot between two threads: what is not taken in time is replaced, so waiting never makes it older.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A latest-wins slot between OS threads: one deep for what stands alone, a few for what builds on what came before.
#[derive(Debug)]
pub struct Latest<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    slot: VecDeque<T>,
    closed: bool,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Latest<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { slot: VecDeque::new(), closed: false }), filled: Condvar::new() }
    }

    /// Puts `item` in the place of what nobody took; says how many that were, to be counted as dropped. A closed slot
    /// drops `item`.
    pub fn put(&self, item: T) -> usize {
        self.put_behind(item, 0)
    }

    /// Puts `item` behind what nobody took, unless more than `others` wait: they are too old then, and all go. Says how
    /// many were dropped.
    pub fn put_behind(&self, item: T, others: usize) -> usize {
        let mut state = self.lock();
        if state.closed {
            return 1;
        }
        let dropped = if state.slot.len() > others { state.slot.drain(..).count() } else { 0 };
        state.slot.push_back(item);
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Takes what is there, or waits for it at most `timeout`. `None` when nothing came, or the slot is closed and empty.
    pub fn take(&self, timeout: Duration) -> Option<T> {
        let state = self.lock();
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, timeout, |state| state.slot.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.slot.pop_front()
    }

    /// Wakes whoever waits; from now on nothing goes in. What is in can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Whether [`Latest::close`] was called: tells the end from a time-out.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_latest_wins_and_the_loser_is_counted() {
        let slot = Latest::new();
        assert_eq!((slot.put(1), slot.put(2)), (0, 1));
        assert_eq!(slot.take(LONG), Some(2));
        assert_eq!(slot.take(Duration::ZERO), None);
    }

    #[test]
    fn what_builds_on_what_came_before_waits_behind_it_until_it_would_be_too_old() {
        let slot = Latest::new();
        assert_eq!([1, 2, 3].map(|item| slot.put_behind(item, 2)), [0, 0, 0]);
        assert_eq!(slot.take(LONG), Some(1));
        assert_eq!([4, 5].map(|item| slot.put_behind(item, 2)), [0, 3]);
        assert_eq!([slot.take(LONG), slot.take(Duration::ZERO)], [Some(5), None]);
    }

    #[test]
    fn a_waiting_thread_gets_what_is_put_and_then_the_end() {
        let slot = Arc::new(Latest::new());
        let reader = slot.clone();
        let thread = std::thread::spawn(move || (reader.take(LONG), reader.take(LONG)));
        slot.put(5);
        // Closing at once must not lose the item, whichever the thread sees first.
        slot.close();
        assert_eq!(thread.join().expect("the reader does not panic"), (Some(5), None));
        assert_eq!(slot.put(6), 1, "a closed slot takes nothing");
        assert!(slot.is_closed());
    }
}
