//! How sessions end, and what is said then.

use std::time::Duration;

use super::super::{Body, Empty, End, LeaveReason, Message, PeerCommand, PeerId, SessionKey, Step};
use super::viewer_session::{Over, ViewerSession};
use super::{Node, Output};

impl Node {
    /// Ends the session of `peer` if there is a reason to.
    pub(super) fn settle(&mut self, peer: &PeerId, result: Result<(), Over>, now: Duration) {
        let Err(over) = result else { return };
        let Some(mut session) = self.sessions.remove(peer) else { return };
        let key = session.key.clone();
        let end = match over {
            Over::Silent => return self.leave(session, LeaveReason::Failed, now),
            Over::Expired => return self.leave(session, LeaveReason::Expired, now),
            Over::TheyLeft(leave, seq) => {
                self.they_ended(&key, seq, now);
                End::TheyLeft(leave.reason)
            }
            Over::TheyCancelled(reason, seq) => {
                self.they_ended(&key, seq, now);
                End::Cancelled(reason)
            }
            Over::TheyFailed(code) => {
                self.ended.they_left(key.clone(), now);
                End::TheyFailed(code)
            }
            Over::ClosedByPeer => {
                self.ended.gone(key.clone(), session.delivery, LeaveReason::Closed, now);
                End::ClosedByPeer
            }
            Over::Failed(failure, code, re) => {
                session.delivery.send_error(failure, re);
                self.ended.leave(key.clone(), session.delivery, LeaveReason::Failed, now);
                End::Failed(code)
            }
        };
        self.close(key, end, now);
    }

    /// The other side has ended it, by the message with this `seq`, which is acknowledged.
    pub(super) fn they_ended(&mut self, key: &SessionKey, seq: Option<u32>, now: Duration) {
        self.ended.they_left(key.clone(), now);
        if seq.is_some() {
            let ack = Message {
                session: Some(key.session.clone()),
                seq: None,
                ack: seq,
                re: None,
                body: Body::Ack(Empty {}),
            };
            self.publish(&key.peer, &ack);
        }
    }

    pub(super) fn leave(&mut self, session: ViewerSession, reason: LeaveReason, now: Duration) {
        self.ended.leave(session.key.clone(), session.delivery, reason, now);
        self.close(session.key, End::Left(reason), now);
    }

    pub(super) fn close(&mut self, key: SessionKey, end: End, now: Duration) {
        self.calls.ended(&key, end, now);
        self.log(&key, Step::Ended(end));
        self.out.push_back(Output::Peer(key, PeerCommand::Close));
        self.viewers_changed(now);
    }

    pub(super) fn viewers_changed(&mut self, now: Duration) {
        if self.setup.limits.announce_viewers {
            self.announcer.changed(now);
        }
    }
}
