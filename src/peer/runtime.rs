//! The crate's door to tokio: it tells the connection's [`Watch`] what passes, and lets a picture leave with one call.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
#[cfg(test)]
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::Instrument;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, TokioRuntime,
    Transmit,
};

use super::carrying::CarryingSocket;
use super::tcp::Paths;
use super::turn::Carriage;
use super::watch::{Bound, Watch};

/// First byte of a DTLS alert record ([RFC 6347 §4.1](https://www.rfc-editor.org/rfc/rfc6347#section-4.1)).
const DTLS_ALERT: u8 = 21;

/// STUN messages begin with less, DTLS, RTP and what a TURN server relays with this or more
/// ([RFC 7983 §7](https://www.rfc-editor.org/rfc/rfc7983#section-7)).
const FIRST_AFTER_STUN: u8 = 20;

/// The port of multicast DNS; the crate binds one such socket if told to.
const MDNS_PORT: u16 = 5_353;

/// tokio for one connection.
#[derive(Debug)]
pub(super) struct WatchedRuntime {
    watch: Arc<Watch>,
    carriage: Arc<Carriage>,
    paths: Arc<Paths>,
    driver: OnceLock<tokio::task::Id>,
}

impl WatchedRuntime {
    pub(super) fn new(watch: Arc<Watch>, carriage: Arc<Carriage>, paths: Arc<Paths>) -> Self {
        Self { watch, carriage, paths, driver: OnceLock::new() }
    }
}

/// Tells of the end however it comes, by return, abort or panic.
struct EndNotice(Arc<Watch>);

impl Drop for EndNotice {
    fn drop(&mut self) {
        self.0.driver_ended.notify_one();
    }
}

impl Runtime for WatchedRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        // Without ICE over TCP, which the crate hears nothing of, the driver is all that it ever spawns.
        let notice = EndNotice(Arc::clone(&self.watch));
        let task = tokio::spawn(
            async move {
                let _notice = notice;
                future.await;
            }
            .in_current_span(),
        );
        let _ = self.driver.set(task.id());
        let task = task.abort_handle();
        self.watch.driven_by(task.clone());
        Box::new(Driver(task))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let address = socket.local_addr()?;
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        if address.port() == MDNS_PORT {
            return Ok(inner);
        }
        let bound = Some(self.watch.bound(address));
        let inner = Arc::new(CarryingSocket::new(inner, Arc::clone(&self.carriage), &self.paths)?);
        Ok(Arc::new(WatchedSocket { inner, watch: Arc::clone(&self.watch), bound }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote_addr: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        TokioRuntime.connect_tcp(remote_addr)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(self.carriage.resolve(host))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        if tokio::task::try_id().is_some_and(|task| Some(&task) == self.driver.get()) && self.carriage.once_more() {
            return Box::pin(std::future::ready(()));
        }
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn name(&self) -> &'static str {
        "tokio, watched"
    }
}

struct Driver(AbortHandle);

impl JoinHandle for Driver {
    fn detach(&self) {}

    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

#[derive(Debug)]
struct WatchedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    watch: Arc<Watch>,
    /// `None` for one that carries no media.
    bound: Option<Arc<Bound>>,
}

impl WatchedSocket {
    /// For interfaces that refuse segmentation (no checksums in hardware): that shows when the first run is sent, and it
    /// must not cost a picture. Later runs are not tried any more, as `inner` remembers.
    fn send_one_by_one(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for contents in transmit.contents.chunks(size) {
            let single = Transmit { contents, segment_size: None, ..*transmit };
            // Should the buffer be full just now, the rest is lost like anything on the way: it will be asked for.
            if let Poll::Ready(Err(error)) = self.inner.poll_send(cx, &single) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(transmit.contents.len()))
    }
}

impl AsyncUdpSocket for WatchedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        #[cfg(test)]
        if self.watch.stalled.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        #[cfg(test)]
        if self.watch.loses(transmit) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        let sent = match self.inner.poll_send(cx, transmit) {
            Poll::Ready(Err(_)) if transmit.segment_size.is_some() => self.send_one_by_one(cx, transmit),
            sent => sent,
        };
        if let Poll::Ready(Ok(_)) = &sent {
            self.watch.sent(transmit);
            #[cfg(test)]
            if transmit.segment_size.is_some() {
                self.watch.runs.fetch_add(1, Ordering::Relaxed);
            }
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(messages)) = &received {
            let mut first_bytes = bufs.iter().take(*messages).filter_map(|buf| buf.first());
            if let (Some(bound), true) = (&self.bound, first_bytes.clone().any(|first| *first >= FIRST_AFTER_STUN)) {
                self.watch.heard(bound);
            }
            if first_bytes.any(|first| *first == DTLS_ALERT) {
                self.watch.alert.notify_one();
            }
        }
        received
    }

    /// The driver asks before each run of datagrams of one length, and sends a run with one call only if it is as long
    /// as the answer, or as 16. A camera's pictures are shorter runs than that, so the answer is how long the next is.
    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments().min(self.watch.expected_run()).max(1)
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Sends nothing, and refuses more than one datagram in a call as an interface without checksums in hardware does.
    #[derive(Debug, Default)]
    struct OneByOne(Mutex<Vec<Vec<u8>>>);

    impl AsyncUdpSocket for OneByOne {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], 9)))
        }

        fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
            if transmit.segment_size.is_some() {
                return Poll::Ready(Err(io::Error::other("EIO")));
            }
            self.0.lock().expect("not poisoned").push(transmit.contents.to_vec());
            Poll::Ready(Ok(transmit.contents.len()))
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            _: &mut [IoSliceMut<'_>],
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn max_gso_segments(&self) -> usize {
            64
        }
    }

    #[test]
    fn a_run_that_the_interface_refuses_leaves_packet_by_packet() {
        let inner = Arc::new(OneByOne::default());
        let watch = Arc::new(Watch::default());
        let socket = WatchedSocket {
            inner: Arc::clone(&inner) as Arc<dyn AsyncUdpSocket>,
            watch: Arc::clone(&watch),
            bound: None,
        };
        assert_eq!(socket.max_gso_segments(), 1, "no run is expected");
        watch.expect_run(3);
        assert_eq!(socket.max_gso_segments(), 3);
        let destination = SocketAddr::from(([127, 0, 0, 1], 9));
        let run = Transmit { destination, ecn: None, contents: b"aaabbbc", segment_size: Some(3), src_ip: None };
        let sent = socket.poll_send(&mut Context::from_waker(std::task::Waker::noop()), &run);
        assert!(matches!(sent, Poll::Ready(Ok(7))), "{sent:?}");
        assert_eq!(*inner.0.lock().expect("not poisoned"), [b"aaa".to_vec(), b"bbb".to_vec(), b"c".to_vec()]);
    }
}
