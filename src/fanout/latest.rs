//! A slot of one between two threads: what is not taken in time is replaced, so waiting never makes it older.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A one-deep, latest-wins slot between OS threads.
#[derive(Debug)]
pub struct Latest<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    slot: Option<T>,
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
        Self { state: Mutex::new(State { slot: None, closed: false }), filled: Condvar::new() }
    }

    /// Puts `item` in and hands back the one that nobody took, to be counted as dropped. A closed slot hands back `item`.
    pub fn put(&self, item: T) -> Option<T> {
        let mut state = self.lock();
        if state.closed {
            return Some(item);
        }
        let replaced = state.slot.replace(item);
        drop(state);
        self.filled.notify_one();
        replaced
    }

    /// Takes what is there, or waits for it at most `timeout`. `None` when nothing came, or the slot is closed and empty.
    pub fn take(&self, timeout: Duration) -> Option<T> {
        let state = self.lock();
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, timeout, |state| state.slot.is_none() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.slot.take()
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
    fn the_latest_wins_and_the_loser_is_handed_back() {
        let slot = Latest::new();
        assert_eq!(slot.put(1), None);
        assert_eq!(slot.put(2), Some(1));
        assert_eq!(slot.take(LONG), Some(2));
        assert_eq!(slot.take(Duration::ZERO), None);
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
        assert_eq!(slot.put(6), Some(6), "a closed slot takes nothing");
        assert!(slot.is_closed());
    }
}
