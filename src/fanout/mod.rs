//! One publisher, many subscribers, no back-pressure: a slow one jumps to the next key frame.
//!
//! Publishing never waits and never grows a queue beyond its bound, so nobody's slowness reaches the camera or another
//! viewer. A subscriber's queue is bounded in items and in media time; when it is full, what it holds is stale, and the
//! way to be live again leads over the next item a decoder can enter at.

mod latest;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub use latest::Latest;
use queue::Queue;

use crate::media::{EncodedAudio, MediaTime, VideoPackets};

/// What can be published: a cheap handle that knows whether a decoder can start with it.
pub trait Item: Clone + Send {
    /// Whether a subscriber can start here: a key frame, or any audio packet.
    fn is_entry(&self) -> bool;

    /// When it was captured; the bound in time is counted from it.
    fn captured(&self) -> MediaTime;
}

impl Item for Arc<VideoPackets> {
    fn is_entry(&self) -> bool {
        self.key
    }

    fn captured(&self) -> MediaTime {
        self.captured
    }
}

impl Item for EncodedAudio {
    fn is_entry(&self) -> bool {
        true
    }

    fn captured(&self) -> MediaTime {
        self.captured
    }
}

/// The publishing end.
#[derive(Debug)]
pub struct Fanout<T> {
    hub: Arc<Hub<T>>,
}

impl<T: Item> Fanout<T> {
    /// Each subscriber may lag by `max_items` items (at least 1) and by `max_age` between the oldest and the newest.
    pub fn new(max_items: usize, max_age: Duration) -> Self {
        let (count, _) = watch::channel(0);
        let state = State { lanes: Vec::new(), closed: false, entry_wanted: false };
        Self { hub: Arc::new(Hub { state: Mutex::new(state), count, max_items: max_items.max(1), max_age }) }
    }

    /// Hands `item` to every subscriber; never waits for one. May be called from any thread, in or out of a runtime.
    pub fn publish(&self, item: T) {
        let mut state = self.hub.lock();
        if item.is_entry() {
            state.entry_wanted = false;
        }
        for lane in &state.lanes {
            let queued = lock(&lane.queue).push(item.clone());
            if queued {
                lane.wake.notify_one();
            }
        }
    }

    /// A new subscriber; it starts with the next entry item. After [`Fanout::close`] it ends at once.
    pub fn subscribe(&self) -> Subscription<T> {
        let lane =
            Arc::new(Lane { queue: Mutex::new(Queue::new(self.hub.max_items, self.hub.max_age)), wake: Notify::new() });
        let mut state = self.hub.lock();
        if state.closed {
            lock(&lane.queue).close();
        } else {
            state.lanes.push(lane.clone());
            self.hub.count.send_replace(state.lanes.len());
        }
        drop(state);
        Subscription { hub: self.hub.clone(), lane }
    }

    /// How many subscribers there are now.
    pub fn subscribers(&self) -> usize {
        *self.hub.count.borrow()
    }

    /// Follows the number of subscribers, for starting and stopping what feeds them.
    pub fn watch_subscribers(&self) -> watch::Receiver<usize> {
        self.hub.count.subscribe()
    }

    /// Whether a subscriber that had lost its queue reads again and waits for an entry item; the question resets it, and
    /// so does the next entry item.
    ///
    /// A subscriber that does not read at all never causes this: it would otherwise make every viewer pay for key frames
    /// it does not take.
    pub fn take_entry_wanted(&self) -> bool {
        std::mem::take(&mut self.hub.lock().entry_wanted)
    }

    /// Ends every subscription once it has read what is queued.
    pub fn close(&self) {
        self.hub.close();
    }
}

impl<T> Drop for Fanout<T> {
    fn drop(&mut self) {
        self.hub.close();
    }
}

/// The reading end; dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription<T> {
    hub: Arc<Hub<T>>,
    lane: Arc<Lane<T>>,
}

impl<T: Item> Subscription<T> {
    /// The next item; `None` once the fanout is closed and everything queued has been read. Cancel-safe.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            let waits_for_entry = {
                let mut queue = lock(&self.lane.queue);
                if let Some(item) = queue.pop() {
                    return Some(item);
                }
                if queue.is_closed() {
                    return None;
                }
                queue.take_lost_entry()
            };
            // Not under the queue's lock: the publisher takes the two locks in the other order.
            if waits_for_entry {
                self.hub.lock().entry_wanted = true;
            }
            self.lane.wake.notified().await;
        }
    }

    /// How many items this subscriber has lost by being slow; those before its first entry item do not count.
    pub fn dropped(&self) -> u64 {
        lock(&self.lane.queue).dropped()
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.lanes.retain(|lane| !Arc::ptr_eq(lane, &self.lane));
        self.hub.count.send_replace(state.lanes.len());
    }
}

/// What the two ends share.
#[derive(Debug)]
struct Hub<T> {
    state: Mutex<State<T>>,
    count: watch::Sender<usize>,
    max_items: usize,
    max_age: Duration,
}

#[derive(Debug)]
struct State<T> {
    lanes: Vec<Arc<Lane<T>>>,
    closed: bool,
    entry_wanted: bool,
}

/// One subscriber's queue, and how it is woken. Notify keeps one permit, so a wake-up before the wait is not lost.
#[derive(Debug)]
struct Lane<T> {
    queue: Mutex<Queue<T>>,
    wake: Notify,
}

impl<T> Hub<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for lane in &state.lanes {
            lock(&lane.queue).close();
            lane.wake.notify_one();
        }
    }
}

/// A poisoned lock only says that a holder panicked; the queues hold no invariant that a panic could have broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Numbered(u64, bool);

    impl Item for Numbered {
        fn is_entry(&self) -> bool {
            self.1
        }

        fn captured(&self) -> MediaTime {
            MediaTime::from_nanos(self.0 * 33_000_000)
        }
    }

    fn delta(n: u64) -> Numbered {
        Numbered(n, false)
    }

    fn key(n: u64) -> Numbered {
        Numbered(n, true)
    }

    /// All that is there without waiting.
    fn read(subscription: &mut Subscription<Numbered>) -> Vec<u64> {
        std::iter::from_fn(|| subscription.next().now_or_never().flatten()).map(|item| item.0).collect()
    }

    #[test]
    fn a_newcomer_starts_at_the_next_key_frame_and_the_others_go_on() {
        let fanout = Fanout::new(30, Duration::from_secs(1));
        let mut early = fanout.subscribe();
        fanout.publish(key(0));
        let mut late = fanout.subscribe();
        fanout.publish(delta(1));
        assert_eq!((read(&mut early), read(&mut late)), (vec![0, 1], vec![]));
        fanout.publish(key(2));
        fanout.publish(delta(3));
        assert_eq!((read(&mut early), read(&mut late)), (vec![2, 3], vec![2, 3]));
        assert_eq!(late.dropped(), 0, "what came before the start is not a loss");
        assert!(!fanout.take_entry_wanted(), "a newcomer is announced by its peer, not here");
    }

    #[test]
    fn one_that_stops_reading_slows_nobody_and_comes_back_at_a_key_frame() {
        let fanout = Fanout::new(30, Duration::from_secs(10));
        let (mut quick, mut stuck) = (fanout.subscribe(), fanout.subscribe());
        fanout.publish(key(0));
        for n in 1..1_000 {
            fanout.publish(delta(n));
            assert_eq!(read(&mut quick).last(), Some(&n), "every frame at once");
            assert!(lock(&stuck.lane.queue).len() <= 30);
        }
        assert!(!fanout.take_entry_wanted(), "nobody pays for one that does not read");
        assert_eq!(read(&mut stuck), [] as [u64; 0]);
        assert!(fanout.take_entry_wanted() && !fanout.take_entry_wanted(), "asked for once, when it reads again");
        fanout.publish(delta(1_000));
        fanout.publish(key(1_001));
        assert_eq!(read(&mut stuck), [1_001]);
        assert_eq!((stuck.dropped(), quick.dropped()), (1_001, 0));
    }

    #[test]
    fn a_key_frame_that_comes_anyway_settles_the_wish_for_one() {
        let fanout = Fanout::new(2, Duration::from_secs(10));
        let mut slow = fanout.subscribe();
        for item in [key(0), delta(1), delta(2)] {
            fanout.publish(item);
        }
        assert_eq!(read(&mut slow), [] as [u64; 0]);
        fanout.publish(key(3));
        assert!(!fanout.take_entry_wanted());
    }

    #[test]
    fn the_end_comes_after_what_is_queued() {
        let fanout = Fanout::new(30, Duration::from_secs(1));
        let mut subscription = fanout.subscribe();
        fanout.publish(key(0));
        fanout.close();
        let mut after = fanout.subscribe();
        assert_eq!(subscription.next().now_or_never(), Some(Some(key(0))));
        assert_eq!(subscription.next().now_or_never(), Some(None));
        assert_eq!(after.next().now_or_never(), Some(None));
    }

    #[test]
    fn subscribers_are_counted_as_they_come_and_go() {
        let fanout = Fanout::<Numbered>::new(30, Duration::from_secs(1));
        let mut watch = fanout.watch_subscribers();
        let (one, two) = (fanout.subscribe(), fanout.subscribe());
        assert_eq!(*watch.borrow_and_update(), 2);
        drop(one);
        assert_eq!((fanout.subscribers(), *watch.borrow_and_update()), (1, 1));
        drop(two);
        assert_eq!(fanout.subscribers(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_a_thread_without_a_runtime() {
        let fanout = Arc::new(Fanout::new(30, Duration::from_secs(1)));
        let mut subscription = fanout.subscribe();
        // A wait that is given up must not swallow the item.
        assert_eq!(subscription.next().now_or_never(), None);
        let publisher = fanout.clone();
        let thread = std::thread::spawn(move || publisher.publish(key(7)));
        assert_eq!(subscription.next().await, Some(key(7)));
        thread.join().expect("the publisher does not panic");
    }
}
