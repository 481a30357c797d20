//! Core: how many messages and bytes a second a broker takes from, and gives to, one client. Told of each; says when the
//! next may go.

use std::time::{Duration, Instant};

/// Two buckets that fill evenly, one of messages and one of bytes. Both directions empty them, but only our own messages
/// can wait.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    rate: Rate,
    /// When the bucket will be full again, if nothing more is taken.
    full_at: Option<Instant>,
    /// The same of the bytes.
    bytes_full_at: Option<Instant>,
}

/// `burst` at once, then one each `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Between two messages.
    pub each: Duration,
    /// Messages at once.
    pub burst: u32,
    /// Bytes a second, payload and topic.
    pub bytes_per_s: u32,
    /// Bytes at once. A message may go while any of them are left, however large it is.
    pub burst_bytes: u32,
}

impl Budget {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, full_at: None, bytes_full_at: None }
    }

    /// One message of so many bytes was sent or received.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) {
        let from = self.full_at.map_or(now, |full| full.max(now));
        // A broker that gives more than it says must not silence us for long.
        self.full_at = Some((from + self.rate.each).min(now + self.rate.each * (2 * self.rate.burst)));
        let from = self.bytes_full_at.map_or(now, |full| full.max(now));
        let longest = self.time_of(self.rate.burst_bytes) + MOST_SILENCE;
        self.bytes_full_at = Some((from + self.time_of(u32::try_from(bytes).unwrap_or(u32::MAX))).min(now + longest));
    }

    /// When the next message may be sent: not after `now` if at once.
    pub(super) fn next(&self, now: Instant) -> Instant {
        // With room for one more, the bucket is full after at most all but one of its messages' times.
        let room = self.rate.each * self.rate.burst.saturating_sub(1);
        let due = |full: Option<Instant>, room| full.and_then(|full: Instant| full.checked_sub(room)).unwrap_or(now);
        let of_bytes = due(self.bytes_full_at, self.time_of(self.rate.burst_bytes));
        due(self.full_at, room).max(of_bytes).max(now)
    }

    fn time_of(&self, bytes: u32) -> Duration {
        Duration::from_secs_f64(f64::from(bytes) / f64::from(self.rate.bytes_per_s))
    }
}

/// However much the broker has given us: sessions repeat what waits for longer.
const MOST_SILENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { each: Duration::from_millis(25), burst: 10, bytes_per_s: 100_000, burst_bytes: 20_000 };

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
            budget.take(now, 0);
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
            budget.take(now, 0);
        }
        assert_eq!(budget.next(now) - now, RATE.each);
        for _ in 0..10_000 {
            budget.take(now, 0);
        }
        assert!(budget.next(now) - now <= RATE.each * 11, "{:?}", budget.next(now) - now);
        assert_eq!(budget.next(now + Duration::from_secs(1)), now + Duration::from_secs(1), "full again");
    }

    #[test]
    fn large_messages_wait_for_their_bytes() {
        let start = epoch();
        let (mut budget, mut now, mut sent) = (Budget::new(RATE), start, Vec::new());
        for _ in 0..20 {
            now = budget.next(now);
            budget.take(now, 30_000);
            sent.push(now - start);
        }
        let most = sent.iter().map(|from| {
            let within = sent.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(*at)).count();
            within * 30_000
        });
        assert!(most.max() <= Some(100_000 + 20_000 + 30_000), "{sent:?}");
        assert!(sent.last() <= Some(&Duration::from_secs(6)), "and no slower than need be: {sent:?}");
        for _ in 0..100 {
            budget.take(now, 128 * 1024);
        }
        let wait = budget.next(now) - now;
        assert!(
            wait <= MOST_SILENCE + Duration::from_millis(1),
            "what a broker floods us with silences us for {wait:?}"
        );
    }
}
