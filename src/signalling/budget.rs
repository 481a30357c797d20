//! Core: how many messages and bytes a second a broker takes from, and gives to, one client. Told of each; says when the
//! next may go.
//!
//! Only our own messages can wait. So they go evenly, as many as what comes in leaves room for; and however much that is, a
//! few go all the same: who hears no answer asks again, and what we keep back would make more come in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What has come and gone within the last second.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    rate: Rate,
    sent: VecDeque<Instant>,
    received: VecDeque<Instant>,
    /// When as many as go at once may go at once again, if nothing more is sent.
    full_at: Option<Instant>,
    /// The same of the bytes, sent and received.
    bytes_full_at: Option<Instant>,
}

/// `burst` at once, then one each `each`, and no more than fits beside what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Between two messages that we send.
    pub each: Duration,
    /// Messages that we send at once.
    pub burst: usize,
    /// Messages within a second, both directions together, beyond which none is sent but the least.
    pub both: usize,
    /// Messages within a second that may be sent however many come in.
    pub least: usize,
    /// Bytes a second, payload and topic, both directions together.
    pub bytes_per_s: u32,
    /// Bytes at once. A message may go while any of them are left, however large it is.
    pub burst_bytes: u32,
}

impl Budget {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, sent: VecDeque::new(), received: VecDeque::new(), full_at: None, bytes_full_at: None }
    }

    /// One message of so many bytes was received.
    pub(crate) fn received(&mut self, now: Instant, bytes: usize) {
        remember(&mut self.received, now, self.rate.both);
        self.take_bytes(now, bytes);
    }

    /// One message of so many bytes was sent.
    pub(crate) fn sent(&mut self, now: Instant, bytes: usize) {
        remember(&mut self.sent, now, self.rate.both);
        self.full_at = Some(self.full_at.map_or(now, |full| full.max(now)) + self.rate.each);
        self.take_bytes(now, bytes);
    }

    /// When the next message may be sent if nothing comes in until then: not after `now` if at once.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let mut at = now.max(self.after_burst(now)).max(self.after_bytes(now));
        // Each step leaves one moment behind at which something is forgotten, and there are few.
        while let Some(later) = self.is_too_much_until(at) {
            at = later;
        }
        at
    }

    fn take_bytes(&mut self, now: Instant, bytes: usize) {
        let from = self.bytes_full_at.map_or(now, |full| full.max(now));
        let longest = self.time_of(self.rate.burst_bytes) + MOST_SILENCE;
        self.bytes_full_at = Some((from + self.time_of(u32::try_from(bytes).unwrap_or(u32::MAX))).min(now + longest));
    }

    fn after_burst(&self, now: Instant) -> Instant {
        // With room for one more, all are there again after at most all but one of their times.
        let room = self.rate.each * u32::try_from(self.rate.burst).unwrap_or(u32::MAX).saturating_sub(1);
        self.full_at.and_then(|full| full.checked_sub(room)).unwrap_or(now)
    }

    fn after_bytes(&self, now: Instant) -> Instant {
        let due = self.bytes_full_at.and_then(|full| full.checked_sub(self.time_of(self.rate.burst_bytes)));
        // However much the broker goes on to give us.
        let at_last = self.sent.back().map_or(now, |sent| *sent + MOST_SILENCE);
        due.map_or(now, |due| due.min(at_last.max(now)))
    }

    /// When something of the last second is forgotten, if at `at` that second has too much for one more.
    fn is_too_much_until(&self, at: Instant) -> Option<Instant> {
        let within = |kept: &VecDeque<Instant>, length: Duration| kept.iter().filter(|t| at < **t + length).count();
        let sent = within(&self.sent, SECOND);
        // What has begun to come in will go on to, and we cannot take back what we have sent then.
        let coming = within(&self.received, GLANCE) * GLANCES_IN_A_SECOND;
        let room = self.rate.both.saturating_sub(within(&self.received, SECOND).max(coming));
        if sent < room.max(self.rate.least) {
            return None;
        }
        let forgotten = self.sent.iter().chain(&self.received).map(|t| *t + SECOND);
        forgotten.chain(self.received.iter().map(|t| *t + GLANCE)).filter(|t| *t > at).min()
    }

    fn time_of(&self, bytes: u32) -> Duration {
        Duration::from_secs_f64(f64::from(bytes) / f64::from(self.rate.bytes_per_s))
    }
}

/// The latest `most` of the last second: with so many there, older ones change nothing.
fn remember(kept: &mut VecDeque<Instant>, now: Instant, most: usize) {
    while kept.len() >= most || kept.front().is_some_and(|t| *t + SECOND <= now) {
        kept.pop_front();
    }
    kept.push_back(now);
}

const SECOND: Duration = Duration::from_secs(1);
/// So much of what came in last tells how fast it comes in.
const GLANCE: Duration = Duration::from_millis(250);
const GLANCES_IN_A_SECOND: usize = 4;
/// However many bytes the broker has given us: sessions repeat what waits for longer.
const MOST_SILENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        each: Duration::from_millis(25),
        burst: 10,
        both: 70,
        least: 20,
        bytes_per_s: 100_000,
        burst_bytes: 20_000,
    };

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn epoch() -> Instant {
        Instant::now()
    }

    /// The most of these within any second.
    fn most_in_a_second(times: &[Instant]) -> usize {
        let within = |from: &Instant| times.iter().filter(|at| (*from..*from + SECOND).contains(*at)).count();
        times.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let start = epoch();
        let (mut budget, mut now, mut sent) = (Budget::new(RATE), start, Vec::new());
        for _ in 0..150 {
            now = budget.next(now);
            budget.sent(now, 0);
            sent.push(now);
        }
        assert!(sent[..10].iter().all(|at| *at == start), "{sent:?}");
        assert!(sent[10..].windows(2).all(|two| two[1] - two[0] == RATE.each), "{sent:?}");
        assert_eq!(most_in_a_second(&sent), 49, "the burst and forty a second");
    }

    /// Sends as fast as it may while messages come in at these times; gives when it sent.
    fn sent_beside(received: &[Instant], until: Instant) -> Vec<Instant> {
        let (mut budget, mut sent) = (Budget::new(RATE), Vec::new());
        let mut coming = received.iter().copied().peekable();
        let mut now = *received.first().expect("some");
        loop {
            let next = budget.next(now);
            match coming.next_if(|at| *at <= next) {
                Some(at) => {
                    now = at;
                    budget.received(now, 0);
                }
                None if next > until => return sent,
                None => {
                    now = next;
                    budget.sent(now, 0);
                    sent.push(now);
                }
            }
        }
    }

    #[test]
    fn what_comes_in_leaves_less_for_what_goes_out_but_never_nothing() {
        let start = epoch();
        let every = |gap_ms: u32| (0..5_000 / gap_ms).map(move |n| start + Duration::from_millis(gap_ms.into()) * n);
        for (gap_ms, at_least, at_most) in [(1, 18, 20), (10, 18, 20), (20, 18, 22), (50, 40, 50)] {
            let received: Vec<Instant> = every(gap_ms).collect();
            let sent = sent_beside(&received, start + 5 * SECOND);
            assert!((at_least * 5..=at_most * 5 + 10).contains(&sent.len()), "{} each {gap_ms} ms", sent.len());
            assert!(most_in_a_second(&sent) <= at_most, "{} each {gap_ms} ms", most_in_a_second(&sent));
        }
    }

    #[test]
    fn when_no_more_comes_in_it_is_forgotten_after_a_second() {
        let now = epoch();
        let mut budget = Budget::new(RATE);
        for _ in 0..10_000 {
            budget.received(now, 0);
        }
        assert!(budget.sent.len() + budget.received.len() <= 2 * RATE.both, "and not kept for longer");
        for _ in 0..RATE.least {
            let at = budget.next(now);
            assert!(at < now + SECOND);
            budget.sent(at, 0);
        }
        assert!(budget.next(now) >= now + SECOND, "the least has gone");
        assert_eq!(budget.next(now + 2 * SECOND), now + 2 * SECOND);
    }

    #[test]
    fn large_messages_wait_for_their_bytes() {
        let start = epoch();
        let (mut budget, mut now, mut sent) = (Budget::new(RATE), start, Vec::new());
        for _ in 0..20 {
            now = budget.next(now);
            budget.sent(now, 30_000);
            sent.push(now - start);
        }
        let most = sent.iter().map(|from| {
            let within = sent.iter().filter(|at| (*from..*from + SECOND).contains(*at)).count();
            within * 30_000
        });
        assert!(most.max() <= Some(100_000 + 20_000 + 30_000), "{sent:?}");
        assert!(sent.last() <= Some(&Duration::from_secs(6)), "and no slower than need be: {sent:?}");
        // However long it goes on.
        for _ in 0..100 {
            now += Duration::from_millis(100);
            budget.received(now, 128 * 1024);
            let last = *budget.sent.back().expect("it has sent");
            let next = budget.next(now);
            assert!(
                next <= (last + MOST_SILENCE).max(now) + Duration::from_millis(1),
                "silenced for {:?}",
                next - last
            );
            if next <= now {
                budget.sent(now, 100);
            }
        }
    }
}
