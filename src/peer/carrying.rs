//! A UDP socket of the crate that also carries what travels on streams: to TURN servers over TCP and TLS, and in ICE over
//! TCP.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::watch;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::alias::is_alias;
use super::stream::Inbox;
use super::tcp::{Flows, Paths};
use super::turn::{Carriage, Line};

/// RFC 8656 §18: the answer that grants a relay.
const ALLOCATE_SUCCESS: [u8; 2] = [0x01, 0x03];

/// One local socket. What goes to an alias of a server takes a [`Line`], opened by the first such datagram; what goes to a
/// peer that came in over TCP takes its connection; all else takes the socket.
#[derive(Debug)]
pub(super) struct CarryingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    local: SocketAddr,
    carriage: Arc<Carriage>,
    lines: Mutex<HashMap<SocketAddr, Line>>,
    flows: Arc<Flows>,
    inbox: Arc<Inbox>,
    granted_over_udp: watch::Sender<bool>,
}

impl CarryingSocket {
    /// # Errors
    /// The socket has no address.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, carriage: Arc<Carriage>, paths: &Arc<Paths>) -> io::Result<Self> {
        let local = inner.local_addr()?;
        let inbox = Arc::default();
        Ok(Self {
            inner,
            local,
            carriage,
            lines: Mutex::default(),
            flows: paths.from(local.ip(), Arc::clone(&inbox)),
            inbox,
            granted_over_udp: watch::Sender::new(false),
        })
    }

    fn carry(&self, transmit: &Transmit<'_>) -> io::Result<usize> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match lines.get(&transmit.destination) {
            Some(line) => line,
            None => {
                let way = self.carriage.way(transmit.destination, self.local.ip()).ok_or(ErrorKind::HostUnreachable)?;
                let line = Line::start(way, Arc::clone(&self.inbox), self.granted_over_udp.subscribe());
                lines.entry(transmit.destination).or_insert(line)
            }
        };
        line.send(transmit.contents).map(|()| transmit.contents.len())
    }
}

impl AsyncUdpSocket for CarryingSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.carriage.saw(transmit.contents);
        if self.flows.carry(transmit) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.carriage.asks(transmit.contents, transmit.destination);
        // TURN messages come one by one: the crate makes runs of what goes straight to viewers only.
        if is_alias(transmit.destination) {
            Poll::Ready(self.carry(transmit))
        } else {
            self.inner.poll_send(cx, transmit)
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = match self.inbox.poll_recv(cx, bufs, meta) {
            Poll::Ready(filled) => Poll::Ready(Ok(filled)),
            Poll::Pending => {
                let received = self.inner.poll_recv(cx, bufs, meta);
                if let Poll::Ready(Ok(messages)) = &received
                    && bufs.iter().take(*messages).any(|buf| buf.starts_with(&ALLOCATE_SUCCESS))
                {
                    self.granted_over_udp.send_replace(true);
                }
                received
            }
        };
        if let Poll::Ready(Ok(messages)) = &received {
            bufs.iter().take(*messages).for_each(|buf| {
                self.carriage.saw(buf);
                self.carriage.answered(buf);
            });
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}
