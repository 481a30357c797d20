//! Whose offer is under way in one session: offers and answers from either side, and who gives way when they cross
//! (the "perfect negotiation" of the W3C's WebRTC API, §10.7). The node yields, the peer does not.

use super::Sdp;

/// The exchange of descriptions in one session, as one side sees it.
#[derive(Debug)]
pub(super) struct Negotiation {
    yields: bool,
    state: State,
    /// An offer of ours is wanted as soon as theirs is answered.
    wanted: bool,
    /// An offer of theirs that came while we answer an earlier one.
    next: Option<(u32, Sdp)>,
    /// The highest `seq` of an offer of ours.
    latest: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stable,
    /// Our connection makes an offer.
    Making,
    /// The other side has our offer of this `seq`.
    Offered(u32),
    /// Our connection answers their offer of this `seq`.
    Answering(u32),
}

/// What to do with an offer of the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Theirs {
    /// Let the connection answer it, taking back an offer of its own if there is one.
    Answer(Sdp),
    /// Nothing yet: it waits until the one before it is answered.
    Wait,
    /// Nothing: it has crossed ours, and ours counts.
    Ignore,
}

/// What an answer of the other side is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is the awaited one.
    Accept,
    /// It answers an offer that a newer one has replaced.
    Late,
    /// It answers nothing we have offered.
    Nothing,
}

impl Negotiation {
    /// `yields`: whether our offer gives way to one of theirs that crosses it.
    pub(super) fn new(yields: bool) -> Self {
        Self { yields, state: State::Stable, wanted: false, next: None, latest: None }
    }

    /// An offer of ours is wanted. Whether the connection is to make one now: if not, one is being made, or follows our
    /// answer.
    pub(super) fn want(&mut self) -> bool {
        match self.state {
            State::Stable | State::Offered(_) => {
                self.state = State::Making;
                true
            }
            State::Making => false,
            State::Answering(_) => {
                self.wanted = true;
                false
            }
        }
    }

    /// Whether the connection's offer is to be sent: one that we have taken back since is not.
    pub(super) fn is_making(&self) -> bool {
        self.state == State::Making
    }

    /// Our offer went out as the message `seq`.
    pub(super) fn offered(&mut self, seq: u32) {
        self.state = State::Offered(seq);
        self.latest = Some(seq);
    }

    /// The connection could not make the offer, or the other side does not take it: everything is as before.
    pub(super) fn offer_failed(&mut self) {
        if matches!(self.state, State::Making | State::Offered(_)) {
            self.state = State::Stable;
        }
    }

    /// Whether `re` names the offer of ours that waits for its answer.
    pub(super) fn awaits(&self, re: Option<u32>) -> bool {
        re.is_some_and(|re| self.state == State::Offered(re))
    }

    /// Whether an offer of ours waits for its answer.
    pub(super) fn is_offered(&self) -> bool {
        matches!(self.state, State::Offered(_))
    }

    /// The other side answers the message `re`.
    pub(super) fn answered(&mut self, re: Option<u32>) -> Answered {
        if self.awaits(re) {
            self.state = State::Stable;
            Answered::Accept
        } else if re.is_some() && re <= self.latest {
            Answered::Late
        } else {
            Answered::Nothing
        }
    }

    /// The other side offers by the message `seq`; `restarts` if with new ICE credentials. An offer of ours, which can
    /// only be an ICE restart, is then not worth to be made again.
    pub(super) fn theirs(&mut self, seq: u32, sdp: Sdp, restarts: bool) -> Theirs {
        match self.state {
            State::Making | State::Offered(_) if !self.yields => return Theirs::Ignore,
            State::Making | State::Offered(_) => self.wanted = !restarts,
            State::Answering(_) => {
                self.wanted &= !restarts;
                self.next = Some((seq, sdp));
                return Theirs::Wait;
            }
            State::Stable => {}
        }
        self.state = State::Answering(seq);
        Theirs::Answer(sdp)
    }

    /// The connection has answered, or refused to. The `seq` of the offer, if one was to be answered.
    pub(super) fn answer_made(&mut self) -> Option<u32> {
        let State::Answering(seq) = self.state else { return None };
        self.state = State::Stable;
        Some(seq)
    }

    /// The next offer of theirs to be answered, once [`Negotiation::answer_made`] has given the one before it.
    pub(super) fn take_next(&mut self) -> Option<Sdp> {
        let (seq, sdp) = self.next.take()?;
        self.state = State::Answering(seq);
        Some(sdp)
    }

    /// Whether an offer of ours that had to wait, or gave way, is to be made now.
    pub(super) fn take_wanted(&mut self) -> bool {
        self.state == State::Stable && std::mem::take(&mut self.wanted) && self.want()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp() -> Sdp {
        Sdp::try_from("v=0".to_owned()).expect("short enough")
    }

    fn after_our_offer(yields: bool, seq: u32) -> Negotiation {
        let mut negotiation = Negotiation::new(yields);
        assert!(negotiation.want());
        assert!(!negotiation.want(), "one is being made");
        assert!(negotiation.is_making());
        negotiation.offered(seq);
        negotiation
    }

    #[test]
    fn an_answer_counts_for_the_latest_offer_only() {
        let mut negotiation = after_our_offer(true, 3);
        assert!(negotiation.want(), "a newer one replaces it");
        assert_eq!(negotiation.answered(Some(3)), Answered::Late);
        negotiation.offered(7);
        assert_eq!(negotiation.answered(Some(3)), Answered::Late);
        assert_eq!(negotiation.answered(Some(8)), Answered::Nothing);
        assert_eq!(negotiation.answered(None), Answered::Nothing);
        assert_eq!(negotiation.answered(Some(7)), Answered::Accept);
        assert_eq!(negotiation.answered(Some(7)), Answered::Late, "it comes twice");
        assert!(!negotiation.is_offered());
    }

    #[test]
    fn who_yields_answers_and_offers_again_unless_the_other_offer_was_a_restart_too() {
        for restarts in [false, true] {
            let mut negotiation = after_our_offer(true, 3);
            assert_eq!(negotiation.theirs(5, sdp(), restarts), Theirs::Answer(sdp()));
            assert!(!negotiation.is_making(), "an offer that is still being made is not sent");
            assert_eq!(negotiation.answered(Some(3)), Answered::Late);
            assert!(!negotiation.take_wanted(), "not before the answer");
            assert_eq!(negotiation.answer_made(), Some(5));
            assert_eq!(negotiation.take_wanted(), !restarts);
            assert_eq!(negotiation.is_making(), !restarts);
        }
    }

    #[test]
    fn who_does_not_yield_ignores_what_crosses_its_offer() {
        let mut making = Negotiation::new(false);
        assert!(making.want());
        assert_eq!(making.theirs(1, sdp(), true), Theirs::Ignore);
        let mut offered = after_our_offer(false, 3);
        assert_eq!(offered.theirs(2, sdp(), false), Theirs::Ignore);
        assert_eq!(offered.answered(Some(3)), Answered::Accept);
        assert_eq!(offered.theirs(4, sdp(), false), Theirs::Answer(sdp()));
        assert_eq!(offered.answer_made(), Some(4));
        assert_eq!(offered.answer_made(), None);
    }

    #[test]
    fn an_offer_wanted_while_answering_and_offers_that_follow_each_other_wait_their_turn() {
        let mut negotiation = Negotiation::new(true);
        assert_eq!(negotiation.theirs(1, sdp(), false), Theirs::Answer(sdp()));
        assert!(!negotiation.want());
        assert_eq!(negotiation.theirs(2, sdp(), false), Theirs::Wait);
        assert_eq!(negotiation.theirs(3, sdp(), false), Theirs::Wait);
        assert_eq!(negotiation.answer_made(), Some(1));
        assert_eq!(negotiation.take_next(), Some(sdp()));
        assert_eq!(negotiation.answer_made(), Some(3), "the one between was replaced");
        assert_eq!(negotiation.take_next(), None);
        assert!(negotiation.take_wanted());
        negotiation.offer_failed();
        assert!(!negotiation.is_making() && negotiation.want());
    }
}
