//! How much one peer may ask: joins, and messages that must be answered though they belong to no session.

use std::collections::BTreeMap;
use std::time::Duration;

use super::PeerId;

/// Peers remembered; beyond that the one heard of longest ago starts with a full budget again.
const MAX_PEERS: usize = 1_024;
/// A page that is reloaded in anger stays below this; a loop does not.
const JOINS: Rate = Rate { each: Duration::from_secs(2), burst: 10 };
/// Errors, status replies and the like.
const REPLIES: Rate = Rate { each: Duration::from_millis(500), burst: 20 };

/// The budgets of all peers.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    peers: BTreeMap<PeerId, Budget>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Budget {
    joins: Bucket,
    replies: Bucket,
    touched: Duration,
}

impl Budgets {
    /// Takes one join.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(super) fn take_join(&mut self, peer: &PeerId, now: Duration) -> Result<(), Duration> {
        self.budget(peer, now).joins.take(JOINS, now)
    }

    /// Takes one reply; `false` means to stay silent.
    pub(super) fn take_reply(&mut self, peer: &PeerId, now: Duration) -> bool {
        self.budget(peer, now).replies.take(REPLIES, now).is_ok()
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

/// `burst` at once, then one each `each`.
#[derive(Clone, Copy)]
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
        let mut budgets = Budgets::default();
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
        let mut budgets = Budgets::default();
        for n in 0..5_000 {
            budgets.take_reply(&format!("p{n}").parse().expect("a peer id"), Duration::from_millis(n));
        }
        assert_eq!(budgets.peers.len(), MAX_PEERS);
    }
}
