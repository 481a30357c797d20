//! Seam: raw frames to H.264, sound to Opus.

pub mod config;
mod convert;
mod jpeg;
mod opus;
mod orient;
#[cfg(test)]
mod experiment;
#[cfg(test)]
mod pictures;
mod planes;

pub use convert::Converter;
pub use opus::OpusEncoder;
pub use orient::Orientation;
pub use planes::Planes;

use crate::media::{Bitrate, EncodedAudio, EncodedVideo, Frame, Pcm};

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
    /// The codec library failed.
    #[error("{codec}: {message}")]
    Codec {
        /// Which library.
        codec: &'static str,
        /// What it said.
        message: String,
    },
}
