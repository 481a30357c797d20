//! One subscriber's queue: what is kept, and what is lost when it lags. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::Item;

/// Items in order, the first one always an entry or the successor of one that was read.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<T>,
    max_items: usize,
    max_age: Duration,
    /// Nothing is kept until an entry item comes.
    entering: bool,
    /// It waits because its queue was lost, and nobody has been told yet.
    lost_entry: bool,
    closed: bool,
    dropped: u64,
}

impl<T> Queue<T> {
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<T: Item> Queue<T> {
    pub(super) fn new(max_items: usize, max_age: Duration) -> Self {
        Self {
            items: VecDeque::new(),
            max_items,
            max_age,
            entering: true,
            lost_entry: false,
            closed: false,
            dropped: 0,
        }
    }

    /// Keeps `item`, or loses it; says whether there is something to be read.
    pub(super) fn push(&mut self, item: T) -> bool {
        if self.entering && !item.is_entry() {
            // Before the very first entry nothing was promised, so nothing is lost.
            self.dropped += u64::from(self.started());
            return false;
        }
        self.entering = false;
        self.items.push_back(item);
        while self.is_over() {
            self.jump();
        }
        !self.items.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// Whether an entry is missed since the queue was lost; true once a loss.
    pub(super) fn take_lost_entry(&mut self) -> bool {
        std::mem::take(&mut self.lost_entry)
    }

    fn started(&self) -> bool {
        self.dropped > 0
    }

    fn is_over(&self) -> bool {
        let (Some(oldest), Some(newest)) = (self.items.front(), self.items.back()) else { return false };
        self.items.len() > self.max_items || newest.captured().since(oldest.captured()) > self.max_age
    }

    /// Forward to the newest entry that is queued behind the first item, else to one that is yet to come.
    fn jump(&mut self) {
        let to = self.items.iter().skip(1).rposition(Item::is_entry).map(|at| at + 1);
        let lost = to.unwrap_or(self.items.len());
        self.items.drain(..lost);
        self.dropped += lost as u64;
        self.entering = to.is_none();
        self.lost_entry |= self.entering;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::MediaTime;

    /// Captured in milliseconds, and whether it is an entry.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct At(u64, bool);

    impl Item for At {
        fn is_entry(&self) -> bool {
            self.1
        }

        fn captured(&self) -> MediaTime {
            MediaTime::from_nanos(self.0 * 1_000_000)
        }
    }

    /// What is left in a queue of 4 items and 100 ms, and how many were lost.
    fn after(items: &[At]) -> (Vec<u64>, u64) {
        let mut queue = Queue::new(4, Duration::from_millis(100));
        for item in items {
            queue.push(*item);
        }
        let dropped = queue.dropped();
        (std::iter::from_fn(|| queue.pop()).map(|item| item.0).collect(), dropped)
    }

    #[test]
    fn a_full_queue_is_lost_up_to_the_newest_entry() {
        let table: &[(&str, &[At], &[u64], u64)] = &[
            ("nothing before an entry", &[At(0, false), At(1, false)], &[], 0),
            ("within the bounds", &[At(0, true), At(1, false), At(2, false), At(3, false)], &[0, 1, 2, 3], 0),
            ("too many", &[At(0, true), At(1, false), At(2, false), At(3, false), At(4, false)], &[], 5),
            ("too old", &[At(0, true), At(100, false), At(101, false)], &[], 3),
            (
                "a queued entry saves what follows it",
                &[At(0, true), At(1, false), At(2, true), At(3, false), At(4, false)],
                &[2, 3, 4],
                2,
            ),
            ("the new one is an entry", &[At(0, true), At(1, false), At(2, false), At(3, false), At(4, true)], &[4], 4),
            (
                "waits for the entry after a loss",
                &[At(0, true), At(200, false), At(201, false), At(202, true), At(203, false)],
                &[202, 203],
                3,
            ),
            ("a queued entry that is too old itself", &[At(0, true), At(1, true), At(200, false)], &[], 3),
            ("all entries, as sound", &[At(0, true), At(20, true), At(40, true), At(60, true), At(80, true)], &[80], 4),
        ];
        for (name, items, left, lost) in table {
            assert_eq!(after(items), (left.to_vec(), *lost), "{name}");
        }
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lose_the_queue() {
        assert_eq!(after(&[At(1_000, true), At(0, false), At(33, false)]), (vec![1_000, 0, 33], 0));
    }
}
