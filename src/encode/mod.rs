//! Seam: raw frames to H.264, sound to Opus.

pub mod config;
mod convert;
mod decode;
mod jpeg;
mod key_frame_aim;
mod openh264;
mod opus;
mod passthrough;
#[cfg(test)]
mod pictures;
mod planes;
mod still;
mod turn;

pub use convert::Converter;
pub use decode::{H264Decoder, Picture};
pub use passthrough::Passthrough;
pub use planes::Planes;
pub use still::{Still, StillWish, still};
pub use turn::Turn;

pub use self::openh264::{OpenH264, Settings};
pub use self::opus::OpusEncoder;
use crate::media::{Bitrate, EncodedAudio, EncodedVideo, Frame, FrameFormat, MediaTime, Pcm, PixelFormat};

/// Opens the encoder for frames of `format` at `fps` frames a second, turned as `turn` says.
///
/// # Errors
/// [`EncodeError::Unsupported`] when a camera's own H.264 is to be turned, or a size makes no picture;
/// [`EncodeError::Codec`] when the library refuses.
pub fn open_video(
    config: &config::H264,
    format: FrameFormat,
    fps: u32,
    turn: Turn,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    if format.pixel == PixelFormat::H264 {
        return if turn.is_upright() {
            Ok(Box::new(Passthrough::new()))
        } else {
            Err(EncodeError::Unsupported("a camera's own h.264 turned or mirrored".to_owned()))
        };
    }
    let settings = Settings { bitrate: Bitrate::from_bps(config.bitrate_kbps.value() * 1_000), fps };
    match config.encoder {
        config::H264Encoder::Auto | config::H264Encoder::OpenH264 => {
            Ok(Box::new(OpenH264::new(settings, turn, (format.width, format.height))?))
        }
    }
}

/// Opens the encoder for sound.
///
/// # Errors
/// [`EncodeError::Codec`]: libopus refuses.
pub fn open_audio(config: &config::Opus) -> Result<Box<dyn AudioEncoder>, EncodeError> {
    Ok(Box::new(OpusEncoder::new(config)?))
}

/// Now, on the media clock.
fn media_now() -> MediaTime {
    MediaTime::from_nanos(crate::sys::monotonic_nanos())
}

/// An H.264 encoder, or the pass-through for cameras that deliver H.264.
pub trait VideoEncoder: Send {
    /// Encodes one frame. `None` when rate control skipped it. `key` asks for a key frame; pass-through cannot obey and
    /// says so in its docs.
    ///
    /// # Errors
    /// A frame that cannot be read (a cut-off JPEG) is [`EncodeError::BadFrame`] and the encoder goes on; anything else
    /// ends the encoder.
    fn encode(&mut self, frame: &Frame, key: bool) -> Result<Option<EncodedVideo>, EncodeError>;

    /// Aims at `target` from the next frame on, without a key frame.
    ///
    /// # Errors
    /// The library's own refusal.
    fn set_bitrate(&mut self, target: Bitrate) -> Result<(), EncodeError>;

    /// `profile_idc`, constraint flags and `level_idc` of the SPS this encoder writes; known from construction on, as
    /// the encoder is warmed there. The SDP is written from it.
    fn profile_level(&self) -> [u8; 3];
}

/// An Opus encoder.
pub trait AudioEncoder: Send {
    /// Encodes one period of 20 ms.
    ///
    /// # Errors
    /// The library's own refusal.
    fn encode(&mut self, pcm: &Pcm) -> Result<EncodedAudio, EncodeError>;

    /// Tells how much is being lost on the way (0–1), for in-band FEC.
    ///
    /// # Errors
    /// The library's own refusal.
    fn set_loss(&mut self, share: f32) -> Result<(), EncodeError>;
}

/// Why something could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// This frame is damaged; the next may be fine.
    #[error("damaged frame: {0}")]
    BadFrame(String),
    /// The frame's format is not one this encoder takes.
    #[error("cannot encode {0}")]
    Unsupported(String),
    /// Pictures go in, and nothing comes out.
    #[error("the encoder has given nothing for {} s", .0.as_secs())]
    Stalled(std::time::Duration),
    /// Pictures come, and none of them can be read.
    #[error("no picture could be read for {} s: {last}", .silent.as_secs())]
    Unreadable {
        /// For so long.
        silent: std::time::Duration,
        /// What was wrong with the last one.
        last: String,
    },
    /// A camera's own stream has nothing that a decoder could begin with.
    #[error("the camera's own h.264 has had no key frame for {} s", .0.as_secs())]
    NoKeyFrame(std::time::Duration),
    /// The codec library failed.
    #[error("{codec}: {message}")]
    Codec {
        /// Which library.
        codec: &'static str,
        /// What it said.
        message: String,
    },
}
