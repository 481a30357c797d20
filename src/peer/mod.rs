//! One WebRTC connection a viewer. The only place that knows the crate `webrtc`.
//!
//! A [`Connector`] makes connections: [`Connector::publisher`] for the node's side, which offers a camera's picture and
//! sound, and [`Connector::viewer`] for a viewer without a screen, which answers. Either is a task of its own that is told
//! [`PeerCommand`]s through its [`PeerHandle`] and reports [`PeerEvent`]s. Media comes from the [`Feeds`] the node fills:
//! packets are made once and shared; a viewer costs a subscription, and a task a track that writes at that viewer's pace.
//!
//! [`PeerCommand`]: crate::session::PeerCommand
//! [`PeerEvent`]: crate::session::PeerEvent

mod addresses;
mod alias;
mod carrying;
mod channels;
mod clock;
mod codecs;
pub mod config;
mod connector;
mod continuation;
mod description;
mod feedback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
mod handover;
mod interceptor;
mod link;
mod local_names;
mod names;
mod negotiate;
mod notice;
mod offered;
mod publisher;
mod runtime;
mod sender;
mod sender_report;
mod stats;
mod stream;
mod talk;
mod tcp;
#[cfg(test)]
mod tests;
mod thread;
mod trickle;
mod troubles;
pub mod turn;
mod viewer;
mod watch;

use std::sync::Arc;

use crate::fanout::Fanout;
use crate::media::{CameraName, EncodedAudio, Feedback, SpokenPacket, VideoPackets};

pub use addresses::media_addresses;
pub use channels::{
    Channel, ChannelEnd, ChannelServices, Closed, Deaf, Delivery, MAX_CHANNELS, MAX_MESSAGE_BYTES, Message, Opener,
    Outgoing, Refused,
};
pub use connector::{Connector, ConnectorError};
pub use handle::{PeerHandle, Reports};
pub use stats::{LATENCY_BOUNDS_US, LatencyCounts, PeerStats, SendLatency};
pub use troubles::{Trouble, Troubles};
pub use viewer::ReceivedPacket;

/// Takes what viewers say of a camera's stream. Called on network tasks: it must not wait.
pub type FeedbackSink = Arc<dyn Fn(Feedback) + Send + Sync>;

/// A camera's picture, ready to be sent.
#[derive(Clone)]
pub struct VideoFeed {
    /// `profile_idc`, constraint flags and `level_idc` of the encoder's SPS.
    pub profile_level: [u8; 3],
    /// Its access units.
    pub packets: Arc<Fanout<Arc<VideoPackets>>>,
    /// Who hears of key frames wanted, losses and viewers that join.
    pub feedback: FeedbackSink,
    /// Where the time to the wire is counted, for all viewers of this camera.
    pub latency: Arc<SendLatency>,
}

/// A camera's sound, ready to be sent.
#[derive(Clone)]
pub struct AudioFeed {
    /// Its Opus packets.
    pub packets: Arc<Fanout<EncodedAudio>>,
    /// Who hears of losses and viewers that join.
    pub feedback: FeedbackSink,
}

/// Hears what one viewer says, until it is dropped. Called on network tasks: it must not wait.
pub type Ear = Arc<dyn Fn(SpokenPacket) + Send + Sync>;

/// Where media comes from, by camera, and where what viewers say goes. Filled by the node.
pub trait Feeds: Send + Sync {
    /// The camera's picture, if it has one now or can have one.
    fn video(&self, camera: &CameraName) -> Option<VideoFeed>;

    /// The camera's sound, if it has a microphone.
    fn audio(&self, camera: &CameraName) -> Option<AudioFeed>;

    /// One more viewer's ear at the camera, if it has a speaker.
    fn ear(&self, camera: &CameraName) -> Option<Ear> {
        let _ = camera;
        None
    }
}
