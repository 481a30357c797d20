//! A connected Unix socket that keeps the bounds of packets (`SOCK_SEQPACKET`), which tokio does not have.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::unix::AsyncFd;

/// One end, for tasks of tokio's.
#[derive(Debug)]
pub struct PacketSocket(AsyncFd<OwnedFd>);

impl PacketSocket {
    /// Connects to whoever listens at `path`; takes no time. Needs a runtime around it.
    ///
    /// # Errors
    /// The system's answer: nobody listens, or has room for one more.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        // SAFETY: an `OwnedFd` keeps its one descriptor open until it is dropped, and nobody else has this one.
        let registered = unsafe { AsyncFd::register(socket) };
        registered.map(Self).map_err(io::Error::from)
    }

    /// Sends one packet as soon as there is room.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        loop {
            let mut ready = self.0.writable().await?;
            if let Ok(sent) = ready.try_io(|fd| Ok(rustix::net::send(fd, packet, SendFlags::NOSIGNAL)?)) {
                return sent.map(drop);
            }
        }
    }

    /// Sends one packet if there is room now.
    ///
    /// # Errors
    /// There is none, or the other end is gone.
    pub fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        rustix::net::send(self.0.get_ref(), packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        Ok(())
    }

    /// Waits for the next packet; its length, or as much as the buffer holds of it. 0 once the other end is gone.
    ///
    /// # Errors
    /// The system's answer.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(got) = ready.try_io(|fd| Ok(rustix::net::recv(fd, &mut *buffer, RecvFlags::empty())?.0)) {
                return got;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_keep_their_bounds_and_the_other_end_is_seen_to_go() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("app.sock");
        assert!(PacketSocket::connect(&path).is_err(), "nobody listens");
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).expect("short")).expect("a new path");
        rustix::net::listen(&listener, 1).expect("bound");
        let ours = PacketSocket::connect(&path).expect("somebody listens");
        let theirs = rustix::net::accept(&listener).expect("it has connected");
        for packet in [&b"one"[..], b"two!", &[7; 16_385]] {
            ours.send(packet).await.expect("they are there");
            let mut buffer = vec![0; 20_000];
            let (bytes, _) = rustix::net::recv(&theirs, &mut buffer, RecvFlags::empty()).expect("sent");
            assert_eq!(&buffer[..bytes], packet);
            rustix::net::send(&theirs, packet, SendFlags::empty()).expect("we are here");
            let bytes = ours.receive(&mut buffer).await.expect("sent");
            assert_eq!(&buffer[..bytes], packet);
        }
        drop(theirs);
        assert_eq!(ours.receive(&mut [0; 8]).await.expect("no error"), 0);
        assert!(ours.send(b"late").await.is_err());
    }
}
