//! Core: how many messages a second a broker takes from, and gives to, one client. Told of each; says when the next may go.

use std::time::{Duration, Instant};

/// A bucket that fills evenly. Messages of both directions empty it, but only our own can wait.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    rate: Rate,
    /// When the bucket will be full again, if nothing more is taken.
    full_at: Option<Instant>,
}

/// `burst` at once, then one each `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Between two messages.
    pub each: Duration,
    /// Messages at once.
    pub burst: u32,
}

impl Budget {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: None }
    }

    /// One message was sent or received.
    pub(super) fn take(&mut self, now: Instant) {
        let from = self.full_at.map_or(now, |full| full.max(now));
        // A broker that gives more than it says must not silence us for long.
        self.full_at = Some((from + self.rate.each).min(now + self.rate.each * (2 * self.rate.burst)));
    }

    /// When the next message may be sent: not after `now` if at once.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // With room for one more, the bucket is full after at most all but one of its messages' times.
        let room = self.rate.each * self.rate.burst.saturating_sub(1);
        self.full_at.and_then(|full| full.checked_sub(room)).map_or(now, |due| due.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { each: Duration::from_millis(25), burst: 10 };

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let start = epoch();
        let (mut budget, mut now, mut sent) = (Budget::new(RATE), start, Vec::new());
        for _ in 0..50 {
            now = budget.next(now);
            budget.take(now);
            sent.push(now - start);
        }
        assert!(sent[..10].iter().all(Duration::is_zero), "{sent:?}");
        assert!(sent[10..].windows(2).all(|two| two[1] - two[0] == RATE.each), "{sent:?}");
        let in_a_second = sent.iter().filter(|at| **at < Duration::from_secs(1)).count();
        assert_eq!(in_a_second, 49, "the burst and forty a second");
    }

    #[test]
    fn what_comes_in_leaves_less_for_what_goes_out_but_never_nothing() {
        let now = epoch();
        let mut budget = Budget::new(RATE);
        for _ in 0..10 {
            budget.take(now);
        }
        assert_eq!(budget.next(now) - now, RATE.each);
        for _ in 0..10_000 {
            budget.take(now);
        }
        assert!(budget.next(now) - now <= RATE.each * 11, "{:?}", budget.next(now) - now);
        assert_eq!(budget.next(now + Duration::from_secs(1)), now + Duration::from_secs(1), "full again");
    }
}
