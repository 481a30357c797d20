//! The steps of a session in the words that both sides log, so that two logs can be laid side by side.

use super::{CancelReason, ErrorCode, LeaveReason, RejectReason, SessionKey};

/// One step of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub session: SessionKey,
    /// Which.
    pub step: Step,
}

/// The steps, in the order in which a session takes them: each side logs a message when it sends or receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `join`.
    Join,
    /// `call`.
    Call,
    /// `ringing`.
    Ringing,
    /// `callResponse` `accepted`.
    Accepted,
    /// `peer`.
    Peer,
    /// The connection is being made: the node opens to offer, the viewer opens to answer.
    Opening,
    /// `offer`; again for every renegotiation.
    Offer,
    /// `answer`.
    Answer,
    /// DTLS is up.
    Connected,
    /// Nothing heard for 3 s.
    Silent,
    /// Heard again.
    Recovered,
    /// It is over.
    Ended(End),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// We left.
    Left(LeaveReason),
    /// The other side left.
    TheyLeft(LeaveReason),
    /// The other side closed DTLS.
    ClosedByPeer,
    /// It failed here.
    Failed(ErrorCode),
    /// The other side said that it failed there, with this number of an [`ErrorCode`].
    TheyFailed(u16),
    /// The node refused the `join`, with this number of an [`ErrorCode`].
    Refused(u16),
    /// The callee rejected the call.
    Rejected(RejectReason),
    /// The caller gave the call up, or the node has hung up.
    Cancelled(CancelReason),
    /// The node has started anew and knows nothing of it.
    Rebooted,
}

impl Step {
    /// One word for logs; the same on both sides.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Call => "call",
            Self::Ringing => "ringing",
            Self::Accepted => "accepted",
            Self::Peer => "peer",
            Self::Opening => "opening",
            Self::Offer => "offer",
            Self::Answer => "answer",
            Self::Connected => "connected",
            Self::Silent => "silent",
            Self::Recovered => "recovered",
            Self::Ended(End::Left(_) | End::TheyLeft(_) | End::ClosedByPeer) => "leave",
            Self::Ended(End::Failed(_) | End::TheyFailed(_)) => "failed",
            Self::Ended(End::Refused(_)) => "refused",
            Self::Ended(End::Rejected(_)) => "rejected",
            Self::Ended(End::Cancelled(_)) => "cancelled",
            Self::Ended(End::Rebooted) => "rebooted",
        }
    }
}
