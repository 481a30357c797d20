//! Calls of peers: a camera answers by itself, after the same questions as at a `join`.

use std::time::Duration;

use super::super::{
    Acceptance, Body, Call, CallResponse, CameraChoice, Delivery, Empty, End, ErrorCode, Failure, Message,
    RejectReason, Rejection, SessionKey, Step, WantsRequest,
};
use super::Node;
use super::admission::seconds_up;
use super::viewer_session::Beginning;

/// What a call is to carry that does not say it.
pub(super) fn everything() -> WantsRequest {
    WantsRequest { video: CameraChoice::All, audio: CameraChoice::All, ..WantsRequest::default() }
}

impl Node {
    /// A peer calls.
    pub(super) fn take_call(&mut self, key: SessionKey, message: Message, call: Call, now: Duration) {
        if call.from != key.peer {
            return self.reply_error(&key.peer, &message, Failure::new(ErrorCode::BadMessage), now);
        }
        if let Err(wait) = self.budgets.take_join(&key.peer, now) {
            self.log(&key, Step::Call);
            self.log(&key, Step::Ended(End::Refused(ErrorCode::RateLimited.number())));
            // Not remembered: a repetition a little later may be let in.
            let failure = Failure::new(ErrorCode::RateLimited).after(seconds_up(wait));
            return self.reply_error(&key.peer, &message, failure, now);
        }
        if !self.setup.limits.auto_answer {
            let rejection = Rejection { reason: RejectReason::Declined, code: None, message: None, retry_after: None };
            return self.reject(key, &message, rejection, now);
        }
        let wants = call.wants.unwrap_or_else(everything);
        let admission = match self.admit(&key, &wants, call.token.as_ref(), now) {
            Ok(admission) => admission,
            Err(failure) => return self.reject(key, &message, rejection(failure), now),
        };
        let mut delivery = Delivery::new(key.session.clone(), true);
        let acceptance = Acceptance { sdp: None, mids: None, nonce: self.nonce(), wants: None, token: None };
        let said = delivery.receive(message, 0, now).map(drop);
        let said = said.and_then(|()| delivery.send(Body::Ringing(Empty {}), Some(0), now));
        let accepted = Body::CallResponse(CallResponse::Accepted(acceptance));
        said.and_then(|_| delivery.send(accepted, Some(0), now)).expect("three short messages are in the window");
        self.answered_by_its_own_call(&key.peer, now);
        let beginning = Beginning { delivery, request: 0, steps: &[Step::Call, Step::Ringing, Step::Accepted] };
        let peer = key.peer.clone();
        self.begin(key, beginning, admission, now);
        self.calls.taken(&peer);
    }

    fn reject(&mut self, key: SessionKey, call: &Message, rejection: Rejection, now: Duration) {
        self.log(&key, Step::Call);
        self.log(&key, Step::Ended(End::Rejected(rejection.reason)));
        self.ended.reject_at_once(key.clone(), rejection, now);
        if let Some(answer) = self.ended.answer(&key, call, now) {
            self.publish(&key.peer, &answer);
        }
    }
}

/// A failure in the words of a call.
fn rejection(failure: Failure) -> Rejection {
    let reason = match failure.known() {
        Some(ErrorCode::Busy) => RejectReason::Busy,
        Some(ErrorCode::NoSuchCamera) => RejectReason::Unsupported,
        _ => RejectReason::NotAllowed,
    };
    let Failure { code, message, retry_after, .. } = failure;
    Rejection { reason, code: Some(code), message: Some(message), retry_after }
}
