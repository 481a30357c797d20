//! Who makes room when one connection too many comes: nobody waits behind connections that say nothing.
//!
//! A server that takes only so many connections can be closed to everybody by one machine that holds all of them. Here
//! the newcomer is always taken: the address with the most connections gives up the one that has been silent longest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The connections of one server. Clones are the same crowd.
#[derive(Debug, Clone)]
pub struct Crowd(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    places: Places,
    /// Dropped, it tells the connection that its place is gone.
    held: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Crowd {
    /// For so many connections at a time.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { places: Places::new(places), held: BTreeMap::new() })))
    }

    /// A place for a new connection; somebody else's may be gone for it.
    pub fn enter(&self, from: IpAddr) -> Seat {
        let (hold, gone) = oneshot::channel();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, evicted) = inner.places.enter(from);
        if let Some(evicted) = evicted {
            inner.held.remove(&evicted);
        }
        inner.held.insert(number, hold);
        Seat { crowd: self.clone(), number, gone }
    }
}

/// A connection's place, given back when this is dropped.
#[derive(Debug)]
pub struct Seat {
    crowd: Crowd,
    number: u64,
    gone: oneshot::Receiver<()>,
}

impl Seat {
    /// Something that only an honest client does has happened on it.
    pub fn stir(&self) {
        self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner).places.stir(self.number);
    }

    /// Waits until the place is given to somebody else. Cancel-safe.
    pub async fn evicted(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.gone).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.places.leave(self.number);
        inner.held.remove(&self.number);
    }
}

/// Core: numbered places.
#[derive(Debug)]
struct Places {
    most: usize,
    taken: BTreeMap<u64, Place>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    from: IpAddr,
    /// Counts what has happened in all: the higher, the later.
    stirred: u64,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { most: most.max(1), taken: BTreeMap::new(), next: 0 }
    }

    fn enter(&mut self, from: IpAddr) -> (u64, Option<u64>) {
        let evicted = if self.taken.len() >= self.most { self.victim() } else { None };
        if let Some(evicted) = evicted {
            self.taken.remove(&evicted);
        }
        let number = self.tick();
        self.taken.insert(number, Place { from, stirred: number });
        (number, evicted)
    }

    fn stir(&mut self, number: u64) {
        let now = self.tick();
        if let Some(place) = self.taken.get_mut(&number) {
            place.stirred = now;
        }
    }

    fn leave(&mut self, number: u64) {
        self.taken.remove(&number);
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn victim(&self) -> Option<u64> {
        let mut held: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for place in self.taken.values() {
            *held.entry(place.from).or_default() += 1;
        }
        let most = held.values().max()?;
        let of_the_greediest = self.taken.iter().filter(|(_, place)| held.get(&place.from) == Some(most));
        of_the_greediest.min_by_key(|(_, place)| place.stirred).map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_address_with_the_most_connections_makes_room() {
        let mut places = Places::new(4);
        let (watchdog, _) = places.enter(ip(1));
        let greedy: Vec<u64> = (0..3).map(|_| places.enter(ip(9)).0).collect();
        assert_eq!(places.enter(ip(2)).1, Some(greedy[0]), "not the oldest of all, but of who has most");
        assert_eq!(places.enter(ip(9)).1, Some(greedy[1]));
        places.stir(greedy[2]);
        let (newest, evicted) = places.enter(ip(9));
        assert_ne!(evicted, Some(greedy[2]), "it has just said something");
        for gone in [watchdog, newest, greedy[2]] {
            places.leave(gone);
        }
        assert_eq!(places.enter(ip(3)).1, None, "there is room again");
    }

    #[tokio::test]
    async fn who_is_evicted_hears_of_it_and_who_leaves_frees_a_place() {
        let crowd = Crowd::new(1);
        let mut first = crowd.enter(ip(1));
        let second = crowd.enter(ip(2));
        first.evicted().await;
        drop(first);
        drop(second);
        let mut third = crowd.enter(ip(1));
        tokio::select! {
            biased;
            () = third.evicted() => panic!("nobody came after it"),
            () = std::future::ready(()) => {}
        }
    }
}
