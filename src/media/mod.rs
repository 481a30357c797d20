//! Plain data that the frame path hands along: no I/O, no clock, no threads.

pub mod annexb;
mod bounded;
mod depacketize;
mod encoded;
mod feedback;
mod frame;
mod ids;
mod orientation;
mod packets;
mod pcm;
mod spoken;
mod sps;
pub mod stamp;
mod time;

pub use bounded::{Bounded, OutOfRange};
pub use depacketize::{AccessUnit, Depacketized, Depacketizer};
pub use encoded::{EncodedAudio, EncodedVideo};
pub use feedback::Feedback;
pub use frame::{Frame, FrameFormat, PixelFormat};
pub use ids::{Bitrate, CameraName};
pub use orientation::{BadRotation, Flip, Rotation};
pub use packets::VideoPackets;
pub use pcm::{Pcm, SAMPLE_RATE_HZ, SAMPLES_PER_PERIOD};
pub use spoken::SpokenPacket;
pub use sps::{ProfileLevelId, Sps};
pub use time::{MediaTime, NtpAnchor};
