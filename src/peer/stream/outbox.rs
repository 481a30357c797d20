//! What waits to go onto a stream. Pure.
//!
//! A stream keeps everything and in order, so on a slow path media would come later and later. Here it is lost instead, as
//! on a path of datagrams, oldest first: what viewers then report brings the bit rate down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Framing;

/// Media older than this is not worth sending: as much as a router's buffer holds on a path that is full.
const MAX_AGE: Duration = Duration::from_millis(400);
/// A second at 4 Mbit/s: room for the largest key frame while the stream takes none.
const MAX_BYTES: usize = 512 * 1024;
/// Requests are few; what asks for more than these has lost its mind.
const MAX_REQUESTS: usize = 64;

/// Datagrams in their order, each since when.
#[derive(Debug)]
pub(super) struct Outbox {
    framing: Framing,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    requests: usize,
    /// Datagrams with data that were dropped.
    pub dropped: u64,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, waiting: VecDeque::new(), bytes: 0, requests: 0, dropped: 0 }
    }

    /// Takes a datagram for the other side.
    pub(super) fn push(&mut self, datagram: &[u8], now: Instant) {
        let is_data = (self.framing.carries_data)(datagram);
        if !is_data {
            // On a stream nothing is lost, so a repetition is one too many (RFC 8489 §6.2.2).
            let waits = self.waiting.iter().any(|(_, waiting)| waiting == datagram);
            if waits || self.requests == MAX_REQUESTS {
                return;
            }
            self.requests += 1;
        }
        self.bytes += datagram.len();
        self.waiting.push_back((now, datagram.to_vec()));
        while self.bytes > MAX_BYTES && self.drop_oldest_data() {}
    }

    /// Moves what goes next onto `stream`: whole messages, at least one, until they are `enough` bytes.
    pub(super) fn take(&mut self, now: Instant, enough: usize, stream: &mut Vec<u8>) {
        while stream.len() < enough {
            let Some((since, datagram)) = self.waiting.pop_front() else { return };
            self.bytes -= datagram.len();
            if !(self.framing.carries_data)(&datagram) {
                self.requests -= 1;
            } else if now.saturating_duration_since(since) > MAX_AGE {
                self.dropped += 1;
                continue;
            }
            (self.framing.frame)(&datagram, stream);
        }
    }

    fn drop_oldest_data(&mut self) -> bool {
        let Framing { carries_data, .. } = self.framing;
        let Some(oldest) = self.waiting.iter().position(|(_, datagram)| carries_data(datagram)) else { return false };
        if let Some((_, datagram)) = self.waiting.remove(oldest) {
            self.bytes -= datagram.len();
            self.dropped += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::clock::now;
    use crate::peer::turn::FRAMING;

    fn data(number: u8, bytes: u16) -> Vec<u8> {
        let mut datagram = vec![0x40, 0x00];
        datagram.extend(bytes.to_be_bytes());
        datagram.resize(4 + usize::from(bytes), number);
        datagram
    }

    fn request(number: u8) -> Vec<u8> {
        let mut datagram = vec![0x00, 0x04, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        datagram.resize(20, number);
        datagram
    }

    fn taken(outbox: &mut Outbox, now: Instant) -> Vec<u8> {
        let mut stream = Vec::new();
        outbox.take(now, usize::MAX, &mut stream);
        stream
    }

    #[test]
    fn what_is_put_in_comes_out_in_order_a_few_at_a_time() {
        let start = now();
        let mut outbox = Outbox::new(FRAMING);
        for datagram in [request(1), data(2, 8), data(3, 8)] {
            outbox.push(&datagram, start);
        }
        let mut stream = Vec::new();
        outbox.take(start, 21, &mut stream);
        assert_eq!(stream, [request(1), data(2, 8)].concat());
        assert_eq!(taken(&mut outbox, start), data(3, 8));
        assert!(taken(&mut outbox, start).is_empty());
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn media_that_waited_too_long_is_dropped_and_requests_are_not() {
        let start = now();
        let mut outbox = Outbox::new(FRAMING);
        outbox.push(&data(1, 4), start);
        outbox.push(&request(2), start);
        let later = start + MAX_AGE + Duration::from_millis(1);
        outbox.push(&data(3, 4), later);
        assert_eq!(taken(&mut outbox, later), [request(2), data(3, 4)].concat());
        assert_eq!(outbox.dropped, 1);
    }

    #[test]
    fn a_stream_that_takes_nothing_costs_a_bounded_amount_of_memory() {
        let start = now();
        let mut outbox = Outbox::new(FRAMING);
        outbox.push(&request(0), start);
        for _ in 0..2_000 {
            outbox.push(&data(1, 1_200), start);
        }
        outbox.push(&data(2, 1_200), start);
        assert!(outbox.bytes <= MAX_BYTES);
        assert!(outbox.dropped > 1_000);
        let stream = taken(&mut outbox, start);
        assert!(stream.starts_with(&request(0)) && stream.ends_with(&[2; 1_200]), "the oldest media went");
        for number in 0..=255 {
            outbox.push(&request(number), start);
        }
        assert_eq!(outbox.requests, MAX_REQUESTS);
    }

    #[test]
    fn a_request_that_waits_is_not_repeated() {
        let start = now();
        let mut outbox = Outbox::new(FRAMING);
        outbox.push(&request(1), start);
        outbox.push(&request(1), start);
        assert_eq!(taken(&mut outbox, start), request(1));
        outbox.push(&request(1), start);
        assert_eq!(taken(&mut outbox, start), request(1));
    }
}
