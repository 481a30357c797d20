//! One period of sound as the card gave it.

use std::sync::Arc;

use super::MediaTime;

/// The one sample rate inside the program; cards that differ are converted by ALSA's `plug`.
pub const SAMPLE_RATE_HZ: u32 = 48_000;

/// Samples in one period: 20 ms, which is one Opus frame.
pub const SAMPLES_PER_PERIOD: usize = 960;

/// 20 ms of mono sound, [`SAMPLES_PER_PERIOD`] samples of signed 16 bit.
#[derive(Debug, Clone)]
pub struct Pcm {
    /// The samples, shared.
    pub samples: Arc<[i16]>,
    /// When the first sample was heard.
    pub captured: MediaTime,
}
