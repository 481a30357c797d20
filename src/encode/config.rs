//! The `[camera.h264]` and `[camera.opus]` sections: how pictures and sound are encoded.

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// `[camera.h264]`: the picture's encoder. A camera that delivers H.264 itself is passed through as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct H264 {
    /// Kilobits a second aimed at.
    pub bitrate_kbps: Bounded<100, 20_000>,
}

impl Default for H264 {
    fn default() -> Self {
        Self { bitrate_kbps: const { Bounded::new(2_000) } }
    }
}

/// `[camera.opus]`: the sound's encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Opus {
    /// Kilobits a second; 32 is good for speech, 64 for music.
    pub bitrate_kbps: Bounded<8, 510>,
}

impl Default for Opus {
    fn default() -> Self {
        Self { bitrate_kbps: const { Bounded::new(32) } }
    }
}
