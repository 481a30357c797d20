//! How much a node keeps of what peers say, for tests: whatever they say, it is bounded.

use super::super::WINDOW_MESSAGES;
use super::{Node, ViewerSession};

/// What is kept now.
pub(crate) struct Held {
    sessions: Vec<([usize; 4], [usize; 2])>,
    ended: [usize; 2],
    peers: usize,
    snapshots: usize,
    calls: [usize; 2],
}

impl Node {
    pub(crate) fn held(&self) -> Held {
        let sessions = self.sessions.values().map(ViewerSession::held).collect();
        let (ended, peers) = (self.ended.held(), self.budgets.held());
        Held { sessions, ended, peers, snapshots: self.snapshots.held(), calls: self.calls.held() }
    }
}

impl Held {
    /// Panics when more is kept than there is room for: the limits in `delivery`, `trickle`, `ended` and `budget`.
    pub(crate) fn assert_bounded(&self) {
        // Our own candidates are as many as we have addresses: nobody outside adds to them.
        for ([early, unacked, queued, errors], [waiting, _ours]) in &self.sessions {
            assert!(
                *early <= WINDOW_MESSAGES && *unacked <= WINDOW_MESSAGES && *queued <= 64,
                "{early} {unacked} {queued}"
            );
            assert!(*errors <= 8 + WINDOW_MESSAGES && *waiting <= 128, "{errors} errors, {waiting} candidates");
        }
        let [taken, lost] = self.calls;
        assert!(taken <= self.sessions.len() && lost <= 64, "{taken} calls, {lost} lost");
        assert!(self.ended[0] <= 1_024 && self.ended[1] <= 320 && self.peers <= 1_024 && self.snapshots <= 8);
    }
}
