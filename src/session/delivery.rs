//! Ordered delivery of one session's messages in both directions, over a broker that may lose, repeat, delay and
//! reorder them.
//!
//! Each side numbers what it says. What comes early waits in a window, what is not acknowledged is sent again, what
//! comes twice is acknowledged twice. Last words (`leave`, `cancel`, a rejection) do not wait for what is missing before them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Body, Empty, Failure, MAX_MESSAGE_BYTES, Message, SessionId};

/// Messages on their way, or waiting out of order, at most.
pub const WINDOW_MESSAGES: usize = 32;
/// Bytes on their way, or waiting out of order, at most; one message alone may always go.
pub const WINDOW_BYTES: usize = 64 * 1024;
/// How long an acknowledgement waits for a message to ride on.
pub const ACK_DELAY: Duration = Duration::from_millis(100);
/// Waits after the first, second … sending of a message; after the sixth sending comes one more wait of 4 s.
pub const RESEND_WAITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(4_000),
    Duration::from_millis(4_000),
];

/// Sendings of one message before the session has failed.
const MAX_SENDS: u32 = RESEND_WAITS.len() as u32 + 1;
/// Messages that wait for room in the window: far more than a session ever says at once.
const MAX_QUEUED: usize = 64;
/// Error replies kept for repeated requests.
const MAX_STORED_ERRORS: usize = 8;
/// A repeated request makes its reply go out again at once, but not more often than this.
const REPLY_AGAIN: Duration = Duration::from_millis(200);

/// More is on its way, or out of order, than the window holds: the session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than the window of {WINDOW_MESSAGES} messages or {WINDOW_BYTES} bytes")]
pub struct Overflow;

/// One side's end of a session's message stream.
#[derive(Debug)]
pub struct Delivery {
    session: SessionId,
    link_up: bool,
    persistent: bool,
    next_seq: u32,
    unacked: VecDeque<Sent>,
    queued: VecDeque<Sent>,
    expected: u32,
    /// Waiting for what comes before it; `None` marks a place whose message could not be read.
    early: BTreeMap<u32, (usize, Option<Message>)>,
    ack_due: Option<Duration>,
    errors: VecDeque<(Option<u32>, Failure)>,
    stored_errors: VecDeque<(u32, Failure)>,
}

#[derive(Debug)]
struct Sent {
    seq: u32,
    re: Option<u32>,
    body: Body,
    bytes: usize,
    sends: u32,
    last: Duration,
    due: Duration,
}

impl Delivery {
    /// A stream with nothing said yet.
    pub fn new(session: SessionId, link_up: bool) -> Self {
        Self {
            session,
            link_up,
            persistent: false,
            next_seq: 0,
            unacked: VecDeque::new(),
            queued: VecDeque::new(),
            expected: 0,
            early: BTreeMap::new(),
            ack_due: None,
            errors: VecDeque::new(),
            stored_errors: VecDeque::new(),
        }
    }

    /// Says `body`, as the answer to the other side's message `re` if any; gives its `seq`.
    ///
    /// # Errors
    /// [`Overflow`] when the other side has acknowledged nothing for so long that even the queue is full, or when the
    /// message is longer than anyone would read.
    pub fn send(&mut self, body: Body, re: Option<u32>, now: Duration) -> Result<u32, Overflow> {
        if self.queued.len() >= MAX_QUEUED {
            return Err(Overflow);
        }
        let seq = self.next_seq;
        let mut sent = Sent { seq, re, body, bytes: 0, sends: 0, last: now, due: now };
        // The acknowledgement it will carry may have more digits than now.
        sent.bytes = self.message(&sent).to_bytes().len() + 20;
        if sent.bytes > MAX_MESSAGE_BYTES {
            return Err(Overflow);
        }
        self.next_seq += 1;
        self.queued.push_back(sent);
        self.fill_window(now);
        Ok(seq)
    }

    /// Says `body` as the last word, as the answer to `re` if any: what is still unacknowledged is given up, the other side
    /// does not wait for it.
    pub fn send_last(&mut self, body: Body, re: Option<u32>, now: Duration) -> u32 {
        self.unacked.clear();
        self.queued.clear();
        self.persistent = false;
        self.send(body, re, now).expect("the queue has just been emptied")
    }

    /// Says that something failed. Errors are not numbered; one with `re` is said again when its request is.
    pub fn send_error(&mut self, failure: Failure, re: Option<u32>) {
        if let Some(re) = re {
            if self.stored_errors.len() >= MAX_STORED_ERRORS {
                self.stored_errors.pop_front();
            }
            self.stored_errors.push_back((re, failure.clone()));
        }
        self.errors.push_back((re, failure));
    }

    /// Takes a message in and gives what can now be acted on, in order. `ack` alone gives nothing.
    ///
    /// # Errors
    /// [`Overflow`] when it is too far ahead.
    pub fn receive(&mut self, message: Message, bytes: usize, now: Duration) -> Result<Vec<Message>, Overflow> {
        if let Some(ack) = message.ack {
            self.acknowledged(ack, now);
        }
        let Some(seq) = message.seq else {
            return Ok(if matches!(message.body, Body::Ack(_)) { Vec::new() } else { vec![message] });
        };
        if seq >= self.expected && message.body.is_final() {
            self.expected = seq.saturating_add(1);
            self.early.clear();
            self.ack_due = Some(now);
            return Ok(vec![message]);
        }
        self.place(seq, Some(message), bytes, now)
    }

    /// Takes the place of a message that could not be read, so that those after it need not wait for it.
    ///
    /// # Errors
    /// [`Overflow`] when it is too far ahead.
    pub fn skip(&mut self, seq: u32, now: Duration) -> Result<Vec<Message>, Overflow> {
        self.place(seq, None, 0, now)
    }

    /// The next message to publish; `None` when there is nothing more for now.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Message> {
        if !self.link_up {
            return None;
        }
        if let Some((re, failure)) = self.errors.pop_front() {
            return Some(self.unnumbered(Body::Error(failure), re));
        }
        let persistent = self.persistent;
        let ready = |sent: &Sent| sent.due <= now && (persistent || sent.sends < MAX_SENDS);
        if let Some(index) = self.unacked.iter().position(ready) {
            let sent = &mut self.unacked[index];
            let wait = RESEND_WAITS.get(sent.sends as usize).copied().unwrap_or(RESEND_WAITS[4]);
            sent.sends = (sent.sends + 1).min(MAX_SENDS);
            sent.last = now;
            sent.due = now + wait;
            self.ack_due = None;
            return Some(self.message(&self.unacked[index]));
        }
        if self.ack_due.is_some_and(|due| due <= now) {
            return Some(self.unnumbered(Body::Ack(Empty {}), None));
        }
        None
    }

    /// When [`Delivery::poll_transmit`] or [`Delivery::has_failed`] may have something new to say.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.link_up {
            return None;
        }
        let errors = (!self.errors.is_empty()).then_some(Duration::ZERO);
        self.unacked.iter().map(|sent| sent.due).chain(self.ack_due).chain(errors).min()
    }

    /// Whether the other side has heard our message `seq`.
    pub fn is_acknowledged(&self, seq: u32) -> bool {
        !self.unacked.iter().chain(&self.queued).any(|sent| sent.seq == seq)
    }

    /// Whether our own connection to the broker is there.
    pub fn is_link_up(&self) -> bool {
        self.link_up
    }

    /// Whether a message stayed unacknowledged through all its repetitions.
    pub fn has_failed(&self, now: Duration) -> bool {
        let gone = |sent: &Sent| sent.sends >= MAX_SENDS && sent.due <= now;
        self.link_up && !self.persistent && self.unacked.iter().any(gone)
    }

    /// Whether everything said has been acknowledged.
    pub fn is_settled(&self) -> bool {
        self.unacked.is_empty() && self.queued.is_empty()
    }

    /// While media flows, an unacknowledged message is repeated on and on instead of failing the session: the other
    /// side's broker may be away, and DTLS will tell if the peer itself is.
    pub fn set_persistent(&mut self, persistent: bool, now: Duration) {
        if self.persistent && !persistent {
            // What has been repeated for long gets one more round before it counts as lost.
            self.begin_again(now);
        }
        self.persistent = persistent;
    }

    /// Follows our own connection to the broker: nothing is sent and no time counts while it is down; when it is back,
    /// all that is unacknowledged goes out anew.
    pub fn set_link(&mut self, up: bool, now: Duration) {
        if up && !self.link_up {
            self.begin_again(now);
        }
        self.link_up = up;
    }

    /// What is kept, for tests: messages early, on their way or queued, and errors.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> [usize; 4] {
        [self.early.len(), self.unacked.len(), self.queued.len(), self.errors.len() + self.stored_errors.len()]
    }

    fn begin_again(&mut self, now: Duration) {
        for sent in &mut self.unacked {
            sent.sends = 0;
            sent.due = now;
        }
    }

    fn acknowledged(&mut self, ack: u32, now: Duration) {
        if ack >= self.next_seq {
            // It claims what we never said.
            return;
        }
        while self.unacked.front().is_some_and(|sent| sent.seq <= ack) {
            self.unacked.pop_front();
        }
        self.fill_window(now);
    }

    fn fill_window(&mut self, now: Duration) {
        while let Some(next) = self.queued.front() {
            let bytes: usize = self.unacked.iter().map(|sent| sent.bytes).sum();
            let fits = self.unacked.len() < WINDOW_MESSAGES && bytes + next.bytes <= WINDOW_BYTES;
            if !fits && !self.unacked.is_empty() {
                break;
            }
            if let Some(mut sent) = self.queued.pop_front() {
                sent.due = now;
                self.unacked.push_back(sent);
            }
        }
    }

    fn place(
        &mut self,
        seq: u32,
        message: Option<Message>,
        bytes: usize,
        now: Duration,
    ) -> Result<Vec<Message>, Overflow> {
        if seq < self.expected {
            self.repeated(seq, now);
            return Ok(Vec::new());
        }
        if (seq - self.expected) as usize >= WINDOW_MESSAGES {
            return Err(Overflow);
        }
        let waiting: usize = self.early.values().map(|(bytes, _)| bytes).sum();
        if seq > self.expected && !self.early.contains_key(&seq) && waiting + bytes > WINDOW_BYTES {
            return Err(Overflow);
        }
        self.early.entry(seq).or_insert((bytes, message));
        let mut ready = Vec::new();
        while let Some((_, message)) = self.early.remove(&self.expected) {
            self.expected = self.expected.saturating_add(1);
            ready.extend(message);
            self.ack_due = Some(self.ack_due.unwrap_or(now + ACK_DELAY));
        }
        Ok(ready)
    }

    /// The other side has not heard our acknowledgement, and maybe not our reply either.
    fn repeated(&mut self, seq: u32, now: Duration) {
        self.ack_due = Some(now);
        for sent in &mut self.unacked {
            if sent.re == Some(seq) && (1..MAX_SENDS).contains(&sent.sends) && sent.last + REPLY_AGAIN <= now {
                sent.due = now;
            }
        }
        let stored = self.stored_errors.iter().find(|(re, _)| *re == seq).map(|(_, failure)| failure.clone());
        if let Some(failure) = stored
            && self.errors.is_empty()
        {
            self.errors.push_back((Some(seq), failure));
        }
    }

    fn message(&self, sent: &Sent) -> Message {
        Message {
            session: Some(self.session.clone()),
            seq: Some(sent.seq),
            ack: self.expected.checked_sub(1),
            re: sent.re,
            body: sent.body.clone(),
        }
    }

    fn unnumbered(&mut self, body: Body, re: Option<u32>) -> Message {
        self.ack_due = None;
        Message { session: Some(self.session.clone()), seq: None, ack: self.expected.checked_sub(1), re, body }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ice, Leave, LeaveReason};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stream() -> Delivery {
        Delivery::new(SessionId::from_random(1), true)
    }

    fn ice() -> Body {
        Body::Ice(Ice { candidates: Vec::new(), complete: true })
    }

    fn said(seq: u32) -> Message {
        Message { session: Some(SessionId::from_random(1)), seq: Some(seq), ack: None, re: None, body: ice() }
    }

    fn seqs(messages: Vec<Message>) -> Vec<u32> {
        messages.into_iter().filter_map(|message| message.seq).collect()
    }

    #[test]
    fn a_message_is_sent_again_after_half_a_second_one_two_four_and_four_and_then_has_failed() {
        let mut stream = stream();
        stream.send(ice(), None, Duration::ZERO).expect("room");
        let mut sent_at = Vec::new();
        while let Some(now) = stream.poll_timeout() {
            if stream.has_failed(now) {
                assert_eq!(now.as_millis(), 15_500);
                break;
            }
            while stream.poll_transmit(now).is_some() {
                sent_at.push(now.as_millis());
            }
        }
        assert_eq!(sent_at, [0, 500, 1_500, 3_500, 7_500, 11_500]);
    }

    #[test]
    fn while_media_flows_a_message_is_repeated_on_and_on() {
        let mut stream = stream();
        stream.set_persistent(true, Duration::ZERO);
        stream.send(ice(), None, Duration::ZERO).expect("room");
        let mut sent = 0;
        while let Some(now) = stream.poll_timeout().filter(|now| now.as_secs() < 60) {
            assert!(!stream.has_failed(now));
            sent += u32::from(stream.poll_transmit(now).is_some());
        }
        assert_eq!(sent, 18);
    }

    #[test]
    fn early_messages_wait_and_a_repeated_one_is_acknowledged_again_at_once() {
        let mut stream = stream();
        assert!(seqs(stream.receive(said(2), 10, MS).expect("in the window")).is_empty());
        assert!(seqs(stream.receive(said(1), 10, MS).expect("in the window")).is_empty());
        assert_eq!(stream.poll_timeout(), None, "nothing in order, nothing to acknowledge");
        assert_eq!(seqs(stream.receive(said(0), 10, MS).expect("in the window")), [0, 1, 2]);
        assert_eq!(stream.poll_transmit(100 * MS), None);
        let ack = stream.poll_transmit(101 * MS).expect("the delayed acknowledgement");
        assert_eq!((ack.ack, ack.seq), (Some(2), None));
        assert!(seqs(stream.receive(said(1), 10, 200 * MS).expect("a repeated one")).is_empty());
        assert_eq!(stream.poll_transmit(200 * MS).and_then(|message| message.ack), Some(2));
        assert_eq!(stream.poll_transmit(200 * MS), None);
    }

    #[test]
    fn an_acknowledgement_rides_on_a_message_and_stops_its_repetition() {
        let mut stream = stream();
        stream.receive(said(0), 10, MS).expect("in the window");
        stream.send(ice(), Some(0), 2 * MS).expect("room");
        let reply = stream.poll_transmit(2 * MS).expect("the reply");
        assert_eq!((reply.seq, reply.ack, reply.re), (Some(0), Some(0), Some(0)));
        assert_eq!(stream.poll_timeout(), Some(502 * MS));
        let too_much = Message { ack: Some(7), ..said(1) };
        stream.receive(too_much, 10, 3 * MS).expect("in the window");
        assert!(!stream.is_settled(), "an acknowledgement of what was never said counts for nothing");
        stream.receive(Message { ack: Some(0), ..said(2) }, 10, 4 * MS).expect("in the window");
        assert!(stream.is_settled());
    }

    #[test]
    fn a_repeated_request_gets_its_reply_again_be_it_a_message_or_an_error() {
        let mut stream = stream();
        stream.receive(said(0), 10, MS).expect("in the window");
        stream.send(ice(), Some(0), MS).expect("room");
        assert!(stream.poll_transmit(MS).is_some());
        stream.receive(said(0), 10, 300 * MS).expect("a repeated one");
        assert_eq!(stream.poll_transmit(300 * MS).and_then(|message| message.re), Some(0));
        stream.receive(said(1), 10, 301 * MS).expect("in the window");
        stream.send_error(Failure::new(super::super::ErrorCode::Unsupported), Some(1));
        let error = stream.poll_transmit(301 * MS).expect("the error");
        stream.receive(said(1), 10, 400 * MS).expect("a repeated one");
        assert_eq!(stream.poll_transmit(400 * MS), Some(error));
        assert_eq!(stream.poll_transmit(400 * MS), None);
    }

    #[test]
    fn what_is_beyond_the_window_is_an_overflow() {
        let mut stream = stream();
        assert!(stream.receive(said(31), 10, MS).is_ok());
        assert_eq!(stream.receive(said(32), 10, MS), Err(Overflow));
        assert_eq!(stream.receive(said(u32::MAX), 10, MS), Err(Overflow));
        let mut stream = self::stream();
        assert!(stream.receive(said(1), 40_000, MS).is_ok());
        assert_eq!(stream.receive(said(2), 40_000, MS), Err(Overflow));
        assert!(stream.receive(said(0), 60_000, MS).is_ok(), "the one that was missing always has room");
    }

    #[test]
    fn no_more_than_the_window_is_on_its_way_and_the_rest_follows_acknowledgements() {
        let mut stream = stream();
        for _ in 0..40 {
            stream.send(ice(), None, MS).expect("room in the queue");
        }
        let sent = std::iter::from_fn(|| stream.poll_transmit(MS)).count();
        assert_eq!(sent, WINDOW_MESSAGES);
        stream.receive(Message { ack: Some(3), ..said(0) }, 10, 2 * MS).expect("in the window");
        assert_eq!(std::iter::from_fn(|| stream.poll_transmit(2 * MS)).count(), 4);
        while stream.send(ice(), None, 2 * MS).is_ok() {}
        assert_eq!(stream.queued.len(), MAX_QUEUED);
    }

    #[test]
    fn a_leave_waits_for_nothing_before_it() {
        let leave = Body::Leave(Leave { reason: LeaveReason::Closed });
        let mut stream = stream();
        stream.send(ice(), None, MS).expect("room");
        assert_eq!(stream.send_last(leave.clone(), None, MS), 1);
        assert_eq!(stream.poll_transmit(MS).and_then(|message| message.seq), Some(1));
        assert_eq!(stream.poll_transmit(MS), None);
        let got = stream.receive(Message { body: leave, ..said(5) }, 10, MS).expect("always in the window");
        assert_eq!(seqs(got), [5]);
        assert_eq!(stream.poll_transmit(MS).and_then(|message| message.ack), Some(5));
    }

    #[test]
    fn while_the_broker_is_away_no_time_counts_and_then_all_goes_out_anew() {
        let mut stream = stream();
        stream.send(ice(), None, MS).expect("room");
        assert!(stream.poll_transmit(MS).is_some());
        stream.set_link(false, 2 * MS);
        assert_eq!(stream.poll_timeout(), None);
        assert!(!stream.has_failed(Duration::from_secs(100)));
        stream.set_link(true, Duration::from_secs(100));
        assert!(stream.poll_transmit(Duration::from_secs(100)).is_some());
        assert_eq!(stream.poll_timeout(), Some(Duration::from_millis(100_500)));
    }
}
