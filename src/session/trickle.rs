//! Candidates on their way: the other side's wait for its description, ours are gathered into few messages.

use std::time::Duration;

use super::message::MAX_CANDIDATES;
use super::{Candidate, Ice, PeerCommand};

/// Our candidates go out at most this often, so that a burst of them is one message.
const BATCH: Duration = Duration::from_millis(100);
/// Candidates that wait for their description at most; browsers find a few dozen.
const MAX_WAITING: usize = 128;

/// The candidates of one session, both ways.
#[derive(Debug, Default)]
pub(super) struct Trickle {
    /// ICE user fragments of the other side's latest description; empty before the first.
    generation: Vec<String>,
    /// Those of the one before it, should the latest be taken back.
    previous: Vec<String>,
    /// Another description is on its way.
    awaited: bool,
    waiting: Vec<Candidate>,
    waiting_complete: bool,
    ours: Vec<Candidate>,
    ours_complete: bool,
    last_sent: Option<Duration>,
}

impl Trickle {
    /// A description of the other side is to come; candidates of an unknown generation wait for it.
    pub(super) fn await_description(&mut self) {
        self.awaited = true;
    }

    /// The other side's description has come; gives the candidates that waited for it.
    pub(super) fn described(&mut self, sdp: &str) -> Option<PeerCommand> {
        self.previous = std::mem::replace(&mut self.generation, user_fragments(sdp));
        self.awaited = false;
        let candidates = std::mem::take(&mut self.waiting);
        let complete = std::mem::take(&mut self.waiting_complete);
        self.theirs(Ice { candidates, complete })
    }

    /// Whether this description of the other side begins another generation than the one there is.
    pub(super) fn is_restarted_by(&self, sdp: &str) -> bool {
        !self.generation.is_empty() && self.generation != user_fragments(sdp)
    }

    /// The latest description has come to nothing, or none will come: the one before it counts.
    pub(super) fn take_back(&mut self) {
        if self.awaited {
            self.awaited = false;
            self.waiting.clear();
            self.waiting_complete = false;
        } else {
            self.generation = std::mem::take(&mut self.previous);
        }
    }

    /// Takes in the other side's candidates; gives those that can be used now. Too many to wait are dropped: ICE lives
    /// with missing candidates, and memory does not live with endless ones.
    pub(super) fn theirs(&mut self, ice: Ice) -> Option<PeerCommand> {
        let mut usable = Vec::new();
        for candidate in ice.candidates {
            let current = match &candidate.username_fragment {
                Some(fragment) => self.generation.contains(fragment),
                None => !self.awaited && !self.generation.is_empty(),
            };
            if current {
                usable.push(candidate);
            } else if self.awaited && self.waiting.len() < MAX_WAITING {
                self.waiting.push(candidate);
            }
        }
        self.waiting_complete |= self.awaited && ice.complete;
        let complete = ice.complete && !self.awaited;
        (complete || !usable.is_empty()).then_some(PeerCommand::AddCandidates { candidates: usable, complete })
    }

    /// A description of ours goes out: what was found before it stands in it, or is of an older generation.
    pub(super) fn restart_ours(&mut self) {
        self.ours.clear();
        self.ours_complete = false;
    }

    /// We have found candidates.
    pub(super) fn found(&mut self, candidates: Vec<Candidate>, complete: bool) {
        self.ours.extend(candidates);
        self.ours_complete |= complete;
    }

    /// The next `ice` message to send.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Ice> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.last_sent = Some(now);
        let rest = self.ours.split_off(self.ours.len().min(MAX_CANDIDATES));
        let candidates = std::mem::replace(&mut self.ours, rest);
        let complete = self.ours.is_empty() && std::mem::take(&mut self.ours_complete);
        Some(Ice { candidates, complete })
    }

    /// What is kept, for tests: candidates that wait, theirs and ours.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> [usize; 2] {
        [self.waiting.len(), self.ours.len()]
    }

    /// When [`Trickle::poll`] will have something to send.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let any = self.ours_complete || !self.ours.is_empty();
        any.then(|| self.last_sent.map_or(Duration::ZERO, |last| last + BATCH))
    }
}

/// The ICE user fragments of a description ([RFC 8839 §5.4](https://www.rfc-editor.org/rfc/rfc8839#section-5.4)).
fn user_fragments(sdp: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for fragment in sdp.lines().filter_map(|line| line.strip_prefix("a=ice-ufrag:")).map(str::trim) {
        // 256 is the longest there may be; a description has few sections, and fewer generations.
        if fragment.len() <= 256 && found.len() < 64 && !found.iter().any(|known| known == fragment) {
            found.push(fragment.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\na=ice-ufrag:new1\r\nm=video\r\na=ice-ufrag:new1\r\n";

    fn candidate(fragment: Option<&str>) -> Candidate {
        let username_fragment = fragment.map(str::to_owned);
        Candidate { candidate: "candidate:1".to_owned(), sdp_mid: None, sdp_m_line_index: None, username_fragment }
    }

    fn ice(fragment: Option<&str>, complete: bool) -> Ice {
        Ice { candidates: vec![candidate(fragment)], complete }
    }

    fn added(command: Option<PeerCommand>) -> (usize, bool) {
        match command {
            Some(PeerCommand::AddCandidates { candidates, complete }) => (candidates.len(), complete),
            Some(other) => panic!("{other:?}"),
            None => (0, false),
        }
    }

    #[test]
    fn candidates_wait_for_their_description_and_older_ones_are_dropped() {
        let mut trickle = Trickle::default();
        trickle.await_description();
        assert_eq!(trickle.theirs(ice(Some("new1"), false)), None);
        assert_eq!(trickle.theirs(ice(None, true)), None);
        assert_eq!(trickle.theirs(ice(Some("old0"), false)), None);
        assert_eq!(added(trickle.described(SDP)), (2, true), "the old one is dropped");
        assert_eq!(added(trickle.theirs(ice(Some("new1"), false))), (1, false));
        assert_eq!(trickle.theirs(ice(Some("old0"), false)), None);
        trickle.await_description();
        assert_eq!(trickle.theirs(ice(Some("next"), true)), None);
        assert_eq!(added(trickle.described("a=ice-ufrag:next\n")), (1, true));
        assert_eq!(trickle.theirs(ice(Some("new1"), false)), None, "its generation is over");
    }

    #[test]
    fn a_description_that_came_to_nothing_leaves_the_generation_before_it() {
        let mut trickle = Trickle::default();
        trickle.described(SDP);
        assert!(!trickle.is_restarted_by(SDP));
        assert!(trickle.is_restarted_by("a=ice-ufrag:next\n"));
        trickle.described("a=ice-ufrag:next\n");
        trickle.take_back();
        assert_eq!(added(trickle.theirs(ice(Some("new1"), false))), (1, false));
        trickle.await_description();
        assert_eq!(trickle.theirs(ice(Some("next"), true)), None);
        trickle.take_back();
        assert_eq!(added(trickle.theirs(ice(Some("new1"), false))), (1, false));
        assert_eq!(trickle.theirs(ice(Some("next"), false)), None);
    }

    #[test]
    fn endless_candidates_do_not_fill_memory() {
        let mut trickle = Trickle::default();
        trickle.await_description();
        for _ in 0..10_000 {
            trickle.theirs(ice(None, false));
        }
        assert_eq!(trickle.waiting.len(), MAX_WAITING);
    }

    #[test]
    fn the_first_candidate_goes_at_once_and_the_next_within_a_tenth_of_a_second() {
        let ms = Duration::from_millis;
        let mut trickle = Trickle::default();
        assert_eq!(trickle.poll(ms(0)), None);
        trickle.found(vec![candidate(None)], false);
        assert_eq!(trickle.poll(ms(5)).map(|ice| ice.candidates.len()), Some(1));
        trickle.found(vec![candidate(None)], false);
        trickle.found(vec![candidate(None); 70], true);
        assert_eq!(trickle.poll(ms(104)), None);
        assert_eq!(trickle.poll_timeout(), Some(ms(105)));
        let batch = trickle.poll(ms(105)).expect("a full message");
        assert_eq!((batch.candidates.len(), batch.complete), (MAX_CANDIDATES, false));
        let rest = trickle.poll(ms(205)).expect("the rest");
        assert_eq!((rest.candidates.len(), rest.complete), (7, true));
        assert_eq!(trickle.poll(ms(999)), None);
    }
}
