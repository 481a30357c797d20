//! The viewer's side of the protocol, for the headless viewer: find the node, join, answer, and come back after every
//! failure that trying again can mend.

mod io;
mod lookout;
mod node_session;
mod renewal;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::io::{Input, Output, Shown, ViewerSetup, ViewerState};
use self::lookout::{Finding, Lookout};
use self::node_session::{NodeSession, Over};
use super::ended::Ended;
use super::{
    Body, Boot, Empty, End, ErrorCode, Event, Failure, Join, LeaveReason, Malformed, Message, Nonce, Outgoing,
    PeerCommand, SessionId, SessionKey, Status, Step, Topic,
};

/// The longest wait between two attempts.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// A session that has been live for so long has proved that the way is good: the next attempt comes soon again.
const PROVEN: Duration = Duration::from_secs(10);
/// Peers of a node that has started anew come back spread over this time.
const REBOOT_SPREAD: Duration = Duration::from_secs(5);

/// The viewer's side of the protocol. The shell's part is the same as for [`super::node::Node`].
pub struct Viewer {
    setup: ViewerSetup,
    link_up: bool,
    lookout: Lookout,
    plan: Plan,
    session: Option<NodeSession>,
    ended: Ended,
    /// Failed attempts in a row.
    failures: u32,
    last_boot: Option<Boot>,
    /// What the node last said of itself.
    presence: Option<Status>,
    shown: Shown,
    out: VecDeque<Output>,
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
            session: None,
            ended: Ended::default(),
            failures: 0,
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
        self.session.is_none() && self.ended.is_settled()
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
            Input::Close => {
                self.plan = Plan::Nothing;
                if let Some(session) = self.session.take() {
                    self.end(&session.key, End::Left(LeaveReason::Closed));
                    self.ended.leave(session.key, session.delivery, LeaveReason::Closed, now);
                }
                self.show(ViewerState::Closed, None, None);
            }
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
        if self.may_join(now) {
            self.join(now);
        }
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
        join.into_iter().chain(session).chain(self.lookout.poll_timeout()).chain(self.ended.poll_timeout()).min()
    }

    fn may_join(&self, now: Duration) -> bool {
        let planned = match self.plan {
            Plan::WhenThere => true,
            Plan::At(at) => at <= now,
            Plan::Nothing => false,
        };
        planned && self.node_is_there()
    }

    /// Whether a join would reach the node, and none is under way.
    fn node_is_there(&self) -> bool {
        self.link_up && self.session.is_none() && self.lookout.has_seen() && self.lookout.online().is_some()
    }

    fn join(&mut self, now: Duration) {
        let Some(boot) = self.lookout.online().cloned() else { return };
        let random = |entropy: &mut super::Entropy| (u128::from(entropy()) << 64) | u128::from(entropy());
        let session = SessionId::from_random(random(&mut self.setup.entropy));
        let nonce = format!("{:032x}", random(&mut self.setup.entropy));
        let join = Join {
            wants: self.setup.wants.clone(),
            token: self.setup.token.clone(),
            nonce: Nonce::try_from(nonce).expect("32 characters"),
        };
        let key = SessionKey { peer: self.setup.peer.clone(), session };
        self.plan = Plan::WhenThere;
        self.last_boot = Some(boot.clone());
        self.session = Some(NodeSession::start(key, boot, join, now, &mut self.out));
        self.show(ViewerState::Connecting, None, None);
    }

    fn status(&mut self, status: &Status, now: Duration) {
        if !self.lookout.seen(status) {
            return;
        }
        self.presence = Some(status.clone());
        let Some(boot) = self.lookout.online().cloned() else { return self.node_is_away() };
        if let Some(session) = self.session.take_if(|session| session.boot != boot) {
            // Nobody there knows this session any more, so nobody needs to be told.
            self.end(&session.key, End::Rebooted);
            self.ended.gone(session.key, session.delivery, LeaveReason::Closed, now);
            self.after_reboot(boot, now);
        } else if self.session.is_none()
            && self.plan != Plan::Nothing
            && self.last_boot.as_ref().is_some_and(|b| *b != boot)
        {
            self.after_reboot(boot, now);
        }
    }

    fn after_reboot(&mut self, boot: Boot, now: Duration) {
        let wait = self.random_share(REBOOT_SPREAD);
        self.failures = 0;
        self.last_boot = Some(boot);
        self.plan = Plan::At(now + wait);
        self.show(ViewerState::Lost, Some("The camera has started anew.".to_owned()), Some(wait));
    }

    fn node_is_away(&mut self) {
        if self.session.is_none() && self.plan != Plan::Nothing {
            self.plan = Plan::WhenThere;
            self.show(ViewerState::Offline, None, None);
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
        let Some(session) = message.session.clone() else { return };
        let key = SessionKey { peer: self.setup.peer.clone(), session };
        if let Some(session) = self.session.as_mut().filter(|session| session.key == key) {
            let result = session.receive(message, payload.len(), now, &mut self.out);
            self.settle(result, now);
        } else if self.ended.contains(&key, now) || message.body.is_final() {
            if !self.ended.contains(&key, now) {
                self.ended.they_left(key.clone(), now);
            }
            if let Some(answer) = self.ended.answer(&key, &message, now) {
                self.publish(&answer);
            }
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
        if session.live_since().is_some_and(|since| since + PROVEN <= now) {
            self.failures = 0;
        }
        let key = session.key.clone();
        match over {
            Over::TheyLeft(reason, seq) => {
                self.end(&key, End::TheyLeft(reason));
                self.ended.they_left(key.clone(), now);
                let body = Body::Leave(super::Leave { reason });
                let heard = Message { session: Some(key.session.clone()), seq, ack: None, re: None, body };
                if let Some(answer) = self.ended.answer(&key, &heard, now) {
                    self.publish(&answer);
                }
                self.after_leave(reason, now);
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
                self.ended.leave(key, session.delivery, LeaveReason::Failed, now);
                self.after_failure(&failure, now);
            }
        }
    }

    fn after_leave(&mut self, reason: LeaveReason, now: Duration) {
        match reason {
            LeaveReason::Closed => self.retry("The camera has ended the session.", Duration::ZERO, now),
            LeaveReason::Replaced => self.retry("Another session has taken this one's place.", Duration::ZERO, now),
            LeaveReason::Failed => self.retry("The camera has lost the session.", Duration::ZERO, now),
            LeaveReason::Shutdown => {
                self.lookout.said_goodbye();
                self.plan = Plan::WhenThere;
                self.show(ViewerState::Offline, Some("The camera is shutting down.".to_owned()), None);
            }
            LeaveReason::Expired => self.give_up("The right to watch has ended."),
            LeaveReason::Limit => self.give_up("The limit for this session is reached."),
        }
    }

    fn after_failure(&mut self, failure: &Failure, now: Duration) {
        if failure.retry() {
            let at_least = Duration::from_secs(failure.retry_after.unwrap_or(0).into());
            self.retry(failure.message.as_str(), at_least, now);
        } else {
            self.give_up(failure.message.as_str());
        }
    }

    fn retry(&mut self, why: &str, at_least: Duration, now: Duration) {
        let full = MAX_BACK_OFF.min(Duration::from_secs(1) * (1 << self.failures.min(5)));
        self.failures = self.failures.saturating_add(1);
        // Half of it is chance, so that viewers that were lost together do not come back together.
        let wait = at_least.min(Duration::from_secs(3_600)) + full / 2 + self.random_share(full / 2);
        self.plan = Plan::At(now + wait);
        if self.lookout.online().is_some() {
            self.show(ViewerState::Lost, Some(why.to_owned()), Some(wait));
        } else {
            self.show(ViewerState::Offline, Some(why.to_owned()), None);
        }
    }

    fn give_up(&mut self, why: &str) {
        self.plan = Plan::Nothing;
        self.show(ViewerState::Refused, Some(why.to_owned()), None);
    }

    fn random_share(&mut self, of: Duration) -> Duration {
        let thousandths = u32::try_from((self.setup.entropy)() % 1_001).unwrap_or(0);
        of * thousandths / 1_000
    }

    fn end(&mut self, key: &SessionKey, end: End) {
        self.out.push_back(Output::Event(Event { session: key.clone(), step: Step::Ended(end) }));
        self.out.push_back(Output::Peer(key.clone(), PeerCommand::Close));
    }

    fn set_link(&mut self, now: Duration) {
        if let Some(session) = &mut self.session {
            session.delivery.set_link(self.link_up, now);
        }
        self.ended.set_link(self.link_up, now);
    }

    fn show_session(&mut self) {
        if let Some(session) = &self.session {
            let state = match session.live_since() {
                Some(_) => ViewerState::Live,
                None if session.is_silent() => ViewerState::Silent,
                None => ViewerState::Connecting,
            };
            self.show(state, None, None);
        }
    }

    fn show(&mut self, state: ViewerState, detail: Option<String>, retry_in: Option<Duration>) {
        let shown = Shown { state, detail, retry_in };
        if self.shown != shown {
            self.shown = shown.clone();
            self.out.push_back(Output::State(shown));
        }
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
