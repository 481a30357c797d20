//! Signs of life of the node's threads and tasks, for whoever watches that none of them is stuck.
//!
//! A thread beats once a round: after a frame, or after a wait whose reason stands on the board. One that ends leaves the
//! list; one that panics stays in it and beats no more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest that a thread may wait within one round: its beats are then far closer than the watch's limit.
pub const ROUND: Duration = Duration::from_secs(3);

/// All pulses of a node. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next: u32,
    entries: BTreeMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    beats: Arc<AtomicU32>,
}

/// What one thread or task was seen to have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Tells it from others of its name: a pipeline that is begun anew has new ones.
    pub id: u32,
    /// The thread's or task's.
    pub name: String,
    /// Rounds so far; wraps.
    pub beats: u32,
}

/// One thread's or task's own. Dropped, it is in the list no more, unless its thread panics.
#[derive(Debug)]
pub struct Pulse {
    id: u32,
    beats: Arc<AtomicU32>,
    list: Pulses,
}

impl Pulses {
    /// Adds a thread or task.
    pub fn begin(&self, name: impl Into<String>) -> Pulse {
        let beats = Arc::new(AtomicU32::new(0));
        let mut list = self.lock();
        let id = list.next;
        list.next = list.next.wrapping_add(1);
        list.entries.insert(id, Entry { name: name.into(), beats: Arc::clone(&beats) });
        Pulse { id, beats, list: self.clone() }
    }

    /// How many rounds each has done.
    pub fn readings(&self) -> Vec<Reading> {
        let list = self.lock();
        let read = |(id, entry): (&u32, &Entry)| Reading {
            id: *id,
            name: entry.name.clone(),
            beats: entry.beats.load(Ordering::Relaxed),
        };
        list.entries.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // An entry is whole or not there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// Another round is done.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.list.lock().entries.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_ends_leaves_the_list_and_whoever_panics_stays_in_it() {
        let pulses = Pulses::default();
        let first = pulses.begin("capture-main");
        let second = pulses.begin("capture-main");
        second.beat();
        let beats = |pulses: &Pulses| pulses.readings().iter().map(|reading| reading.beats).collect::<Vec<_>>();
        assert_eq!(beats(&pulses), [0, 1]);
        drop(first);
        assert_eq!(beats(&pulses), [1]);
        let panicking = std::thread::spawn(move || {
            second.beat();
            panic!("expected in this test");
        });
        assert!(panicking.join().is_err());
        assert_eq!(beats(&pulses), [2], "it is still expected to beat");
    }
}
