//! RTCP that comes back from a viewer, turned into [`Feedback`].
//!
//! The crate ends inbound RTCP in its interceptor chain, so our link of the chain listens.

use std::time::{Duration, Instant};

use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;

use super::FeedbackSink;
use super::clock::SessionClock;
use super::stats::Counters;
use crate::media::Feedback;

/// A stream we send, and who hears what is said of it.
pub(super) struct HeardStream {
    pub ssrc: u32,
    pub video: bool,
    pub sink: FeedbackSink,
    /// The share lost that was last reported.
    pub loss: f32,
}

/// Listens to key frame requests and reception reports.
pub(super) struct FeedbackTap {
    clock: SessionClock,
    streams: Vec<HeardStream>,
    counters: Counters,
}

impl FeedbackTap {
    pub(super) fn new(clock: SessionClock, streams: Vec<HeardStream>, counters: Counters) -> Self {
        Self { clock, streams, counters }
    }

    /// What arrived at `now`.
    pub(super) fn hear(&mut self, packets: &[Box<dyn rtcp::Packet>], now: Instant) {
        for packet in packets {
            self.hear_one(packet.as_ref(), now);
        }
    }

    fn hear_one(&mut self, packet: &dyn rtcp::Packet, now: Instant) {
        let packet = packet.as_any();
        if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
            self.key_frame_wanted(pli.media_ssrc);
        } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
            for entry in &fir.fir {
                self.key_frame_wanted(entry.ssrc);
            }
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            for block in &report.reports {
                self.received(block, now);
            }
        }
    }

    fn key_frame_wanted(&self, ssrc: u32) {
        if let Some(stream) = self.streams.iter().find(|stream| stream.ssrc == ssrc && stream.video) {
            (stream.sink)(Feedback::KeyFrameWanted);
            self.counters.update(|stats| stats.key_frames_wanted += 1);
        }
    }

    fn received(&mut self, block: &ReceptionReport, now: Instant) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == block.ssrc) else { return };
        stream.loss = f32::from(block.fraction_lost) / 256.0;
        (stream.sink)(Feedback::LossRate(stream.loss));
        let worst = self.streams.iter().map(|stream| stream.loss).fold(0.0, f32::max);
        let rtt = round_trip(block, self.clock.ntp.ntp_at(self.clock.media_at(now)));
        self.counters.update(|stats| {
            stats.loss = worst;
            stats.rtt = rtt.or(stats.rtt);
        });
    }
}

/// The round trip a reception report tells of when it arrives at `ntp`
/// ([RFC 3550 §6.4.1](https://www.rfc-editor.org/rfc/rfc3550#section-6.4.1)); `None` when it answers no sender report yet,
/// or cannot be true.
fn round_trip(block: &ReceptionReport, ntp: u64) -> Option<Duration> {
    if block.last_sender_report == 0 {
        return None;
    }
    // The middle 32 bits: seconds in 16.16 fixed point.
    let arrival = ((ntp >> 16) & u64::from(u32::MAX)) as u32;
    let units = arrival.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay);
    let rtt = Duration::from_micros(u64::from(units) * 1_000_000 / 65_536);
    // A clock that runs a little differently makes a small negative number, which wraps to hours.
    (rtt < Duration::from_secs(60)).then_some(rtt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{MediaTime, NtpAnchor};
    use crate::peer::clock::now;
    use rtc::rtcp::payload_feedbacks::full_intra_request::FirEntry;
    use std::sync::{Arc, Mutex};

    #[test]
    fn requests_and_losses_reach_the_stream_they_are_about() {
        let heard: Arc<Mutex<Vec<(u32, Feedback)>>> = Arc::default();
        let stream = |ssrc, video| {
            let heard = Arc::clone(&heard);
            let sink: FeedbackSink = Arc::new(move |f| heard.lock().expect("not poisoned").push((ssrc, f)));
            HeardStream { ssrc, video, sink, loss: 0.0 }
        };
        let instant = now();
        let media = MediaTime::from_nanos(0);
        let ntp = NtpAnchor::new(media, Duration::from_secs(1_000));
        let counters = Counters::default();
        let clock = SessionClock { instant, media, ntp };
        let mut tap = FeedbackTap::new(clock, vec![stream(1, true), stream(2, false)], counters.clone());

        let sent = ntp.ntp_at(media.plus(Duration::from_secs(1)));
        let report = ReceptionReport {
            ssrc: 2,
            fraction_lost: 64,
            last_sender_report: (sent >> 16) as u32,
            delay: 65_536 / 2,
            ..ReceptionReport::default()
        };
        let fir = FirEntry { ssrc: 1, sequence_number: 1 };
        let packets: Vec<Box<dyn rtcp::Packet>> = vec![
            Box::new(PictureLossIndication { sender_ssrc: 9, media_ssrc: 1 }),
            Box::new(PictureLossIndication { sender_ssrc: 9, media_ssrc: 77 }),
            Box::new(FullIntraRequest { sender_ssrc: 9, media_ssrc: 0, fir: vec![fir] }),
            Box::new(ReceiverReport { ssrc: 9, reports: vec![report], ..ReceiverReport::default() }),
        ];
        tap.hear(&packets, instant + Duration::from_millis(1_520));

        let expected = [(1, Feedback::KeyFrameWanted), (1, Feedback::KeyFrameWanted), (2, Feedback::LossRate(0.25))];
        assert_eq!(*heard.lock().expect("not poisoned"), expected);
        let stats = counters.snapshot();
        assert_eq!((stats.key_frames_wanted, stats.loss), (2, 0.25));
        let rtt = stats.rtt.expect("the report answers ours");
        assert!(rtt.abs_diff(Duration::from_millis(20)) < Duration::from_micros(50), "{rtt:?}");
    }
}
