//! Media on its way from a track's task into the connection's driver, a whole picture at a time.
//!
//! The crate's driver takes a whole turn (locks, timers, a look at every socket, a flush) for each RTP
//! packet that is written to a track. So a task writes one empty packet, the carrier, for a picture of any size; what it
//! stands for lies here, and the last link of the interceptor chain puts the real packets in its place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::Notify;

use crate::media::VideoPackets;

/// What one carrier stands for, numbered and stamped for one viewer.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub content: Content,
    /// The RTP time stamp of all its packets.
    pub rtp_time: u32,
    /// The sequence number of its first packet.
    pub sequence: u16,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Picture(Arc<VideoPackets>),
    Sound(Bytes),
}

impl Content {
    pub(super) fn payloads(&self) -> &[Bytes] {
        match self {
            Self::Picture(picture) => &picture.payloads,
            Self::Sound(packet) => std::slice::from_ref(packet),
        }
    }

    /// A picture's last packet is marked (RFC 6184 §5.1). In sound the bit starts a talk spurt (RFC 3551 §4.1); ours is
    /// one without end.
    fn marks_last(&self) -> bool {
        matches!(self, Self::Picture(_))
    }
}

impl Outgoing {
    /// The RTP packets, headed as `carrier` is but for number, time and marker.
    pub(super) fn packets<'a>(&'a self, carrier: &'a rtp::Header) -> impl Iterator<Item = rtp::Packet> + 'a {
        let payloads = self.content.payloads();
        let last = payloads.len().saturating_sub(1);
        payloads.iter().zip(0u16..).map(move |(payload, index)| rtp::Packet {
            header: rtp::Header {
                marker: self.content.marks_last() && usize::from(index) == last,
                sequence_number: self.sequence.wrapping_add(index),
                timestamp: self.rtp_time,
                ..carrier.clone()
            },
            payload: payload.clone(),
        })
    }
}

/// Two, so that the task can bring the next while the driver takes the last. More would only be older when it is sent: a
/// driver that does not keep up waits for its socket.
const DEPTH: usize = 2;

/// The place between a track's task and the driver.
#[derive(Debug, Default)]
pub(super) struct Handover {
    waiting: Mutex<VecDeque<Outgoing>>,
    taken: Notify,
}

impl Handover {
    /// Leaves something for the driver; waits while it has not taken what was left before.
    pub(super) async fn leave(&self, outgoing: Outgoing) {
        loop {
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.len() < DEPTH {
                    waiting.push_back(outgoing);
                    return;
                }
            }
            // One task leaves and one takes, so a permit stored in between is not lost.
            self.taken.notified().await;
        }
    }

    /// The oldest that was left.
    pub(super) fn take(&self) -> Option<Outgoing> {
        let taken = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if taken.is_some() {
            self.taken.notify_one();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn sound(sequence: u16) -> Outgoing {
        Outgoing { content: Content::Sound(Bytes::from_static(b"opus")), rtp_time: 960, sequence }
    }

    #[test]
    fn a_picture_becomes_numbered_packets_of_which_the_last_is_marked() {
        use crate::media::MediaTime;
        let at = MediaTime::from_nanos(0);
        let payloads = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b"), Bytes::from_static(b"c")];
        let picture = VideoPackets { payloads, key: true, captured: at, encoded: at, bytes: 3, run: 3 };
        let outgoing = Outgoing { content: Content::Picture(Arc::new(picture)), rtp_time: 7, sequence: u16::MAX };
        let carrier = rtp::Header { version: 2, payload_type: 102, ssrc: 9, ..rtp::Header::default() };
        let packets: Vec<_> = outgoing
            .packets(&carrier)
            .map(|packet| (packet.header.sequence_number, packet.header.marker, packet.payload))
            .collect();
        let expected = [(u16::MAX, false, "a"), (0, false, "b"), (1, true, "c")];
        assert_eq!(
            packets,
            expected.map(|(number, marker, text)| (number, marker, Bytes::from_static(text.as_bytes())))
        );
        assert!(
            outgoing
                .packets(&carrier)
                .all(|p| (p.header.timestamp, p.header.ssrc, p.header.payload_type) == (7, 9, 102))
        );
        assert!(sound(0).packets(&carrier).all(|packet| !packet.header.marker));
    }

    #[tokio::test]
    async fn who_leaves_waits_for_who_takes() {
        let handover = Handover::default();
        for sequence in 0..DEPTH as u16 {
            handover.leave(sound(sequence)).await;
        }
        let mut next = pin!(handover.leave(sound(2)));
        let waits = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "it is full");
        let mut taken = Vec::from_iter(handover.take());
        next.await;
        taken.extend(std::iter::from_fn(|| handover.take()));
        assert_eq!(taken.iter().map(|outgoing| outgoing.sequence).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
