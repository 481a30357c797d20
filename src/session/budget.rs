//! How much peers may ask: messages, joins, and what must be answered though it belongs to no session.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Limits, PeerId};

/// Peers remembered; beyond that the one heard of longest ago starts with a full budget again.
const MAX_PEERS: usize = 1_024;
/// A page that is reloaded in anger stays below this; a loop does not.
const JOINS_AT_ONCE: u32 = 10;
/// Errors, status replies and the like.
const REPLIES: Rate = Rate { each: Duration::from_millis(500), burst: 20 };

/// Still pictures of one peer, and of all: each costs the processor a little, and a broker up to 64 KB both ways.
const SNAPSHOTS: Rate = Rate { each: Duration::from_secs(1), burst: 4 };
const SNAPSHOTS_IN_ALL: Rate = Rate { each: Duration::from_millis(250), burst: 8 };

/// The budgets of all peers.
#[derive(Debug)]
pub(super) struct Budgets {
    joins: Rate,
    messages: Rate,
    messages_in_all: Rate,
    all: Bucket,
    snapshots: Bucket,
    peers: BTreeMap<PeerId, Budget>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Budget {
    messages: Bucket,
    joins: Bucket,
    replies: Bucket,
    snapshots: Bucket,
    touched: Duration,
}

impl Budgets {
    /// Full budgets for everyone.
    pub(super) fn new(limits: &Limits) -> Self {
        let [joins, messages, messages_in_all] = rates(limits);
        Self {
            joins,
            messages,
            messages_in_all,
            all: Bucket::default(),
            snapshots: Bucket::default(),
            peers: BTreeMap::new(),
        }
    }

    /// Other rates from now on; what each has left stays.
    pub(super) fn set_limits(&mut self, limits: &Limits) {
        [self.joins, self.messages, self.messages_in_all] = rates(limits);
    }

    /// Takes one message, not yet read.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(super) fn take_message(&mut self, peer: &PeerId, now: Duration) -> Result<(), Duration> {
        // One peer's flood is stopped by its own limit, so that it does not use up what is there for all.
        let rate = self.messages;
        self.budget(peer, now).messages.take(rate, now)?;
        self.all.take(self.messages_in_all, now)
    }

    /// Takes one join.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(super) fn take_join(&mut self, peer: &PeerId, now: Duration) -> Result<(), Duration> {
        let rate = self.joins;
        self.budget(peer, now).joins.take(rate, now)
    }

    /// Takes one still picture.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(super) fn take_snapshot(&mut self, peer: &PeerId, now: Duration) -> Result<(), Duration> {
        self.budget(peer, now).snapshots.take(SNAPSHOTS, now)?;
        self.snapshots.take(SNAPSHOTS_IN_ALL, now)
    }

    /// Takes one reply; `false` means to stay silent.
    pub(super) fn take_reply(&mut self, peer: &PeerId, now: Duration) -> bool {
        self.budget(peer, now).replies.take(REPLIES, now).is_ok()
    }

    /// Peers remembered, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.peers.len()
    }

    fn budget(&mut self, peer: &PeerId, now: Duration) -> &mut Budget {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(peer) {
            let oldest = self.peers.iter().min_by_key(|(_, budget)| budget.touched).map(|(peer, _)| peer.clone());
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let budget = self.peers.entry(peer.clone()).or_default();
        budget.touched = now;
        budget
    }
}

/// Of one peer's joins and messages, and of all peers' messages.
fn rates(limits: &Limits) -> [Rate; 3] {
    let per_second = |n: u32| Rate { each: Duration::from_secs(1) / n, burst: 2 * n };
    let joins = limits.joins_per_minute.value();
    [
        Rate { each: Duration::from_secs(60) / joins, burst: JOINS_AT_ONCE.min(joins) },
        per_second(limits.messages_per_second.value()),
        per_second(limits.messages_per_second_in_all.value()),
    ]
}

/// `burst` at once, then one each `each`.
#[derive(Debug, Clone, Copy)]
struct Rate {
    each: Duration,
    burst: u32,
}

/// A leaky bucket, kept as the moment at which it is empty again.
#[derive(Debug, Default, Clone, Copy)]
struct Bucket {
    empty_at: Duration,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let filled = self.empty_at.max(now) + rate.each;
        let over = filled.saturating_sub(now + rate.each * rate.burst);
        if over.is_zero() {
            self.empty_at = filled;
            Ok(())
        } else {
            Err(over)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_may_join_ten_times_at_once_and_then_every_two_seconds() {
        let mut budgets = Budgets::new(&Limits::default());
        let peer: PeerId = "tab".parse().expect("a peer id");
        let s = Duration::from_secs;
        for _ in 0..10 {
            assert_eq!(budgets.take_join(&peer, s(0)), Ok(()));
        }
        assert_eq!(budgets.take_join(&peer, s(0)), Err(s(2)));
        assert_eq!(budgets.take_join(&peer, s(1)), Err(s(1)));
        assert_eq!(budgets.take_join(&peer, s(2)), Ok(()));
        assert_eq!(budgets.take_join(&peer, s(2)), Err(s(2)));
    }

    #[test]
    fn endless_peers_do_not_fill_memory() {
        let mut budgets = Budgets::new(&Limits::default());
        for n in 0..5_000 {
            budgets.take_reply(&format!("p{n}").parse().expect("a peer id"), Duration::from_millis(n));
        }
        assert_eq!(budgets.peers.len(), MAX_PEERS);
    }
}
