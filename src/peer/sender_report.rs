//! Sender reports that map RTP to NTP by the media clock.
//!
//! The crate's own interceptor pairs a packet's RTP time stamp with the moment the packet passes it, so that the time a
//! picture spends in the encoder appears as a shift of picture against sound. Ours projects one instant of the media
//! clock on both scales, for every track with the same anchor, so a browser can align the two.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::rtcp;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};

use super::clock::SessionClock;

/// How often each stream is reported. Browsers align sound and picture from the second report of both on.
const INTERVAL: Duration = Duration::from_secs(1);

/// A stream we send.
#[derive(Debug, Clone)]
pub(super) struct ReportedStream {
    /// Its SSRC.
    pub ssrc: u32,
    /// Ticks a second of its RTP clock.
    pub clock_rate_hz: u32,
    /// What was added to the media clock's RTP time stamp, modulo 2³².
    pub rtp_offset: u32,
    /// Its canonical name, one for a camera's sound and picture.
    pub cname: String,
}

struct Counted {
    stream: ReportedStream,
    packets: u32,
    octets: u32,
}

/// Writes a sender report with the stream's canonical name for each stream that has sent, once a second from its first
/// packet on.
pub(super) struct SenderReports {
    clock: SessionClock,
    streams: Vec<Counted>,
    next: Option<Instant>,
}

impl SenderReports {
    pub(super) fn new(clock: SessionClock, streams: Vec<ReportedStream>) -> Self {
        let streams = streams.into_iter().map(|stream| Counted { stream, packets: 0, octets: 0 }).collect();
        Self { clock, streams, next: None }
    }

    /// A packet of this stream with a payload of so many bytes is sent at `now`.
    pub(super) fn count(&mut self, ssrc: u32, payload_bytes: usize, now: Instant) {
        let Some(counted) = self.streams.iter_mut().find(|counted| counted.stream.ssrc == ssrc) else { return };
        if counted.packets == 0 {
            // The sooner a browser has a report of both tracks, the sooner they are in step.
            self.next = Some(now);
        }
        counted.packets = counted.packets.wrapping_add(1);
        counted.octets = counted.octets.wrapping_add(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    }

    /// When the next reports are due; `None` before the first packet.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The compound packets to be sent at `now`, one a stream that has sent; none before they are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Vec<Box<dyn rtcp::Packet>>> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        self.next = Some(now + INTERVAL);
        let sent = self.streams.iter().filter(|counted| counted.packets > 0);
        sent.map(|counted| self.report(counted, now)).collect()
    }

    fn report(&self, counted: &Counted, now: Instant) -> Vec<Box<dyn rtcp::Packet>> {
        let Counted { stream, packets, octets } = counted;
        let at = self.clock.media_at(now);
        let report = SenderReport {
            ssrc: stream.ssrc,
            ntp_time: self.clock.ntp.ntp_at(at),
            rtp_time: at.rtp(stream.clock_rate_hz).wrapping_add(stream.rtp_offset),
            packet_count: *packets,
            octet_count: *octets,
            ..SenderReport::default()
        };
        let name = SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: Bytes::from(stream.cname.clone()) };
        let description =
            SourceDescription { chunks: vec![SourceDescriptionChunk { source: stream.ssrc, items: vec![name] }] };
        vec![Box::new(report), Box::new(description)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaTime, NtpAnchor};
    use crate::peer::clock::now;

    #[test]
    fn sound_and_picture_are_projected_from_one_instant_of_the_media_clock() {
        let start = now();
        let media = MediaTime::from_nanos(7_000_000_000);
        let ntp = NtpAnchor::new(media, Duration::from_secs(1_000));
        let stream =
            |ssrc, clock_rate_hz, rtp_offset| ReportedStream { ssrc, clock_rate_hz, rtp_offset, cname: "c".to_owned() };
        let streams = vec![stream(1, 90_000, u32::MAX - 5), stream(2, 48_000, 1_000)];
        let mut sender = SenderReports::new(SessionClock { instant: start, media, ntp }, streams);
        assert_eq!(sender.next(), None);

        for ssrc in [1, 2, 2] {
            sender.count(ssrc, 100, start);
        }
        let now = start + Duration::from_millis(1_500);
        let packets: Vec<_> = sender.due(now).into_iter().flatten().collect();
        let reports: Vec<&SenderReport> = packets.iter().filter_map(|packet| packet.as_any().downcast_ref()).collect();
        let at = media.plus(Duration::from_millis(1_500));
        assert_eq!(reports.len(), 2);
        assert!(reports.iter().all(|r| r.ntp_time == ntp.ntp_at(at)));
        assert_eq!(reports[0].rtp_time, at.rtp(90_000).wrapping_add(u32::MAX - 5));
        assert_eq!(reports[1].rtp_time, at.rtp(48_000) + 1_000);
        assert_eq!((reports[1].packet_count, reports[1].octet_count), (2, 200));
        assert_eq!(sender.next(), Some(now + INTERVAL));
        assert!(sender.due(now).is_empty(), "not twice");
    }
}
