//! The task that sends one track to one viewer, at that viewer's pace.
//!
//! Packets come from the track's [`Fanout`](crate::fanout::Fanout), which drops for whoever is slow; writing one may wait
//! for the connection's driver, and then only this viewer waits.

use std::sync::Arc;

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::watch;
use webrtc::media_stream::track_local::TrackLocal;

use super::codecs::{AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ};
use super::runtime::{Departure, Watch};
use super::stats::{Counters, SendLatency};
use crate::fanout::Subscription;
use crate::media::{EncodedAudio, MediaTime, VideoPackets};

/// One track as the other side has agreed to it.
pub(super) struct Outlet {
    pub track: Arc<dyn TrackLocal>,
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

    async fn write(&mut self, rtp_time: u32, marker: bool, payload: Bytes) -> Result<(), Closed> {
        let header = rtp::Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp: rtp_time,
            ssrc: self.ssrc,
            ..rtp::Header::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.track.write_rtp(rtp::Packet { header, payload }).await.map_err(|_| Closed)
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

async fn send_picture(outlet: &mut Outlet, picture: &VideoPackets, latency: &Arc<SendLatency>) -> Result<(), Closed> {
    let rtp_time = outlet.rtp_time(picture.captured, VIDEO_CLOCK_HZ);
    let last = picture.payloads.len().saturating_sub(1);
    for (index, payload) in picture.payloads.iter().enumerate() {
        if index == last && !picture.key {
            outlet.watch.expect_departure(Departure {
                ssrc: outlet.ssrc,
                rtp_time,
                captured: picture.captured,
                encoded: picture.encoded,
                latency: Arc::clone(latency),
            });
        }
        outlet.write(rtp_time, index == last, payload.clone()).await?;
    }
    Ok(())
}

/// Sends sound until the connection or the feed is gone.
pub(super) async fn send_audio(mut outlet: Outlet, mut sound: Subscription<EncodedAudio>) {
    while let Some(packet) = sound.next().await {
        if outlet.paused() {
            continue;
        }
        let rtp_time = outlet.rtp_time(packet.captured, AUDIO_CLOCK_HZ);
        let bytes = packet.data.len() as u64;
        // The marker bit starts a talk spurt (RFC 3551 §4.1); ours is one without end.
        if outlet.write(rtp_time, false, packet.data).await.is_err() {
            return;
        }
        outlet.counters.update(|stats| {
            stats.packets_sent += 1;
            stats.bytes_sent += bytes;
        });
    }
}
