//! Pure state machines of the signalling protocol, version 1: the node's side and the viewer's.
//!
//! ```text
//!  broker ─▶ LinkUp, Message ─▶ ┌────────────────┐ ─▶ Publish ─────▶ broker
//!                               │ node::Node     │
//!                               │ viewer::Viewer │ ─▶ PeerCommand ─▶ peer
//!  peer ───▶ PeerEvent ───────▶ └────────────────┘ ─▶ Event ───────▶ log
//! ```
//!
//! No clock, no randomness, no I/O: `handle(input, now)` says what happened and when, `poll_output` says what to do,
//! `poll_timeout` when to come back. Inside, each session has a [`Delivery`], which makes an ordered stream of what
//! the broker loses, repeats and reorders. What the messages are is written in `PROTOCOL.md` beside this file, fixed in
//! `schema/` and `golden/`, and read by the TypeScript client too.

mod budget;
mod call_message;
pub mod config;
mod delivery;
mod ended;
mod envelope;
mod error;
mod event;
mod ids;
mod mending;
mod message;
mod negotiation;
pub mod node;
mod outgoing;
mod port;
mod snapshot_message;
mod status;
mod talks;
mod text;
mod topic;
mod trickle;
pub mod viewer;

pub use call_message::{
    Acceptance, Call, CallResponse, Cancel, CancelReason, Register, Registration, RejectReason, Rejection,
};
pub use config::{Limits, WhenFull};
pub use delivery::{ACK_DELAY, Delivery, Overflow, RESEND_WAITS, WINDOW_BYTES, WINDOW_MESSAGES};
pub use envelope::{Body, MAX_MESSAGE_BYTES, Malformed, Message};
pub use error::{ErrorCode, Failure};
pub use event::{End, Event, Step};
pub use ids::{BadId, NodeId, PeerId, SessionId, SessionKey};
pub use message::{
    Answer, CameraChoice, Empty, Ice, Join, Leave, LeaveReason, NodeInfo, Nonce, Offer, PeerInfo, Renew, Sdp, Token,
    WantsRequest,
};
pub use outgoing::{Entropy, Outgoing};
pub use port::{Candidate, FailedStep, IceServer, Mid, Mids, PeerCommand, PeerEvent, TrackKind, Wants};
pub use snapshot_message::{BadBase64, Base64, MAX_PICTURE_BYTES, Picture, Snapshot};
pub use status::{AccessMode, Boot, CameraDetail, CameraInfo, CameraState, Presence, StateDetail, Status};
pub use text::{BadLength, Text};
pub use topic::{BadPrefix, Topic, TopicPrefix, Topics};

/// The protocol version that is spoken.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests;
