//! Waiting for a file of the kernel's to have something to read.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A file that is waited for.
#[derive(Debug)]
pub struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Waits for `file`, a descriptor of its own for what somebody else reads.
    ///
    /// # Errors
    /// The kernel cannot wait for such a file, or there is no runtime.
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned by what is registered, so it stays open and the same until it is deregistered.
        Ok(Self(unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?))
    }

    /// Waits until there may be something; then read until there is nothing more, or what is left is not told again.
    ///
    /// # Errors
    /// The runtime is going down.
    pub async fn ready(&self) -> io::Result<()> {
        // Forgotten before the reading: what comes in between is told again, and none is lost.
        self.0.readable().await.map(|mut ready| ready.clear_ready())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn each_arrival_after_the_reading_is_told() {
        let (mut here, mut there) = UnixStream::pair().expect("a pair");
        let readable = Readable::new(here.as_fd().try_clone_to_owned().expect("another descriptor")).expect("epoll");
        for n in 0..3 {
            there.write_all(&[n]).expect("sent");
            readable.ready().await.expect("a runtime");
            let mut got = [9];
            here.read_exact(&mut got).expect("there is something");
            assert_eq!(got, [n]);
        }
    }
}
