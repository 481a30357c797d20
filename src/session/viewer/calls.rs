//! Calls of the node to a viewer that has registered, and the end of calls.

use std::time::Duration;

use super::super::{
    Acceptance, Body, Boot, CancelReason, Empty, End, ErrorCode, Failure, LeaveReason, Message, PeerId, RejectReason,
    Rejection, SessionKey, Step,
};
use super::incoming::Incoming;
use super::node_session::NodeSession;
use super::registration::Registration;
use super::{Manner, Output, Plan, Viewer, ViewerState};
use crate::session::Event;

impl Viewer {
    /// A viewer that calls the node instead of joining.
    #[must_use]
    pub fn calling(mut self) -> Self {
        self.manner = Manner::Call;
        self
    }

    /// The node calls.
    pub(super) fn take_call(&mut self, key: SessionKey, call: Message, from: &PeerId, now: Duration) {
        if from.as_str() != self.setup.topics.node() {
            return self.reply_error(&call, Failure::new(ErrorCode::BadMessage));
        }
        let boot = self.lookout.online().cloned();
        let Some(boot) = boot.filter(|_| self.registration.as_ref().is_some_and(Registration::is_wanted)) else {
            return self.reject_at_once(key, &call, RejectReason::Unsupported, now);
        };
        if self.session.as_ref().is_some_and(NodeSession::is_call) {
            return self.reject_at_once(key, &call, RejectReason::Busy, now);
        }
        // For the node the earlier one is over, or it would not call again.
        self.decline(RejectReason::Busy, now);
        self.incoming = Some(Incoming::start(key, boot, call, now, &mut self.out));
    }

    /// The node says something to the call that rings.
    pub(super) fn incoming_message(&mut self, message: Message, bytes: usize, now: Duration) {
        let Some(gone) = self.incoming.as_mut().and_then(|incoming| incoming.receive(message, bytes, now)) else {
            return;
        };
        if let Some(incoming) = self.incoming.take() {
            self.log(&incoming.key, Step::Ended(gone.end));
            self.they_ended(incoming.key, gone.seq, now);
        }
    }

    /// Time has passed for the call that rings.
    pub(super) fn incoming_timeout(&mut self, now: Duration) {
        let Some(incoming) = &mut self.incoming else { return };
        if !incoming.handle_timeout(&self.setup.topics, now, &mut self.out) {
            self.decline(RejectReason::Timeout, now);
        }
    }

    /// A call of a run of the node that is over rings for nobody.
    pub(super) fn call_of_a_former_boot(&mut self, boot: &Boot, now: Duration) {
        if let Some(incoming) = self.incoming.take_if(|incoming| incoming.boot != *boot) {
            self.log(&incoming.key, Step::Ended(End::Rebooted));
            self.ended.gone(incoming.key, incoming.delivery, LeaveReason::Closed, now);
        }
    }

    /// The person takes the call that rings.
    pub(super) fn accept(&mut self, now: Duration) {
        let Some(incoming) = self.incoming.take() else { return };
        if let Some(session) = self.session.take() {
            self.end(&session.key, End::Left(LeaveReason::Closed));
            self.ended.leave(session.key, session.delivery, LeaveReason::Closed, now);
        }
        let (wants, token) = (Some(self.setup.wants.clone()), self.setup.token.clone());
        let acceptance = Acceptance { sdp: None, mids: None, nonce: self.nonce(), wants, token };
        self.last_boot = Some(incoming.boot.clone());
        self.lost = None;
        self.session = Some(NodeSession::take(incoming, acceptance, now, &mut self.out));
    }

    /// The node has hung up a call whose end we have known before: what goes on with it ends too.
    pub(super) fn hung_up_late(&mut self, now: Duration) {
        if let Some(session) = self.session.take() {
            self.end(&session.key, End::Left(LeaveReason::Closed));
            self.ended.leave(session.key, session.delivery, LeaveReason::Closed, now);
        }
        if self.plan != Plan::Nothing {
            self.after_call(CancelReason::Closed);
        }
    }

    /// The call that rings is not taken.
    pub(super) fn decline(&mut self, reason: RejectReason, now: Duration) {
        if let Some(incoming) = self.incoming.take() {
            self.log(&incoming.key, Step::Ended(End::Rejected(reason)));
            self.ended.reject(incoming.key, incoming.delivery, rejection(reason), now);
        }
    }

    fn reject_at_once(&mut self, key: SessionKey, call: &Message, reason: RejectReason, now: Duration) {
        self.log(&key, Step::Call);
        self.log(&key, Step::Ended(End::Rejected(reason)));
        self.ended.reject_at_once(key.clone(), rejection(reason), now);
        if let Some(answer) = self.ended.answer(&key, call, now) {
            self.publish(&answer);
        }
    }

    /// The node has ended it, by the message with this `seq`, which is acknowledged.
    pub(super) fn they_ended(&mut self, key: SessionKey, seq: Option<u32>, now: Duration) {
        self.ended.they_left(key.clone(), now);
        if seq.is_some() {
            let session = Some(key.session);
            self.publish(&Message { session, seq: None, ack: seq, re: None, body: Body::Ack(Empty {}) });
        }
    }

    /// We have seen enough: leaves, hangs up, and wants no more calls.
    pub(super) fn close(&mut self, now: Duration) {
        self.plan = Plan::Nothing;
        self.decline(RejectReason::Declined, now);
        self.unregister(now);
        if let Some(session) = self.session.take() {
            if session.is_calling() {
                self.end(&session.key, End::Cancelled(CancelReason::Closed));
                self.ended.cancel(session.key, session.delivery, CancelReason::Closed, now);
            } else {
                self.end(&session.key, End::Left(LeaveReason::Closed));
                self.ended.leave(session.key, session.delivery, LeaveReason::Closed, now);
            }
        }
        self.show(ViewerState::Closed, None, None);
    }

    fn log(&mut self, key: &SessionKey, step: Step) {
        self.out.push_back(Output::Event(Event { session: key.clone(), step }));
    }
}

fn rejection(reason: RejectReason) -> Rejection {
    Rejection { reason, code: None, message: None, retry_after: None }
}
