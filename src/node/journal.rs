//! What the log says about viewers: each one that was connected, and once a second the sum of everything else.
//!
//! Whoever reaches the broker can be refused as fast as the broker carries messages. A line for each would fill a log, and
//! hide what happens to the viewers that are there; single steps stand in it from DEBUG on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::session::{End, ErrorCode, Event, LeaveReason, PeerId, SessionKey, Step};

/// Decides which steps are worth a line, and counts the others.
#[derive(Debug, Default)]
pub struct Journal {
    connected: BTreeSet<SessionKey>,
    /// How often since the last sum, by what and why. Both are words of ours, so that there are few.
    counts: BTreeMap<What, BTreeMap<&'static str, u32>>,
    last: Option<PeerId>,
}

/// What is only counted, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Refused,
    Unconnected,
    Unreadable,
    Unread,
}

/// One second's sum.
#[derive(Debug, PartialEq, Eq)]
pub struct Sum {
    /// What happened, how often and why.
    pub text: String,
    /// One of those who did it: the last one.
    pub last: PeerId,
}

impl Journal {
    /// Notes a step of a session; `true` if it is worth a line of its own.
    pub fn step(&mut self, event: &Event) -> bool {
        match event.step {
            Step::Connected => self.connected.insert(event.session.clone()),
            Step::Silent | Step::Recovered => true,
            Step::Ended(End::Refused(code)) => self.count(What::Refused, slug(code), &event.session.peer),
            Step::Ended(_) if self.connected.remove(&event.session) => true,
            Step::Ended(end) => self.count(What::Unconnected, word(end), &event.session.peer),
            _ => false,
        }
    }

    /// A message of this peer could not be read, and was answered with this code.
    pub fn unreadable(&mut self, peer: &PeerId, code: ErrorCode) {
        self.count(What::Unreadable, code.slug(), peer);
    }

    /// A message of this peer was one too many, and was not read.
    pub fn unread(&mut self, peer: &PeerId) {
        self.count(What::Unread, "too many", peer);
    }

    /// The sum since it was last asked for; `None` when nothing was counted.
    pub fn sum(&mut self) -> Option<Sum> {
        let last = self.last.take()?;
        let mut text = String::new();
        for (what, why) in std::mem::take(&mut self.counts) {
            let separator = if text.is_empty() { "" } else { "; " };
            let total: u32 = why.values().sum();
            let what = match what {
                What::Refused => "joins refused",
                What::Unconnected => "sessions ended before they connected",
                What::Unreadable => "unreadable messages",
                What::Unread => "messages thrown away unread",
            };
            let reasons: Vec<String> = why.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{what}: {total} ({})", reasons.join(", "));
        }
        Some(Sum { text, last })
    }

    /// Always `false`: what is counted gets no line.
    fn count(&mut self, what: What, why: &'static str, peer: &PeerId) -> bool {
        let count = self.counts.entry(what).or_default().entry(why).or_default();
        *count = count.saturating_add(1);
        self.last = Some(peer.clone());
        false
    }
}

/// Numbers of later versions may come from anyone: they are all one.
fn slug(code: u16) -> &'static str {
    ErrorCode::from_number(code).map_or("unknown code", ErrorCode::slug)
}

fn word(end: End) -> &'static str {
    match end {
        End::Left(LeaveReason::Replaced) => "replaced",
        End::Left(LeaveReason::Expired) => "expired",
        End::Left(LeaveReason::Limit) => "place needed",
        End::Left(_) => "left by the node",
        End::TheyLeft(_) | End::ClosedByPeer => "left by the viewer",
        End::Failed(code) => code.slug(),
        End::TheyFailed(code) | End::Refused(code) => slug(code),
        End::Rejected(_) => "rejected",
        End::Cancelled(_) => "cancelled",
        End::Rebooted => "rebooted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    fn event(peer: u32, step: Step) -> Event {
        let peer = format!("tab-{peer}").parse().expect("a peer id");
        Event { session: SessionKey { peer, session: SessionId::from_random(1) }, step }
    }

    #[test]
    fn whoever_was_connected_has_lines_and_the_others_are_summed() {
        let mut journal = Journal::default();
        for step in [Step::Join, Step::Peer, Step::Opening, Step::Offer, Step::Answer] {
            assert!(!journal.step(&event(0, step)), "{step:?}");
        }
        for step in [Step::Connected, Step::Silent, Step::Recovered, Step::Ended(End::TheyLeft(LeaveReason::Closed))] {
            assert!(journal.step(&event(0, step)), "{step:?}");
        }
        assert_eq!(journal.sum(), None);
        assert!(journal.connected.is_empty());
        assert!(!journal.step(&event(0, Step::Ended(End::ClosedByPeer))), "it is over already");
    }

    #[test]
    fn a_flood_is_one_line_however_many_take_part() {
        let mut journal = Journal::default();
        for peer in 0..500 {
            assert!(!journal.step(&event(peer, Step::Join)));
            let code = if peer % 5 == 0 { 26 } else { 25 };
            assert!(!journal.step(&event(peer, Step::Ended(End::Refused(code)))));
            journal.unread(&event(peer, Step::Join).session.peer);
        }
        journal.step(&event(7, Step::Ended(End::Failed(ErrorCode::TimedOut))));
        journal.step(&event(7, Step::Ended(End::TheyFailed(999))));
        journal.unreadable(&event(7, Step::Join).session.peer, ErrorCode::BadMessage);
        let sum = journal.sum().expect("something was counted");
        assert_eq!(
            sum.text,
            "joins refused: 500 (busy 400, rateLimited 100); sessions ended before they connected: 2 \
             (timedOut 1, unknown code 1); unreadable messages: 1 (badMessage 1); \
             messages thrown away unread: 500 (too many 500)"
        );
        assert_eq!(sum.last.as_str(), "tab-7");
        assert_eq!(journal.sum(), None);
    }
}
