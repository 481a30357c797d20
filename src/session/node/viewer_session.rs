//! One viewer's session as the node sees it: `join` → offer → answer → connected → over.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::talks::{Move, Talks};
use super::super::{
    Body, CallResponse, CancelReason, Delivery, ErrorCode, Event, Failure, Leave, LeaveReason, Message, Outgoing,
    Overflow, PeerCommand, PeerEvent, PeerInfo, Renew, Sdp, SessionKey, Step, Topics, config::Limits,
};
use super::Output;
use super::admission::{Admission, Introduction};
use super::doorkeeper::Doorkeeper;
use crate::access::{Grant, Scopes};

/// Making an offer takes milliseconds; a camera that hangs must not hold the place for long.
const OFFER_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon new logins are offered again to a viewer that has not acknowledged what came before.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// A short interruption ends by itself; an ICE restart follows if it does not.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// One viewer's session.
#[derive(Debug)]
pub(super) struct ViewerSession {
    pub(super) key: SessionKey,
    pub(super) delivery: Delivery,
    pub(super) opened_at: Duration,
    /// What the viewer may do, and until when.
    pub(super) grant: Grant,
    /// The rights that the session needs.
    needs: Scopes,
    /// When the logins at TURN servers are to be made anew, theirs and ours.
    pub(super) renews_relays_at: Option<Duration>,
    limits: Limits,
    state: State,
    talks: Talks,
    /// What let the viewer in: the first offer answers it.
    request: u32,
}

/// How a session began: by a `join`, or by a call that was taken.
pub(super) struct Beginning {
    /// With what has been said so far.
    pub(super) delivery: Delivery,
    /// The `seq` of the viewer's message that let it in.
    pub(super) request: u32,
    /// What is to be logged of it.
    pub(super) steps: &'static [Step],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The connection makes its offer.
    Opening { until: Duration },
    /// The offer is on its way, or with the viewer.
    Offered { until: Duration },
    /// Both descriptions are set.
    Connecting { until: Duration },
    /// Media flows.
    Live,
    /// Nothing is heard of the viewer.
    Silent { until: Duration },
}

/// Why a session must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// The viewer left, by the message with this `seq`.
    TheyLeft(Leave, Option<u32>),
    /// The viewer gave up its call, by the message with this `seq`.
    TheyCancelled(CancelReason, Option<u32>),
    /// The viewer said that it failed there.
    TheyFailed(u16),
    /// The viewer closed DTLS.
    ClosedByPeer,
    /// It failed here, perhaps by the message with this `seq`.
    Failed(Failure, ErrorCode, Option<u32>),
    /// Silent for too long.
    Silent,
    /// The right to it has ended.
    Expired,
}

impl Over {
    fn failed(code: ErrorCode) -> Self {
        Self::Failed(Failure::new(code), code, None)
    }
}

impl From<Overflow> for Over {
    fn from(_: Overflow) -> Self {
        Self::failed(ErrorCode::WindowOverflow)
    }
}

impl ViewerSession {
    /// Opens a session with a viewer that has been let in: introduces the node and makes the connection offer.
    pub(super) fn open(
        key: SessionKey,
        limits: Limits,
        beginning: Beginning,
        (admission, introduction): (Admission, Introduction),
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Self {
        let mut session = Self {
            delivery: beginning.delivery,
            key,
            opened_at: now,
            grant: admission.grant,
            needs: admission.needs,
            renews_relays_at: introduction.renew_at,
            limits,
            state: State::Opening { until: now + OFFER_TIMEOUT },
            talks: Talks::new(true, RESTART_AFTER),
            request: beginning.request,
        };
        session.talks.begin();
        beginning.steps.iter().for_each(|step| session.log(*step, out));
        let re = Some(beginning.request);
        session.introduce(introduction.info, re, now).expect("next to nothing has been said before");
        session.log(Step::Peer, out);
        session.log(Step::Opening, out);
        session.tell_rights(out);
        let ice_servers = introduction.own_servers;
        session.command(PeerCommand::Offer { wants: admission.wants, ice_servers }, out);
        session
    }

    /// Gives our connection new logins at TURN servers, and tells the viewer its own.
    pub(super) fn renew_relays(
        &mut self,
        introduction: Introduction,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        let Introduction { info, own_servers, renew_at } = introduction;
        self.renews_relays_at = renew_at;
        self.command(PeerCommand::UseIceServers { ice_servers: own_servers }, out);
        if self.delivery.is_settled() {
            self.introduce(info, None, now)?;
        } else {
            // What a viewer does not hear for long would pile up; it gets the latest when it hears again.
            self.renews_relays_at = Some(now + TELL_AGAIN);
        }
        Ok(())
    }

    /// Says `peer`: the answer to `join`, or renewed credentials.
    fn introduce(&mut self, info: PeerInfo, re: Option<u32>, now: Duration) -> Result<(), Overflow> {
        self.delivery.send(Body::Peer(info), re, now).map(drop)
    }

    /// A message of the viewer.
    pub(super) fn receive(
        &mut self,
        message: Message,
        bytes: usize,
        door: &Doorkeeper,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        for message in self.delivery.receive(message, bytes, now)? {
            self.act_on(message, door, now, out)?;
        }
        Ok(())
    }

    /// A message of the viewer that could not be read, but for its `seq`.
    pub(super) fn skip(
        &mut self,
        seq: u32,
        door: &Doorkeeper,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        for message in self.delivery.skip(seq, now)? {
            self.act_on(message, door, now, out)?;
        }
        Ok(())
    }

    pub(super) fn act_on(
        &mut self,
        message: Message,
        door: &Doorkeeper,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        match message.body {
            Body::Join(_) | Body::Ack(_) => {}
            Body::Answer(answer) => self.answered(answer.sdp, message.re, message.seq, now, out),
            // Ours has to be answered first.
            Body::Offer(_) if matches!(self.state, State::Opening { .. } | State::Offered { .. }) => {
                self.refuse(ErrorCode::Unsupported, message.seq);
            }
            Body::Offer(offer) => {
                let moves = self.talks.their_offer(message.seq.unwrap_or_default(), offer.sdp, &[], now);
                self.perform(moves, out);
            }
            Body::Ice(ice) => {
                let moves = self.talks.their_candidates(ice);
                self.perform(moves, out);
            }
            Body::Leave(leave) => return Err(Over::TheyLeft(leave, message.seq)),
            Body::Cancel(cancel) => return Err(Over::TheyCancelled(cancel.reason, message.seq)),
            Body::Error(failure) if failure.ends() => return Err(Over::TheyFailed(failure.code)),
            Body::Error(_) => {
                self.talks.their_error(message.re);
            }
            Body::Renew(Renew { token }) => {
                self.grant = door.admit(&self.key.peer, Some(&token), self.needs, now).map_err(|failure| {
                    let code = failure.known().unwrap_or(ErrorCode::NotAllowed);
                    Over::Failed(failure, code, message.seq)
                })?;
                self.tell_rights(out);
            }
            // It has taken back what it had accepted.
            Body::CallResponse(CallResponse::Rejected(_)) => {
                return Err(Over::TheyLeft(Leave { reason: LeaveReason::Closed }, message.seq));
            }
            Body::Call(_)
            | Body::Ringing(_)
            | Body::CallResponse(_)
            | Body::Peer(_)
            | Body::Register(_)
            | Body::Registered(_)
            | Body::Unregister(_)
            | Body::Unregistered(_)
            | Body::Snapshot(_)
            | Body::Picture(_)
            | Body::Probe(_)
            | Body::Status(_) => self.refuse(ErrorCode::BadMessage, message.seq),
        }
        Ok(())
    }

    fn answered(&mut self, sdp: Sdp, re: Option<u32>, seq: Option<u32>, now: Duration, out: &mut VecDeque<Output>) {
        let moves = self.talks.their_answer(sdp, (re, seq), &mut self.delivery, now);
        if !moves.is_empty() && matches!(self.state, State::Offered { .. }) {
            self.state = State::Connecting { until: now + seconds(self.limits.connect_timeout_s) };
        }
        self.perform(moves, out);
    }

    /// This machine's network has changed.
    pub(super) fn network_changed(&mut self, now: Duration, out: &mut VecDeque<Output>) {
        self.talks.network_changed(now);
        self.command(PeerCommand::NetworkChanged, out);
    }

    /// What the connection reports.
    pub(super) fn peer_event(
        &mut self,
        event: PeerEvent,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        match event {
            PeerEvent::Offered { sdp, mids } => {
                let sdp = Sdp::try_from(sdp).map_err(|_| Over::failed(ErrorCode::OfferFailed))?;
                let opening = matches!(self.state, State::Opening { .. });
                let re = opening.then_some(self.request);
                let moves = self.talks.offer_made((sdp, mids), re, &mut self.delivery, now)?;
                if opening {
                    self.state = State::Offered { until: now + seconds(self.limits.answer_timeout_s) };
                }
                self.perform(moves, out);
            }
            PeerEvent::Answered { sdp } => {
                let sdp = Sdp::try_from(sdp).map_err(|_| Over::failed(ErrorCode::AnswerFailed))?;
                let moves = self.talks.answer_made(sdp, &[], &mut self.delivery, now)?;
                self.perform(moves, out);
            }
            PeerEvent::Declined { .. } => {
                let moves = self.talks.declined(&[], &mut self.delivery, now);
                self.perform(moves, out);
            }
            PeerEvent::Candidates { candidates, complete } => self.talks.found(candidates, complete),
            PeerEvent::Connected | PeerEvent::Recovered => {
                let step = match self.state {
                    State::Live => return Ok(()),
                    State::Silent { .. } => Step::Recovered,
                    _ => Step::Connected,
                };
                self.state = State::Live;
                self.talks.mended(now);
                self.delivery.set_persistent(true, now);
                self.log(step, out);
            }
            PeerEvent::Silent => self.lost(now, out),
            PeerEvent::AddressLost => {
                self.lost(now, out);
                self.talks.stranded(now);
            }
            PeerEvent::ClosedByPeer => return Err(Over::ClosedByPeer),
            PeerEvent::Failed { step, message } => {
                let code = ErrorCode::from(step);
                return Err(Over::Failed(Failure::with_message(code, &message), code, None));
            }
        }
        Ok(())
    }

    fn lost(&mut self, now: Duration, out: &mut VecDeque<Output>) {
        if self.state == State::Live {
            self.state = State::Silent { until: now + seconds(self.limits.silence_timeout_s) };
            self.talks.lost(now);
            self.log(Step::Silent, out);
        }
    }

    /// Time has passed: publishes what is due.
    pub(super) fn handle_timeout(
        &mut self,
        topics: &Topics,
        now: Duration,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Over> {
        match self.state {
            State::Opening { until } if until <= now => return Err(Over::failed(ErrorCode::OfferFailed)),
            State::Offered { until } if until <= now => return Err(Over::failed(ErrorCode::TimedOut)),
            State::Connecting { until } if until <= now => return Err(Over::failed(ErrorCode::IceFailed)),
            State::Silent { until } if until <= now => return Err(Over::Silent),
            _ => {}
        }
        if self.talks.mending_due(&self.delivery).is_some_and(|due| due <= now) {
            let moves = self.talks.mend(&mut self.delivery, now)?;
            self.perform(moves, out);
        }
        if self.delivery.has_failed(now) {
            return Err(Over::failed(ErrorCode::SignallingLost));
        }
        while let Some(ice) = self.talks.poll_candidates(now) {
            self.delivery.send(Body::Ice(ice), None, now)?;
        }
        while let Some(message) = self.delivery.poll_transmit(now) {
            out.push_back(Output::Publish(Outgoing::to_peer(topics, &self.key.peer, &message)));
        }
        Ok(())
    }

    /// When [`ViewerSession::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let state = match self.state {
            State::Opening { until }
            | State::Offered { until }
            | State::Connecting { until }
            | State::Silent { until } => Some(until),
            State::Live => None,
        };
        let restart = self.talks.mending_due(&self.delivery);
        let talks = self.talks.candidates_due().into_iter().chain(restart);
        state.into_iter().chain(self.delivery.poll_timeout()).chain(talks).min()
    }

    /// Refuses one request; the session goes on.
    pub(super) fn refuse(&mut self, code: ErrorCode, re: Option<u32>) {
        self.delivery.send_error(Failure::new(code), re);
    }

    /// What is kept, for tests: by the delivery, and by the trickle.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> ([usize; 4], [usize; 2]) {
        (self.delivery.held(), self.talks.held())
    }

    fn perform(&self, moves: Vec<Move>, out: &mut VecDeque<Output>) {
        for each in moves {
            match each {
                Move::Command(command) => self.command(command, out),
                Move::Log(step) => self.log(step, out),
            }
        }
    }

    fn tell_rights(&self, out: &mut VecDeque<Output>) {
        out.push_back(Output::Allowed(self.key.clone(), self.grant.scopes));
    }

    fn command(&self, command: PeerCommand, out: &mut VecDeque<Output>) {
        out.push_back(Output::Peer(self.key.clone(), command));
    }

    fn log(&self, step: Step, out: &mut VecDeque<Output>) {
        out.push_back(Output::Event(Event { session: self.key.clone(), step }));
    }
}

fn seconds(limit: crate::media::Bounded<1, 300>) -> Duration {
    Duration::from_secs(limit.value().into())
}
