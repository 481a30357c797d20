//! Half-duplex: the microphone is turned down while somebody is heard from the speaker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::media::{MediaTime, SAMPLE_RATE_HZ};

/// The room goes on sounding, and words have pauses.
const HANGOVER: Duration = Duration::from_millis(350);
/// Samples over which the microphone is turned down: 10 ms, so that nothing clicks and hardly an echo comes through.
const ATTACK: f32 = SAMPLE_RATE_HZ as f32 / 100.0;
/// Samples over which it comes back: 150 ms.
const RELEASE: f32 = SAMPLE_RATE_HZ as f32 * 0.15;

/// Until when somebody is heard from the speaker. Shared between its thread and the microphone's.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Option<MediaTime>>>);

impl Heard {
    /// Something is heard until `until`.
    pub fn note(&self, until: MediaTime) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (*heard).max(Some(until));
    }

    fn at(&self, moment: MediaTime) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| moment < until.plus(HANGOVER))
    }
}

/// The microphone's volume.
#[derive(Debug)]
pub struct Ducker {
    heard: Heard,
    low: f32,
    gain: f32,
}

impl Ducker {
    /// Turns down by `down_db` decibels while something is `heard`.
    pub fn new(heard: Heard, down_db: u32) -> Self {
        let low = 10_f32.powf(down_db as f32 / -20.0);
        Self { heard, low, gain: 1.0 }
    }

    /// Sets the volume of what was captured from `captured` on; whether there was anything to do.
    pub fn apply(&mut self, samples: &mut [i16], captured: MediaTime) -> bool {
        let talks = self.heard.at(captured);
        if !talks && self.gain >= 1.0 {
            return false;
        }
        let step = if talks { (self.low - 1.0) / ATTACK } else { (1.0 - self.low) / RELEASE };
        for sample in samples {
            self.gain = (self.gain + step).clamp(self.low, 1.0);
            *sample = (f32::from(*sample) * self.gain) as i16;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(ducker: &mut Ducker, ms: u64) -> (i16, i16) {
        let mut samples = [10_000; 960];
        ducker.apply(&mut samples, MediaTime::from_nanos(ms * 1_000_000));
        (samples[0], samples[959])
    }

    #[test]
    fn the_microphone_goes_down_while_somebody_talks_and_comes_back_without_a_step() {
        let heard = Heard::default();
        let mut ducker = Ducker::new(heard.clone(), 20);
        assert_eq!(period(&mut ducker, 1_000), (10_000, 10_000));
        heard.note(MediaTime::from_nanos(1_100_000_000));
        let (first, last) = period(&mut ducker, 1_020);
        assert!(first > 9_900 && last == 1_000, "{first} {last}");
        assert_eq!(period(&mut ducker, 1_440), (1_000, 1_000), "words have pauses");
        let mut last = 1_000;
        for n in 0..8 {
            let (first, next) = period(&mut ducker, 1_460 + n * 20);
            assert!(first >= last && first - last < 10 && next > last, "{last} {first} {next}");
            last = next;
        }
        assert_eq!(period(&mut ducker, 1_700), (10_000, 10_000));
        assert!(!ducker.apply(&mut [1], MediaTime::from_nanos(1_720_000_000)), "there is nothing to do any more");
    }
}
