//! What goes into a viewer's core and what comes out of it.

use std::time::Duration;

use bytes::Bytes;

use super::super::{
    Entropy, Event, Malformed, Outgoing, PeerCommand, PeerEvent, PeerId, SessionKey, Token, Topics, WantsRequest,
};

/// What a viewer is set up with.
pub struct ViewerSetup {
    /// The node's topics.
    pub topics: Topics,
    /// Who we are.
    pub peer: PeerId,
    /// What we want to see and hear.
    pub wants: WantsRequest,
    /// Our right to it.
    pub token: Option<Token>,
    /// For session ids, nonces and waits.
    pub entropy: Entropy,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Connected to the broker and subscribed.
    LinkUp,
    /// The broker is lost.
    LinkDown,
    /// A message came in.
    Message {
        /// Full topic.
        topic: String,
        /// As it was sent.
        payload: Bytes,
        /// It was kept by the broker.
        retained: bool,
    },
    /// The connection reports.
    Peer(SessionKey, PeerEvent),
    /// A newer token: the session there is goes on by it, and the next one begins with it.
    Token(Token),
    /// The person takes the call that rings.
    Accept,
    /// The person does not.
    Decline,
    /// Addresses, routes or links of this machine have changed.
    NetworkChanged,
    /// We have seen enough.
    Close,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Publish this at QoS 1.
    Publish(Outgoing),
    /// Ask this of the session's connection.
    Peer(SessionKey, PeerCommand),
    /// Log this step of the session.
    Event(Event),
    /// The state a person sees has changed.
    State(Shown),
    /// Log that a message of the node could not be read.
    Unreadable(Malformed),
}

/// A state as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// In one word.
    pub state: ViewerState,
    /// What is wrong, in a sentence.
    pub detail: Option<String>,
    /// When it will be tried again by itself.
    pub retry_in: Option<Duration>,
}

/// The states of a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewerState {
    /// There is no broker yet.
    Idle,
    /// At the broker; the node's presence is not known yet.
    Looking,
    /// The node is not there; the viewer waits for it.
    Offline,
    /// Registered: the next call of the node rings.
    Waiting,
    /// A call of the node rings: accept it or decline.
    Ringing,
    /// Our own call rings at the node.
    Calling,
    /// A session is being made.
    Connecting,
    /// Media flows.
    Live,
    /// Media has stopped for the moment.
    Silent,
    /// The session is over, or could not be made; it will be tried again.
    Lost,
    /// The session is over, or was refused, and trying again would not help.
    Refused,
    /// We have left.
    Closed,
}

impl ViewerState {
    /// Whether it may last for as long as people like.
    pub fn waits_for_a_person(self) -> bool {
        matches!(self, Self::Waiting | Self::Ringing | Self::Calling)
    }

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Looking => "looking",
            Self::Offline => "offline",
            Self::Waiting => "waiting",
            Self::Ringing => "ringing",
            Self::Calling => "calling",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Closed => "closed",
        }
    }
}
