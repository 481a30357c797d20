//! Sender reports that map RTP to NTP by the media clock.
//!
//! The crate's own interceptor pairs a packet's RTP time stamp with the moment the packet passes it, so that the time a
//! picture spends in the encoder appears as a shift of picture against sound. Ours projects one instant of the media
//! clock on both scales, for every track with the same anchor, so a browser can align the two.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

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
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl SenderReports {
    pub(super) fn new(clock: SessionClock, streams: Vec<ReportedStream>) -> Self {
        let streams = streams.into_iter().map(|stream| Counted { stream, packets: 0, octets: 0 }).collect();
        Self { clock, streams, next: None, reads: VecDeque::new(), writes: VecDeque::new() }
    }

    fn report(&self, counted: &Counted, now: Instant) -> Packet {
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
        Packet::Rtcp(vec![Box::new(report), Box::new(description)])
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for SenderReports {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.reads.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && let Some(counted) = self.streams.iter_mut().find(|c| c.stream.ssrc == rtp.header.ssrc)
        {
            if counted.packets == 0 {
                // The sooner a browser has a report of both tracks, the sooner they are in step.
                self.next = Some(packet.now);
            }
            counted.packets = counted.packets.wrapping_add(1);
            counted.octets = counted.octets.wrapping_add(u32::try_from(rtp.payload.len()).unwrap_or(u32::MAX));
        }
        self.writes.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.next.is_some_and(|next| now >= next) {
            self.next = Some(now + INTERVAL);
            for counted in self.streams.iter().filter(|counted| counted.packets > 0) {
                let message = AttributedPacket::new(self.report(counted, now));
                self.writes.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
            }
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next
    }
}

impl Interceptor for SenderReports {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaTime, NtpAnchor};
    use crate::peer::clock::now;
    use rtc::rtp;

    fn reports(interceptor: &mut SenderReports) -> Vec<SenderReport> {
        let mut found = Vec::new();
        while let Some(packet) = interceptor.poll_write() {
            if let Packet::Rtcp(packets) = packet.message.packet {
                found.extend(packets.iter().filter_map(|p| p.as_any().downcast_ref::<SenderReport>().cloned()));
            }
        }
        found
    }

    #[test]
    fn sound_and_picture_are_projected_from_one_instant_of_the_media_clock() {
        let start = now();
        let media = MediaTime::from_nanos(7_000_000_000);
        let ntp = NtpAnchor::new(media, Duration::from_secs(1_000));
        let stream =
            |ssrc, clock_rate_hz, rtp_offset| ReportedStream { ssrc, clock_rate_hz, rtp_offset, cname: "c".to_owned() };
        let streams = vec![stream(1, 90_000, u32::MAX - 5), stream(2, 48_000, 1_000)];
        let mut interceptor = SenderReports::new(SessionClock { instant: start, media, ntp }, streams);
        assert_eq!(interceptor.poll_timeout(), None);

        for ssrc in [1, 2, 2] {
            let header = rtp::Header { version: 2, ssrc, ..rtp::Header::default() };
            let rtp = rtp::Packet { header, payload: Bytes::from_static(&[0; 100]) };
            let message = AttributedPacket::new(Packet::Rtp(rtp));
            let packet = TaggedPacket { now: start, transport: TransportContext::default(), message };
            interceptor.handle_write(packet).expect("it takes packets");
        }
        let now = start + Duration::from_millis(1_500);
        interceptor.handle_timeout(now).expect("it takes time");
        let reports = reports(&mut interceptor);
        let at = media.plus(Duration::from_millis(1_500));
        assert_eq!(reports.len(), 2);
        assert!(reports.iter().all(|r| r.ntp_time == ntp.ntp_at(at)));
        assert_eq!(reports[0].rtp_time, at.rtp(90_000).wrapping_add(u32::MAX - 5));
        assert_eq!(reports[1].rtp_time, at.rtp(48_000) + 1_000);
        assert_eq!((reports[1].packet_count, reports[1].octet_count), (2, 200));
        assert_eq!(interceptor.poll_timeout(), Some(now + INTERVAL));
    }
}
