//! All that travels against the flow of media.

use super::Bitrate;

/// What a viewer, or the sum of them, asks of the encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Feedback {
    /// A decoder cannot go on without a key frame (PLI, FIR).
    KeyFrameWanted,
    /// A viewer has just connected and has nothing to show: the next frame should be a key frame.
    ViewerJoined,
    /// The path carries no more than this.
    BitrateLimit(Bitrate),
    /// Share of packets lost on the path, 0–1, for Opus' FEC.
    LossRate(f32),
}
