//! The descriptions and candidates of one session, both ways, and the mending of its path: what the node's side and the
//! viewer's have in common.

use std::time::Duration;

use super::mending::Mending;
use super::negotiation::{Answered, Negotiation, Theirs};
use super::trickle::Trickle;
use super::{
    Answer, Body, Candidate, Delivery, ErrorCode, Failure, Ice, IceServer, Mids, Offer, Overflow, PeerCommand, Sdp,
    Step,
};

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Ask this of the connection.
    Command(PeerCommand),
    /// Log this step.
    Log(Step),
}

/// One session's descriptions, candidates and restarts.
#[derive(Debug)]
pub(super) struct Talks {
    negotiation: Negotiation,
    trickle: Trickle,
    mending: Mending,
    /// Whether the other side hears us at all, asked by the message of this `seq`.
    asked: Option<u32>,
    /// The address that we were reached at is gone: nothing is left that a restart could spoil.
    stranded: bool,
}

impl Talks {
    /// `yields`: whether this side gives way when offers cross. `patience`: how long a lost path may mend by itself.
    pub(super) fn new(yields: bool, patience: Duration) -> Self {
        let negotiation = Negotiation::new(yields);
        let mending = Mending::new(patience);
        Self { negotiation, trickle: Trickle::default(), mending, asked: None, stranded: false }
    }

    /// The first offer is ours, and under way.
    pub(super) fn begin(&mut self) {
        self.negotiation.want();
    }

    /// The first offer is theirs, and awaited.
    pub(super) fn await_offer(&mut self) {
        self.trickle.await_description();
    }

    /// Mends a lost path: offers anew with new ICE credentials, as soon as that can be. That gives up the old path, which
    /// may mend by itself, so the other side is first asked whether it hears us at all, by an `ice` without candidates. An
    /// offer that is still on its way is as good as another one, unless the addresses in it are of before.
    pub(super) fn mend(&mut self, delivery: &mut Delivery, now: Duration) -> Result<Vec<Move>, Overflow> {
        if self.negotiation.is_offered() && !self.mending.has_network_changed() {
            self.mending.wait_more(now);
            return Ok(Vec::new());
        }
        if self.asked.take().is_none() && !self.stranded {
            let question = Body::Ice(Ice { candidates: Vec::new(), complete: false });
            self.asked = Some(delivery.send(question, None, now)?);
            return Ok(Vec::new());
        }
        self.mending.tried(now);
        Ok(if self.negotiation.want() { vec![Move::Command(PeerCommand::RestartIce)] } else { Vec::new() })
    }

    /// Our connection has made its offer, which answers the message `re` if it is the first.
    pub(super) fn offer_made(
        &mut self,
        (sdp, mids): (Sdp, Mids),
        re: Option<u32>,
        delivery: &mut Delivery,
        now: Duration,
    ) -> Result<Vec<Move>, Overflow> {
        if !self.negotiation.is_making() {
            return Ok(Vec::new());
        }
        let seq = delivery.send(Body::Offer(Offer { sdp, mids }), re, now)?;
        self.negotiation.offered(seq);
        self.trickle.restart_ours();
        self.trickle.await_description();
        Ok(vec![Move::Log(Step::Offer)])
    }

    /// The other side offers by the message `seq`.
    pub(super) fn their_offer(&mut self, seq: u32, sdp: Sdp, ice_servers: &[IceServer], now: Duration) -> Vec<Move> {
        let restarts = self.trickle.is_restarted_by(sdp.as_str());
        let mut moves = vec![Move::Log(Step::Offer)];
        match self.negotiation.theirs(seq, sdp, restarts) {
            Theirs::Answer(sdp) => moves.extend(self.answer(sdp, ice_servers)),
            Theirs::Wait => self.trickle.await_description(),
            Theirs::Ignore => return Vec::new(),
        }
        if restarts {
            self.mending.tried(now);
        }
        moves
    }

    /// Our connection has made its answer.
    pub(super) fn answer_made(
        &mut self,
        sdp: Sdp,
        ice_servers: &[IceServer],
        delivery: &mut Delivery,
        now: Duration,
    ) -> Result<Vec<Move>, Overflow> {
        // Without an offer there is nothing to answer: the connection has spoken out of turn.
        let Some(re) = self.negotiation.answer_made() else { return Ok(Vec::new()) };
        self.trickle.restart_ours();
        delivery.send(Body::Answer(Answer { sdp }), Some(re), now)?;
        self.mending.answered(now);
        let mut moves = vec![Move::Log(Step::Answer)];
        moves.extend(self.go_on(ice_servers, now));
        Ok(moves)
    }

    /// Our connection has not done what it was to do, and is as it was before.
    pub(super) fn declined(&mut self, ice_servers: &[IceServer], delivery: &mut Delivery, now: Duration) -> Vec<Move> {
        if let Some(re) = self.negotiation.answer_made() {
            self.trickle.take_back();
            delivery.send_error(Failure::new(ErrorCode::Unsupported), Some(re));
        } else {
            self.negotiation.offer_failed();
        }
        self.go_on(ice_servers, now)
    }

    /// The other side answers the message `re` by the message `seq`.
    pub(super) fn their_answer(
        &mut self,
        sdp: Sdp,
        (re, seq): (Option<u32>, Option<u32>),
        delivery: &mut Delivery,
        now: Duration,
    ) -> Vec<Move> {
        match self.negotiation.answered(re) {
            Answered::Accept => {
                self.mending.answered(now);
                let waited = self.trickle.described(sdp.as_str());
                let accept = Move::Command(PeerCommand::AcceptAnswer { sdp: sdp.into() });
                [Move::Log(Step::Answer), accept].into_iter().chain(waited.map(Move::Command)).collect()
            }
            Answered::Late => Vec::new(),
            Answered::Nothing => {
                delivery.send_error(Failure::new(ErrorCode::BadMessage), seq);
                Vec::new()
            }
        }
    }

    /// The other side does not take the message `re`. Whether that was our offer, which then counts as never made.
    pub(super) fn their_error(&mut self, re: Option<u32>) -> bool {
        let ours = self.negotiation.awaits(re);
        if ours {
            self.negotiation.offer_failed();
            self.trickle.take_back();
        }
        ours
    }

    /// Candidates of the other side.
    pub(super) fn their_candidates(&mut self, ice: Ice) -> Vec<Move> {
        self.trickle.theirs(ice).map(Move::Command).into_iter().collect()
    }

    /// Our connection has found candidates.
    pub(super) fn found(&mut self, candidates: Vec<Candidate>, complete: bool) {
        self.trickle.found(candidates, complete);
    }

    /// The next `ice` message to send.
    pub(super) fn poll_candidates(&mut self, now: Duration) -> Option<Ice> {
        self.trickle.poll(now)
    }

    /// When [`Talks::poll_candidates`] will have something to send.
    pub(super) fn candidates_due(&self) -> Option<Duration> {
        self.trickle.poll_timeout()
    }

    /// Nothing is heard over the path any more.
    pub(super) fn lost(&mut self, now: Duration) {
        self.mending.lost(now);
    }

    /// It is heard again.
    pub(super) fn mended(&mut self, now: Duration) {
        self.mending.mended(now);
        self.asked = None;
        self.stranded = false;
    }

    /// The address that we were reached at is gone.
    pub(super) fn stranded(&mut self, now: Duration) {
        self.mending.network_changed(now);
        self.asked = None;
        self.stranded = true;
    }

    /// This machine's network has changed.
    pub(super) fn network_changed(&mut self, now: Duration) {
        self.mending.network_changed(now);
    }

    /// When [`Talks::mend`] is to be called.
    pub(super) fn mending_due(&self, delivery: &Delivery) -> Option<Duration> {
        if !delivery.is_link_up() {
            return None;
        }
        match self.asked {
            Some(seq) => delivery.is_acknowledged(seq).then_some(Duration::ZERO),
            None => self.mending.due(),
        }
    }

    /// What is kept, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> [usize; 2] {
        self.trickle.held()
    }

    fn answer(&mut self, sdp: Sdp, ice_servers: &[IceServer]) -> Vec<Move> {
        let waited = self.trickle.described(sdp.as_str());
        let answer = PeerCommand::Answer { sdp: sdp.into(), ice_servers: ice_servers.to_vec() };
        [Some(answer), waited].into_iter().flatten().map(Move::Command).collect()
    }

    fn go_on(&mut self, ice_servers: &[IceServer], now: Duration) -> Vec<Move> {
        if let Some(sdp) = self.negotiation.take_next() {
            self.answer(sdp, ice_servers)
        } else if self.negotiation.take_wanted() {
            self.mending.tried(now);
            vec![Move::Command(PeerCommand::RestartIce)]
        } else {
            Vec::new()
        }
    }
}
