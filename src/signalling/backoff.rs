//! Core: when to connect again. Told when a connection began, came up and was lost; says when to try next.

use std::time::{Duration, Instant};

/// A doubling, jittered wait between connections.
#[derive(Debug)]
pub(super) struct Backoff {
    rng: fastrand::Rng,
    /// Failures in a row; a connection that did not last counts as one.
    failures: u32,
    last_connect: Option<Instant>,
    /// CONNECT was sent, and nothing shows yet that it has arrived.
    is_on_its_way: bool,
    up_since: Option<Instant>,
}

/// What there is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The broker, or the way to it, to come back.
    Soon,
    /// The broker's program, as its machine is there.
    Shortly,
    /// A board without a battery-backed clock starts in the past, until it has asked a time server.
    WhenTheClockIsSet,
    /// A person: a wrong certificate does not mend itself, but the broker's may be exchanged.
    Rarely,
}

impl Backoff {
    /// The jitter is drawn from `seed`, so that a fleet of nodes does not come back in step.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            failures: 0,
            last_connect: None,
            is_on_its_way: false,
            up_since: None,
        }
    }

    /// A connection is being made.
    pub(super) fn connecting(&mut self, now: Instant) {
        self.last_connect = Some(now);
        self.is_on_its_way = false;
        self.up_since = None;
    }

    /// CONNECT is sent, which is what is not to be repeated too soon.
    pub(super) fn introduced(&mut self, now: Instant) {
        self.last_connect = Some(now);
        self.is_on_its_way = true;
    }

    /// It is usable.
    pub(super) fn up(&mut self, now: Instant) {
        self.arrived(now);
        self.up_since = Some(now);
    }

    /// It failed or was lost; the next one may begin at the returned moment.
    pub(super) fn lost(&mut self, now: Instant, retry: Retry) -> Instant {
        self.arrived(now);
        let lasted = self.up_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if lasted >= STABLE_AFTER {
            self.failures = 0;
        }
        // 2^7 × 0.5 s is past the cap; more doublings would only overflow.
        let wait = match retry {
            Retry::Soon => (SHORTEST * 2_u32.pow(self.failures.min(7))).min(LONGEST),
            Retry::Shortly => (SHORTEST * 2_u32.pow(self.failures.min(7))).min(LONGEST_REFUSED),
            Retry::WhenTheClockIsSet => CLOCK_WAIT,
            Retry::Rarely => LONGEST,
        };
        self.failures = self.failures.saturating_add(1);
        let jittered = wait.mul_f64(0.5 + self.rng.f64() * 0.5);
        (now + jittered).max(self.earliest(now))
    }

    /// The machine's network is another now: there is nothing to wait for.
    pub(super) fn network_changed(&mut self, now: Instant) -> Instant {
        self.arrived(now);
        self.failures = 0;
        self.up_since = None;
        self.earliest(now)
    }

    /// The broker counts from when CONNECT came, which may have been only now: the next one may be quicker.
    fn arrived(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_on_its_way) {
            self.last_connect = Some(now);
        }
    }

    fn earliest(&self, now: Instant) -> Instant {
        self.last_connect.map_or(now, |last| (last + BETWEEN_CONNECTS).max(now))
    }
}

/// The first wait, before jitter takes up to half of it off.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest wait: a broker that is back after a day is used within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest after the broker's machine has said that nobody listens there: to ask costs both a packet, and viewers who
/// wait for the broker's return find the node five seconds later.
const LONGEST_REFUSED: Duration = Duration::from_secs(4);
/// A look at the clock: once it is set, a certificate is valid at once.
const CLOCK_WAIT: Duration = Duration::from_secs(5);
/// How long a connection must have lasted for the next wait to be the shortest again. Shorter, and two clients with one
/// id would throw each other off the broker as fast as it lets them.
const STABLE_AFTER: Duration = Duration::from_secs(20);
/// AWS IoT Core takes one CONNECT a second from a client id.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(1_100);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn waits_double_to_a_minute_and_stay_there() {
        for seed in 0..50 {
            let mut backoff = Backoff::new(seed);
            let mut now = epoch();
            for longest in [1.1, 1.1, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] {
                backoff.connecting(now);
                let next = backoff.lost(now, Retry::Soon);
                let wait = next - now;
                assert!(wait <= seconds(longest), "{wait:?} is at most {longest} s");
                assert!(
                    wait >= seconds(longest / 2.0).max(BETWEEN_CONNECTS),
                    "{wait:?} is at least half of {longest} s"
                );
                now = next;
            }
        }
    }

    #[test]
    fn a_broker_that_is_being_restarted_is_asked_every_few_seconds() {
        for seed in 0..50 {
            let mut backoff = Backoff::new(seed);
            let mut now = epoch();
            for _ in 0..20 {
                backoff.connecting(now);
                let next = backoff.lost(now, Retry::Shortly);
                assert!(next - now <= seconds(4.0), "{:?}", next - now);
                now = next;
            }
        }
    }

    #[test]
    fn a_client_never_connects_twice_in_a_second() {
        let mut backoff = Backoff::new(1);
        let start = epoch();
        backoff.connecting(start);
        backoff.up(start + seconds(0.01));
        assert_eq!(backoff.lost(start + seconds(0.02), Retry::Soon), start + BETWEEN_CONNECTS);
    }

    #[test]
    fn a_connect_counts_from_when_it_has_come_at_the_latest() {
        let mut backoff = Backoff::new(1);
        let start = epoch();
        backoff.connecting(start);
        backoff.introduced(start + seconds(0.2));
        backoff.up(start + seconds(0.7));
        let next = backoff.lost(start + seconds(0.8), Retry::Soon);
        assert_eq!(next, start + seconds(0.7) + BETWEEN_CONNECTS, "it was on its way for half a second");
        backoff.connecting(next);
        backoff.introduced(next);
        assert_eq!(backoff.network_changed(next + seconds(0.4)), next + seconds(0.4) + BETWEEN_CONNECTS);
    }

    #[test]
    fn a_connection_that_lasted_makes_the_next_wait_short_again() {
        let mut backoff = Backoff::new(2);
        let mut now = epoch();
        for _ in 0..8 {
            backoff.connecting(now);
            now = backoff.lost(now, Retry::Soon);
        }
        backoff.connecting(now);
        backoff.up(now);
        let after_a_moment = backoff.lost(now + seconds(5.0), Retry::Soon) - (now + seconds(5.0));
        assert!(after_a_moment >= seconds(30.0), "five seconds prove nothing: {after_a_moment:?}");
        backoff.connecting(now);
        backoff.up(now);
        let lost = now + seconds(20.0);
        assert!(backoff.lost(lost, Retry::Soon) - lost <= seconds(0.5));
    }

    #[test]
    fn two_seeds_do_not_come_back_in_step() {
        let now = epoch();
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..5).map(|_| backoff.lost(now, Retry::Soon)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1), "but one seed repeats itself");
    }

    #[test]
    fn what_only_a_person_or_the_clock_can_mend_is_not_tried_in_haste() {
        let mut backoff = Backoff::new(3);
        let now = epoch();
        backoff.connecting(now);
        let rarely = backoff.lost(now, Retry::Rarely) - now;
        assert!(rarely >= seconds(30.0) && rarely <= seconds(60.0), "{rarely:?}");
        for _ in 0..20 {
            let clock = backoff.lost(now, Retry::WhenTheClockIsSet) - now;
            assert!(clock >= seconds(2.5) && clock <= seconds(5.0), "{clock:?}");
        }
    }

    #[test]
    fn a_changed_network_is_tried_at_once_but_not_twice_in_a_second() {
        let mut backoff = Backoff::new(4);
        let start = epoch();
        for _ in 0..8 {
            backoff.connecting(start);
            backoff.lost(start, Retry::Soon);
        }
        assert_eq!(backoff.network_changed(start + seconds(5.0)), start + seconds(5.0));
        backoff.connecting(start + seconds(5.0));
        assert_eq!(backoff.network_changed(start + seconds(5.2)), start + seconds(5.0) + BETWEEN_CONNECTS);
        let next = backoff.lost(start + seconds(5.3), Retry::Soon);
        assert_eq!(next, start + seconds(5.0) + BETWEEN_CONNECTS, "and the waits begin anew");
    }
}
