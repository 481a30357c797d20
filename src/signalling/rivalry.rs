//! Core: whether another client uses our client id, so that a broker throws the two off in turn.
//!
//! MQTT 3.1.1 has no word for it: the broker lets one in and closes the other's connection (section 3.1.4). Whoever comes
//! back at once takes the place again, and so on for ever. What tells it from a broker that has gone away is that it
//! lets us in again right after, several times in a row.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Told of each connection's beginning and end; says how long to stay away.
#[derive(Debug)]
pub(super) struct Rivalry {
    rng: fastrand::Rng,
    up_since: Option<Instant>,
    /// When the broker closed a connection that was up, and how long that had lasted; the latest last.
    cuts: VecDeque<(Instant, Duration)>,
    /// While another client is suspected: how long to stay away the next time.
    wait: Option<Duration>,
}

impl Rivalry {
    /// The jitter is drawn from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), up_since: None, cuts: VecDeque::new(), wait: None }
    }

    /// A connection is usable.
    pub(super) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// It ended, or could not be made; `closed` if the broker closed it without a word. When to come again, if another
    /// client is suspected.
    pub(super) fn lost(&mut self, now: Instant, closed: bool) -> Option<Instant> {
        let Some(since) = self.up_since.take() else {
            if self.wait.is_none() {
                // The broker itself is away: what came before was its going.
                self.cuts.clear();
            }
            return None;
        };
        if closed {
            self.cuts.push_back((now, now.saturating_duration_since(since)));
        }
        self.cuts.retain(|(at, _)| now.saturating_duration_since(*at) < REMEMBER);
        if self.cuts.len() > SUSPICIOUS {
            self.cuts.pop_front();
        }
        let quick = self.cuts.iter().filter(|(_, lasted)| *lasted < QUICK).count();
        if self.wait.is_none() && self.cuts.len() >= SUSPICIOUS && quick + 1 >= SUSPICIOUS {
            self.wait = Some(SHORTEST);
        }
        let wait = self.wait.filter(|_| closed)?;
        self.wait = Some((wait * 2).min(LONGEST));
        Some(now + wait.mul_f64(0.5 + self.rng.f64() * 0.5))
    }

    /// Whether another client is suspected.
    pub(super) fn is_suspected(&self) -> bool {
        self.wait.is_some()
    }

    /// When the suspicion ends, if the connection lasts until then: the other would have come back.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.up_since.filter(|_| self.is_suspected()).map(|since| since + REMEMBER)
    }

    /// The connection has lasted until [`Self::ends_at`].
    pub(super) fn end(&mut self) {
        self.wait = None;
        self.cuts.clear();
    }
}

/// So many connections cut off in a row, all but one of them right after they were made.
const SUSPICIOUS: usize = 3;
/// Two clients take turns about once a second at first. A broker that forbids something closes as quickly, and to come
/// back for ever is no better there.
const QUICK: Duration = Duration::from_secs(10);
/// The first time away, before jitter takes up to half of it off.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest: whichever client is connected then serves for minutes.
const LONGEST: Duration = Duration::from_secs(600);
/// Longer than the other would stay away.
const REMEMBER: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn two_clients_that_throw_each_other_off_soon_take_turns_of_minutes() {
        let start = epoch();
        // When each of the two comes back next; the one that is connected, and since when.
        let mut both = [Rivalry::new(1), Rivalry::new(2)];
        let mut comes = [start, start + seconds(3_600)];
        let mut connected: Option<usize> = None;
        let mut connects = Vec::new();
        while let Some(next) = (0..2).filter(|n| connected != Some(*n)).min_by_key(|n| comes[*n]) {
            let now = comes[next];
            if now > start + seconds(7 * 3_600) {
                break;
            }
            connects.push(now - start);
            both[next].up(now);
            if let Some(other) = connected.replace(next) {
                // As the back-off has it: never twice in a second.
                comes[other] = both[other].lost(now, true).unwrap_or(now + seconds(1));
            }
        }
        assert!(both.iter().all(Rivalry::is_suspected));
        let in_the_first_minute = connects.iter().filter(|at| (seconds(3_600)..seconds(3_660)).contains(*at)).count();
        assert!(in_the_first_minute <= 8, "{connects:?}");
        let later = connects.iter().filter(|at| **at > seconds(2 * 3_600)).count();
        assert!(later <= 5 * 12, "one in five minutes: {later} in five hours");
    }

    #[test]
    fn a_broker_that_restarts_is_no_rival() {
        let mut rivalry = Rivalry::new(1);
        let mut now = epoch();
        for _ in 0..10 {
            rivalry.up(now);
            now += seconds(5);
            assert_eq!(rivalry.lost(now, true), None);
            assert_eq!(rivalry.lost(now, false), None, "refused, as nobody listens");
            now += seconds(1);
        }
        assert!(!rivalry.is_suspected());
        for _ in 0..10 {
            rivalry.up(now);
            now += seconds(60);
            assert_eq!(rivalry.lost(now, true), None, "an idle connection that something on the way cuts");
        }
    }

    #[test]
    fn a_connection_that_lasts_ends_the_suspicion() {
        let mut rivalry = Rivalry::new(1);
        let mut now = epoch();
        for _ in 0..2 {
            rivalry.up(now);
            assert_eq!(rivalry.lost(now, true), None);
        }
        rivalry.up(now);
        let back = rivalry.lost(now, true).expect("the third");
        assert!((seconds(30)..=seconds(60)).contains(&(back - now)));
        now = back;
        rivalry.up(now);
        assert_eq!(rivalry.ends_at(), Some(now + seconds(900)));
        rivalry.end();
        assert!(!rivalry.is_suspected() && rivalry.ends_at().is_none());
        assert_eq!(rivalry.lost(now, true), None);
    }
}
