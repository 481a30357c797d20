//! The crate's callbacks: they run on the connection's driver task, where waiting would hold up ICE and media, so all
//! they do is forward.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

/// What the crate tells.
pub(super) enum Notice {
    /// A local candidate was found.
    Candidate(String),
    /// No more local candidates will be found.
    Gathered,
    /// ICE and DTLS together are in this state.
    State(RTCPeerConnectionState),
    /// The other side sends a track.
    Track(Arc<dyn TrackRemote>),
    /// The other side opened a channel.
    Channel(Arc<dyn DataChannel>),
}

/// The callbacks of one connection.
pub(super) struct Forward(pub mpsc::UnboundedSender<Notice>);

impl Forward {
    fn tell(&self, notice: Notice) {
        // Nobody listens any more once the connection's task has ended.
        let _ = self.0.send(notice);
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Forward {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(json) = event.candidate.to_json() {
            self.tell(Notice::Candidate(json.candidate));
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(Notice::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.tell(Notice::State(state));
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.tell(Notice::Channel(channel));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tell(Notice::Track(track));
    }
}
