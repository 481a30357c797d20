//! Pure state machines of the signalling protocol, version 1: the node's side and the viewer's.
//!
//! No clock, no randomness, no I/O: inputs say what happened and when, outputs say what to do.

mod ids;
mod port;

pub use ids::{BadId, NodeId, PeerId, SessionId, SessionKey};
pub use port::{Candidate, FailedStep, IceServer, Mid, Mids, PeerCommand, PeerEvent, TrackKind, Wants};
