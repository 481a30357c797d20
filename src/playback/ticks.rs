//! Samples as a measure of time: what all of this room counts in.

use std::time::Duration;

use crate::media::{MediaTime, SAMPLE_RATE_HZ};

/// A moment or a length in samples of 48 kHz; signed, as differences are.
pub(super) type Ticks = i64;

/// A number of milliseconds.
pub(super) const fn millis(ms: Ticks) -> Ticks {
    ms * (SAMPLE_RATE_HZ as Ticks / 1_000)
}

/// A moment of the media clock.
pub(super) fn at(time: MediaTime) -> Ticks {
    let ticks = u128::from(time.as_nanos()) * u128::from(SAMPLE_RATE_HZ) / 1_000_000_000;
    Ticks::try_from(ticks).unwrap_or(Ticks::MAX)
}

/// A length of time; none if it is negative.
pub(super) fn duration(ticks: Ticks) -> Duration {
    Duration::from_nanos(u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000_000) / 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_counted_in_samples_and_a_length_comes_back_as_time() {
        assert_eq!(at(MediaTime::from_nanos(1_500_000_000)), 72_000);
        assert_eq!(duration(millis(20)), Duration::from_millis(20));
        assert_eq!(duration(-1), Duration::ZERO);
    }
}
