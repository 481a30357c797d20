//! The config sections `h264` and `opus` of a camera.

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// How a camera's picture is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct H264 {
    /// Which encoder: `auto` (the best there is) or `openh264` (in software).
    pub encoder: H264Encoder,
    /// What the picture may take, in kbit/s, one for all viewers; 2000 suits 720p at 30 frames/s.
    pub bitrate_kbps: Bounded<100, 20_000>,
}

impl Default for H264 {
    fn default() -> Self {
        Self { encoder: H264Encoder::Auto, bitrate_kbps: const { Bounded::new(2_000) } }
    }
}

/// Who encodes. A camera that is read in `h264` is passed through whatever stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum H264Encoder {
    /// The best there is on this machine.
    #[default]
    Auto,
    /// OpenH264, in software.
    #[serde(rename = "openh264")]
    OpenH264,
}

/// How a microphone's sound is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Opus {
    /// Bit rate of the sound, in kbit/s.
    pub bitrate_kbps: Bounded<6, 256>,
    /// How hard the encoder works, 0 (little) to 10.
    pub complexity: Bounded<0, 10>,
    /// Repeats some of each packet in the next one, so that a lost packet is heard less; costs bit rate as losses grow.
    pub fec: bool,
}

impl Default for Opus {
    fn default() -> Self {
        Self { bitrate_kbps: const { Bounded::new(32) }, complexity: const { Bounded::new(5) }, fec: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_survive_being_written_and_refuse_what_they_do_not_know() {
        let h264: H264 = toml::from_str("encoder = 'openh264'\nbitrate_kbps = 800").expect("all keys are known");
        assert_eq!((h264.encoder, h264.bitrate_kbps.value()), (H264Encoder::OpenH264, 800));
        assert_eq!(toml::from_str(&toml::to_string(&h264).expect("serialisable")), Ok(h264));
        assert_eq!(toml::from_str(""), Ok(H264::default()));
        assert_eq!(toml::from_str(""), Ok(Opus::default()));
        assert!(toml::from_str::<H264>("bitrate = 800").is_err());
        assert!(toml::from_str::<Opus>("complexity = 11").is_err());
    }
}
