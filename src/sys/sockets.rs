//! What the standard library leaves out about sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Lets the kernel keep no more than about `bytes` that it has not sent of a TCP stream: the rest waits where it can still
/// be thought over (`TCP_NOTSENT_LOWAT` of tcp(7)).
///
/// # Errors
/// The system's refusal; it is no TCP socket.
pub fn limit_unsent_bytes(socket: &impl AsFd, bytes: u16) -> io::Result<()> {
    let value = libc::c_int::from(bytes);
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `c_int` bytes from a live `c_int`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn the_limit_is_for_tcp_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        limit_unsent_bytes(&stream, 16_384).expect("a TCP socket");
        assert!(limit_unsent_bytes(&UdpSocket::bind("127.0.0.1:0").expect("loopback"), 16_384).is_err());
    }
}
