//! Two ends of a session's message stream over a broker that loses, repeats, delays and reorders.

use std::time::Duration;

use bytes::Bytes;

use super::Script;
use crate::session::{
    Body, Candidate, Delivery, ErrorCode, Failure, Ice, MAX_MESSAGE_BYTES, Message, SessionId, WINDOW_MESSAGES,
};

/// What one end says arrives at the other in its order, once, whatever the broker does; an end that keeps to the window never
/// overflows the other's; and once the broker behaves everything arrives.
pub fn delivery(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut ends = [End::new(), End::new()];
    let mut now = Duration::ZERO;
    while !script.is_over() {
        let from = script.below(2);
        match script.below(8) {
            0 | 1 => ends[from].say(script.byte(), script.flag(), now),
            2 => ends[from].sent.clear(),
            3 | 4 => {
                let which = script.below(WINDOW_MESSAGES);
                let again = script.flag();
                pass(&mut ends, from, which, again, now);
            }
            5 => ends[from].delivery.set_link(script.flag(), now),
            6 => ends[from].delivery.send_error(Failure::new(ErrorCode::Unsupported), Some(script.number())),
            _ => now += script.time(),
        }
        for end in &mut ends {
            end.transmit(now);
        }
    }
    // From here on the broker carries everything.
    for end in &mut ends {
        end.delivery.set_persistent(true, now);
        end.delivery.set_link(true, now);
    }
    for _round in 0..1_000 {
        for from in [0, 1] {
            ends[from].transmit(now);
            while !ends[from].sent.is_empty() {
                pass(&mut ends, from, 0, false, now);
            }
        }
        let Some(due) = ends.iter().filter_map(|end| end.delivery.poll_timeout()).min() else { break };
        now = now.max(due);
    }
    let [one, other] = ends;
    assert!(one.delivery.is_settled() && other.delivery.is_settled(), "something never arrived");
    assert_eq!((one.said, other.said), (other.heard, one.heard));
}

struct End {
    delivery: Delivery,
    /// How many messages it has said, and how many it has heard.
    said: u32,
    heard: u32,
    /// On their way.
    sent: Vec<Bytes>,
}

impl End {
    fn new() -> Self {
        let delivery = Delivery::new(SessionId::from_random(1), true);
        Self { delivery, said: 0, heard: 0, sent: Vec::new() }
    }

    /// Mostly a few bytes; two of the largest fill the window.
    fn say(&mut self, length: u8, answers: bool, now: Duration) {
        let length = if length < 240 { usize::from(length) } else { usize::from(length) * 130 };
        let username_fragment = Some(self.said.to_string());
        let candidate = Candidate {
            candidate: "x".repeat(length % 1_000),
            sdp_mid: None,
            sdp_m_line_index: None,
            username_fragment,
        };
        let ice = Ice { candidates: vec![candidate; 1 + length / 1_000], complete: false };
        let re = answers.then_some(self.said);
        if let Ok(seq) = self.delivery.send(Body::Ice(ice), re, now) {
            assert_eq!(seq, self.said);
            self.said += 1;
        }
    }

    fn transmit(&mut self, now: Duration) {
        // Each message once, each stored error once, and one acknowledgement.
        for _ in 0..1_000 {
            let Some(message) = self.delivery.poll_transmit(now) else { return };
            let payload = message.to_bytes();
            assert!(payload.len() <= MAX_MESSAGE_BYTES);
            self.sent.push(payload);
        }
        panic!("it never stops sending");
    }

    fn hear(&mut self, payload: &[u8], now: Duration) {
        let message = Message::read(payload).expect("what is sent can be read");
        let heard = self.delivery.receive(message, payload.len(), now).expect("the other end keeps to the window");
        for message in heard {
            let Body::Ice(ice) = message.body else { continue };
            assert_eq!(message.seq, Some(self.heard));
            assert_eq!(ice.candidates[0].username_fragment, Some(self.heard.to_string()));
            self.heard += 1;
        }
    }
}

/// The `which`-th of the messages on their way arrives, and does so again later if `again`.
fn pass(ends: &mut [End; 2], from: usize, which: usize, again: bool, now: Duration) {
    let sent = &mut ends[from].sent;
    if sent.is_empty() {
        return;
    }
    let at = which % sent.len();
    let payload = if again { sent[at].clone() } else { sent.remove(at) };
    ends[1 - from].hear(&payload, now);
}
