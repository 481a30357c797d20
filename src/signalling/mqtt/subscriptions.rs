//! Core: the topic filters of one broker connection, which of them are granted, and when to ask for the others again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::signalling::LinkSetup;

/// What a connection is to be subscribed to.
pub(super) struct Subscriptions {
    to_ask: VecDeque<Filter>,
    /// Those that wait for their SUBACK, by packet id.
    asked: BTreeMap<u16, Filter>,
    refused: Vec<String>,
    ask_again_at: Option<Instant>,
}

/// To be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// As MQTT has it.
    pub(super) text: String,
    /// Without it the connection is of no use.
    is_needed: bool,
}

/// What a SUBACK brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Others are still to come, or nobody has asked.
    Pending,
    /// It was the last.
    Settled,
    /// This filter is refused, and the connection is of no use without it.
    Useless(String),
}

impl Subscriptions {
    pub(super) fn of(setup: &LinkSetup) -> Self {
        let needed = setup.subscriptions.iter().map(|text| (text, true));
        let all = needed.chain(setup.wishes.iter().map(|text| (text, false)));
        let to_ask = all.map(|(text, is_needed)| Filter { text: text.clone(), is_needed }).collect();
        Self { to_ask, asked: BTreeMap::new(), refused: Vec::new(), ask_again_at: None }
    }

    /// The next to be asked for.
    pub(super) fn next(&mut self) -> Option<Filter> {
        self.to_ask.pop_front()
    }

    /// It was asked for, under this packet id.
    pub(super) fn asked(&mut self, id: u16, filter: Filter) {
        self.asked.insert(id, filter);
    }

    /// The broker's answer to that.
    pub(super) fn answered(&mut self, id: u16, is_granted: bool, now: Instant) -> Answer {
        let Some(filter) = self.asked.remove(&id) else { return Answer::Pending };
        if !is_granted {
            if filter.is_needed {
                return Answer::Useless(filter.text);
            }
            self.refused.push(filter.text);
            self.ask_again_at = Some(now + ASK_AGAIN_AFTER);
        }
        if self.is_settled() { Answer::Settled } else { Answer::Pending }
    }

    /// When what was refused is to be asked for again.
    pub(super) fn ask_again_at(&self) -> Option<Instant> {
        self.ask_again_at
    }

    /// It is that time: [`Self::next`] gives them again.
    pub(super) fn ask_again(&mut self) {
        self.ask_again_at = None;
        let again = std::mem::take(&mut self.refused).into_iter();
        self.to_ask.extend(again.map(|text| Filter { text, is_needed: false }));
    }

    /// A SUBACK is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Nothing is to be asked or answered.
    pub(super) fn is_settled(&self) -> bool {
        self.to_ask.is_empty() && self.asked.is_empty()
    }

    /// Wishes that are not granted.
    pub(super) fn refused(&self) -> &[String] {
        &self.refused
    }
}

/// Who mends a broker's rules need not restart the node.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::driver::now;
    use super::*;

    /// Asks for all there is, under ids from `first` on.
    fn ask_all(subscriptions: &mut Subscriptions, first: u16) -> Vec<String> {
        (first..)
            .map_while(|id| {
                let filter = subscriptions.next()?;
                subscriptions.asked(id, filter.clone());
                Some(filter.text)
            })
            .collect()
    }

    #[test]
    fn a_refused_wish_is_asked_for_again_until_it_is_granted() {
        let setup =
            LinkSetup { subscriptions: vec!["needed".into()], wishes: vec!["wish".into()], ..LinkSetup::default() };
        let mut all = Subscriptions::of(&setup);
        let start = now();
        assert_eq!(ask_all(&mut all, 1), ["needed", "wish"]);
        assert_eq!(all.answered(2, false, start), Answer::Pending);
        assert_eq!(all.answered(1, true, start), Answer::Settled);
        assert_eq!(all.refused(), ["wish"]);
        assert_eq!(all.ask_again_at(), Some(start + ASK_AGAIN_AFTER));

        all.ask_again();
        assert!(!all.is_settled());
        assert_eq!(ask_all(&mut all, 3), ["wish"]);
        assert_eq!(all.answered(1, true, start), Answer::Pending, "nobody has asked");
        assert_eq!(all.answered(3, true, start), Answer::Settled);
        assert_eq!((all.refused(), all.ask_again_at()), (&[][..], None));
    }

    #[test]
    fn a_connection_without_what_it_needs_is_of_no_use() {
        let mut all = Subscriptions::of(&LinkSetup { subscriptions: vec!["needed".into()], ..LinkSetup::default() });
        ask_all(&mut all, 7);
        assert_eq!(all.answered(7, false, now()), Answer::Useless("needed".to_owned()));
    }
}
