//! How big a key frame may be, and how OpenH264's rate control is brought to keep to it. Pure.
//!
//! A key frame holds the next frames back for as long as it takes to send, and comes when a viewer joins, who waits for
//! all of it. Left alone, the library makes 119 KB of a hard 720p picture at 2 Mbit/s, half a second of the link, as it
//! bounds a key frame's quantiser from above by a table: 35 at that rate, 37 and 40 at a quarter and a tenth of it. The
//! bounds of the config reach the table only from below, where they would spoil the frames after. So the rate itself is
//! lowered while a key frame is made, which costs no more than a call: at a tenth the same picture takes 24 to 31 KB.
//! Easy pictures need none of it and get a larger share as they prove easy.

use crate::media::Bitrate;

/// The share of the target that rate control aims at in a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyFrameAim {
    share_percent: u32,
    /// The last attempt was too big; the next is taken as it is, since trying longer would stop the stream.
    last_attempt: bool,
}

impl Default for KeyFrameAim {
    fn default() -> Self {
        Self { share_percent: LEAST_SHARE_PERCENT, last_attempt: false }
    }
}

impl KeyFrameAim {
    /// What to aim at while a key frame is made.
    pub(super) fn of(self, target: Bitrate) -> Bitrate {
        let share = u64::from(target.as_bps()) * u64::from(self.share_percent) / 100;
        Bitrate::from_bps(u32::try_from(share).unwrap_or(u32::MAX)).max(LEAST_AIM)
    }

    /// Whether a key frame of `bytes` is to be sent; if not, it is to be made again, once. Learns from either.
    pub(super) fn accepts(&mut self, bytes: usize, target: Bitrate) -> bool {
        let budget = target.as_bps() as usize / 8 * BUDGET_MS / 1_000;
        if bytes > budget {
            self.share_percent = LEAST_SHARE_PERCENT;
            self.last_attempt = !self.last_attempt;
            return !self.last_attempt;
        }
        self.last_attempt = false;
        if bytes < budget / 3 {
            self.share_percent = (self.share_percent * 2).min(100);
        }
        true
    }
}

/// How long a key frame may occupy a link of the target rate: 30 KB at 2 Mbit/s.
const BUDGET_MS: usize = 120;

/// Where the library's table ends for 720p at 2 Mbit/s; less makes no key frame smaller.
const LEAST_SHARE_PERCENT: u32 = 10;

/// The library refuses rates near one bit a frame.
const LEAST_AIM: Bitrate = Bitrate::from_bps(10_000);

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Bitrate = Bitrate::from_bps(2_000_000);

    #[test]
    fn the_share_grows_with_easy_pictures_and_falls_at_once_with_a_hard_one() {
        let mut aim = KeyFrameAim::default();
        // Bytes of a key frame, whether it is sent, and the aim for the next in kbit/s.
        let table = [
            (4_000, true, 400),
            (4_000, true, 800),
            (20_000, true, 800),
            (9_000, true, 1_600),
            (9_000, true, 2_000),
            (9_000, true, 2_000),
            (30_001, false, 200),
            (30_001, true, 200),
            (30_001, false, 200),
            (24_000, true, 200),
        ];
        for (n, (bytes, sent, next_kbps)) in table.into_iter().enumerate() {
            assert_eq!(aim.accepts(bytes, TARGET), sent, "step {n}");
            assert_eq!(aim.of(TARGET).as_bps(), next_kbps * 1_000, "step {n}");
        }
    }
}
