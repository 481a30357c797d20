//! A ring: calls of the node to registered peers at the same time, of which the first that is taken wins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{
    Acceptance, CancelReason, End, ErrorCode, LeaveReason, Malformed, Message, PeerId, RejectReason, SessionId,
    SessionKey, Step, Text,
};
use super::callee::everything;
use super::outgoing_call::{OutgoingCall, Reply};
use super::viewer_session::Beginning;
use super::{Node, Output};

/// Whom to ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingTo {
    /// Every registered peer.
    All,
    /// The peer that has registered under this name.
    Name(String),
}

/// Why nobody is rung.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRung {
    /// One ring at a time.
    #[error("it rings already")]
    Ringing,
    /// There is nobody to ring.
    #[error("nobody is registered")]
    NobodyRegistered,
    /// There is nobody of this name.
    #[error("nobody is registered as {0:?}")]
    NoSuchName(String),
    /// Nobody can be reached.
    #[error("the broker is away")]
    NoBroker,
    /// The program ends.
    #[error("the node is going down")]
    ShuttingDown,
}

/// How a ring ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingOutcome {
    /// Somebody took it.
    Answered {
        /// The peer.
        peer: PeerId,
        /// Its name.
        name: String,
    },
    /// Nobody did: who was rung, by name, and why not.
    Unanswered(Vec<(String, NoAnswer)>),
}

/// Why one peer did not take a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// In another call.
    Busy,
    /// A person said no.
    Declined,
    /// Nobody came in time.
    Timeout,
    /// It answered without the right to.
    NotAllowed,
    /// It takes no calls.
    Unsupported,
    /// It was not heard of.
    Unreachable,
    /// It has unregistered, or left.
    Gone,
    /// The node has hung up before anybody answered.
    HungUp,
}

impl NoAnswer {
    /// One word, or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::Timeout => "timeout",
            Self::NotAllowed => "not-allowed",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Gone => "gone",
            Self::HungUp => "hung-up",
        }
    }
}

impl From<RejectReason> for NoAnswer {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::Busy => Self::Busy,
            RejectReason::Declined => Self::Declined,
            RejectReason::Timeout => Self::Timeout,
            RejectReason::NotAllowed => Self::NotAllowed,
            RejectReason::Unsupported => Self::Unsupported,
        }
    }
}

/// The ring there is.
#[derive(Debug)]
pub(super) struct Ring {
    to: RingTo,
    until: Duration,
    calls: BTreeMap<PeerId, OutgoingCall>,
    unanswered: Vec<(String, NoAnswer)>,
}

impl Ring {
    /// The call with this key.
    pub(super) fn call(&mut self, key: &SessionKey) -> Option<&mut OutgoingCall> {
        self.calls.get_mut(&key.peer).filter(|call| call.key == *key)
    }

    /// Whom it still rings, by name.
    pub(super) fn names(&self) -> Vec<String> {
        self.calls.values().map(|call| call.name.clone().into()).collect()
    }

    pub(super) fn set_link(&mut self, up: bool, now: Duration) {
        self.calls.values_mut().for_each(|call| call.delivery.set_link(up, now));
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let calls = self.calls.values().filter_map(|call| call.delivery.poll_timeout());
        calls.chain(std::iter::once(self.until)).min()
    }
}

impl Node {
    /// Rings registered peers; gives the names of those who are called. [`Output::Ring`] tells how it ends.
    ///
    /// # Errors
    /// Why nobody is called.
    pub fn ring(&mut self, to: RingTo, now: Duration) -> Result<Vec<String>, NotRung> {
        if self.shutting_down {
            return Err(NotRung::ShuttingDown);
        }
        if self.ring.is_some() {
            return Err(NotRung::Ringing);
        }
        if self.announcer.conn().is_none() {
            return Err(NotRung::NoBroker);
        }
        self.registry.forget_old(now);
        let is_meant = |name: &Text<1, 64>| match &to {
            RingTo::All => true,
            RingTo::Name(meant) => name.as_str() == meant,
        };
        let meant: Vec<_> = self.registry.all().filter(|(_, name)| is_meant(name)).collect();
        let meant: Vec<(PeerId, Text<1, 64>)> =
            meant.into_iter().map(|(peer, name)| (peer.clone(), name.clone())).collect();
        if meant.is_empty() {
            return Err(match to {
                RingTo::All => NotRung::NobodyRegistered,
                RingTo::Name(name) => NotRung::NoSuchName(name),
            });
        }
        let until = now + Duration::from_secs(self.setup.limits.ring_timeout_s.value().into());
        let calls = meant.iter().map(|(peer, name)| (peer.clone(), self.call(peer, name, now))).collect();
        self.ring = Some(Ring { to, until, calls, unanswered: Vec::new() });
        self.handle_timeout(now);
        Ok(meant.into_iter().map(|(_, name)| name.into()).collect())
    }

    fn call(&mut self, peer: &PeerId, name: &Text<1, 64>, now: Duration) -> OutgoingCall {
        let nonce = self.nonce();
        let random = (u128::from((self.setup.entropy)()) << 64) | u128::from((self.setup.entropy)());
        let session = SessionId::from_random(random);
        let from = PeerId::try_from(self.setup.topics.node().to_owned()).expect("nodes and peers are named alike");
        let key = SessionKey { peer: peer.clone(), session };
        OutgoingCall::start(key, name.clone(), from, nonce, now, &mut self.out)
    }

    /// A peer that registers while all are rung is called too: a phone that has been woken for it.
    pub(super) fn call_late_comer(&mut self, peer: &PeerId, name: &Text<1, 64>, now: Duration) {
        if self.ring.as_ref().is_none_or(|ring| ring.to != RingTo::All || ring.calls.contains_key(peer)) {
            return;
        }
        let call = self.call(peer, name, now);
        if let Some(ring) = &mut self.ring {
            ring.calls.insert(peer.clone(), call);
        }
    }

    /// What a peer said to our call.
    pub(super) fn replied(&mut self, peer: &PeerId, reply: Option<Reply>, now: Duration) {
        let Some(reply) = reply else { return };
        let Some(call) = self.ring.as_mut().and_then(|ring| ring.calls.remove(peer)) else { return };
        let key = call.key.clone();
        let no_answer = match reply {
            Reply::Accepted(acceptance, seq, rest) => return self.accepted(call, *acceptance, seq, rest, now),
            Reply::Rejected(reason, seq) => {
                self.log(&key, Step::Ended(End::Rejected(reason)));
                self.they_ended(&key, seq, now);
                NoAnswer::from(reason)
            }
            Reply::Left(reason, seq) => {
                self.log(&key, Step::Ended(End::TheyLeft(reason)));
                self.they_ended(&key, seq, now);
                NoAnswer::Gone
            }
            Reply::TheyFailed(code) => {
                self.log(&key, Step::Ended(End::TheyFailed(code)));
                self.they_ended(&key, None, now);
                NoAnswer::Unreachable
            }
            Reply::Failed => {
                let name = call.name.clone().into();
                self.give_up(call, CancelReason::Failed, now);
                return self.unanswered_by(name, NoAnswer::Unreachable);
            }
        };
        self.unanswered_by(call.name.into(), no_answer);
    }

    /// A message in answer to our call that could not be read keeps its place.
    pub(super) fn unreadable_reply(&mut self, peer: &PeerId, malformed: &Malformed, now: Duration) {
        let Malformed { session: Some(session), seq: Some(seq), .. } = malformed else { return };
        let key = SessionKey { peer: peer.clone(), session: session.clone() };
        let call = self.ring.as_mut().and_then(|ring| ring.call(&key));
        let reply = call.and_then(|call| call.skip(*seq, now, &mut self.out));
        self.replied(peer, reply, now);
    }

    fn accepted(&mut self, call: OutgoingCall, by: Acceptance, seq: u32, rest: Vec<Message>, now: Duration) {
        let OutgoingCall { key, name, mut delivery, .. } = call;
        let wants = by.wants.unwrap_or_else(everything);
        match self.admit(&key, &wants, by.token.as_ref(), now) {
            Ok(admission) => {
                self.answered(&key.peer, name.into(), now);
                let beginning = Beginning { delivery, request: seq, steps: &[Step::Accepted] };
                let peer = key.peer.clone();
                self.begin(key, beginning, admission, now);
                self.calls.taken(&peer);
                for message in rest {
                    let session = self.sessions.get_mut(&peer);
                    let result = session.map(|session| session.act_on(message, &self.door, now, &mut self.out));
                    self.settle(&peer, result.unwrap_or(Ok(())), now);
                }
            }
            Err(failure) => {
                self.log(&key, Step::Accepted);
                self.log(&key, Step::Ended(End::Failed(failure.known().unwrap_or(ErrorCode::NotAllowed))));
                delivery.send_error(failure, Some(seq));
                self.ended.leave(key, delivery, LeaveReason::Failed, now);
                self.unanswered_by(name.into(), NoAnswer::NotAllowed);
            }
        }
    }

    /// This peer has taken the ring: the others need not.
    pub(super) fn answered(&mut self, peer: &PeerId, name: String, now: Duration) {
        let Some(ring) = self.ring.take() else { return };
        for (_, call) in ring.calls {
            self.give_up(call, CancelReason::Answered, now);
        }
        self.out.push_back(Output::Ring(RingOutcome::Answered { peer: peer.clone(), name }));
    }

    /// Whoever calls while it is called has answered.
    pub(super) fn answered_by_its_own_call(&mut self, peer: &PeerId, now: Duration) {
        let name = self.ring.as_ref().and_then(|ring| ring.calls.get(peer)).map(|call| call.name.clone().into());
        if let Some(name) = name {
            self.answered(peer, name, now);
        }
    }

    /// A peer does not want to be called any more.
    pub(super) fn stop_calling(&mut self, peer: &PeerId, now: Duration) {
        if let Some(call) = self.ring.as_mut().and_then(|ring| ring.calls.remove(peer)) {
            let name = call.name.clone().into();
            self.give_up(call, CancelReason::Closed, now);
            self.unanswered_by(name, NoAnswer::Gone);
        }
    }

    /// Ends the ring for everybody.
    pub(super) fn stop_ringing(&mut self, reason: CancelReason, why: NoAnswer, now: Duration) {
        let Some(mut ring) = self.ring.take() else { return };
        for (_, call) in ring.calls {
            ring.unanswered.push((call.name.clone().into(), why));
            self.give_up(call, reason, now);
        }
        self.out.push_back(Output::Ring(RingOutcome::Unanswered(ring.unanswered)));
    }

    /// Time has passed: publishes what is due.
    pub(super) fn ring_timeout(&mut self, now: Duration) {
        if self.ring.as_ref().is_some_and(|ring| ring.until <= now) {
            return self.stop_ringing(CancelReason::Timeout, NoAnswer::Timeout, now);
        }
        let Some(ring) = &mut self.ring else { return };
        let mut lost = Vec::new();
        for (peer, call) in &mut ring.calls {
            if !call.handle_timeout(&self.setup.topics, now, &mut self.out) {
                lost.push(peer.clone());
            }
        }
        lost.iter().for_each(|peer| self.replied(peer, Some(Reply::Failed), now));
    }

    fn give_up(&mut self, call: OutgoingCall, reason: CancelReason, now: Duration) {
        self.log(&call.key, Step::Ended(End::Cancelled(reason)));
        self.ended.cancel(call.key, call.delivery, reason, now);
    }

    fn unanswered_by(&mut self, name: String, why: NoAnswer) {
        let Some(ring) = &mut self.ring else { return };
        ring.unanswered.push((name, why));
        if ring.calls.is_empty()
            && let Some(ring) = self.ring.take()
        {
            self.out.push_back(Output::Ring(RingOutcome::Unanswered(ring.unanswered)));
        }
    }
}
