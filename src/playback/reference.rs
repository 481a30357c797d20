//! What the speaker plays, for whoever must know what the microphone hears of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::ticks::{self, Ticks, millis};
use crate::media::MediaTime;

/// As much is kept as lies between the speaker's writing and the microphone's reading, and more.
const KEPT: usize = millis(500) as usize;
/// A reader goes on where it was as long as that is no further than this from where it should be: cards' own ideas of the
/// time tremble.
const TOLERANCE: Ticks = millis(5);

/// The last half second of it, by the time at which it is heard. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Reference(Arc<Mutex<Played>>);

#[derive(Debug, Default)]
struct Played {
    samples: VecDeque<i16>,
    /// When the sample after the last one is heard.
    end: Ticks,
    /// Counts all samples ever played.
    count: Ticks,
}

impl Reference {
    /// A period is heard from `heard_at` on.
    pub fn played(&self, period: &[i16], heard_at: MediaTime) {
        let mut played = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        played.samples.extend(period);
        let excess = played.samples.len().saturating_sub(KEPT);
        played.samples.drain(..excess);
        played.end = ticks::at(heard_at) + period.len() as Ticks;
        played.count += period.len() as Ticks;
    }
}

/// One who reads it at a microphone's pace.
#[derive(Debug)]
pub(super) struct Reader {
    reference: Reference,
    /// The number of the next sample.
    next: Option<Ticks>,
}

impl Reader {
    pub(super) fn new(reference: Reference) -> Self {
        Self { reference, next: None }
    }

    /// What is heard from `at` on, silence where nothing is known; whether anything is.
    pub(super) fn read(&mut self, at: Ticks, out: &mut [i16]) -> bool {
        let played = self.reference.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = played.count - (played.end - at);
        let from = self.next.filter(|next| (next - due).abs() <= TOLERANCE).unwrap_or(due);
        self.next = Some(from + out.len() as Ticks);
        let first = played.count - played.samples.len() as Ticks;
        let mut is_known = false;
        for (number, sample) in (from..).zip(out) {
            let kept = usize::try_from(number - first).ok().and_then(|index| played.samples.get(index));
            is_known |= kept.is_some();
            *sample = kept.copied().unwrap_or(0);
        }
        is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_is_read_at_the_time_it_is_heard_though_the_clock_trembles() {
        let reference = Reference::default();
        let mut reader = Reader::new(reference.clone());
        let moment = |ms: u64| MediaTime::from_nanos(ms * 1_000_000);
        let mut out = [9; 480];
        assert!(!reader.read(millis(1_000), &mut out), "nothing is played");
        assert_eq!(out, [0; 480]);
        for n in 0..100_u64 {
            let period: Vec<i16> = (0..480).map(|s| (n * 480 + s) as i16).collect();
            let trembles = if n % 2 == 0 { 0 } else { 400_000 };
            reference.played(&period, MediaTime::from_nanos(moment(1_000 + n * 10).as_nanos() + trembles));
        }
        assert!(reader.read(millis(1_900), &mut out));
        let first = out[0];
        assert!(first.abs_diff((90 * 480) as i16) <= 20, "{first}");
        assert!(reader.read(millis(1_910), &mut out));
        assert_eq!(out[0], first.wrapping_add(480), "no sample is left out");
        assert!(!reader.read(millis(3_000), &mut out), "long after the end");
        assert!(!reader.read(millis(1_100), &mut out), "long before what is kept");
        let kept = reference.0.lock().expect("not poisoned").samples.len();
        assert_eq!(kept, KEPT);
    }
}
