//! A sound for people and machines: a quiet hum all the time, and a beep at each second's start.
//!
//! The beep lies on whole seconds of the media clock, as the test pattern's flash does, so the two show lip sync.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use super::pacing::{Timetable, now, sleep_until};
use super::test_pattern::FLASH;
use super::{AudioSource, CaptureError};
use crate::media::{Pcm, SAMPLE_RATE_HZ, SAMPLES_PER_PERIOD};

/// The hum's frequency: a whole number of cycles a second, so that one second can be repeated.
pub const HUM_HZ: u32 = 440;

/// The beep's frequency, for as long as the test pattern's flash.
pub const BEEP_HZ: u32 = 1_000;

/// Amplitudes as shares of full scale: −32 and −10 dB.
const HUM_LEVEL: f64 = 0.025;
const BEEP_LEVEL: f64 = 0.32;

/// The beep swells and fades for this long, or it would click.
const EDGE_S: f64 = 0.004;

const PERIOD: Duration = Duration::from_millis(20);
const PERIODS_PER_SECOND: u32 = 50;

/// As much as a card's buffer holds.
const PATIENCE_PERIODS: u32 = 8;

/// The running tone.
pub(super) struct Tone {
    second: Vec<Arc<[i16]>>,
    timetable: Timetable,
}

/// Begins the tone.
pub(super) fn open() -> Tone {
    let second: Vec<i16> = (0..SAMPLE_RATE_HZ).map(sample).collect();
    Tone {
        second: second.chunks_exact(SAMPLES_PER_PERIOD).map(Arc::from).collect(),
        timetable: Timetable::new(PERIODS_PER_SECOND, 1).with_patience(PATIENCE_PERIODS),
    }
}

impl AudioSource for Tone {
    fn next(&mut self, _timeout: Duration) -> Result<Pcm, CaptureError> {
        // A period is complete when its last sample was heard.
        let slot = self.timetable.take(now());
        sleep_until(slot.at);
        let captured = slot.at.minus(PERIOD);
        let period = captured.as_nanos() % 1_000_000_000 / 20_000_000;
        let index = usize::try_from(period).unwrap_or(0) % self.second.len();
        Ok(Pcm { samples: Arc::clone(&self.second[index]), captured })
    }
}

/// Sample `n` of a second.
#[expect(clippy::cast_possible_truncation, reason = "the sum of the levels is less than full scale")]
fn sample(n: u32) -> i16 {
    let t = f64::from(n) / f64::from(SAMPLE_RATE_HZ);
    let hum = (TAU * f64::from(HUM_HZ) * t).sin() * HUM_LEVEL;
    let length = FLASH.as_secs_f64();
    let beep = if t < length {
        let swell = (t.min(length - t) / EDGE_S).min(1.0);
        (TAU * f64::from(BEEP_HZ) * t).sin() * BEEP_LEVEL * swell
    } else {
        0.0
    };
    ((hum + beep) * f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amplitude at `hz`, as a share of full scale (one bin of a Fourier transform).
    fn level(samples: &[i16], hz: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let angle = TAU * hz * n as f64 / f64::from(SAMPLE_RATE_HZ);
            re += f64::from(sample) * angle.cos();
            im += f64::from(sample) * angle.sin();
        }
        (re * re + im * im).sqrt() * 2.0 / samples.len() as f64 / f64::from(i16::MAX)
    }

    #[test]
    fn the_beep_is_heard_in_the_first_tenth_and_the_hum_always() {
        let second: Vec<i16> = (0..SAMPLE_RATE_HZ).map(sample).collect();
        let (beep, rest) = second.split_at(4_800);
        assert!(level(beep, f64::from(BEEP_HZ)) > 0.25);
        assert!(level(rest, f64::from(BEEP_HZ)) < 0.002);
        assert!((level(rest, f64::from(HUM_HZ)) - HUM_LEVEL).abs() < 0.002);
    }

    #[test]
    fn periods_follow_one_another_without_a_hole_and_begin_on_the_grid() {
        let mut tone = open();
        let first = tone.next(Duration::from_secs(1)).expect("a tone never ends");
        let second = tone.next(Duration::from_secs(1)).expect("a tone never ends");
        assert_eq!(second.captured.since(first.captured), PERIOD);
        assert_eq!(first.captured.as_nanos() % 20_000_000, 0);
        assert_eq!(second.samples.len(), SAMPLES_PER_PERIOD);
    }
}
