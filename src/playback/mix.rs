//! Several talkers in one speaker. Pure.

/// Louder than this is turned down, and not cut off.
const CEILING: f32 = 0.95;
/// After something too loud, the old loudness is back after so many samples: 200 ms.
const RELEASE: f32 = 9_600.0;

/// Keeps what talkers make together within what a card can play.
#[derive(Debug)]
pub(super) struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Turns sums, in which 1 is full scale, into what a card plays.
    pub(super) fn limit(&mut self, mixed: &[f32], out: &mut [i16]) {
        for (sample, out) in mixed.iter().zip(out) {
            // A decoder that is fed rubbish may give what is no number.
            let sample = if sample.is_finite() { *sample } else { 0.0 };
            if sample.abs() * self.gain > CEILING {
                self.gain = CEILING / sample.abs();
            }
            *out = (sample * self.gain * f32::from(i16::MAX)) as i16;
            self.gain = (self.gain + 1.0 / RELEASE).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limiter: &mut Limiter, mixed: &[f32]) -> Vec<i16> {
        let mut out = vec![0; mixed.len()];
        limiter.limit(mixed, &mut out);
        out
    }

    #[test]
    fn what_is_not_too_loud_stays_as_it_is() {
        assert_eq!(limited(&mut Limiter::default(), &[0.0, 0.5, -0.5, 0.9]), [0, 16_383, -16_383, 29_490]);
    }

    #[test]
    fn what_is_too_loud_is_turned_down_and_comes_back() {
        let mut limiter = Limiter::default();
        let wave: Vec<f32> = (0..4_800).map(|n| (n as f32 / 20.0).sin() * 3.0).collect();
        let out = limited(&mut limiter, &wave);
        assert!(out.iter().all(|sample| sample.unsigned_abs() <= 31_130));
        // The shape stays: a wave that is cut off would lie at its limit for long.
        let at_the_limit = out[960..].iter().filter(|sample| sample.unsigned_abs() > 31_000).count();
        assert!(at_the_limit < 400, "{at_the_limit}");
        limited(&mut limiter, &[0.0; 9_600]);
        assert_eq!(limited(&mut limiter, &[0.5]), [16_383]);
    }

    #[test]
    fn what_is_no_number_is_silence() {
        assert_eq!(limited(&mut Limiter::default(), &[f32::NAN, f32::INFINITY, 0.5]), [0, 0, 16_383]);
    }
}
