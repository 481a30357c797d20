//! Datagrams that travel on TCP streams, with or without TLS: to TURN servers and, in ICE over TCP, to viewers.
//!
//! The crate would wait until a stream has taken what it sends, and with it all that its driver does. So a stream's sending
//! end is a [`Desk`]: what is put there leaves when the stream takes it, or is lost.

mod inbox;
mod outbox;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

pub(super) use self::inbox::Inbox;
use self::outbox::Outbox;
use super::clock::now;
use crate::sys::limit_unsent_bytes;

/// What the kernel may hold back: two or three milliseconds of a fast uplink, a tenth of a second of a slow one.
const UNSENT_BYTES: u16 = 16 * 1024;
/// As much as one write takes.
const WRITE_BYTES: usize = 8 * 1024;
/// As much as one read gives.
pub(super) const READ_BYTES: usize = 16 * 1024;

/// How datagrams stand on a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    /// Whether a datagram carries data, of which a little may be lost; all else are requests and their answers.
    pub carries_data: fn(&[u8]) -> bool,
    /// Adds a datagram to what goes onto the stream; whether it is one that can stand there.
    pub frame: fn(&[u8], &mut Vec<u8>) -> bool,
}

/// Where datagrams wait for their stream to take them.
#[derive(Debug)]
pub(super) struct Desk {
    outbox: Mutex<Outbox>,
    more: Notify,
    broken: AtomicBool,
}

impl Desk {
    /// For a stream with this framing, which may not be there yet.
    pub(super) fn new(framing: Framing) -> Self {
        Self { outbox: Mutex::new(Outbox::new(framing)), more: Notify::new(), broken: AtomicBool::new(false) }
    }

    /// Sends a datagram, or loses it.
    ///
    /// # Errors
    /// There is no connection any more, or there never will be.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        if self.is_broken() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).push(datagram, now());
        self.more.notify_one();
        Ok(())
    }

    /// Nothing leaves any more.
    pub(super) fn close(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Whether nothing leaves any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Writes what is sent onto `stream` until that breaks; why it broke.
    pub(super) async fn write_to(&self, mut stream: impl AsyncWrite + Unpin) -> io::Error {
        let mut bytes = Vec::with_capacity(WRITE_BYTES + 2_048);
        loop {
            self.outbox.lock().unwrap_or_else(PoisonError::into_inner).take(now(), WRITE_BYTES, &mut bytes);
            if bytes.is_empty() {
                self.more.notified().await;
                continue;
            }
            let written = async {
                stream.write_all(&bytes).await?;
                stream.flush().await
            };
            if let Err(error) = written.await {
                return error;
            }
            bytes.clear();
        }
    }
}

/// Connects to `address`, from the local address `from` if it matters, for datagrams.
///
/// # Errors
/// The system's, or the other side's refusal.
pub(super) async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ip) = from {
        socket.bind((ip, 0).into())?;
    }
    socket.set_nodelay(true)?;
    limit_unsent_bytes(&socket, UNSENT_BYTES)?;
    socket.connect(address).await
}

/// Makes a connection that somebody else opened ready for datagrams, as [`connect`] does its own.
///
/// # Errors
/// The system's refusal; the connection may be gone already.
pub(super) fn prepare(accepted: &TcpStream) -> io::Result<()> {
    accepted.set_nodelay(true)?;
    limit_unsent_bytes(accepted, UNSENT_BYTES)
}
