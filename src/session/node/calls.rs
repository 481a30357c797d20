//! Which sessions are calls: they can be hung up. One that is lost is still a call, for its peer joins again by itself and
//! goes on with it by that session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{End, LeaveReason, PeerId, SessionKey};

/// How long a lost call may be gone on with: a peer tries every half a minute, and its broker may be away for a while too.
const GOES_ON_WITHIN: Duration = Duration::from_secs(120);
/// Lost calls that are known at the same time; the oldest is forgotten first.
const MAX_LOST: usize = 64;

/// The calls there are.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Whose session is a call.
    taken: BTreeSet<PeerId>,
    lost: BTreeMap<PeerId, Lost>,
}

/// A call without a session.
#[derive(Debug)]
struct Lost {
    /// Its last one.
    session: SessionKey,
    at: Duration,
    /// We have hung up meanwhile, and the peer cannot know.
    is_hung_up: bool,
}

/// What a new `join` goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoesOnWith {
    /// With nothing: somebody wants to watch.
    Nothing,
    /// With a call that was lost.
    Call,
    /// With a call that we have hung up.
    HungUp,
}

impl Calls {
    /// The session that this peer now has is a call.
    pub(super) fn taken(&mut self, peer: &PeerId) {
        self.lost.remove(peer);
        self.taken.insert(peer.clone());
    }

    /// Whose session is a call.
    pub(super) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.taken.iter()
    }

    /// A session has ended so.
    pub(super) fn ended(&mut self, session: &SessionKey, end: End, now: Duration) {
        if !self.taken.remove(&session.peer) || !is_joined_again_after(end) {
            return;
        }
        self.lost.retain(|_, lost| now < lost.at + GOES_ON_WITHIN);
        if self.lost.len() >= MAX_LOST
            && let Some(oldest) = self.lost.iter().min_by_key(|(_, lost)| lost.at).map(|(peer, _)| peer.clone())
        {
            self.lost.remove(&oldest);
        }
        let lost = Lost { session: session.clone(), at: now, is_hung_up: false };
        self.lost.insert(session.peer.clone(), lost);
    }

    /// The peer has said its last word to a session that had ended: it does not go on with it.
    pub(super) fn left(&mut self, session: &SessionKey) {
        if self.lost.get(&session.peer).is_some_and(|lost| lost.session == *session) {
            self.lost.remove(&session.peer);
        }
    }

    /// A peer joins: with what it goes on by that.
    pub(super) fn joins(&mut self, peer: &PeerId, now: Duration) -> GoesOnWith {
        if self.taken.contains(peer) {
            // It has noticed the loss before us.
            return GoesOnWith::Call;
        }
        match self.lost.remove(peer).filter(|lost| now < lost.at + GOES_ON_WITHIN) {
            None => GoesOnWith::Nothing,
            Some(Lost { is_hung_up: false, .. }) => GoesOnWith::Call,
            Some(_) => GoesOnWith::HungUp,
        }
    }

    /// Hangs up the calls that are lost; gives whose they were.
    pub(super) fn hang_up_lost(&mut self, now: Duration) -> Vec<PeerId> {
        let is_open = |lost: &Lost| !lost.is_hung_up && now < lost.at + GOES_ON_WITHIN;
        let open = self.lost.iter_mut().filter(|(_, lost)| is_open(lost));
        open.map(|(peer, lost)| {
            lost.is_hung_up = true;
            peer.clone()
        })
        .collect()
    }

    /// What is kept, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> [usize; 2] {
        [self.taken.len(), self.lost.len()]
    }
}

/// Whether a peer joins again by itself after this, as PROTOCOL.md has it in section 5.
fn is_joined_again_after(end: End) -> bool {
    match end {
        End::Left(reason) | End::TheyLeft(reason) => {
            matches!(reason, LeaveReason::Replaced | LeaveReason::Failed) || end == End::Left(LeaveReason::Closed)
        }
        End::ClosedByPeer | End::Failed(_) | End::TheyFailed(_) => true,
        End::Refused(_) | End::Rejected(_) | End::Cancelled(_) | End::Rebooted => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{CancelReason, ErrorCode, SessionId};

    fn key(peer: usize) -> SessionKey {
        let peer = format!("p{peer}").parse().expect("a peer id");
        SessionKey { peer, session: SessionId::from_random(1) }
    }

    fn lost(end: End) -> Calls {
        let mut calls = Calls::default();
        calls.taken(&key(1).peer);
        calls.ended(&key(1), end, Duration::ZERO);
        calls
    }

    #[test]
    fn a_call_goes_on_after_what_peers_join_again_after_and_nothing_else() {
        let goes_on = |end| lost(end).joins(&key(1).peer, Duration::from_secs(119)) == GoesOnWith::Call;
        for end in [
            End::Left(LeaveReason::Closed),
            End::Left(LeaveReason::Failed),
            End::TheyLeft(LeaveReason::Failed),
            End::ClosedByPeer,
            End::Failed(ErrorCode::IceFailed),
            End::TheyFailed(45),
        ] {
            assert!(goes_on(end), "{end:?}");
        }
        for end in [
            End::Left(LeaveReason::Expired),
            End::Left(LeaveReason::Limit),
            End::Left(LeaveReason::Shutdown),
            End::TheyLeft(LeaveReason::Closed),
            End::Cancelled(CancelReason::Closed),
        ] {
            assert!(!goes_on(end), "{end:?}");
        }
    }

    #[test]
    fn a_lost_call_is_gone_on_with_once_and_in_time_and_not_by_who_has_left() {
        let (peer, now) = (key(1).peer, Duration::from_secs(1));
        let mut calls = lost(End::ClosedByPeer);
        assert_eq!(calls.joins(&peer, now), GoesOnWith::Call);
        assert_eq!(calls.joins(&peer, now), GoesOnWith::Nothing, "it was not let in, or it has left");
        assert_eq!(lost(End::ClosedByPeer).joins(&peer, GOES_ON_WITHIN), GoesOnWith::Nothing);
        let mut calls = lost(End::ClosedByPeer);
        calls.left(&key(1));
        assert_eq!((calls.joins(&peer, now), calls.held()), (GoesOnWith::Nothing, [0, 0]));
    }

    #[test]
    fn lost_calls_are_hung_up_once_and_bounded() {
        let now = Duration::from_secs(1);
        let mut calls = lost(End::ClosedByPeer);
        assert_eq!(calls.hang_up_lost(now), [key(1).peer]);
        assert_eq!(calls.hang_up_lost(now), []);
        assert_eq!(calls.joins(&key(1).peer, now), GoesOnWith::HungUp);
        assert_eq!(calls.joins(&key(1).peer, now), GoesOnWith::Nothing, "a person may watch again");
        for n in 0..1_000 {
            calls.taken(&key(n).peer);
            calls.ended(&key(n), End::ClosedByPeer, now + Duration::from_millis(n as u64));
        }
        assert_eq!(calls.held(), [0, MAX_LOST]);
        assert_eq!(calls.joins(&key(999).peer, now), GoesOnWith::Call);
        assert_eq!(calls.hang_up_lost(now + GOES_ON_WITHIN * 2), []);
    }
}
