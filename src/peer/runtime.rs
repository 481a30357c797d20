//! The crate's door to tokio, with a look at what passes: which sockets were bound, when a picture's last packet left,
//! a DTLS alert coming in, the end of the driver task.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::Instrument;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, TokioRuntime,
    Transmit,
};

use super::clock::{media_now, now};
use super::stats::SendLatency;
use crate::media::MediaTime;

/// A picture whose last packet is on its way to the socket.
#[derive(Debug)]
pub(super) struct Departure {
    pub ssrc: u32,
    pub rtp_time: u32,
    pub captured: MediaTime,
    pub encoded: MediaTime,
    pub latency: Arc<SendLatency>,
}

/// What was seen of one connection's sockets.
#[derive(Debug, Default)]
pub(super) struct Watch {
    bound: Mutex<Vec<SocketAddr>>,
    departures: Mutex<VecDeque<Departure>>,
    driver: Mutex<Option<AbortHandle>>,
    /// A DTLS alert came in, which may be the other side's `close_notify`.
    pub alert: Notify,
    /// The driver task has ended.
    pub driver_ended: Notify,
    /// Sending waits for ever, as it would on a socket whose buffer never drains.
    #[cfg(test)]
    pub stalled: std::sync::atomic::AtomicBool,
    /// One media packet of so many is lost; 0 for none.
    #[cfg(test)]
    pub loses_one_of: std::sync::atomic::AtomicU32,
}

/// Pictures whose last packet never left are forgotten beyond this number.
const MAX_DEPARTURES: usize = 32;

impl Watch {
    /// How many UDP sockets are bound for media.
    pub(super) fn sockets(&self) -> usize {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The addresses of those sockets.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.lock().expect("not poisoned").clone()
    }

    /// Forgets the sockets; an ICE restart binds new ones.
    pub(super) fn forget_sockets(&self) {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends the driver task where it stands, if it has not ended.
    pub(super) fn abort_driver(&self) {
        if let Some(driver) = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take() {
            driver.abort();
        }
    }

    /// The last packet of this picture goes to the driver next.
    pub(super) fn expect_departure(&self, departure: Departure) {
        let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
        if departures.len() == MAX_DEPARTURES {
            departures.pop_front();
        }
        departures.push_back(departure);
    }

    #[cfg(test)]
    fn loses(&self, transmit: &Transmit<'_>) -> bool {
        let one_of = self.loses_one_of.load(std::sync::atomic::Ordering::Relaxed);
        let is_media = transmit.contents.len() > 300 && transmit.contents[0] >> 6 == 2;
        is_media && one_of > 0 && fastrand::u32(..one_of) == 0
    }

    fn sent(&self, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for (ssrc, rtp_time) in transmit.contents.chunks(size).filter_map(last_packet_of_a_picture) {
            let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(at) = departures.iter().position(|d| d.ssrc == ssrc && d.rtp_time == rtp_time) else { continue };
            if let Some(departure) = departures.remove(at) {
                drop(departures);
                let now = media_now();
                departure.latency.observe(now.since(departure.captured), now.since(departure.encoded));
            }
        }
    }
}

/// SSRC and time stamp of an RTP packet with the marker bit; SRTP leaves the header in the clear.
fn last_packet_of_a_picture(datagram: &[u8]) -> Option<(u32, u32)> {
    let header: &[u8; 12] = datagram.first_chunk()?;
    // Payload types from 64 on with the marker bit set look like RTCP (RFC 5761 §4); ours are dynamic, from 96 on.
    let rtp_with_marker = header[0] >> 6 == 2 && header[1] >= 0x80 | 96;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    rtp_with_marker.then(|| (word(8), word(4)))
}

/// First byte of a DTLS alert record ([RFC 6347 §4.1](https://www.rfc-editor.org/rfc/rfc6347#section-4.1)).
const DTLS_ALERT: u8 = 21;

/// The port of multicast DNS; the crate binds one such socket if told to.
const MDNS_PORT: u16 = 5_353;

/// Resolved names of STUN and TURN servers, shared by all connections.
///
/// The crate resolves on its driver task, before it lists any candidate: a name server that does not answer would hold
/// up every new viewer for as long as the system's resolver tries.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, Answer>>>);

#[derive(Debug, Clone)]
struct Answer {
    at: Instant,
    addresses: Vec<SocketAddr>,
}

/// A name server on the same continent answers within this time.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer is believed.
const NAME_LIFETIME: Duration = Duration::from_secs(60);
/// How long the absence of an answer is believed: a network that comes up is noticed soon.
const NO_NAME_LIFETIME: Duration = Duration::from_secs(5);
/// Servers come from the config or the session's owner, never from a viewer; this only guards against a mistake.
const MAX_NAMES: usize = 64;

impl Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let lifetime = |found: &[SocketAddr]| if found.is_empty() { NO_NAME_LIFETIME } else { NAME_LIFETIME };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let addresses = match known {
            Some(Answer { at, addresses }) if now().saturating_duration_since(at) < lifetime(&addresses) => addresses,
            _ => {
                let found = tokio::time::timeout(RESOLVE_PATIENCE, tokio::net::lookup_host(host)).await;
                let addresses = match found {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(_)) | Err(_) => Vec::new(),
                };
                let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if names.len() >= MAX_NAMES {
                    names.clear();
                }
                names.insert(host.to_owned(), Answer { at: now(), addresses: addresses.clone() });
                addresses
            }
        };
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
        }
        Ok(addresses)
    }
}

/// tokio for one connection.
#[derive(Debug)]
pub(super) struct WatchedRuntime {
    pub watch: Arc<Watch>,
    pub names: Names,
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
        // Without ICE over TCP, which we do not use, the driver is all that is ever spawned.
        let notice = EndNotice(Arc::clone(&self.watch));
        let task = tokio::spawn(
            async move {
                let _notice = notice;
                future.await;
            }
            .in_current_span(),
        );
        let task = task.abort_handle();
        self.watch.driver.lock().unwrap_or_else(PoisonError::into_inner).replace(task.clone());
        Box::new(Driver(task))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let address = socket.local_addr()?;
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        if address.port() != MDNS_PORT {
            self.watch.bound.lock().unwrap_or_else(PoisonError::into_inner).push(address);
        }
        Ok(Arc::new(WatchedSocket { inner, watch: Arc::clone(&self.watch) }))
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
        Box::pin(self.names.resolve(host))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
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
}

impl AsyncUdpSocket for WatchedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        #[cfg(test)]
        if self.watch.stalled.load(std::sync::atomic::Ordering::Relaxed) {
            return Poll::Pending;
        }
        #[cfg(test)]
        if self.watch.loses(transmit) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        let sent = self.inner.poll_send(cx, transmit);
        if let Poll::Ready(Ok(_)) = &sent {
            self.watch.sent(transmit);
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
        if let Poll::Ready(Ok(messages)) = &received
            && bufs.iter().take(*messages).any(|buf| buf.first() == Some(&DTLS_ALERT))
        {
            self.watch.alert.notify_one();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packets_that_end_a_picture_are_recognised() {
        let packet = |first: u8, second: u8| [first, second, 0, 1, 0, 0, 0, 7, 0, 0, 0, 9, 0xff];
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 0x80 | 102)), Some((9, 7)));
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 102)), None, "no marker");
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 200)), None, "a sender report");
        assert_eq!(last_packet_of_a_picture(&packet(22, 0xff)), None, "dtls");
        assert_eq!(last_packet_of_a_picture(&[0x80, 0xff]), None, "cut off");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_asked_for_once() {
        let names = Names::default();
        assert!(names.resolve("camera-node.invalid:3478").await.is_err());
        assert!(names.0.lock().expect("not poisoned").contains_key("camera-node.invalid:3478"));
        assert_eq!(names.resolve("127.0.0.1:3478").await.expect("an address").len(), 1);
    }
}
