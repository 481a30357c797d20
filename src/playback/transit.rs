//! How regularly a talker's packets come in, and how long they must wait so that most of them are in time. Pure.
//!
//! A packet's transit is its arrival less its RTP time stamp: a number without meaning of its own, as the two clocks have
//! nothing in common, but the fastest packet of the last seconds has waited nowhere, so what others take longer is jitter.

use super::ticks::{Ticks, millis};

/// The least that packets wait: as long as one is, mostly.
pub(super) const MIN_WAIT: Ticks = millis(20);
/// The most.
pub(super) const MAX_WAIT: Ticks = millis(120);
/// Jitter is counted in steps of this, up to somewhat more than can be waited for.
const STEP: Ticks = millis(5);
const STEPS: usize = 40;
/// What of the past counts after each packet: half after 7 s of packets of 20 ms.
const MEMORY: f32 = 0.998;
/// The share of packets that are to be in time; what Opus does for the others is not heard.
const IN_TIME: f32 = 0.98;
/// The fastest packet is sought among this many, and the same number before: 5 to 10 s. Clocks that differ by 500 ppm move
/// apart by 5 ms in that time, which is one step.
const WINDOW: u32 = 250;
/// From this share lost on, packets wait for the next one too, which holds their repair (FEC).
const LOSS_WORTH_MENDING: f32 = 0.01;

/// What was seen of one stream.
#[derive(Debug)]
pub(super) struct Transit {
    fastest: Ticks,
    fastest_before: Ticks,
    in_window: u32,
    shares: [f32; STEPS],
    lost: f32,
}

impl Transit {
    /// Begins with the first packet's.
    pub(super) fn new(first: Ticks) -> Self {
        let mut shares = [0.0; STEPS];
        shares[0] = 1.0;
        Self { fastest: first, fastest_before: first, in_window: 0, shares, lost: 0.0 }
    }

    /// Another packet's.
    pub(super) fn observe(&mut self, transit: Ticks) {
        if self.in_window == WINDOW {
            self.fastest_before = self.fastest;
            self.fastest = transit;
            self.in_window = 0;
        }
        self.in_window += 1;
        self.fastest = self.fastest.min(transit);
        let step = usize::try_from((transit - self.base()) / STEP).unwrap_or(0).min(STEPS - 1);
        for share in &mut self.shares {
            *share *= MEMORY;
        }
        self.shares[step] += 1.0 - MEMORY;
    }

    /// A packet has come in order, or was missing when its turn came.
    pub(super) fn turn(&mut self, was_lost: bool) {
        self.lost += (f32::from(u8::from(was_lost)) - self.lost) * (1.0 - MEMORY) * 4.0;
    }

    /// The fastest packet's.
    pub(super) fn base(&self) -> Ticks {
        self.fastest.min(self.fastest_before)
    }

    /// How long the fastest packet has to wait for its turn.
    pub(super) fn wait(&self) -> Ticks {
        let mut in_time = 0.0;
        let steps = self.shares.iter().position(|share| {
            in_time += share;
            in_time >= IN_TIME
        });
        let jitter = STEP * (steps.unwrap_or(STEPS - 1) as Ticks + 1);
        let repair = if self.lost > LOSS_WORTH_MENDING { millis(20) } else { 0 };
        (jitter.max(MIN_WAIT) + repair).min(MAX_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_come_regularly_wait_for_as_long_as_one_is() {
        let mut transit = Transit::new(-5_000_000);
        for n in 0..1_000 {
            transit.observe(-5_000_000 + n % 3);
        }
        assert_eq!((transit.base(), transit.wait()), (-5_000_000, MIN_WAIT));
    }

    #[test]
    fn the_wait_follows_the_jitter_up_and_down_within_its_bounds() {
        let mut transit = Transit::new(0);
        for n in 0..1_000 {
            transit.observe(if n % 10 == 0 { millis(58) } else { 0 });
        }
        assert_eq!(transit.wait(), millis(60));
        for n in 0..1_000 {
            transit.observe(if n % 10 == 0 { millis(900) } else { 0 });
        }
        assert_eq!(transit.wait(), MAX_WAIT);
        for _ in 0..3_000 {
            transit.observe(0);
        }
        assert_eq!(transit.wait(), MIN_WAIT);
    }

    #[test]
    fn losses_add_the_time_until_the_packet_that_repairs_them() {
        let mut transit = Transit::new(0);
        for n in 0..1_000 {
            transit.observe(0);
            transit.turn(n % 20 == 0);
        }
        assert_eq!(transit.wait(), MIN_WAIT + millis(20));
        (0..2_000).for_each(|_| transit.turn(false));
        assert_eq!(transit.wait(), MIN_WAIT);
    }

    #[test]
    fn clocks_that_drift_apart_are_no_jitter() {
        for ppm in [-500, 500] {
            let mut transit = Transit::new(0);
            for n in 0..15_000_i64 {
                transit.observe(n * 960 * ppm / 1_000_000);
            }
            assert_eq!(transit.wait(), MIN_WAIT, "{ppm} ppm");
        }
    }
}
