//! How fast a talker is played, so that it stays where it is due: its clock and the sound card's are never quite the same.
//! Pure.

use super::ticks::{Ticks, millis};

/// The most by which the speed is changed, in millionths: crystals differ by less, and nobody hears it.
const MAX_PPM: f64 = 500.0;
/// Millionths for each sample of lag: a lag of 10 ms is worth the most.
const PPM_PER_TICK: f64 = MAX_PPM / millis(10) as f64;
/// The lag that counts is the mean of about this long: packets and periods make a saw of the lag that means nothing.
const MEAN_OVER: Ticks = millis(2_000);
/// The most by which the speed changes in a second, in millionths: a step would be heard.
const MAX_PPM_PER_S: f64 = 100.0;

/// One talker's speed.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// The mean lag, in samples.
    lag: Option<f64>,
    ppm: f64,
}

impl Drift {
    /// The talker was seen to lag by `lag`, `None` while it pauses, `since` after it was seen last.
    pub(super) fn observe(&mut self, lag: Option<Ticks>, since: Ticks) {
        let since = since as f64;
        let Some(lag) = lag.map(|lag| lag as f64) else {
            // Begun anew it is where it is due.
            self.lag = None;
            return;
        };
        let mean = self.lag.get_or_insert(0.0);
        *mean += (lag - *mean) * (since / MEAN_OVER as f64).min(1.0);
        let wanted = (*mean * PPM_PER_TICK).clamp(-MAX_PPM, MAX_PPM);
        let step = MAX_PPM_PER_S * since / millis(1_000) as f64;
        self.ppm += (wanted - self.ppm).clamp(-step, step);
    }

    /// Samples of the talker's for each one of the card's.
    pub(super) fn speed(&self) -> f64 {
        1.0 + self.ppm * 1e-6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes with a sender's clock that runs off by `ppm`, from a lag of `lag`: the lag each 10 ms, in milliseconds.
    fn lags(ppm: f64, lag: f64, minutes: usize) -> Vec<f64> {
        let mut drift = Drift::default();
        let mut lag = lag * millis(1) as f64;
        let mut step = |_| {
            let before = drift.speed();
            drift.observe(Some(lag as Ticks), millis(10));
            assert!((drift.speed() - 1.0).abs() <= 500.5e-6);
            assert!((drift.speed() - before).abs() <= 1.001e-6, "a step of {}", drift.speed() - before);
            lag += millis(10) as f64 * (ppm * 1e-6 - (drift.speed() - 1.0));
            lag / millis(1) as f64
        };
        (0..minutes * 6_000).map(&mut step).collect()
    }

    #[test]
    fn a_clock_that_is_off_costs_a_few_milliseconds_and_no_more() {
        for ppm in [-400.0, -200.0, 0.0, 200.0, 400.0] {
            let lags = lags(ppm, 0.0, 10);
            let settled = &lags[lags.len() / 2..];
            assert!(settled.iter().all(|lag| (lag - ppm / 50.0).abs() < 0.5), "{ppm}: {:?}", settled.last());
            assert!(lags.iter().all(|lag| lag.abs() < 12.0), "{ppm}");
        }
    }

    #[test]
    fn a_lag_is_made_up_for_without_swinging_back() {
        let lags = lags(0.0, 40.0, 5);
        assert!(lags.iter().all(|lag| *lag > -3.0), "{:?}", lags.iter().copied().reduce(f64::min));
        assert!(lags.last().is_some_and(|lag| lag.abs() < 0.5));
    }

    #[test]
    fn a_pause_keeps_the_speed_and_forgets_the_lag() {
        let mut drift = Drift::default();
        (0..3_000).for_each(|_| drift.observe(Some(millis(4)), millis(10)));
        let speed = drift.speed();
        assert!((speed - 1.0002).abs() < 1e-6, "{speed}");
        drift.observe(None, millis(10));
        assert_eq!((drift.speed(), drift.lag), (speed, None));
    }
}
