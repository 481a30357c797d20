//! When to send a description, and which candidates when (trickle ICE, RFC 8838). Pure.
//!
//! The host candidates stand in the description, since they are known at once and most viewers need no others; what STUN
//! and TURN servers answer follows in batches.

use std::time::{Duration, Instant};

/// Candidates found within this time go in one message.
const BATCH: Duration = Duration::from_millis(100);
/// The description goes out at the latest after this, though a host candidate is missing: a name server that does not
/// answer holds the crate's gathering up.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Send the description with the candidates found so far.
    Describe,
    /// Send these candidates.
    Candidates {
        /// Candidate attributes, without `a=`.
        candidates: Vec<String>,
        /// No more will come.
        complete: bool,
    },
}

/// The gathering of one ICE generation.
#[derive(Debug)]
pub(super) struct Trickle {
    hosts_missing: usize,
    complete: bool,
    described: bool,
    ended: bool,
    batch: Vec<String>,
    due: Instant,
}

impl Trickle {
    /// Gathering starts `now`; a host candidate will come for each of `hosts` sockets.
    pub(super) fn new(hosts: usize, now: Instant) -> Self {
        Self {
            hosts_missing: hosts,
            complete: false,
            described: false,
            ended: false,
            batch: Vec::new(),
            due: now + PATIENCE,
        }
    }

    /// The crate found a candidate.
    pub(super) fn found(&mut self, candidate: String, host: bool, now: Instant) {
        if !self.described {
            // It is in the crate's description already.
            self.hosts_missing = self.hosts_missing.saturating_sub(usize::from(host));
        } else {
            if self.batch.is_empty() {
                self.due = now + BATCH;
            }
            self.batch.push(candidate);
        }
    }

    /// Every socket's host candidate stands in the crate's description.
    pub(super) fn hosts_found(&mut self) {
        self.hosts_missing = 0;
    }

    /// The crate will find no more.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// What is to be done now; ask until there is nothing.
    pub(super) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if !self.described {
            self.described = self.hosts_missing == 0 || self.complete || now >= self.due;
            return self.described.then_some(Output::Describe);
        }
        let end = self.complete && !self.ended;
        if end || (!self.batch.is_empty() && now >= self.due) {
            self.ended |= self.complete;
            return Some(Output::Candidates { candidates: std::mem::take(&mut self.batch), complete: self.complete });
        }
        None
    }

    /// When to ask again though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.described || !self.batch.is_empty()).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::clock::now;

    #[test]
    fn hosts_stand_in_the_description_and_the_rest_comes_in_batches() {
        let start = now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trickle = Trickle::new(2, start);
        trickle.found("h1".to_owned(), true, at(1));
        assert_eq!(trickle.poll_output(at(1)), None);
        trickle.found("h2".to_owned(), true, at(2));
        assert_eq!(trickle.poll_output(at(2)), Some(Output::Describe));
        assert_eq!(trickle.poll_output(at(2)), None);
        assert_eq!(trickle.poll_timeout(), None);

        trickle.found("s1".to_owned(), false, at(30));
        trickle.found("s2".to_owned(), false, at(90));
        assert_eq!(trickle.poll_output(at(129)), None);
        assert_eq!(trickle.poll_timeout(), Some(at(130)));
        let batch = vec!["s1".to_owned(), "s2".to_owned()];
        assert_eq!(trickle.poll_output(at(130)), Some(Output::Candidates { candidates: batch, complete: false }));
        trickle.found("r1".to_owned(), false, at(200));
        trickle.complete();
        let last = vec!["r1".to_owned()];
        assert_eq!(trickle.poll_output(at(200)), Some(Output::Candidates { candidates: last, complete: true }));
        assert_eq!(trickle.poll_output(at(9_999)), None);
    }

    #[test]
    fn neither_no_candidates_nor_a_silent_name_server_holds_the_description_for_ever() {
        let start = now();
        let mut relay_only = Trickle::new(0, start);
        assert_eq!(relay_only.poll_output(start), Some(Output::Describe));
        let mut stuck = Trickle::new(1, start);
        assert_eq!(stuck.poll_output(start + PATIENCE - BATCH), None);
        assert_eq!(stuck.poll_output(start + PATIENCE), Some(Output::Describe));
        let mut quick = Trickle::new(1, start);
        quick.complete();
        assert_eq!(quick.poll_output(start), Some(Output::Describe));
        let end = Output::Candidates { candidates: Vec::new(), complete: true };
        assert_eq!(quick.poll_output(start), Some(end));
    }
}
