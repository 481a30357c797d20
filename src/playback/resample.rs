//! Plays a little faster or slower: each sample is interpolated from sixteen around it (a windowed sinc in 64 phases, the
//! phases between them linearly). Pure.

use std::f64::consts::PI;

/// Samples that one is made of.
const TAPS: usize = 16;
/// Places between two samples for which the weights are known.
const PHASES: usize = 64;

/// The weights, for all talkers.
#[derive(Debug)]
pub(super) struct Weights(Vec<[f32; TAPS]>);

impl Default for Weights {
    fn default() -> Self {
        // One phase more than there are, so that there is always a next one.
        let phases = (0..=PHASES).map(|phase| {
            let shift = phase as f64 / PHASES as f64;
            let weights: [f64; TAPS] = std::array::from_fn(|tap| {
                // The sample that is made lies between the two in the middle.
                let x = tap as f64 - (TAPS / 2 - 1) as f64 - shift;
                sinc(x) * window(x / (TAPS / 2) as f64)
            });
            let sum: f64 = weights.iter().sum();
            weights.map(|weight| (weight / sum) as f32)
        });
        Self(phases.collect())
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Blackman's, from -1 to 1.
fn window(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { 0.42 + 0.5 * (PI * x).cos() + 0.08 * (2.0 * PI * x).cos() }
}

/// One talker's way through.
#[derive(Debug)]
pub(super) struct Resampler {
    /// What has come in and is still needed.
    input: Vec<f32>,
    /// Where the next sample lies after the first of `input`.
    at: f64,
}

impl Default for Resampler {
    fn default() -> Self {
        // So that the first sample that comes in is the first that goes out.
        Self { input: vec![0.0; TAPS / 2 - 1], at: 0.0 }
    }
}

impl Resampler {
    /// Takes `samples`, and puts what can be made of them at the end of `out`; `speed` are samples in for each one out, close
    /// to one. Eight samples are kept back.
    pub(super) fn push(&mut self, samples: &[f32], speed: f64, weights: &Weights, out: &mut Vec<f32>) {
        self.input.extend_from_slice(samples);
        loop {
            let first = self.at as usize;
            let Some(taps) = self.input.get(first..).and_then(<[f32]>::first_chunk) else { break };
            let phase = (self.at - first as f64) * PHASES as f64;
            let (below, share) = (phase as usize, phase.fract() as f32);
            let (low, high) = (dot(taps, &weights.0[below]), dot(taps, &weights.0[below + 1]));
            out.push(low + (high - low) * share);
            self.at += speed;
        }
        let done = (self.at as usize).min(self.input.len());
        self.input.drain(..done);
        self.at -= done as f64;
    }
}

/// Plain steps, as tests that play for minutes spend their time here, and nothing is optimised for them.
fn dot(taps: &[f32; TAPS], weights: &[f32; TAPS]) -> f32 {
    let (mut sum, mut tap) = (0.0, 0);
    while tap < TAPS {
        sum += taps[tap] * weights[tap];
        tap += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn resampled(hz: f64, speed: f64) -> Vec<f32> {
        let (weights, mut resampler, mut out) = (Weights::default(), Resampler::default(), Vec::new());
        let input: Vec<f32> = (0..48_000).map(|n| (TAU * hz * f64::from(n) / 48_000.0).sin() as f32).collect();
        input.chunks(960).for_each(|chunk| resampler.push(chunk, speed, &weights, &mut out));
        out
    }

    #[test]
    fn a_tone_comes_out_a_little_higher_or_lower_and_otherwise_as_it_was() {
        for (hz, most) in [(440.0, 1e-4), (3_000.0, 1e-3), (10_000.0, 5e-3)] {
            for speed in [1.0, 1.0005, 0.9995, 1.000_123] {
                let out = resampled(hz, speed);
                let wrong = out
                    .iter()
                    .enumerate()
                    .skip(16)
                    .map(|(n, sample)| (f64::from(*sample) - (TAU * hz * n as f64 * speed / 48_000.0).sin()).abs());
                let worst = wrong.fold(0.0, f64::max);
                assert!(worst < most, "{hz} Hz at {speed}: {worst}");
            }
        }
    }

    #[test]
    fn there_come_out_as_many_as_the_speed_says() {
        for (speed, expected) in [(1.0, 48_000), (1.0005, 47_976), (0.9995, 48_024)] {
            let out = resampled(440.0, speed).len();
            assert!((expected - 9..=expected).contains(&out), "{out} at {speed}");
        }
    }

    #[test]
    fn nothing_piles_up() {
        let (weights, mut resampler, mut out) = (Weights::default(), Resampler::default(), Vec::new());
        for _ in 0..100 {
            resampler.push(&[0.0; 480], 1.000_3, &weights, &mut out);
            out.clear();
            assert!(resampler.input.len() < 2 * TAPS, "{}", resampler.input.len());
        }
    }
}
