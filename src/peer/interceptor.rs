//! Our one link in the crate's interceptor chain: pictures go out whole, sender reports go with them, feedback is heard.
//!
//! It stands behind every interceptor of the crate's on the way in, and before them on the way out, and runs on the
//! connection's driver task: nothing it calls may wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{AttributedPacket, Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

use super::feedback::FeedbackTap;
use super::handover::Handover;
use super::sender_report::SenderReports;

/// Beyond the crate's own.
pub(super) const SLOT: Slot = Slot::Custom(20_000);

pub(super) struct MediaInterceptor {
    /// By SSRC, what carriers stand for.
    handovers: Vec<(u32, Arc<Handover>)>,
    reports: SenderReports,
    feedback: FeedbackTap,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl MediaInterceptor {
    pub(super) fn new(handovers: Vec<(u32, Arc<Handover>)>, reports: SenderReports, feedback: FeedbackTap) -> Self {
        Self { handovers, reports, feedback, reads: VecDeque::new(), writes: VecDeque::new() }
    }

    fn send_what_was_left(&mut self, carrier: &rtp::Header, now: Instant, transport: TransportContext) {
        let Some((_, handover)) = self.handovers.iter().find(|(ssrc, _)| *ssrc == carrier.ssrc) else { return };
        // All of it: should a carrier get lost, the next one stands for both.
        while let Some(outgoing) = handover.take() {
            for packet in outgoing.packets(carrier) {
                self.reports.count(carrier.ssrc, packet.payload.len(), now);
                let message = AttributedPacket::new(Packet::Rtp(packet));
                self.writes.push_back(TaggedPacket { now, transport, message });
            }
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for MediaInterceptor {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            self.feedback.hear(packets, packet.now);
        }
        self.reads.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        match &packet.message.packet {
            Packet::Rtp(carrier) => self.send_what_was_left(&carrier.header, packet.now, packet.transport),
            _ => self.writes.push_back(packet),
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        for report in self.reports.due(now) {
            let message = AttributedPacket::new(Packet::Rtcp(report));
            self.writes.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.reports.next()
    }
}

impl Interceptor for MediaInterceptor {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
