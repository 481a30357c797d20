//! The stream to a broker as packets.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use futures_util::{Sink, Stream as _};
use rumqttc::{Codec, Packet, Publish};
use tokio_util::codec::{Decoder, Encoder, Framed};

use super::dial::Stream;
use crate::signalling::MAX_PAYLOAD_BYTES;

pub(super) type Wire = Framed<Box<dyn Stream>, Packets>;

pub(super) fn wire_on(stream: Box<dyn Stream>) -> Wire {
    Framed::new(stream, Packets::new(MAX_PACKET_BYTES))
}

/// Writes what is to be written, until there is something to read; `None` is the end. Cancel-safe.
pub(super) async fn turn(wire: &mut Wire) -> Result<Option<Incoming>, rumqttc::Error> {
    poll_fn(|cx| {
        // Reading comes first: a broker that closes has mostly said why, and writing then fails with less.
        if let Poll::Ready(read) = Pin::new(&mut *wire).poll_next(cx) {
            return Poll::Ready(read.transpose());
        }
        match Pin::new(&mut *wire).poll_flush(cx) {
            Poll::Ready(Err(error)) => match Pin::new(&mut *wire).poll_next(cx) {
                Poll::Ready(read) => Poll::Ready(read.transpose()),
                Poll::Pending => Poll::Ready(Err(error)),
            },
            _ => Poll::Pending,
        }
    })
    .await
}

/// Twice the payload limit. What is sent is checked before; of a message that comes and is larger, only the head is kept.
pub(super) const MAX_PACKET_BYTES: usize = 2 * MAX_PAYLOAD_BYTES;

/// What a broker sends.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A packet of a size that is taken.
    Packet(Packet),
    /// A message of so many bytes, which are not kept: it is to be acknowledged like any other, or a retained one would cost
    /// each connection anew.
    TooLarge(Publish, usize),
}

/// The packets of MQTT 3.1.1, with messages of any size let through.
#[derive(Debug)]
pub(super) struct Packets {
    codec: Codec,
    /// What is still to come of a message that is passed over.
    passed_over: usize,
}

impl Packets {
    fn new(limit: usize) -> Self {
        Self { codec: Codec { max_incoming_size: limit, max_outgoing_size: limit }, passed_over: 0 }
    }

    /// The head of a message over the limit, once it is there: the packet's bytes, and how many of them its head takes.
    fn large(&self, bytes: &[u8]) -> Option<Large> {
        let (fixed, rest) = remaining_length(bytes)?;
        let is_publish = bytes[0] >> 4 == 3;
        if !is_publish || fixed + rest <= self.codec.max_incoming_size {
            return None;
        }
        let topic = bytes.get(fixed..fixed + 2).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
        let has_id = bytes[0] & 0b0110 != 0;
        let head = topic.map(|topic| 2 + topic + if has_id { 2 } else { 0 });
        Some(Large { fixed, rest, head })
    }
}

/// A message over the limit.
struct Large {
    /// Bytes of the fixed header.
    fixed: usize,
    /// Bytes after it.
    rest: usize,
    /// Those of them that stand before the payload, once that is known.
    head: Option<usize>,
}

impl Decoder for Packets {
    type Item = Incoming;
    type Error = rumqttc::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Incoming>, Self::Error> {
        let passed = self.passed_over.min(bytes.len());
        bytes.advance(passed);
        self.passed_over -= passed;
        if self.passed_over > 0 {
            return Ok(None);
        }
        let Some(Large { fixed, rest, head }) = self.large(bytes) else {
            return Ok(self.codec.decode(bytes)?.map(Incoming::Packet));
        };
        // A head as long as all of it is for the library to refuse.
        let Some(head) = head.filter(|head| *head <= rest && fixed + head <= bytes.len()) else {
            return if head.is_some_and(|head| head > rest) {
                self.codec.decode(bytes).map(|_| None)
            } else {
                Ok(None)
            };
        };
        // The same message without its payload.
        let mut short = BytesMut::with_capacity(head + 5);
        short.extend([bytes[0]]);
        write_remaining_length(&mut short, head);
        short.extend_from_slice(&bytes[fixed..fixed + head]);
        let passed = (fixed + rest).min(bytes.len());
        bytes.advance(passed);
        self.passed_over = fixed + rest - passed;
        match self.codec.decode(&mut short)? {
            Some(Packet::Publish(publish)) => Ok(Some(Incoming::TooLarge(publish, fixed + rest))),
            _ => Ok(None),
        }
    }
}

impl Encoder<Packet> for Packets {
    type Error = rumqttc::Error;

    fn encode(&mut self, packet: Packet, bytes: &mut BytesMut) -> Result<(), Self::Error> {
        self.codec.encode(packet, bytes)
    }
}

/// Length of the fixed header and of what follows it (MQTT 3.1.1, section 2.2.3); `None` while it is not there, or is wrong.
fn remaining_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (n, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << (7 * (n - 1));
        if byte & 0x80 == 0 {
            return Some((n + 1, length));
        }
    }
    None
}

fn write_remaining_length(bytes: &mut BytesMut, mut length: usize) {
    loop {
        let more = length > 0x7f;
        bytes.extend([(length & 0x7f) as u8 | if more { 0x80 } else { 0 }]);
        length >>= 7;
        if !more {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    /// A message of `size` bytes on `topic`, as it goes over the wire.
    fn message(topic: &str, size: usize, id: u16) -> BytesMut {
        let qos = if id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let mut publish = Publish::new(topic, qos, vec![7; size]);
        (publish.pkid, publish.retain) = (id, true);
        let mut bytes = BytesMut::new();
        let mut codec = Codec { max_incoming_size: usize::MAX, max_outgoing_size: usize::MAX };
        codec.encode(Packet::Publish(publish), &mut bytes).expect("it has room");
        bytes
    }

    /// What comes of `bytes` that arrive in pieces, and the most that was kept of them.
    fn read(bytes: &[u8], piece: usize) -> (Vec<String>, usize) {
        let (mut packets, mut buffer, mut read, mut most) = (Packets::new(1_000), BytesMut::new(), Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(incoming) = packets.decode(&mut buffer).expect("it is MQTT") {
                read.push(match incoming {
                    Incoming::Packet(Packet::Publish(publish)) => {
                        format!("{} {}", publish.topic, publish.payload.len())
                    }
                    Incoming::TooLarge(publish, size) => {
                        let Publish { topic, pkid, retain, payload, .. } = publish;
                        format!("{topic} of {size} id {pkid} retained {retain} kept {}", payload.len())
                    }
                    Incoming::Packet(other) => format!("{other:?}"),
                });
            }
            most = most.max(buffer.len());
        }
        (read, most)
    }

    #[test]
    fn of_a_message_over_the_limit_only_the_head_is_kept_and_what_follows_it_is_read() {
        let mut bytes = message("small", 10, 0);
        bytes.extend(message("in/evil", 300_000, 9));
        bytes.extend(message("in/none", 70_000, 0));
        bytes.extend(message("in/none", 0, 3));
        let expected = [
            "small 10",
            "in/evil of 300015 id 9 retained true kept 0",
            "in/none of 70013 id 0 retained true kept 0",
            "in/none 0",
        ];
        for piece in [1, 2, 3, 7, 1_000, 65_536, bytes.len()] {
            let (read, most) = read(&bytes, piece);
            assert_eq!(read, expected, "in pieces of {piece}");
            assert!(most <= piece + 1_000, "{most} bytes are kept of pieces of {piece}");
        }
    }

    #[test]
    fn a_head_that_is_longer_than_its_packet_is_refused() {
        let mut bytes = message("in/evil", 2_000, 1);
        // The topic's length.
        (bytes[3], bytes[4]) = (0xff, 0xff);
        let mut packets = Packets::new(1_000);
        assert!(packets.decode(&mut bytes).is_err());
    }
}
