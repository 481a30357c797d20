//! Datagrams on a stream, each behind its length in two bytes
//! ([RFC 4571 §2](https://www.rfc-editor.org/rfc/rfc4571#section-2)). Pure.

use bytes::{Buf, Bytes, BytesMut};

use crate::peer::stream::Framing;

const LENGTH_BYTES: usize = 2;
/// More than the crate reads from a socket at once; what browsers send is as short as on UDP.
const MAX_FRAME_BYTES: usize = 2_000;
/// STUN messages begin with less, all else with this or more ([RFC 7983 §7](https://www.rfc-editor.org/rfc/rfc7983#section-7)).
const FIRST_AFTER_STUN: u8 = 4;

/// For a [`Desk`](crate::peer::stream::Desk).
pub(in crate::peer) const FRAMING: Framing = Framing { carries_data, frame };

/// A frame is longer than any that ICE needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub(in crate::peer) struct FrameTooLong(usize);

/// Takes datagrams out of what a stream brings. It holds one of them and what was last put in, at the most.
#[derive(Debug, Default)]
pub(in crate::peer) struct Unframer {
    buffer: BytesMut,
}

impl Unframer {
    /// Takes what came in.
    pub(in crate::peer) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole datagram; ask until there is none. Empty ones are passed over.
    ///
    /// # Errors
    /// What comes next is too long; nothing after it is read.
    pub(in crate::peer) fn next_datagram(&mut self) -> Result<Option<Bytes>, FrameTooLong> {
        while let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_FRAME_BYTES {
                return Err(FrameTooLong(length));
            }
            if self.buffer.len() < LENGTH_BYTES + length {
                break;
            }
            self.buffer.advance(LENGTH_BYTES);
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length).freeze()));
            }
        }
        Ok(None)
    }
}

/// Adds a datagram to what goes onto the stream; whether it is short enough.
fn frame(datagram: &[u8], stream: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(datagram.len()) else { return false };
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(datagram);
    true
}

/// DTLS, SRTP and SRTCP; not ICE's own checks, which tell whether the way is open.
fn carries_data(datagram: &[u8]) -> bool {
    datagram.first().is_none_or(|first| *first >= FIRST_AFTER_STUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_comes_out_again_however_the_stream_is_cut() {
        let datagrams = [vec![0, 1, 7], vec![0x80; 1_200], vec![22], vec![0x80; MAX_FRAME_BYTES]];
        let mut stream = vec![0, 0];
        for datagram in &datagrams {
            assert!(frame(datagram, &mut stream));
        }
        for cut in [1, 2, 3, 4, 5, 7, 100, 1_203, 1_204, stream.len()] {
            let mut unframer = Unframer::default();
            let mut seen = Vec::new();
            for part in stream.chunks(cut) {
                unframer.extend(part);
                while let Some(datagram) = unframer.next_datagram().expect("none is too long") {
                    seen.push(datagram.to_vec());
                }
            }
            assert_eq!(seen, datagrams, "cut into {cut}");
        }
    }

    #[test]
    fn what_is_too_long_ends_the_stream_before_it_is_there() {
        let mut unframer = Unframer::default();
        unframer.extend(b"GET / HTTP/1.1\r\n");
        assert_eq!(unframer.next_datagram(), Err(FrameTooLong(0x4745)));
        assert!(!frame(&[0; 65_536], &mut Vec::new()));
    }

    #[test]
    fn only_what_is_repeated_by_others_may_be_lost() {
        for (first, may) in [(0, false), (1, false), (20, true), (63, true), (128, true), (200, true)] {
            assert_eq!(carries_data(&[first, 0]), may, "{first}");
        }
    }
}
