//! What a camera's `video` and `audio` sections say.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::media::{Bounded, Flip, Rotation};

/// Where a camera's pictures come from, and which are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// `auto`: the first V4L2 capture device; while there is none, the test pattern. Or name it: `v4l2`, `test-pattern`, `still` (a test
    /// card that stands still, its time stamp too), `file`.
    pub source: VideoSourceKind,
    /// For `v4l2`: `auto`, a path (`/dev/video0`), or the stable id that `camera-node devices` shows.
    pub device: String,
    /// For `file`: a `.y4m`, or a `.h264` / `.264` (Annex B), played in a loop.
    pub file: PathBuf,
    /// Pixels a line. A camera that has no such size gives its nearest.
    pub width: Bounded<64, 4096>,
    /// Lines.
    pub height: Bounded<64, 4096>,
    /// Frames a second, also for an Annex B file, which does not say its own.
    pub fps: Bounded<1, 120>,
    /// What to take from the camera: `auto` (raw where it reaches the rate, else MJPEG), `yuyv`, `uyvy`, `nv12`, `yu12`,
    /// `mjpeg`, or `h264` to pass the camera's own stream through.
    pub format: FormatPreference,
    /// Degrees clockwise by which the picture is turned: 0, 90, 180 or 270.
    pub rotate: Rotation,
    /// Mirrored after turning: `none`, `horizontal` (left and right change places) or `vertical`.
    pub flip: Flip,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            source: VideoSourceKind::Auto,
            device: AUTO.to_owned(),
            file: PathBuf::new(),
            width: const { Bounded::new(1280) },
            height: const { Bounded::new(720) },
            fps: const { Bounded::new(30) },
            format: FormatPreference::Auto,
            rotate: Rotation::None,
            flip: Flip::None,
        }
    }
}

/// Where a camera's sound comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// `auto`: the first ALSA capture device; while there is none, the tone. Or name it: `alsa`, `tone`, `file`, `none`.
    pub source: AudioSourceKind,
    /// For `alsa`: `auto`, or a PCM name as `camera-node devices` shows it (`plughw:CARD=Mic,DEV=0`).
    pub device: String,
    /// For `file`: a `.wav` of 16-bit PCM, played in a loop.
    pub file: PathBuf,
}

impl Default for Audio {
    fn default() -> Self {
        Self { source: AudioSourceKind::Auto, device: AUTO.to_owned(), file: PathBuf::new() }
    }
}

/// The device name that stands for "the first there is".
pub const AUTO: &str = "auto";

/// Kinds of picture sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoSourceKind {
    /// The first V4L2 capture device, else the test pattern.
    #[default]
    Auto,
    /// A V4L2 capture device.
    V4l2,
    /// Colour bars, a running clock, a flash once a second and a time stamp for machines.
    TestPattern,
    /// The test pattern's first frame, again and again: what a camera that hangs looks like.
    Still,
    /// A file, played in a loop.
    File,
}

/// Kinds of sound sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioSourceKind {
    /// The first ALSA capture device, else the tone.
    #[default]
    Auto,
    /// An ALSA capture device.
    Alsa,
    /// A quiet hum with a beep once a second.
    Tone,
    /// A file, played in a loop.
    File,
    /// No sound.
    None,
}

/// Which of a camera's formats to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatPreference {
    /// Raw where it reaches the size and rate, else MJPEG; never H.264.
    #[default]
    Auto,
    /// Packed 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// Packed 4:2:2, U Y0 V Y1.
    Uyvy,
    /// 4:2:0 in two planes.
    Nv12,
    /// 4:2:0 in three planes (I420).
    Yu12,
    /// JPEG pictures.
    Mjpeg,
    /// The camera's own H.264, passed through.
    H264,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_survives_being_written() {
        let video: Video = toml::from_str("").expect("all keys have defaults");
        assert_eq!(video, Video::default());
        let text = toml::to_string(&video).expect("serialisable");
        assert_eq!(toml::from_str::<Video>(&text), Ok(video));
        let audio: Audio = toml::from_str("").expect("all keys have defaults");
        assert_eq!(audio, Audio::default());
    }

    #[test]
    fn values_are_words_and_numbers_of_the_reference() {
        let text = "source = 'test-pattern'\nwidth = 640\nheight = 480\nfps = 25\nformat = 'h264'\nrotate = 270\nflip = 'vertical'";
        let video: Video = toml::from_str(text).expect("valid");
        assert_eq!(video.source, VideoSourceKind::TestPattern);
        assert_eq!((video.width.value(), video.height.value(), video.fps.value()), (640, 480, 25));
        assert_eq!(
            (video.format, video.rotate, video.flip),
            (FormatPreference::H264, Rotation::Clockwise270, Flip::Vertical)
        );
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (text, expected) in [
            ("rotate = 45", "must be 0, 90, 180 or 270, not 45"),
            ("fps = 0", "must be 1 to 120, not 0"),
            ("width = 10000", "must be 64 to 4096, not 10000"),
            ("colour = 'red'", "unknown field `colour`"),
            ("source = 'usb'", "unknown variant `usb`"),
        ] {
            let refused = toml::from_str::<Video>(text).expect_err(text).to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
