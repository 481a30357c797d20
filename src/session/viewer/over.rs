//! Why a session with the node ends.

use super::super::{CancelReason, ErrorCode, Failure, LeaveReason, Overflow, Rejection};

/// Why a session must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    TheyLeft(LeaveReason, Option<u32>),
    /// The node rejected our call, by the message with this `seq`.
    Rejected(Rejection, Option<u32>),
    /// The node gave its call up, by the message with this `seq`.
    Cancelled(CancelReason, Option<u32>),
    /// Our call has rung for too long.
    NobodyAnswered,
    /// The node refused the `join`.
    Refused(Failure),
    /// The node said that it failed there.
    TheyFailed(Failure),
    ClosedByPeer,
    /// It failed here.
    Failed(Failure, ErrorCode),
}

impl Over {
    pub(super) fn failed(code: ErrorCode) -> Self {
        Self::Failed(Failure::new(code), code)
    }
}

impl From<Overflow> for Over {
    fn from(_: Overflow) -> Self {
        Self::failed(ErrorCode::WindowOverflow)
    }
}
