//! Sessions that are over: the last word still on its way, and what to answer to messages that come late.
//!
//! A broker may repeat a message for an hour. A tombstone keeps a late `join` from opening its session a second time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Body, CallResponse, Cancel, CancelReason, Delivery, Empty, Failure, Leave, LeaveReason, Message, PeerId, Rejection,
    SessionId, SessionKey,
};

/// How long an ended session is remembered: AWS IoT Core repeats messages of QoS 1 for so long.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// Tombstones of one peer, and of all: enough for a peer that joins every two minutes.
const MAX_PER_PEER: usize = 32;
const MAX_TOMBSTONES: usize = 1_024;
/// Last words on their way: all viewers there can be at a shutdown, and some more.
const MAX_PARTING: usize = 320;

/// Sessions that are over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    tombstones: BTreeMap<SessionKey, Tombstone>,
    parting: BTreeMap<SessionKey, Delivery>,
    /// When to look for tombstones that have served their time.
    next_look: Duration,
}

#[derive(Debug)]
struct Tombstone {
    ended: Duration,
    last_word: LastWord,
}

#[derive(Debug, Clone)]
enum LastWord {
    /// We ended it, by this message.
    Ours { seq: u32, re: Option<u32>, body: Body },
    /// We refused it.
    Refused { re: Option<u32>, failure: Failure },
    /// The other side ended it.
    Theirs,
}

impl Ended {
    /// Leaves a session: says why until that is acknowledged.
    pub(super) fn leave(&mut self, key: SessionKey, delivery: Delivery, reason: LeaveReason, now: Duration) {
        self.say(key, delivery, Body::Leave(Leave { reason }), None, now);
    }

    /// Gives up a call of ours: says why until that is acknowledged.
    pub(super) fn cancel(&mut self, key: SessionKey, delivery: Delivery, reason: CancelReason, now: Duration) {
        self.say(key, delivery, Body::Cancel(Cancel { reason }), None, now);
    }

    /// Rejects a call that has been heard: says why until that is acknowledged.
    pub(super) fn reject(&mut self, key: SessionKey, delivery: Delivery, rejection: Rejection, now: Duration) {
        self.say(key, delivery, Body::CallResponse(CallResponse::Rejected(rejection)), Some(0), now);
    }

    /// Rejects a call at once: its caller repeats it until it has heard, so that the answer need not be repeated.
    pub(super) fn reject_at_once(&mut self, key: SessionKey, rejection: Rejection, now: Duration) {
        let body = Body::CallResponse(CallResponse::Rejected(rejection));
        self.bury(key, LastWord::Ours { seq: 0, re: Some(0), body }, now);
    }

    fn say(&mut self, key: SessionKey, mut delivery: Delivery, body: Body, re: Option<u32>, now: Duration) {
        let seq = delivery.send_last(body.clone(), re, now);
        self.bury(key.clone(), LastWord::Ours { seq, re, body }, now);
        if self.parting.len() >= MAX_PARTING {
            self.parting.pop_first();
        }
        self.parting.insert(key, delivery);
    }

    /// The other side is gone and need not be told; if it is not, a late message gets `leave` with this reason.
    pub(super) fn gone(&mut self, key: SessionKey, mut delivery: Delivery, reason: LeaveReason, now: Duration) {
        let body = Body::Leave(Leave { reason });
        let seq = delivery.send_last(body.clone(), None, now);
        self.bury(key, LastWord::Ours { seq, re: None, body }, now);
    }

    /// A `join` was refused; a repeated one gets the same answer.
    pub(super) fn refused(&mut self, key: SessionKey, re: Option<u32>, failure: Failure, now: Duration) {
        self.bury(key, LastWord::Refused { re, failure }, now);
    }

    /// The other side ended it.
    pub(super) fn they_left(&mut self, key: SessionKey, now: Duration) {
        self.bury(key, LastWord::Theirs, now);
    }

    /// Whether this session is over.
    pub(super) fn contains(&self, key: &SessionKey, now: Duration) -> bool {
        self.tombstones.get(key).is_some_and(|tombstone| now < tombstone.ended + REMEMBERED)
    }

    /// What to answer to a message of a session that is over.
    pub(super) fn answer(&mut self, key: &SessionKey, message: &Message, now: Duration) -> Option<Message> {
        if let (Some(ack), Some(delivery)) = (message.ack, self.parting.get_mut(key)) {
            let ack = Message { seq: None, re: None, ack: Some(ack), body: Body::Ack(Empty {}), ..message.clone() };
            // An acknowledgement alone is never out of order.
            let _nothing_to_act_on = delivery.receive(ack, 0, now);
            if delivery.is_settled() {
                self.parting.remove(key);
            }
        }
        let seq = message.seq?;
        let tombstone = self.tombstones.get(key)?;
        let answer = |seq, re, body| Message { session: Some(key.session.clone()), seq, ack: message.seq, re, body };
        Some(match tombstone.last_word.clone() {
            // Whoever says goodbye needs no more than to be heard.
            _ if message.body.is_final() => answer(None, None, Body::Ack(Empty {})),
            LastWord::Ours { seq, re, body } => answer(Some(seq), re, body),
            LastWord::Refused { re, failure } => answer(None, re.or(Some(seq)), Body::Error(failure)),
            LastWord::Theirs => answer(None, None, Body::Ack(Empty {})),
        })
    }

    /// The next last word to publish.
    pub(super) fn poll_transmit(&mut self, now: Duration) -> Option<(PeerId, Message)> {
        self.parting.retain(|_, delivery| !delivery.has_failed(now));
        self.forget_old(now);
        self.parting
            .iter_mut()
            .find_map(|(key, delivery)| delivery.poll_transmit(now).map(|message| (key.peer.clone(), message)))
    }

    /// When [`Ended::poll_transmit`] may have something new.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.parting.values().filter_map(Delivery::poll_timeout).min()
    }

    /// Whether all last words are acknowledged, or given up.
    pub(super) fn is_settled(&self) -> bool {
        self.parting.is_empty()
    }

    /// Follows our own connection to the broker.
    pub(super) fn set_link(&mut self, up: bool, now: Duration) {
        self.parting.values_mut().for_each(|delivery| delivery.set_link(up, now));
    }

    /// What is kept, for tests: tombstones, and last words on their way.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> [usize; 2] {
        [self.tombstones.len(), self.parting.len()]
    }

    /// Frees tombstones that have served their time. There is no timer for it: their number is bounded anyway.
    fn forget_old(&mut self, now: Duration) {
        if now >= self.next_look {
            self.tombstones.retain(|_, tombstone| now < tombstone.ended + REMEMBERED);
            self.next_look = now + REMEMBERED / 60;
        }
    }

    fn bury(&mut self, key: SessionKey, last_word: LastWord, now: Duration) {
        let first = SessionKey { peer: key.peer.clone(), session: SessionId::from_random(0) };
        let last = SessionKey { peer: key.peer.clone(), session: SessionId::from_random(u128::MAX) };
        let of_peer = || self.tombstones.range(first.clone()..=last.clone());
        let age = |entry: &(&SessionKey, &Tombstone)| entry.1.ended;
        let oldest = if of_peer().count() >= MAX_PER_PEER {
            of_peer().min_by_key(age)
        } else if self.tombstones.len() >= MAX_TOMBSTONES {
            self.tombstones.iter().min_by_key(age)
        } else {
            None
        };
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            self.tombstones.remove(&oldest);
        }
        self.tombstones.insert(key, Tombstone { ended: now, last_word });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(peer: u32, session: u128) -> SessionKey {
        let peer = format!("p{peer}").parse().expect("a peer id");
        SessionKey { peer, session: SessionId::from_random(session) }
    }

    #[test]
    fn tombstones_are_bounded_for_each_peer_and_in_total_and_end_after_an_hour() {
        let mut ended = Ended::default();
        for n in 0..100 {
            ended.they_left(key(0, n), Duration::from_millis(n as u64));
        }
        assert_eq!(ended.tombstones.len(), MAX_PER_PEER);
        let now = Duration::from_secs(1);
        assert!(ended.contains(&key(0, 99), now) && !ended.contains(&key(0, 0), now));
        for n in 0..5_000 {
            ended.they_left(key(n, 0), now);
        }
        assert_eq!(ended.tombstones.len(), MAX_TOMBSTONES);
        assert!(!ended.contains(&key(4_999, 0), now + REMEMBERED));
        assert_eq!(ended.poll_transmit(now + REMEMBERED), None);
        assert!(ended.tombstones.is_empty());
    }
}
