//! One call of the node's: a registered peer rings until somebody there answers.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::{
    Acceptance, Body, Call, CallResponse, Delivery, ErrorCode, Event, Failure, LeaveReason, Message, Nonce, Outgoing,
    PeerId, RejectReason, SessionKey, Step, Text, Topics,
};
use super::Output;

/// One call on its way, or ringing.
#[derive(Debug)]
pub(super) struct OutgoingCall {
    pub(super) key: SessionKey,
    /// The name under which the peer has registered.
    pub(super) name: Text<1, 64>,
    pub(super) delivery: Delivery,
    /// The peer has said something.
    heard: bool,
}

/// What the peer said to a call.
#[derive(Debug)]
pub(super) enum Reply {
    /// Somebody takes it, by the message with this `seq`; what was said after it comes along.
    Accepted(Box<Acceptance>, u32, Vec<Message>),
    /// Nobody does, by the message with this `seq`.
    Rejected(RejectReason, Option<u32>),
    /// The peer left, by the message with this `seq`.
    Left(LeaveReason, Option<u32>),
    /// The peer said that it failed there.
    TheyFailed(u16),
    /// It failed here.
    Failed,
}

impl OutgoingCall {
    /// Says `call`.
    pub(super) fn start(
        key: SessionKey,
        name: Text<1, 64>,
        from: PeerId,
        nonce: Nonce,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Self {
        let mut delivery = Delivery::new(key.session.clone(), true);
        let call = Call { sdp: None, from, wants: None, token: None, nonce };
        delivery.send(Body::Call(call), None, now).expect("nothing has been said before, and a call is short");
        out.push_back(Output::Event(Event { session: key.clone(), step: Step::Call }));
        Self { key, name, delivery, heard: false }
    }

    /// A message of the peer; `None` while nothing is decided.
    pub(super) fn receive(
        &mut self,
        message: Message,
        bytes: usize,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Option<Reply> {
        let Ok(messages) = self.delivery.receive(message, bytes, now) else { return Some(Reply::Failed) };
        self.act_on(messages, out)
    }

    /// A message of the peer that could not be read, but for its `seq`.
    pub(super) fn skip(&mut self, seq: u32, now: Duration, out: &mut VecDeque<Output>) -> Option<Reply> {
        let Ok(messages) = self.delivery.skip(seq, now) else { return Some(Reply::Failed) };
        self.act_on(messages, out)
    }

    fn act_on(&mut self, messages: Vec<Message>, out: &mut VecDeque<Output>) -> Option<Reply> {
        let mut messages = messages.into_iter();
        while let Some(message) = messages.next() {
            match message.body {
                Body::Ringing(_) => {
                    out.push_back(Output::Event(Event { session: self.key.clone(), step: Step::Ringing }));
                }
                Body::CallResponse(CallResponse::Accepted(acceptance)) => {
                    let seq = message.seq.unwrap_or_default();
                    return Some(Reply::Accepted(Box::new(acceptance), seq, messages.collect()));
                }
                Body::CallResponse(CallResponse::Rejected(rejection)) => {
                    return Some(Reply::Rejected(rejection.reason, message.seq));
                }
                Body::Leave(leave) => return Some(Reply::Left(leave.reason, message.seq)),
                Body::Error(failure) => {
                    // Something later, a repetition of ours, has merely overtaken the call.
                    let overtaken = !self.heard && failure.known() == Some(ErrorCode::UnknownSession);
                    if !overtaken && (message.re == Some(0) || failure.ends()) {
                        return Some(Reply::TheyFailed(failure.code));
                    }
                }
                Body::Ack(_) => {}
                _ => self.delivery.send_error(Failure::new(ErrorCode::BadMessage), message.seq),
            }
            self.heard = true;
        }
        None
    }

    /// Publishes what is due; `false` once nobody has acknowledged for too long.
    pub(super) fn handle_timeout(&mut self, topics: &Topics, now: Duration, out: &mut VecDeque<Output>) -> bool {
        while let Some(message) = self.delivery.poll_transmit(now) {
            out.push_back(Output::Publish(Outgoing::to_peer(topics, &self.key.peer, &message)));
        }
        !self.delivery.has_failed(now)
    }
}
