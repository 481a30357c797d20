//! When each sample was heard, from time stamps that jitter.
//!
//! A sound card's clock is neither the media clock nor in step with it, and its stamps have the grain of its interrupts.
//! Samples are counted; each stamp pulls the count's origin a little, which follows drift and averages jitter out.
//!
//! A stamp far ahead is believed at once: samples were lost. One far behind is left out, until several in a row agree:
//! alsa-lib takes the stamp first and then the number of waiting samples, so a thread that is held up in between gets a
//! pair that does not belong together.

use std::time::Duration;

use crate::media::{MediaTime, SAMPLE_RATE_HZ};

/// Stamps that are averaged. At 50 a second a card that is 100 ppm off is followed within 0.13 ms.
const AVERAGED: i64 = 64;

/// More than any card's interrupt grain, less than lip sync tolerates.
const FAR: Duration = Duration::from_millis(40);

/// Stamps far behind, in a row, that are believed.
const AGREEING: u32 = 8;

/// The pairing of sample count and media time.
#[derive(Debug, Default)]
pub(super) struct SampleClock {
    origin: Option<Origin>,
    behind_in_a_row: u32,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    sample: u64,
    at: MediaTime,
    /// Stamps that went into it, at most [`AVERAGED`].
    stamps: i64,
}

impl SampleClock {
    /// Sample number `sample` was measured to have been heard at `at`.
    pub(super) fn observe(&mut self, sample: u64, at: MediaTime) {
        let (Some(origin), Some(predicted)) = (self.origin, self.time_of(sample)) else {
            return self.begin(sample, at);
        };
        let (ahead, behind) = (at.since(predicted), predicted.since(at));
        if ahead >= FAR {
            return self.begin(sample, at);
        }
        if behind >= FAR {
            self.behind_in_a_row += 1;
            if self.behind_in_a_row >= AGREEING {
                self.begin(sample, at);
            }
            return;
        }
        self.behind_in_a_row = 0;
        let stamps = (origin.stamps + 1).min(AVERAGED);
        // Both are less than FAR, and one of them is zero.
        let nanos = i64::from(ahead.subsec_nanos()) - i64::from(behind.subsec_nanos());
        let at = MediaTime::from_nanos(predicted.as_nanos().saturating_add_signed(nanos / stamps));
        self.origin = Some(Origin { sample, at, stamps });
    }

    /// When sample number `sample` was heard; `None` before the first observation.
    pub(super) fn time_of(&self, sample: u64) -> Option<MediaTime> {
        let origin = self.origin?;
        Some(if sample >= origin.sample {
            origin.at.plus(samples(sample - origin.sample))
        } else {
            origin.at.minus(samples(origin.sample - sample))
        })
    }

    /// Forgets what was observed: samples were lost, or the count begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn begin(&mut self, sample: u64, at: MediaTime) {
        self.origin = Some(Origin { sample, at, stamps: 1 });
        self.behind_in_a_row = 0;
    }
}

/// How long `count` samples last.
pub(super) fn samples(count: u64) -> Duration {
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(SAMPLE_RATE_HZ);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_averaged_and_drift_is_followed() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut clock = SampleClock::default();
        let start = 5_000_000_000_u64;
        // A card that is 100 ppm slow, stamping with 2 ms of jitter, for two minutes.
        for period in 0..6_000_u64 {
            let truth = start + period * 20_002_000;
            clock.observe(period * 960, MediaTime::from_nanos(truth + rng.u64(0..2_000_000)));
            if period > 500 {
                let said = clock.time_of(period * 960).expect("observed").as_nanos();
                let off = said.abs_diff(truth + 1_000_000);
                assert!(off < 500_000, "period {period}: {off} ns off the mean");
            }
        }
    }

    fn told(clock: &mut SampleClock, period: u64, millis: u64) -> u64 {
        clock.observe(period * 960, MediaTime::from_nanos(millis * 1_000_000));
        clock.time_of(period * 960).expect("observed").as_nanos() / 1_000_000
    }

    #[test]
    fn a_jump_ahead_is_believed_at_once() {
        let mut clock = SampleClock::default();
        assert_eq!(told(&mut clock, 0, 1_000), 1_000);
        assert_eq!(told(&mut clock, 1, 1_400), 1_400);
        clock.reset();
        assert_eq!(clock.time_of(0), None);
    }

    #[test]
    fn a_stamp_far_behind_is_left_out_until_several_agree() {
        let mut clock = SampleClock::default();
        assert_eq!(told(&mut clock, 0, 1_000), 1_000);
        assert_eq!(told(&mut clock, 1, 900), 1_020);
        assert_eq!(told(&mut clock, 2, 1_040), 1_040);
        for period in 3..10 {
            assert_eq!(told(&mut clock, period, 500 + period * 20), 1_000 + period * 20);
        }
        assert_eq!(told(&mut clock, 10, 700), 700);
    }
}
