//! What is seen of one connection's sockets: which were bound, when a picture's last packet left, a DTLS alert coming in,
//! the end of the driver task; and what they are to expect next.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use webrtc::runtime::Transmit;

use super::clock::media_now;
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

/// A socket for media, as long as it is open.
#[derive(Debug)]
pub(super) struct Bound {
    pub address: SocketAddr,
    /// Counts from 1.
    number: usize,
}

/// What was seen of one connection's sockets.
#[derive(Debug, Default)]
pub(super) struct Watch {
    bound: Mutex<Vec<Weak<Bound>>>,
    /// Sockets bound so far, those of earlier generations included.
    bindings: AtomicUsize,
    /// The number of the socket that the other side's packets last came in by; 0 before the first.
    heard_by: AtomicUsize,
    departures: Mutex<VecDeque<Departure>>,
    /// Packets of one length in a row in the picture that leaves next.
    run: AtomicUsize,
    driver: Mutex<Option<AbortHandle>>,
    /// A DTLS alert came in, which may be the other side's `close_notify`.
    pub alert: Notify,
    /// The driver task has ended.
    pub driver_ended: Notify,
    /// Sending waits for ever, as it would on a socket whose buffer never drains.
    #[cfg(test)]
    pub stalled: std::sync::atomic::AtomicBool,
    /// Runs of packets that left with one call.
    #[cfg(test)]
    pub runs: std::sync::atomic::AtomicU32,
    /// One media packet of so many is lost; 0 for none.
    #[cfg(test)]
    pub loses_one_of: std::sync::atomic::AtomicU32,
}

/// Pictures whose last packet never left are forgotten beyond this number.
const MAX_DEPARTURES: usize = 32;

impl Watch {
    /// A socket was bound for media; it counts as long as the value lives.
    pub(super) fn bound(&self, address: SocketAddr) -> Arc<Bound> {
        let number = self.bindings.fetch_add(1, Ordering::Relaxed) + 1;
        let socket = Arc::new(Bound { address, number });
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.retain(|socket| socket.strong_count() > 0);
        bound.push(Arc::downgrade(&socket));
        socket
    }

    /// A packet of the other side, and no mere check of the path, came in here.
    pub(super) fn heard(&self, by: &Bound) {
        self.heard_by.store(by.number, Ordering::Relaxed);
    }

    fn open(&self) -> Vec<Arc<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// The addresses of the sockets that are open for media.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.open().iter().map(|socket| socket.address).collect()
    }

    /// Where the other side's packets come in: the one socket that has heard it, or all while none has.
    pub(super) fn path(&self) -> Vec<SocketAddr> {
        let heard_by = self.heard_by.load(Ordering::Relaxed);
        let open = self.open();
        match open.iter().find(|socket| socket.number == heard_by) {
            Some(socket) => vec![socket.address],
            None => open.iter().map(|socket| socket.address).collect(),
        }
    }

    /// The driver task runs.
    pub(super) fn driven_by(&self, driver: AbortHandle) {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner).replace(driver);
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

    /// So many packets of one length in a row are what goes to the driver next.
    pub(super) fn expect_run(&self, packets: usize) {
        self.run.store(packets, Ordering::Relaxed);
    }

    /// What was last said to [`Watch::expect_run`].
    pub(super) fn expected_run(&self) -> usize {
        self.run.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn loses(&self, transmit: &Transmit<'_>) -> bool {
        let one_of = self.loses_one_of.load(Ordering::Relaxed);
        let is_media = transmit.contents.len() > 300 && transmit.contents[0] >> 6 == 2;
        is_media && one_of > 0 && fastrand::u32(..one_of) == 0
    }

    /// This has gone to the socket.
    pub(super) fn sent(&self, transmit: &Transmit<'_>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_socket_that_was_heard_last_while_it_is_open() {
        let watch = Watch::default();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let [one, two] = [1, 2].map(|port| watch.bound(address(port)));
        assert_eq!(watch.path(), [address(1), address(2)]);
        watch.heard(&two);
        assert_eq!(watch.path(), [address(2)]);
        drop(two);
        assert_eq!(watch.path(), [address(1)], "nothing was heard there, but nothing else is there");
        let three = watch.bound(address(3));
        assert_eq!(watch.addresses(), [address(1), address(3)]);
        watch.heard(&three);
        assert_eq!(watch.path(), [address(3)]);
        drop((one, three));
        assert!(watch.path().is_empty());
    }

    #[test]
    fn only_packets_that_end_a_picture_are_recognised() {
        let packet = |first: u8, second: u8| [first, second, 0, 1, 0, 0, 0, 7, 0, 0, 0, 9, 0xff];
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 0x80 | 102)), Some((9, 7)));
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 102)), None, "no marker");
        assert_eq!(last_packet_of_a_picture(&packet(0x80, 200)), None, "a sender report");
        assert_eq!(last_packet_of_a_picture(&packet(22, 0xff)), None, "dtls");
        assert_eq!(last_packet_of_a_picture(&[0x80, 0xff]), None, "cut off");
    }
}
