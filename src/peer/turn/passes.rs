//! How often the crate's driver goes round.
//!
//! On each round it first writes and then reads. What it makes of a packet that came through a relay (an answer of ICE or
//! DTLS, a retransmission) it writes on the next round, and what it writes to a relay goes onto the socket on the one after
//! that; and a round begins when something new happens. Left alone, a handshake through a relay takes two seconds, and
//! every picture's last packet waits for the next sound. So while there is a relay, each round is followed by two more.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From packet in to packet out.
const MORE_ROUNDS: u8 = 2;
/// Longer without a packet through a relay, and the direct way was chosen.
const IN_USE: Duration = Duration::from_secs(5);

/// Counts the rounds of one driver.
#[derive(Debug, Default)]
pub(super) struct Passes {
    relayed: Mutex<Option<Instant>>,
    more: AtomicU8,
}

impl Passes {
    /// This went to or came from a TURN server, if it is one of TURN's messages.
    pub(super) fn saw(&self, datagram: &[u8], now: Instant) {
        if is_turn(datagram) {
            *self.relayed.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
    }

    /// Whether the driver, which is about to wait, should go round again instead.
    pub(super) fn once_more(&self, now: Instant) -> bool {
        let relayed = *self.relayed.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = relayed.is_some_and(|at| now.saturating_duration_since(at) < IN_USE);
        let more = self.more.load(Ordering::Relaxed);
        let again = in_use && more < MORE_ROUNDS;
        self.more.store(if again { more + 1 } else { 0 }, Ordering::Relaxed);
        again
    }
}

/// ChannelData, or a STUN message of one of the methods of [RFC 8656 §18](https://www.rfc-editor.org/rfc/rfc8656#section-18).
fn is_turn(datagram: &[u8]) -> bool {
    const CLASS: u16 = 0x0110;
    let Some([high, low]) = datagram.first_chunk() else { return false };
    let method = u16::from_be_bytes([*high, *low]) & !CLASS;
    (0x40..=0x4f).contains(high) || matches!(method, 3 | 4 | 6..=9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::clock::now;

    #[test]
    fn a_driver_with_a_relay_goes_round_twice_more_before_it_waits() {
        let start = now();
        let passes = Passes::default();
        assert!(!passes.once_more(start));
        // An ICE check, DTLS, RTP: nothing of TURN's.
        for other in [&[0x00, 0x01][..], &[0x16, 0xfe], &[0x80, 0x60], &[0x01, 0x01], &[]] {
            passes.saw(other, start);
            assert!(!passes.once_more(start), "{other:?}");
        }
        for relayed in [[0x40, 0x00], [0x00, 0x03], [0x01, 0x13], [0x00, 0x17], [0x01, 0x09]] {
            let passes = Passes::default();
            passes.saw(&relayed, start);
            let rounds: Vec<bool> = (0..6).map(|_| passes.once_more(start)).collect();
            assert_eq!(rounds, [true, true, false, true, true, false], "{relayed:?}");
            assert!(!passes.once_more(start + IN_USE));
        }
    }
}
