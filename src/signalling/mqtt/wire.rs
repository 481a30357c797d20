//! The stream to a broker as packets.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::{Sink, Stream as _};
use rumqttc::{Codec, Packet};
use tokio_util::codec::Framed;

use super::dial::Stream;
use crate::signalling::MAX_PAYLOAD_BYTES;

pub(super) type Wire = Framed<Box<dyn Stream>, Codec>;

pub(super) fn wire_on(stream: Box<dyn Stream>) -> Wire {
    Framed::new(stream, Codec { max_incoming_size: MAX_PACKET_BYTES, max_outgoing_size: MAX_PACKET_BYTES })
}

/// Writes what is to be written, until there is something to read; `None` is the end. Cancel-safe.
pub(super) async fn turn(wire: &mut Wire) -> Result<Option<Packet>, rumqttc::Error> {
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

/// Twice the payload limit: a larger packet would cost the connection, so sizes are checked before.
pub(super) const MAX_PACKET_BYTES: usize = 2 * MAX_PAYLOAD_BYTES;
