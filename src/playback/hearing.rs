//! What tests of echoes let be said, and how they judge what is left of it.

use std::ops::Range;

/// A second's samples.
pub(crate) const SECOND: usize = 48_000;

/// Where a voice is looked for in what a canceller gives: up to this much later than in what it was given.
const LATEST: usize = 1_000;

/// Syllables with pauses, of noise without its highs: as far as a canceller cares, speech.
pub(crate) fn speech(seed: u64, seconds: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut low, mut lower) = (0.0_f32, 0.0_f32);
    let sample = |n: usize| {
        let t = n as f32 / SECOND as f32;
        let syllable = (t * 19.5).sin().max(0.0);
        let word = if (t * 0.7 + seed as f32 * 0.37) % 1.0 < 0.75 { 20_000.0 } else { 0.0 };
        low += (random.f32() * 2.0 - 1.0 - low) * 0.25;
        lower += (low - lower) * 0.25;
        lower * syllable * word
    };
    (0..seconds * SECOND).map(sample).collect()
}

/// By how many decibels `left` is quieter than `heard`.
pub(crate) fn reduction_db(heard: &[f32], left: &[f32]) -> f32 {
    db(power(heard), power(left))
}

/// By how many decibels a voice is louder in `left` than it was, `over` so many samples: as much of it as is found again, at whatever
/// delay. No number where nothing is found.
pub(crate) fn change_db(voice: &[f32], left: &[f32], over: Range<usize>) -> f32 {
    let found = |delay: usize, step: usize| {
        over.clone().step_by(step).map(|n| left[n] * voice[n - delay]).sum::<f32>() * step as f32
    };
    // It is where it is also for every fifth sample alone.
    let best = (0..LATEST).step_by(2).max_by(|a, b| found(*a, 5).total_cmp(&found(*b, 5))).unwrap_or(0);
    let said: f32 = over.clone().map(|n| voice[n - best] * voice[n - best]).sum();
    2.0 * db(found(best, 1), said)
}

/// The most by which a voice is quieter in `left` than it was, in decibels (as [`change_db`]: less than zero), `over` so many
/// samples: of its louder quarters of a second the worst.
pub(crate) fn worst_db(voice: &[f32], left: &[f32], over: Range<usize>) -> f32 {
    const WINDOW: usize = SECOND / 4;
    let usual = power(&voice[over.clone()]);
    let windows = over.clone().step_by(WINDOW).map(|from| from..from + WINDOW).filter(|window| window.end <= over.end);
    let loud = windows.filter(|window| power(&voice[window.clone()]) > usual / 2.0);
    loud.map(|window| change_db(voice, left, window))
        .fold(f32::INFINITY, |worst, db| if db >= worst { worst } else { db })
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

fn db(more: f32, less: f32) -> f32 {
    10.0 * (more / less).log10()
}
