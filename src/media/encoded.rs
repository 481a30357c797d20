//! What leaves an encoder.

use bytes::Bytes;

use super::MediaTime;

/// One H.264 access unit.
#[derive(Debug, Clone)]
pub struct EncodedVideo {
    /// Annex B, start codes included; a key frame carries its SPS and PPS.
    pub data: Bytes,
    /// Whether a decoder can start here (IDR).
    pub key: bool,
    /// When its picture was captured.
    pub captured: MediaTime,
    /// When the encoder handed it out; `encoded - captured` is conversion, waiting and encoding together.
    pub encoded: MediaTime,
}

/// One Opus packet of 20 ms.
#[derive(Debug, Clone)]
pub struct EncodedAudio {
    /// The packet.
    pub data: Bytes,
    /// When its first sample was heard.
    pub captured: MediaTime,
}
