//! The viewer's side of the protocol, for the headless viewer: find the node, join, answer, and come back after every
//! failure that trying again can mend.

mod again;
mod calls;
mod incoming;
mod io;
mod lookout;
mod node_session;
mod over;
mod registration;
mod renewal;
mod showing;

use std::collections::VecDeque;
use std::time::Duration;

use self::incoming::Incoming;
pub use self::io::{Input, Output, Shown, ViewerSetup, ViewerState};
use self::lookout::{Finding, Lookout};
use self::node_session::NodeSession;
use self::over::Over;
use self::registration::Registration;
use super::ended::Ended;
use super::{
    Body, Boot, Call, CancelReason, Empty, End, ErrorCode, Event, Failure, Join, LeaveReason, Malformed, Message,
    Nonce, Outgoing, PeerCommand, RejectReason, SessionId, SessionKey, Status, Step, Topic,
};

/// A session that has been live for so long has proved that the way is good: the next attempt comes soon again.
const PROVEN: Duration = Duration::from_secs(10);
/// The viewer's side of the protocol. The shell's part is the same as for [`super::node::Node`].
pub struct Viewer {
    setup: ViewerSetup,
    link_up: bool,
    lookout: Lookout,
    plan: Plan,
    manner: Manner,
    session: Option<NodeSession>,
    /// To be called.
    registration: Option<Registration>,
    /// The call that rings here.
    incoming: Option<Incoming>,
    ended: Ended,
    /// The session that was lost last: the next one goes on with it.
    lost: Option<SessionKey>,
    /// Failed attempts in a row.
    failures: u32,
    registration_failures: u32,
    last_boot: Option<Boot>,
    /// What the node last said of itself.
    presence: Option<Status>,
    shown: Shown,
    out: VecDeque<Output>,
}

/// How the next session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// By `join`.
    Join,
    /// By `call`.
    Call,
    /// By a call of the node.
    Wait,
}

/// What to do while there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Join as soon as the node is there.
    WhenThere,
    /// Join then, if the node is there.
    At(Duration),
    /// Nothing: it would not help, or we have left.
    Nothing,
}

impl Viewer {
    /// A viewer without a broker.
    pub fn new(setup: ViewerSetup) -> Self {
        Self {
            setup,
            link_up: false,
            lookout: Lookout::default(),
            plan: Plan::WhenThere,
            manner: Manner::Join,
            session: None,
            registration: None,
            incoming: None,
            ended: Ended::default(),
            lost: None,
            failures: 0,
            registration_failures: 0,
            last_boot: None,
            presence: None,
            shown: Shown { state: ViewerState::Idle, detail: None, retry_in: None },
            out: VecDeque::new(),
        }
    }

    /// What the node last said of itself.
    pub fn presence(&self) -> Option<&Status> {
        self.presence.as_ref()
    }

    /// The state a person sees.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// After [`Input::Close`]: the node has heard `leave`, or never will.
    pub fn is_settled(&self) -> bool {
        let registered = self.registration.as_ref().is_some_and(|registration| !registration.is_settled());
        self.session.is_none() && self.incoming.is_none() && !registered && self.ended.is_settled()
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Duration) {
        match input {
            Input::LinkUp => {
                self.link_up = true;
                self.lookout.link_up(now);
                self.set_link(now);
                if self.shown.state == ViewerState::Idle {
                    self.show(ViewerState::Looking, None, None);
                }
            }
            Input::LinkDown => {
                self.link_up = false;
                self.lookout.link_down();
                self.set_link(now);
            }
            Input::Message { topic, payload, retained } => match self.setup.topics.parse(&topic) {
                Some(Topic::Status) => match Message::read_status(&payload) {
                    Ok(status) => self.status(&status, now),
                    Err(malformed) => self.out.push_back(Output::Unreadable(malformed)),
                },
                Some(Topic::Out(peer)) if peer == self.setup.peer && !retained => self.message(&payload, now),
                _ => {}
            },
            Input::Peer(key, event) => {
                let session = self.session.as_mut().filter(|session| session.key == key);
                let result = session.map(|session| session.peer_event(event, now, &mut self.out));
                self.settle(result.unwrap_or(Ok(())), now);
            }
            Input::Token(token) => self.renew(token, now),
            Input::NetworkChanged => self.session.iter_mut().for_each(|it| it.network_changed(now, &mut self.out)),
            Input::Accept => self.accept(now),
            Input::Decline => self.decline(RejectReason::Declined, now),
            Input::Close => self.close(now),
        }
        self.handle_timeout(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        match self.lookout.poll(now) {
            Some(Finding::Ask) => self.publish(&Message::plain(Body::Probe(Empty {}), None, None)),
            Some(Finding::Away) => self.node_is_away(),
            None => {}
        }
        if self.may_start(now) {
            self.start(now);
        }
        self.register(now);
        self.incoming_timeout(now);
        if let Some(session) = &mut self.session {
            let result = session.handle_timeout(&self.setup.topics, now, &mut self.out);
            self.settle(result, now);
        }
        while let Some((_, message)) = self.ended.poll_transmit(now) {
            self.publish(&message);
        }
        self.show_session();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Viewer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        let join = match self.plan {
            Plan::At(at) if self.node_is_there() => Some(at),
            _ => None,
        };
        let session = self.session.as_ref().and_then(NodeSession::poll_timeout);
        let incoming = self.incoming.as_ref().and_then(Incoming::poll_timeout);
        let registration = self.registration.as_ref().and_then(Registration::poll_timeout);
        let calls = incoming.into_iter().chain(registration);
        join.into_iter()
            .chain(session)
            .chain(calls)
            .chain(self.lookout.poll_timeout())
            .chain(self.ended.poll_timeout())
            .min()
    }

    fn may_start(&self, now: Duration) -> bool {
        let planned = match self.plan {
            Plan::WhenThere => true,
            Plan::At(at) => at <= now,
            Plan::Nothing => false,
        };
        planned && self.node_is_there()
    }

    /// Whether a join or call would reach the node, and none is under way.
    fn node_is_there(&self) -> bool {
        self.manner != Manner::Wait && self.session.is_none() && self.node_can_hear()
    }

    fn node_can_hear(&self) -> bool {
        self.link_up && self.lookout.has_seen() && self.lookout.online().is_some()
    }

    /// Joins or calls.
    fn start(&mut self, now: Duration) {
        let Some(boot) = self.lookout.online().cloned() else { return };
        let bits = (u128::from((self.setup.entropy)()) << 64) | u128::from((self.setup.entropy)());
        let key = SessionKey { peer: self.setup.peer.clone(), session: SessionId::from_random(bits) };
        let (wants, token, nonce) = (self.setup.wants.clone(), self.setup.token.clone(), self.nonce());
        self.plan = Plan::WhenThere;
        self.last_boot = Some(boot.clone());
        let out = &mut self.out;
        self.session = Some(if self.manner == Manner::Call {
            let from = self.setup.peer.clone();
            let call = Call { sdp: None, from, wants: Some(wants), token, nonce };
            NodeSession::call(key, boot, call, now, out)
        } else {
            NodeSession::join(key, boot, Join { wants, token, nonce }, now, out)
        });
        self.show_session();
    }

    fn nonce(&mut self) -> Nonce {
        let nonce = format!("{:016x}{:016x}", (self.setup.entropy)(), (self.setup.entropy)());
        Nonce::try_from(nonce).expect("32 characters")
    }

    fn status(&mut self, status: &Status, now: Duration) {
        if !self.lookout.seen(status) {
            return;
        }
        self.presence = Some(status.clone());
        let Some(boot) = self.lookout.online().cloned() else { return self.node_is_away() };
        self.call_of_a_former_boot(&boot, now);
        if let Some(session) = self.session.take_if(|session| session.boot != boot) {
            // Nobody there knows this session any more, so nobody needs to be told.
            self.end(&session.key, End::Rebooted);
            if session.was_let_in() {
                self.manner = Manner::Join;
            }
            self.ended.gone(session.key, session.delivery, LeaveReason::Closed, now);
            self.after_reboot(boot, now);
        } else if self.session.is_none()
            && self.plan != Plan::Nothing
            && self.last_boot.as_ref().is_some_and(|b| *b != boot)
        {
            self.after_reboot(boot, now);
        }
    }

    fn message(&mut self, payload: &[u8], now: Duration) {
        let message = match Message::read(payload) {
            Ok(message) => message,
            Err(malformed) => return self.unreadable(malformed, now),
        };
        if let Body::Status(status) = &message.body {
            return self.status(status, now);
        }
        let Some(session) = message.session.clone() else { return self.outside_of_sessions(message, now) };
        let key = SessionKey { peer: self.setup.peer.clone(), session };
        if let Some(session) = self.session.as_mut().filter(|session| session.key == key) {
            let result = session.receive(message, payload.len(), now, &mut self.out);
            self.settle(result, now);
        } else if self.incoming.as_ref().is_some_and(|incoming| incoming.key == key) {
            self.incoming_message(message, payload.len(), now);
        } else if self.ended.contains(&key, now) || message.body.is_final() {
            if matches!(message.body, Body::Cancel(_)) && self.lost.as_ref() == Some(&key) {
                self.hung_up_late(now);
            }
            if !self.ended.contains(&key, now) {
                self.ended.they_left(key.clone(), now);
            }
            if let Some(answer) = self.ended.answer(&key, &message, now) {
                self.publish(&answer);
            }
        } else if let Body::Call(call) = &message.body {
            let from = call.from.clone();
            self.take_call(key, message, &from, now);
        } else if message.seq.is_some() {
            self.reply_error(&message, Failure::new(ErrorCode::UnknownSession));
        }
    }

    fn unreadable(&mut self, malformed: Malformed, now: Duration) {
        let known = self.session.as_mut().filter(|session| Some(&session.key.session) == malformed.session.as_ref());
        // Only our own session's messages are worth an answer; whatever else comes is not the node's doing.
        if let (Some(session), Some(seq), false) = (known, malformed.seq, malformed.is_error) {
            session.delivery.send_error(Failure::with_message(malformed.code, &malformed.detail), Some(seq));
            let result = session.skip(seq, now, &mut self.out);
            self.settle(result, now);
        }
        self.out.push_back(Output::Unreadable(malformed));
    }

    /// Ends the session if there is a reason to, and plans the next.
    fn settle(&mut self, result: Result<(), Over>, now: Duration) {
        let Err(over) = result else { return };
        let Some(mut session) = self.session.take() else { return };
        if session.was_live_since().is_some_and(|since| since + PROVEN <= now) {
            self.failures = 0;
        }
        if session.was_let_in() && !matches!(over, Over::Cancelled(..)) {
            // A call that was taken and is lost is not made again.
            self.manner = Manner::Join;
        }
        let key = session.key.clone();
        self.lost = Some(key.clone());
        match over {
            Over::TheyLeft(reason, seq) => {
                self.end(&key, End::TheyLeft(reason));
                self.they_ended(key, seq, now);
                self.after_leave(reason, now);
            }
            Over::Rejected(rejection, seq) => {
                self.end(&key, End::Rejected(rejection.reason));
                self.they_ended(key, seq, now);
                self.after_rejection(&rejection, now);
            }
            Over::Cancelled(reason, seq) => {
                self.end(&key, End::Cancelled(reason));
                self.they_ended(key, seq, now);
                self.after_call(reason);
            }
            Over::NobodyAnswered => {
                self.end(&key, End::Cancelled(CancelReason::Timeout));
                self.ended.cancel(key, session.delivery, CancelReason::Timeout, now);
                self.give_up("Nobody answered.");
            }
            Over::Refused(failure) => {
                self.end(&key, End::Refused(failure.code));
                self.ended.they_left(key, now);
                self.after_failure(&failure, now);
            }
            Over::TheyFailed(failure) => {
                self.end(&key, End::TheyFailed(failure.code));
                self.ended.they_left(key, now);
                self.after_failure(&failure, now);
            }
            Over::ClosedByPeer => {
                self.end(&key, End::ClosedByPeer);
                self.ended.gone(key, session.delivery, LeaveReason::Closed, now);
                self.retry("The camera has closed the connection.", Duration::ZERO, now);
            }
            Over::Failed(failure, code) => {
                self.end(&key, End::Failed(code));
                session.delivery.send_error(failure.clone(), None);
                if session.is_calling() {
                    self.ended.cancel(key, session.delivery, CancelReason::Failed, now);
                } else {
                    self.ended.leave(key, session.delivery, LeaveReason::Failed, now);
                }
                self.after_failure(&failure, now);
            }
        }
    }

    fn end(&mut self, key: &SessionKey, end: End) {
        self.out.push_back(Output::Event(Event { session: key.clone(), step: Step::Ended(end) }));
        self.out.push_back(Output::Peer(key.clone(), PeerCommand::Close));
    }

    fn set_link(&mut self, now: Duration) {
        if let Some(session) = &mut self.session {
            session.delivery.set_link(self.link_up, now);
        }
        if let Some(incoming) = &mut self.incoming {
            incoming.delivery.set_link(self.link_up, now);
        }
        self.ended.set_link(self.link_up, now);
    }

    fn reply_error(&mut self, message: &Message, failure: Failure) {
        let session = message.session.clone();
        self.publish(&Message { session, seq: None, ack: None, re: message.seq, body: Body::Error(failure) });
    }

    fn publish(&mut self, message: &Message) {
        self.out.push_back(Output::Publish(Outgoing::to_node(&self.setup.topics, &self.setup.peer, message)));
    }
}

#[cfg(test)]
mod tests;
