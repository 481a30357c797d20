//! What came in on streams for one local socket, until the crate reads it.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use webrtc::runtime::RecvMeta;

/// A fifth of a second of 12 Mbit/s; what does not fit is lost as in a socket's buffer, oldest first.
const MAX_MESSAGES: usize = 256;

/// Messages, each with the address it seems to come from.
#[derive(Debug, Default)]
pub(in crate::peer) struct Inbox(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    messages: VecDeque<(SocketAddr, Bytes)>,
    reader: Option<Waker>,
}

impl Inbox {
    /// A message has come.
    pub(in crate::peer) fn push(&self, from: SocketAddr, message: Bytes) {
        let reader = {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if inside.messages.len() == MAX_MESSAGES {
                inside.messages.pop_front();
            }
            inside.messages.push_back((from, message));
            inside.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Reads as many messages as there are and as fit, one into each buffer.
    pub(in crate::peer) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<usize> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0;
        while filled < bufs.len().min(meta.len()) {
            let Some((addr, message)) = inside.messages.pop_front() else { break };
            // A message that a datagram could not have brought.
            let Some(room) = bufs[filled].get_mut(..message.len()) else { continue };
            room.copy_from_slice(&message);
            meta[filled] = RecvMeta::default();
            meta[filled].addr = addr;
            meta[filled].len = message.len();
            meta[filled].stride = message.len().max(1);
            filled += 1;
        }
        if filled > 0 {
            return Poll::Ready(filled);
        }
        inside.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_one_to_a_buffer_and_the_oldest_are_lost() {
        let inbox = Inbox::default();
        let from = |port| SocketAddr::from(([192, 0, 0, 8], port));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut one, mut two) = ([0; 8], [0; 8]);
        let mut read = |inbox: &Inbox| {
            let mut meta = [RecvMeta::default(); 2];
            let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
            let read = inbox.poll_recv(&mut cx, &mut bufs, &mut meta);
            (read, meta.map(|meta| (meta.addr.port(), meta.len)))
        };
        assert_eq!(read(&inbox).0, Poll::Pending);
        inbox.push(from(1), Bytes::from_static(b"abc"));
        inbox.push(from(2), Bytes::from_static(b"too long for it"));
        inbox.push(from(3), Bytes::from_static(b"de"));
        assert_eq!(read(&inbox), (Poll::Ready(2), [(1, 3), (3, 2)]));
        for port in 0..=300 {
            inbox.push(from(port), Bytes::new());
        }
        assert_eq!(read(&inbox), (Poll::Ready(2), [(45, 0), (46, 0)]));
    }
}
