//! What a session core asks of a WebRTC connection, and what the connection reports: the words `peer` speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::media::CameraName;

/// An `RTCIceServer` of the W3C's WebRTC API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp` and so on.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// An `RTCIceCandidateInit` of the W3C's WebRTC API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The candidate attribute, without `a=`; empty marks the end.
    pub candidate: String,
    /// The media section's mid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// The media section's place.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// What one media section carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mid {
    /// Of which camera.
    pub camera: CameraName,
    /// Sound or picture.
    pub kind: TrackKind,
    /// Of sound: what the peer sends in it is heard at the camera.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub talk: bool,
}

/// Media sections by mid.
pub type Mids = BTreeMap<String, Mid>;

/// What a session is to carry, after the node has resolved `true` to its cameras' names and checked them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wants {
    /// Cameras whose pictures are wanted.
    pub video: Vec<CameraName>,
    /// Cameras whose sound is wanted.
    pub audio: Vec<CameraName>,
    /// Cameras at which the viewer wants to be heard.
    pub talk: Vec<CameraName>,
    /// Labels of data channels the node opens.
    pub channels: Vec<String>,
}

/// What a core asks of one connection. The connection answers with [`PeerEvent`]s, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerCommand {
    /// Node: make a connection and offer it ([`PeerEvent::Offered`]).
    Offer {
        /// What it is to carry.
        wants: Wants,
        /// STUN and TURN servers for this session.
        ice_servers: Vec<IceServer>,
    },
    /// Answer this offer ([`PeerEvent::Answered`], or [`PeerEvent::Declined`]), over the connection there is, or else
    /// (viewer) over one to be made. An offer of its own that waits for its answer is taken back.
    Answer {
        /// The other side's offer.
        sdp: String,
        /// STUN and TURN servers for this session, for a connection that is to be made.
        ice_servers: Vec<IceServer>,
    },
    /// The other side's answer to the offer.
    AcceptAnswer {
        /// The answer.
        sdp: String,
    },
    /// Candidates of the other side, never before its description. An empty list with `complete` ends them.
    AddCandidates {
        /// The candidates.
        candidates: Vec<Candidate>,
        /// No more will come in this generation.
        complete: bool,
    },
    /// Use these STUN and TURN servers, with these logins, from the next ICE restart on; relays there are keep theirs.
    UseIceServers {
        /// All of them.
        ice_servers: Vec<IceServer>,
    },
    /// Offer again with new ICE credentials ([`PeerEvent::Offered`], or [`PeerEvent::Declined`]).
    RestartIce,
    /// This machine's network has changed; say so if that concerns the connection ([`PeerEvent::AddressLost`]).
    NetworkChanged,
    /// Close it and free everything; no event follows.
    Close,
}

/// What a connection reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// The local offer; host candidates stand in it.
    Offered {
        /// The offer.
        sdp: String,
        /// What its media sections carry.
        mids: Mids,
    },
    /// The local answer; host candidates stand in it.
    Answered {
        /// The answer.
        sdp: String,
    },
    /// Local candidates that were found after the description.
    Candidates {
        /// The candidates.
        candidates: Vec<Candidate>,
        /// Gathering is complete.
        complete: bool,
    },
    /// What was asked last, an answer or an offer, cannot be made. Nothing has changed.
    Declined {
        /// For the log.
        message: String,
    },
    /// DTLS is up: media flows.
    Connected,
    /// Nothing heard for 3 s: sending has stopped, an ICE restart may save it.
    Silent,
    /// The address of ours that the path ran over is gone: nothing will be heard until an ICE restart.
    AddressLost,
    /// Heard again after [`PeerEvent::Silent`] or [`PeerEvent::AddressLost`].
    Recovered,
    /// The other side closed DTLS.
    ClosedByPeer,
    /// It cannot go on.
    Failed {
        /// Which step failed.
        step: FailedStep,
        /// For the log and, in short, for the person at the other end.
        message: String,
    },
}

/// The steps of a connection that can fail; each has its own error code in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedStep {
    /// Making the offer.
    Offer,
    /// Making the answer.
    Answer,
    /// Setting the local description.
    LocalDescription,
    /// Setting the remote description.
    RemoteDescription,
    /// The two sides share no codec for a section.
    NoCommonCodec,
    /// No candidate pair worked, or it was lost for good.
    Ice,
    /// Anything else.
    Internal,
}
