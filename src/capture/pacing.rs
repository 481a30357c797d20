//! An absolute timetable for sources that make their own frames.
//!
//! Slot `k` is at `k / rate` of the media clock's zero, so a timetable neither drifts nor depends on when it was begun:
//! sound and picture made by the same clock agree on where a second starts. A source that comes late skips slots.

use std::time::Duration;

use crate::media::MediaTime;
use crate::sys;

/// Slots at a constant rate. The pure part of pacing.
#[derive(Debug)]
pub(super) struct Timetable {
    numerator: u64,
    denominator: u64,
    patience: u64,
    first: Option<u64>,
    last: Option<u64>,
}

/// One slot of a timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// When.
    pub(super) at: MediaTime,
    /// Its number, from the first one taken; a gap is a slot skipped.
    pub(super) number: u64,
}

impl Timetable {
    /// `numerator / denominator` slots a second; a zero in either counts as one.
    pub(super) fn new(numerator: u32, denominator: u32) -> Self {
        let (numerator, denominator) = (u64::from(numerator.max(1)), u64::from(denominator.max(1)));
        Self { numerator, denominator, patience: 0, first: None, last: None }
    }

    /// Lets a source be late by up to `slots` and catch up instead of skipping them: sound must have no holes.
    pub(super) fn with_patience(self, slots: u32) -> Self {
        Self { patience: u64::from(slots), ..self }
    }

    /// The time between slots.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_nanos(1_000_000_000 * self.denominator / self.numerator)
    }

    /// The next slot: the one after the last taken, or the present one when that has passed too.
    pub(super) fn take(&mut self, now: MediaTime) -> Slot {
        let present = self.index(now);
        let index = match self.last {
            None => present + 1,
            Some(last) => (last + 1).max(present.saturating_sub(self.patience)),
        };
        self.last = Some(index);
        Slot { at: self.at(index), number: index - *self.first.get_or_insert(index) }
    }

    /// The last slot that is not after `now`.
    fn index(&self, now: MediaTime) -> u64 {
        let slots = u128::from(now.as_nanos()) * u128::from(self.numerator);
        let index = slots / (1_000_000_000 * u128::from(self.denominator));
        u64::try_from(index).unwrap_or(u64::MAX - 1)
    }

    fn at(&self, index: u64) -> MediaTime {
        let nanos = u128::from(index) * 1_000_000_000 * u128::from(self.denominator);
        // Rounded up, so that a slot's own time belongs to it.
        let nanos = nanos.div_ceil(u128::from(self.numerator));
        MediaTime::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The present moment.
pub(super) fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

/// Sleeps until `at`.
pub(super) fn sleep_until(at: MediaTime) {
    sys::sleep_until_nanos(at.as_nanos());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> MediaTime {
        MediaTime::from_nanos(nanos)
    }

    #[test]
    fn slots_lie_on_whole_seconds_and_do_not_drift() {
        let mut table = Timetable::new(30, 1);
        let first = table.take(at(999_999_999));
        assert_eq!(first, Slot { at: at(1_000_000_000), number: 0 });
        let mut last = first;
        for _ in 0..30 * 3_600 {
            last = table.take(last.at);
        }
        assert_eq!(last, Slot { at: at(3_601_000_000_000), number: 30 * 3_600 });
    }

    #[test]
    fn a_late_source_skips_what_it_missed() {
        let mut table = Timetable::new(50, 1);
        assert_eq!(table.take(at(1_000_000_001)).at, at(1_020_000_000));
        let late = table.take(at(1_105_000_000));
        assert_eq!((late.at, late.number), (at(1_100_000_000), 4));
        assert_eq!(table.take(at(1_106_000_000)).at, at(1_120_000_000));
    }

    #[test]
    fn a_patient_source_catches_up() {
        let mut table = Timetable::new(50, 1).with_patience(4);
        assert_eq!(table.take(at(1_000_000_001)).at, at(1_020_000_000));
        assert_eq!(table.take(at(1_105_000_000)).at, at(1_040_000_000));
        assert_eq!(table.take(at(1_905_000_000)).at, at(1_820_000_000));
    }

    #[test]
    fn rates_that_are_no_whole_number_stay_exact() {
        let mut table = Timetable::new(30_000, 1_001);
        let mut last = table.take(at(0));
        for _ in 0..30_000 {
            last = table.take(last.at);
        }
        assert_eq!(last.at.as_nanos(), 1_001 * 1_000_000_000 + 33_366_667);
    }

    #[test]
    fn ten_years_of_uptime_do_not_overflow() {
        let mut table = Timetable::new(120, 1);
        let slot = table.take(at(315_360_000_000_000_000));
        assert_eq!(slot.at, at(315_360_000_008_333_334));
    }
}
