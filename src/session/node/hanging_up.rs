//! The node hangs up: the ring there is, and every session that is a call, for good.

use std::time::Duration;

use super::super::{CancelReason, Delivery, End, PeerId, SessionKey, Step};
use super::{NoAnswer, Node};

/// Who was hung up on: by the name it has registered, or else by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HungUp {
    /// Whom the node was ringing.
    pub rung: Vec<String>,
    /// Who was in a call, whoever had called whom.
    pub calls: Vec<String>,
}

impl Node {
    /// Hangs up. Whoever merely watches goes on.
    pub fn hang_up(&mut self, now: Duration) -> HungUp {
        let rung = self.ring.as_ref().map(|ring| ring.names()).unwrap_or_default();
        self.stop_ringing(CancelReason::Closed, NoAnswer::HungUp, now);
        let mut calls = self.calls.hang_up_lost(now);
        let taken: Vec<PeerId> = self.calls.peers().cloned().collect();
        for session in taken.iter().filter_map(|peer| self.sessions.remove(peer)).collect::<Vec<_>>() {
            self.ended.cancel(session.key.clone(), session.delivery, CancelReason::Closed, now);
            self.close(session.key, End::Cancelled(CancelReason::Closed), now);
        }
        calls.extend(taken);
        let calls = calls.iter().map(|peer| self.name_of(peer)).collect();
        self.handle_timeout(now);
        HungUp { rung, calls }
    }

    /// A peer goes on with a call that we have hung up meanwhile.
    pub(super) fn hang_up_at_once(&mut self, key: SessionKey, delivery: Delivery, now: Duration) {
        self.log(&key, Step::Join);
        self.log(&key, Step::Ended(End::Cancelled(CancelReason::Closed)));
        self.ended.cancel(key, delivery, CancelReason::Closed, now);
    }

    fn name_of(&self, peer: &PeerId) -> String {
        let registered = self.registry.all().find(|(known, _)| *known == peer);
        registered.map_or_else(|| peer.to_string(), |(_, name)| name.clone().into())
    }
}
