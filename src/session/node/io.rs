//! What goes into a node's core and what comes out of it.

use bytes::Bytes;

use super::super::config::Limits;
use super::super::{
    Boot, CameraDetail, CameraInfo, Entropy, Event, Failure, Malformed, Outgoing, PeerCommand, PeerEvent, PeerId,
    SessionKey, Text, Topics,
};
use super::{IceSource, RingOutcome, SnapshotId, SnapshotTaken, SnapshotWish};
use crate::access::{Guard, Scopes, WallClock};

/// What a node is set up with.
pub struct NodeSetup {
    /// Where it speaks.
    pub topics: Topics,
    /// This run of the program.
    pub boot: Boot,
    /// Its name for people.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// How many may watch, and how long steps may take.
    pub limits: Limits,
    /// Whether `status` and the will are retained; off only for a broker that forbids it.
    pub retain_status: bool,
    /// Who may come in.
    pub guard: Guard,
    /// For nonces.
    pub entropy: Entropy,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Connected to the broker and subscribed, for the `conn`-th time in this run.
    LinkUp {
        /// Counts from 1; the will of this connection carries the same number.
        conn: u32,
    },
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
    /// A connection reports.
    Peer(SessionKey, PeerEvent),
    /// All cameras there are, and how they are; at the start, and when that changes.
    Cameras(Vec<Camera>),
    /// What `status` warns of from now on, 16 at most.
    Warnings(Vec<Text<0, 256>>),
    /// The STUN and TURN servers from now on. Live sessions are told.
    IceServers(Vec<IceSource>),
    /// Who may come in from now on. Sessions whose right has been taken back end.
    Guard(Guard),
    /// What the wall clock shows; at the start, and again every few seconds, as it may be set at any time. Between, the
    /// core's own time counts on.
    WallClock(WallClock),
    /// The node's name for people from now on.
    Name(String),
    /// The limits from now on: of what is asked, and of sessions that begin.
    Limits(Limits),
    /// The picture that was wished for ([`Output::Snapshot`]), or why there is none; within 10 s.
    Snapshot(SnapshotId, Result<SnapshotTaken, Failure>),
    /// What the cameras send is not what was offered any more: all sessions end, and viewers join anew.
    StreamChanged,
    /// Addresses, routes or links of this machine have changed.
    NetworkChanged,
    /// The program ends: says `leave` to every viewer, and `offline`.
    Shutdown,
}

/// One camera and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// What it delivers.
    pub info: CameraInfo,
    /// How it is. A camera that is away refuses no `join`: its viewers see a card that says so.
    pub detail: CameraDetail,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Publish this at QoS 1.
    Publish(Outgoing),
    /// Ask this of a session's connection.
    Peer(SessionKey, PeerCommand),
    /// What a session's viewer may do from now on: before anything else is asked of its connection, and with each new token.
    Allowed(SessionKey, Scopes),
    /// Log this step of a session.
    Event(Event),
    /// A ring has ended.
    Ring(RingOutcome),
    /// Take this still picture, and say what has come of it.
    Snapshot(SnapshotWish),
    /// Log that a message of this peer could not be read.
    Unreadable(PeerId, Malformed),
    /// Another node says `status` in this node's name: its boot, and `None` when it has not been heard for long.
    Rival(Option<Boot>),
    /// Log that a message of this peer was one too many, and was not read.
    Unread(PeerId),
}
