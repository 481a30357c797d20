//! What TURN servers refuse to whoever has said its name. Pure.
//!
//! The crate tells nobody why there is no relay. The first refusal of a request is none: it brings what the name and
//! password are to be proven with (RFC 8489 §9.2), and so does a nonce that is too old.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// RFC 8656 §18.
const ALLOCATE: [u8; 2] = [0x00, 0x03];
const ALLOCATE_SUCCESS: [u8; 2] = [0x01, 0x03];
const ALLOCATE_ERROR: [u8; 2] = [0x01, 0x13];
/// RFC 8489 §18.3.
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const STALE_NONCE: u16 = 438;
const HEADER_BYTES: usize = 20;
/// A connection asks each server once a local address, and a few times more when nothing comes back.
const MAX_ASKED: usize = 64;

/// Requests for relays that carried a user name, until they are answered.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<VecDeque<([u8; 12], SocketAddr)>>);

/// What a server has answered to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is a relay.
    Granted,
    /// There is none: code and words.
    Refused(u16, String),
}

impl Refusals {
    /// This goes to a server, or to somebody else.
    pub(super) fn asks(&self, datagram: &[u8], server: SocketAddr) {
        if !datagram.starts_with(&ALLOCATE) || attribute(datagram, USERNAME).is_none() {
            return;
        }
        let Some(transaction) = transaction(datagram) else { return };
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.iter().any(|(known, _)| *known == transaction) {
            return;
        }
        if asked.len() >= MAX_ASKED {
            asked.pop_front();
        }
        asked.push_back((transaction, server));
    }

    /// This came in: whether it is a server's answer, and which server it is.
    pub(super) fn answered(&self, datagram: &[u8]) -> Option<(SocketAddr, Answer)> {
        let answer = if datagram.starts_with(&ALLOCATE_SUCCESS) {
            Answer::Granted
        } else if datagram.starts_with(&ALLOCATE_ERROR) {
            let (code, words) = error(attribute(datagram, ERROR_CODE)?)?;
            Answer::Refused(code, words)
        } else {
            return None;
        };
        let transaction = transaction(datagram)?;
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = asked.iter().position(|(known, _)| *known == transaction)?;
        let (_, server) = asked.remove(number)?;
        (!matches!(answer, Answer::Refused(STALE_NONCE, _))).then_some((server, answer))
    }
}

fn transaction(message: &[u8]) -> Option<[u8; 12]> {
    message.get(8..HEADER_BYTES)?.try_into().ok()
}

/// The first attribute of this type (RFC 8489 §14).
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(message.get(2..4)?.try_into().ok()?));
    let mut rest = message.get(HEADER_BYTES..HEADER_BYTES + length)?;
    while let Some(([high, low, length @ ..], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let value = after.get(..length)?;
        if u16::from_be_bytes([*high, *low]) == wanted {
            return Some(value);
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Code and reason phrase (RFC 8489 §14.8), of which no more is kept than a line of a log has room for.
fn error(value: &[u8]) -> Option<(u16, String)> {
    let (head, words) = value.split_first_chunk::<4>()?;
    let code = u16::from(head[2] & 7) * 100 + u16::from(head[3]);
    let words = String::from_utf8_lossy(words);
    let words = words.chars().filter(|c| !c.is_control()).take(80).collect();
    Some((code, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: [u8; 2], transaction: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&kind[..], &length, &[0x21, 0x12, 0xa4, 0x42], &[transaction; 12], &body].concat()
    }

    fn refusal(transaction: u8, code: u16, words: &str) -> Vec<u8> {
        let class = u8::try_from(code / 100).expect("a class");
        let value = [&[0, 0, class, u8::try_from(code % 100).expect("a number")], words.as_bytes()].concat();
        message(ALLOCATE_ERROR, transaction, &[(0x8022, b"coturn"), (ERROR_CODE, &value)])
    }

    fn server() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], 3478))
    }

    #[test]
    fn the_first_refusal_is_none_and_the_second_is_one() {
        let refusals = Refusals::default();
        refusals.asks(&message(ALLOCATE, 1, &[(0x0019, &[17, 0, 0, 0])]), server());
        assert_eq!(refusals.answered(&refusal(1, 401, "Unauthorized")), None, "nobody had said a name");
        let asked = message(ALLOCATE, 2, &[(0x0019, &[17, 0, 0, 0]), (USERNAME, b"ann")]);
        refusals.asks(&asked, server());
        refusals.asks(&asked, server());
        let answer = Answer::Refused(401, "Unauthorized".to_owned());
        assert_eq!(refusals.answered(&refusal(2, 401, "Unauthorized")), Some((server(), answer)));
        assert_eq!(refusals.answered(&refusal(2, 401, "Unauthorized")), None, "said once");
    }

    #[test]
    fn an_old_nonce_is_no_refusal_and_a_relay_is_told() {
        let refusals = Refusals::default();
        refusals.asks(&message(ALLOCATE, 1, &[(USERNAME, b"ann")]), server());
        assert_eq!(refusals.answered(&refusal(1, 438, "Stale nonce")), None);
        refusals.asks(&message(ALLOCATE, 2, &[(USERNAME, b"ann")]), server());
        assert_eq!(refusals.answered(&message(ALLOCATE_SUCCESS, 2, &[])), Some((server(), Answer::Granted)));
    }

    #[test]
    fn what_strangers_send_is_no_answer_and_fills_nothing() {
        let refusals = Refusals::default();
        assert_eq!(refusals.answered(&refusal(1, 401, "Unauthorized")), None);
        for n in 0..=255 {
            refusals.asks(&message(ALLOCATE, n, &[(USERNAME, b"ann")]), server());
        }
        assert_eq!(refusals.0.lock().expect("not poisoned").len(), MAX_ASKED);
        let whole = refusal(255, 401, "Unauthorized");
        for length in 0..whole.len() {
            assert_eq!(refusals.answered(&whole[..length]), None, "{length} bytes");
        }
        let mut lies = whole.clone();
        lies[22..24].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(refusals.answered(&lies), None);
        assert!(refusals.answered(&whole).is_some());
    }
}
