//! Messages between a TURN client and its server on a stream
//! ([RFC 8656 §12.5](https://www.rfc-editor.org/rfc/rfc8656#section-12.5)). Pure.
//!
//! Both kinds tell their own length: a STUN message is sent as it is, ChannelData is padded to a multiple of four bytes.

use bytes::{Bytes, BytesMut};

use crate::peer::stream::Framing;

/// RFC 8489 §5.
const STUN_HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// RFC 8656 §12.4.
const CHANNEL_HEADER_BYTES: usize = 4;
/// RFC 8656 §10: data for or from the other side, of which a little may be lost.
const SEND_INDICATION: [u8; 2] = [0x00, 0x16];

/// For a [`Desk`](crate::peer::stream::Desk).
pub(in crate::peer) const FRAMING: Framing = Framing { carries_data, frame };

/// Something else than STUN and ChannelData came in: nobody can tell any more where the next message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it answers with something else than TURN")]
pub struct NotTurn;

/// What the first bytes of a message tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Length {
    /// Header and contents.
    message: usize,
    /// With what is added on a stream.
    on_stream: usize,
}

/// `None` while there are not enough bytes to tell.
fn length(bytes: &[u8]) -> Result<Option<Length>, NotTurn> {
    let Some([first, _, high, low]) = bytes.first_chunk() else { return Ok(None) };
    let contents = usize::from(u16::from_be_bytes([*high, *low]));
    match first {
        0x00..=0x3f => {
            // Without the cookie in its place this is not STUN, and its length none that we should wait for.
            let cookie = bytes.get(4..8).unwrap_or(&bytes[4..]);
            if !contents.is_multiple_of(4) || !MAGIC_COOKIE.starts_with(cookie) {
                return Err(NotTurn);
            }
            let message = STUN_HEADER_BYTES + contents;
            Ok(Some(Length { message, on_stream: message }))
        }
        // RFC 8656 §12: the channels there are, which tells them from other protocols.
        0x40..=0x4f => {
            let message = CHANNEL_HEADER_BYTES + contents;
            Ok(Some(Length { message, on_stream: message.next_multiple_of(4) }))
        }
        _ => Err(NotTurn),
    }
}

/// Puts messages together of what a stream brings. It holds one message and what was last put in, at the most.
#[derive(Debug, Default)]
pub struct Unframer {
    buffer: BytesMut,
}

impl Unframer {
    /// Takes what came in.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without padding; ask until there is none.
    ///
    /// # Errors
    /// What came in is not TURN; nothing after it can be read.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, NotTurn> {
        let Some(length) = length(&self.buffer)? else { return Ok(None) };
        if self.buffer.len() < length.on_stream {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(length.on_stream);
        message.truncate(length.message);
        Ok(Some(message.freeze()))
    }
}

/// Adds a datagram of a TURN client to what goes onto the stream; whether it was one.
pub(super) fn frame(datagram: &[u8], stream: &mut Vec<u8>) -> bool {
    let Ok(Some(length)) = length(datagram) else { return false };
    // A client may pad ChannelData in a datagram too.
    let Some(message) = datagram.get(..length.message) else { return false };
    stream.extend_from_slice(message);
    stream.resize(stream.len() + length.on_stream - length.message, 0);
    true
}

/// Whether a datagram of a TURN client carries data for the other side; all else is between client and server.
fn carries_data(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first >> 6 == 0b01) || datagram.starts_with(&SEND_INDICATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(kind: u16, contents: usize) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend(u16::try_from(contents).expect("short").to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.resize(STUN_HEADER_BYTES + contents, 7);
        message
    }

    fn channel_data(contents: usize) -> Vec<u8> {
        let mut message = vec![0x40, 0x01];
        message.extend(u16::try_from(contents).expect("short").to_be_bytes());
        message.resize(CHANNEL_HEADER_BYTES + contents, 9);
        message
    }

    #[test]
    fn what_is_framed_comes_out_again_however_the_stream_is_cut() {
        let messages = [stun(0x0003, 8), channel_data(5), channel_data(0), stun(0x0016, 0), channel_data(1_200)];
        let mut stream = Vec::new();
        for message in &messages {
            assert!(frame(message, &mut stream));
            assert_eq!(stream.len() % 4, 0);
        }
        for cut in 1..=stream.len() {
            let mut unframer = Unframer::default();
            let mut seen = Vec::new();
            for part in stream.chunks(cut) {
                unframer.extend(part);
                while let Some(message) = unframer.next_message().expect("all of it is TURN") {
                    seen.push(message.to_vec());
                }
            }
            assert_eq!(seen, messages, "cut into {cut}");
        }
    }

    #[test]
    fn padding_in_a_datagram_is_not_doubled() {
        let mut padded = channel_data(5);
        padded.resize(12, 0);
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        assert!(frame(&channel_data(5), &mut once) && frame(&padded, &mut twice));
        assert_eq!(once, twice);
        assert_eq!(once.len(), 12);
    }

    #[test]
    fn a_datagram_that_is_cut_off_or_something_else_goes_nowhere() {
        let whole = stun(0x0001, 8);
        for bad in [&b""[..], b"abc", &whole[..27], &[0x80, 1, 0, 0], &channel_data(5)[..8]] {
            let mut stream = Vec::new();
            assert!(!frame(bad, &mut stream), "{bad:?}");
            assert!(stream.is_empty());
        }
    }

    #[test]
    fn a_stream_of_something_else_ends_at_once() {
        for bad in [&b"SSH-2.0-OpenSSH"[..], &[0x80; 4], &[0x00, 0x01, 0x00, 0x03], b"\0\x01\0\x08\x21\x13"] {
            let mut unframer = Unframer::default();
            unframer.extend(bad);
            assert_eq!(unframer.next_message(), Err(NotTurn), "{bad:?}");
        }
    }

    #[test]
    fn media_is_told_from_requests() {
        assert!(carries_data(&channel_data(3)) && carries_data(&stun(0x0016, 0)));
        assert!(!carries_data(&stun(0x0004, 0)) && !carries_data(b""));
    }

    /// Whatever comes in: no panic, nothing that grows, no message longer than what was put in.
    #[test]
    fn nonsense_neither_panics_nor_piles_up() {
        let mut random = fastrand::Rng::with_seed(8656);
        for _ in 0..2_000 {
            let mut unframer = Unframer::default();
            for _ in 0..random.usize(..20) {
                let mut part = vec![0; random.usize(..2_000)];
                random.fill(&mut part);
                if random.bool() && part.len() > 8 {
                    part[..8].copy_from_slice(&[0, 1, 1, 0, 0x21, 0x12, 0xa4, 0x42]);
                }
                unframer.extend(&part);
                while let Ok(Some(message)) = unframer.next_message() {
                    assert!(message.len() <= STUN_HEADER_BYTES + 65_535);
                }
                if unframer.next_message().is_err() {
                    break;
                }
                assert!(unframer.buffer.len() < STUN_HEADER_BYTES + 65_536);
                let mut stream = Vec::new();
                frame(&part, &mut stream);
                assert!(stream.len() <= part.len() + 3);
            }
        }
    }
}
