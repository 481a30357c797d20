//! The task that sends one track to one viewer, at that viewer's pace.
//!
//! Media comes from the track's [`Fanout`](crate::fanout::Fanout), which drops for whoever is slow; handing it over may
//! wait for the connection's driver, and then only this viewer waits.

use std::sync::Arc;

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::watch;
use webrtc::media_stream::track_local::TrackLocal;

use super::codecs::{AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ};
use super::handover::{Content, Handover, Outgoing};
use super::stats::{Counters, SendLatency};
use super::watch::{Departure, Watch};
use crate::fanout::Subscription;
use crate::media::{EncodedAudio, MediaTime, VideoPackets};

/// One track as the other side has agreed to it.
pub(super) struct Outlet {
    pub track: Arc<dyn TrackLocal>,
    pub handover: Arc<Handover>,
    pub ssrc: u32,
    pub payload_type: u8,
    pub rtp_offset: u32,
    /// The number of the first packet; random, as RFC 3550 asks.
    pub sequence: u16,
    pub counters: Counters,
    pub watch: Arc<Watch>,
    /// Nothing is sent while the viewer is silent.
    pub paused: watch::Receiver<bool>,
}

impl Outlet {
    fn rtp_time(&self, at: MediaTime, clock_rate_hz: u32) -> u32 {
        at.rtp(clock_rate_hz).wrapping_add(self.rtp_offset)
    }

    /// Leaves all of it for the driver, and sends one carrier for it.
    async fn send(&mut self, content: Content, rtp_time: u32) -> Result<(), Closed> {
        let packets = content.payloads().len();
        let outgoing = Outgoing { content, rtp_time, sequence: self.sequence };
        self.sequence = self.sequence.wrapping_add(packets as u16);
        self.handover.leave(outgoing).await;
        let header =
            rtp::Header { version: 2, payload_type: self.payload_type, ssrc: self.ssrc, ..rtp::Header::default() };
        self.track.write_rtp(rtp::Packet { header, payload: Bytes::new() }).await.map_err(|_| Closed)
    }

    fn paused(&self) -> bool {
        *self.paused.borrow()
    }
}

/// The connection is gone.
struct Closed;

/// Sends pictures until the connection or the feed is gone.
pub(super) async fn send_video(
    mut outlet: Outlet,
    mut pictures: Subscription<Arc<VideoPackets>>,
    latency: Arc<SendLatency>,
) {
    let mut waits_for_key = true;
    let mut lost_before = 0;
    while let Some(picture) = pictures.next().await {
        // What is sent after a pause means nothing to a decoder before the next key frame.
        let send = !outlet.paused() && (picture.key || !waits_for_key);
        waits_for_key = !send;
        let sent = if send { send_picture(&mut outlet, &picture, &latency).await } else { Ok(()) };
        let lost = pictures.dropped();
        outlet.counters.update(|stats| {
            stats.frames_dropped += (lost - lost_before) + u64::from(!send);
            if send {
                stats.frames_sent += 1;
                stats.packets_sent += picture.payloads.len() as u64;
                stats.bytes_sent += picture.bytes as u64;
            }
        });
        lost_before = lost;
        if sent.is_err() {
            return;
        }
    }
}

async fn send_picture(
    outlet: &mut Outlet,
    picture: &Arc<VideoPackets>,
    latency: &Arc<SendLatency>,
) -> Result<(), Closed> {
    let rtp_time = outlet.rtp_time(picture.captured, VIDEO_CLOCK_HZ);
    if !picture.key {
        outlet.watch.expect_departure(Departure {
            ssrc: outlet.ssrc,
            rtp_time,
            captured: picture.captured,
            encoded: picture.encoded,
            latency: Arc::clone(latency),
        });
    }
    outlet.watch.expect_run(picture.run);
    outlet.send(Content::Picture(Arc::clone(picture)), rtp_time).await
}

/// Sends sound until the connection or the feed is gone.
pub(super) async fn send_audio(mut outlet: Outlet, mut sound: Subscription<EncodedAudio>) {
    while let Some(packet) = sound.next().await {
        if outlet.paused() {
            continue;
        }
        let rtp_time = outlet.rtp_time(packet.captured, AUDIO_CLOCK_HZ);
        let bytes = packet.data.len() as u64;
        if outlet.send(Content::Sound(packet.data), rtp_time).await.is_err() {
            return;
        }
        outlet.counters.update(|stats| {
            stats.packets_sent += 1;
            stats.bytes_sent += bytes;
        });
    }
}
