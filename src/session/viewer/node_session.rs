//! One session as the viewer sees it: `join`, or a call that is taken → `peer` → offer → answer → connected → over.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::talks::{Move, Talks};
use super::super::{
    Acceptance, Body, Boot, Call, CallResponse, Delivery, ErrorCode, Event, Failure, IceServer, Join, Message,
    Outgoing, PeerCommand, PeerEvent, Renew, Sdp, SessionKey, Step, Token, Topics,
};
use super::Output;
use super::incoming::Incoming;
use super::over::Over;

/// From `join` to the node's offer; `join` itself has failed after 15.5 s.
const OFFER_TIMEOUT: Duration = Duration::from_secs(20);
/// A person at the node has so long to take our call.
const RING_TIMEOUT: Duration = Duration::from_secs(45);
/// Making an answer takes milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the answer to the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Both sides try ICE restarts in this time; after it a new session is worth more.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a closed connection waits for the reason, which comes over the broker and so a little later.
const REASON_WAIT: Duration = Duration::from_millis(500);
/// The node, which notices silence as early, gets to restart ICE before us, so that the two offers do not cross.
const RESTART_AFTER: Duration = Duration::from_secs(4);

/// One session with the node.
#[derive(Debug)]
pub(super) struct NodeSession {
    pub(super) key: SessionKey,
    pub(super) delivery: Delivery,
    /// The node's run that it belongs to.
    pub(super) boot: Boot,
    begun: Begun,
    state: State,
    talks: Talks,
    /// Whether the node's latest offer has a place for what is said to it.
    pub(super) takes_talk: Option<bool>,
    ice_servers: Vec<IceServer>,
}

/// How a session has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// By our `join`.
    Join,
    /// By our `call`.
    Call,
    /// By a call of the node's that we have taken.
    Taken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `call` is on its way, or rings.
    Calling { until: Duration, rings: bool },
    /// `join` is on its way, or a call has been taken.
    Joining { until: Duration },
    /// The node has introduced itself and makes its offer.
    Opening { until: Duration },
    /// Our connection makes its answer.
    Answering { until: Duration },
    /// Both descriptions are set.
    Connecting { until: Duration },
    /// Media flows, since then.
    Live { since: Duration },
    /// Nothing is heard of the node.
    Silent { until: Duration },
    /// The node has closed the connection, where media had flowed since then; its last word says why.
    Closing { until: Duration, since: Option<Duration> },
}

impl NodeSession {
    /// Says `join`.
    pub(super) fn join(key: SessionKey, boot: Boot, join: Join, now: Duration, out: &mut VecDeque<Output>) -> Self {
        let mut delivery = Delivery::new(key.session.clone(), true);
        delivery.send(Body::Join(join), None, now).expect("nothing has been said before, and a join is short");
        let session = Self::new(key, boot, delivery, Begun::Join, State::Joining { until: now + OFFER_TIMEOUT });
        session.log(Step::Join, out);
        session
    }

    /// Says `call`.
    pub(super) fn call(key: SessionKey, boot: Boot, call: Call, now: Duration, out: &mut VecDeque<Output>) -> Self {
        let mut delivery = Delivery::new(key.session.clone(), true);
        delivery.send(Body::Call(call), None, now).expect("nothing has been said before, and a call is short");
        let state = State::Calling { until: now + RING_TIMEOUT, rings: false };
        let session = Self::new(key, boot, delivery, Begun::Call, state);
        session.log(Step::Call, out);
        session
    }

    /// Says `accepted` to a call of the node's.
    pub(super) fn take(incoming: Incoming, acceptance: Acceptance, now: Duration, out: &mut VecDeque<Output>) -> Self {
        let Incoming { key, boot, mut delivery, .. } = incoming;
        let accepted = Body::CallResponse(CallResponse::Accepted(acceptance));
        delivery.send(accepted, Some(0), now).expect("next to nothing has been said before");
        let session = Self::new(key, boot, delivery, Begun::Taken, State::Joining { until: now + OFFER_TIMEOUT });
        session.log(Step::Accepted, out);
        session
    }

    fn new(key: SessionKey, boot: Boot, delivery: Delivery, begun: Begun, state: State) -> Self {
        let mut talks = Talks::new(false, RESTART_AFTER);
        talks.await_offer();
        Self { key, delivery, boot, begun, state, talks, ice_servers: Vec::new(), takes_talk: None }
    }

    /// Whether our call rings, or is on its way.
    pub(super) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// Whether it came by a call, of either side.
    pub(super) fn is_call(&self) -> bool {
        self.begun != Begun::Join
    }

    /// Whether it is a call that was taken.
    pub(super) fn was_let_in(&self) -> bool {
        self.is_call() && !self.is_calling()
    }

    /// Since when media flows.
    pub(super) fn live_since(&self) -> Option<Duration> {
        match self.state {
            State::Live { since } => Some(since),
            _ => None,
        }
    }

    /// Whether media flows, or did until the node closed the connection, since then.
    pub(super) fn was_live_since(&self) -> Option<Duration> {
        if let State::Closing { since, .. } = self.state { since } else { self.live_since() }
    }

    /// Whether there was media and is none for the moment.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent { .. } | State::Closing { .. })
    }

    /// Says `renew`.
    pub(super) fn renew(&mut self, token: Token, now: Duration) -> Result<(), Over> {
        self.delivery.send(Body::Renew(Renew { token }), None, now)?;
        Ok(())
    }

    /// A message of the node.
    pub(super) fn receive(
        &mut self,
        message: Message,
        bytes: usize,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        for message in self.delivery.receive(message, bytes, now)? {
            self.act_on(message, now, out)?;
        }
        Ok(())
    }

    /// A message of the node that could not be read, but for its `seq`.
    pub(super) fn skip(&mut self, seq: u32, now: Duration, out: &mut VecDeque<Output>) -> Result<(), Over> {
        for message in self.delivery.skip(seq, now)? {
            self.act_on(message, now, out)?;
        }
        Ok(())
    }

    fn act_on(&mut self, message: Message, now: Duration, out: &mut VecDeque<Output>) -> Result<(), Over> {
        match message.body {
            Body::Peer(info) => {
                self.ice_servers = info.ice_servers;
                if !matches!(self.state, State::Joining { .. } | State::Opening { .. }) {
                    let ice_servers = self.ice_servers.clone();
                    self.command(PeerCommand::UseIceServers { ice_servers }, out);
                }
                if let State::Joining { until } = self.state {
                    self.state = State::Opening { until };
                    self.boot = info.node.boot;
                    self.log(Step::Peer, out);
                    self.log(Step::Opening, out);
                }
            }
            Body::Offer(offer) => {
                if matches!(self.state, State::Joining { .. } | State::Opening { .. }) {
                    self.state = State::Answering { until: now + ANSWER_TIMEOUT };
                }
                let seq = message.seq.unwrap_or_default();
                self.takes_talk = Some(offer.mids.values().any(|mid| mid.talk));
                let moves = self.talks.their_offer(seq, offer.sdp, &self.ice_servers, now);
                self.perform(moves, out);
            }
            Body::Answer(answer) => {
                let re = (message.re, message.seq);
                let moves = self.talks.their_answer(answer.sdp, re, &mut self.delivery, now);
                self.perform(moves, out);
            }
            Body::Ice(ice) => {
                let moves = self.talks.their_candidates(ice);
                self.perform(moves, out);
            }
            Body::Ringing(_) if self.begun == Begun::Call => {
                if let State::Calling { until, rings: false } = self.state {
                    self.state = State::Calling { until, rings: true };
                    self.log(Step::Ringing, out);
                }
            }
            Body::CallResponse(CallResponse::Accepted(_)) if self.is_calling() => {
                self.state = State::Joining { until: now + OFFER_TIMEOUT };
                self.log(Step::Accepted, out);
            }
            Body::CallResponse(CallResponse::Rejected(rejection)) => {
                return Err(Over::Rejected(rejection, message.seq));
            }
            Body::Cancel(cancel) => return Err(Over::Cancelled(cancel.reason, message.seq)),
            Body::Leave(leave) => return Err(Over::TheyLeft(leave.reason, message.seq)),
            Body::Error(failure) => return self.told(failure, message.re),
            Body::Ack(_) => {}
            other => {
                let known = matches!(other, Body::Ringing(_) | Body::CallResponse(_) | Body::Call(_));
                let code = if known { ErrorCode::Unsupported } else { ErrorCode::BadMessage };
                self.delivery.send_error(Failure::new(code), message.seq);
            }
        }
        Ok(())
    }

    fn told(&mut self, failure: Failure, re: Option<u32>) -> Result<(), Over> {
        let unanswered = match self.begun {
            Begun::Join => matches!(self.state, State::Joining { .. }),
            Begun::Call => matches!(self.state, State::Calling { rings: false, .. }),
            Begun::Taken => false,
        };
        if unanswered && failure.known() == Some(ErrorCode::UnknownSession) {
            // A later message has overtaken the join or call, which is still on its way.
            return Ok(());
        }
        if re == Some(0) && (unanswered || self.is_calling()) {
            return Err(Over::Refused(failure));
        }
        if failure.ends() {
            return Err(Over::TheyFailed(failure));
        }
        self.talks.their_error(re);
        Ok(())
    }

    /// What the connection reports.
    pub(super) fn peer_event(
        &mut self,
        event: PeerEvent,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        match event {
            PeerEvent::Answered { sdp } => {
                let sdp = Sdp::try_from(sdp).map_err(|_| Over::failed(ErrorCode::AnswerFailed))?;
                let moves = self.talks.answer_made(sdp, &self.ice_servers, &mut self.delivery, now)?;
                if matches!(self.state, State::Answering { .. }) {
                    self.state = State::Connecting { until: now + CONNECT_TIMEOUT };
                }
                self.perform(moves, out);
            }
            PeerEvent::Offered { sdp, mids } => {
                let sdp = Sdp::try_from(sdp).map_err(|_| Over::failed(ErrorCode::OfferFailed))?;
                let moves = self.talks.offer_made((sdp, mids), None, &mut self.delivery, now)?;
                self.perform(moves, out);
            }
            PeerEvent::Declined { .. } => {
                let moves = self.talks.declined(&self.ice_servers, &mut self.delivery, now);
                self.perform(moves, out);
            }
            PeerEvent::Candidates { candidates, complete } => self.talks.found(candidates, complete),
            PeerEvent::Connected | PeerEvent::Recovered => {
                let step = match self.state {
                    State::Live { .. } | State::Closing { .. } => return Ok(()),
                    State::Silent { .. } => Step::Recovered,
                    _ => Step::Connected,
                };
                self.state = State::Live { since: now };
                self.talks.mended(now);
                self.delivery.set_persistent(true, now);
                self.log(step, out);
            }
            PeerEvent::Silent => self.lost(now, out),
            PeerEvent::AddressLost => {
                self.lost(now, out);
                self.talks.stranded(now);
            }
            PeerEvent::ClosedByPeer => {
                self.talks.mended(now);
                self.state = State::Closing { until: now + REASON_WAIT, since: self.was_live_since() };
            }
            PeerEvent::Failed { step, message } => {
                let code = ErrorCode::from(step);
                return Err(Over::Failed(Failure::with_message(code, &message), code));
            }
        }
        Ok(())
    }

    fn lost(&mut self, now: Duration, out: &mut VecDeque<Output>) {
        if self.live_since().is_some() {
            self.state = State::Silent { until: now + SILENCE_TIMEOUT };
            self.talks.lost(now);
            self.log(Step::Silent, out);
        }
    }

    /// This machine's network has changed.
    pub(super) fn network_changed(&mut self, now: Duration, out: &mut VecDeque<Output>) {
        self.talks.network_changed(now);
        self.command(PeerCommand::NetworkChanged, out);
    }

    /// Time has passed: publishes what is due.
    pub(super) fn handle_timeout(
        &mut self,
        topics: &Topics,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        match self.state {
            State::Calling { until, .. } if until <= now => return Err(Over::NobodyAnswered),
            State::Joining { until } | State::Opening { until } if until <= now => {
                return Err(Over::failed(ErrorCode::TimedOut));
            }
            State::Answering { until } if until <= now => return Err(Over::failed(ErrorCode::AnswerFailed)),
            State::Closing { until, .. } if until <= now => return Err(Over::ClosedByPeer),
            State::Connecting { until } | State::Silent { until } if until <= now => {
                return Err(Over::failed(ErrorCode::IceFailed));
            }
            _ => {}
        }
        if self.delivery.has_failed(now) {
            return Err(Over::failed(ErrorCode::SignallingLost));
        }
        if self.talks.mending_due(&self.delivery).is_some_and(|due| due <= now) {
            let moves = self.talks.mend(&mut self.delivery, now)?;
            self.perform(moves, out);
        }
        // Candidates of ours are of use to the node only after the answer.
        let answered = matches!(self.state, State::Connecting { .. } | State::Live { .. } | State::Silent { .. });
        if answered {
            while let Some(ice) = self.talks.poll_candidates(now) {
                self.delivery.send(Body::Ice(ice), None, now)?;
            }
        }
        while let Some(message) = self.delivery.poll_transmit(now) {
            out.push_back(Output::Publish(Outgoing::to_node(topics, &self.key.peer, &message)));
        }
        Ok(())
    }

    /// When [`NodeSession::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let (state, answered) = match self.state {
            State::Calling { until, .. }
            | State::Joining { until }
            | State::Opening { until }
            | State::Answering { until }
            | State::Closing { until, .. } => (Some(until), false),
            State::Connecting { until } | State::Silent { until } => (Some(until), true),
            State::Live { .. } => (None, true),
        };
        let trickle = self.talks.candidates_due().filter(|_| answered);
        let restart = self.talks.mending_due(&self.delivery);
        state.into_iter().chain(self.delivery.poll_timeout()).chain(trickle).chain(restart).min()
    }

    fn perform(&self, moves: Vec<Move>, out: &mut VecDeque<Output>) {
        for each in moves {
            match each {
                Move::Command(command) => self.command(command, out),
                Move::Log(step) => self.log(step, out),
            }
        }
    }

    fn command(&self, command: PeerCommand, out: &mut VecDeque<Output>) {
        out.push_back(Output::Peer(self.key.clone(), command));
    }

    fn log(&self, step: Step, out: &mut VecDeque<Output>) {
        out.push_back(Output::Event(Event { session: self.key.clone(), step }));
    }
}
