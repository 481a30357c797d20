//! What a viewer says, as it comes in.

use bytes::Bytes;

use super::MediaTime;

/// One RTP packet of Opus from a viewer's microphone ([RFC 7587](https://www.rfc-editor.org/rfc/rfc7587)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenPacket {
    /// The stream's SSRC: a microphone that is changed may bring another.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP time stamp, 48 kHz.
    pub rtp_time: u32,
    /// What it carries.
    pub payload: Bytes,
    /// When it came in.
    pub arrived: MediaTime,
}
