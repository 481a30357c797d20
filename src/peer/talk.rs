//! The way back: what a viewer says, on either side of it.

use std::sync::Arc;

use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::PeerConnection;
use webrtc::rtp_transceiver::{RtpSender, RtpTransceiver};

use super::Ear;
use super::clock::media_now;
use super::codecs::{self, AUDIO_CLOCK_HZ, negotiated_payload_type};
use super::link::Failure;
use super::stats::Counters;
use crate::fanout::Fanout;
use crate::media::{CameraName, EncodedAudio, SpokenPacket};
use crate::session::{FailedStep, Mid, Mids, TrackKind};

/// Node: where a viewer may be heard.
pub(super) struct Talk {
    pub camera: CameraName,
    pub ear: Ear,
    /// The section for it alone, where the camera's sound goes into none.
    transceiver: Option<Arc<dyn RtpTransceiver>>,
}

impl Talk {
    pub(super) fn at(camera: &CameraName, ear: Ear) -> Self {
        Self { camera: camera.clone(), ear, transceiver: None }
    }

    /// Offers a section for it alone.
    pub(super) async fn offer(&mut self, pc: &dyn PeerConnection) -> Result<(), Failure> {
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, ..RTCRtpTransceiverInit::default() };
        let added = pc.add_transceiver_from_kind(RtpCodecKind::Audio, Some(init)).await;
        self.transceiver = Some(added.map_err(Failure::at(FailedStep::Offer))?);
        Ok(())
    }

    /// Says which section it is, unless it is one of the camera's sound.
    pub(super) async fn tell(&self, mids: &mut Mids) -> Result<(), Failure> {
        let Some(transceiver) = &self.transceiver else { return Ok(()) };
        if let Some(mid) = transceiver.mid().await.map_err(Failure::at(FailedStep::Offer))? {
            mids.insert(mid, Mid { camera: self.camera.clone(), kind: TrackKind::Audio, talk: true });
        }
        Ok(())
    }
}

/// Node: hands on what comes in on a viewer's track, until it ends.
pub(super) async fn hear(track: Arc<dyn TrackRemote>, ear: Ear, counters: Counters) {
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        // What a sender of silence sends to keep its path open.
        if packet.payload.is_empty() {
            continue;
        }
        counters.update(|stats| {
            stats.packets_received += 1;
            stats.bytes_received += packet.payload.len() as u64;
        });
        ear(SpokenPacket {
            ssrc: packet.header.ssrc,
            sequence: packet.header.sequence_number,
            rtp_time: packet.header.timestamp,
            payload: packet.payload,
            arrived: media_now(),
        });
    }
}

/// Viewer: its microphone, on the way into a connection.
pub(super) struct Mouth {
    sound: Arc<Fanout<EncodedAudio>>,
    track: Arc<dyn TrackLocal>,
    sender: Arc<dyn RtpSender>,
    ssrc: u32,
}

impl Mouth {
    /// Before the node's offer is set, which then finds a section for it.
    pub(super) async fn add(pc: &dyn PeerConnection, sound: Arc<Fanout<EncodedAudio>>) -> Result<Self, Failure> {
        let ssrc = fastrand::u32(1..);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            codec: codecs::opus(),
            ..RTCRtpEncodingParameters::default()
        };
        let name = || "microphone".to_owned();
        let track = MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Audio, vec![coding]);
        let track: Arc<dyn TrackLocal> = Arc::new(TrackLocalStaticRTP::new(track));
        let added = pc.add_track(Arc::clone(&track)).await;
        let sender = added.map_err(Failure::at(FailedStep::Answer))?;
        Ok(Self { sound, track, sender, ssrc })
    }

    /// Sends what is said from now on, until the connection or the sound ends.
    pub(super) async fn speak(self, counters: Counters) {
        let Ok(parameters) = self.sender.get_parameters().await else { return };
        let Some(payload_type) = negotiated_payload_type(&codecs::opus(), &parameters.rtp_parameters.codecs) else {
            return tracing::info!("the node has no ear for us");
        };
        let (mut sequence, offset) = (fastrand::u16(..), fastrand::u32(..));
        let mut sound = self.sound.subscribe();
        while let Some(packet) = sound.next().await {
            let bytes = packet.data.len() as u64;
            let header = rtp::Header {
                version: 2,
                payload_type,
                ssrc: self.ssrc,
                sequence_number: sequence,
                timestamp: packet.captured.rtp(AUDIO_CLOCK_HZ).wrapping_add(offset),
                ..rtp::Header::default()
            };
            if self.track.write_rtp(rtp::Packet { header, payload: packet.data }).await.is_err() {
                return;
            }
            sequence = sequence.wrapping_add(1);
            counters.update(|stats| {
                stats.packets_sent += 1;
                stats.bytes_sent += bytes;
            });
        }
    }
}
