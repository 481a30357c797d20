//! When each sample was heard, from time stamps that jitter.
//!
//! A sound card's clock is neither the media clock nor in step with it, and its stamps have the grain of its interrupts.
//! Samples are counted; each stamp pulls the count's origin a little, which follows drift and averages jitter out. A stamp
//! far off is believed at once: samples were lost.

use std::time::Duration;

use crate::media::{MediaTime, SAMPLE_RATE_HZ};

/// Share of a deviation that one stamp corrects. At 50 stamps a second a card that is 100 ppm off is followed within
/// 0.13 ms.
const PULL: i64 = 64;

/// More than any card's interrupt grain, less than lip sync tolerates.
const JUMP: Duration = Duration::from_millis(40);

/// The pairing of sample count and media time.
#[derive(Debug, Default)]
pub(super) struct SampleClock {
    origin: Option<Origin>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    sample: u64,
    at: MediaTime,
}

impl SampleClock {
    /// Sample number `sample` was measured to have been heard at `at`.
    pub(super) fn observe(&mut self, sample: u64, at: MediaTime) {
        let predicted = self.time_of(sample);
        let origin = match predicted {
            Some(predicted) if predicted.since(at) < JUMP && at.since(predicted) < JUMP => {
                let ahead = i64::try_from(at.since(predicted).as_nanos()).unwrap_or(0);
                let behind = i64::try_from(predicted.since(at).as_nanos()).unwrap_or(0);
                let nanos = predicted.as_nanos().saturating_add_signed((ahead - behind) / PULL);
                Origin { sample, at: MediaTime::from_nanos(nanos) }
            }
            _ => Origin { sample, at },
        };
        self.origin = Some(origin);
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

    /// Forgets what was observed: the count was broken.
    pub(super) fn reset(&mut self) {
        self.origin = None;
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

    #[test]
    fn a_jump_is_believed_at_once() {
        let mut clock = SampleClock::default();
        clock.observe(0, MediaTime::from_nanos(1_000_000_000));
        clock.observe(960, MediaTime::from_nanos(1_500_000_000));
        assert_eq!(clock.time_of(960), Some(MediaTime::from_nanos(1_500_000_000)));
        clock.reset();
        assert_eq!(clock.time_of(0), None);
    }
}
