//! A track of ours, from the offer on.

use std::sync::Arc;

use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::rtp_transceiver::RtpTransceiver;

use super::codecs::{self, AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ};
use super::handover::Handover;
use super::{AudioFeed, FeedbackSink, VideoFeed};
use crate::media::{CameraName, ProfileLevelId};
use crate::session::TrackKind;

/// A track we offered, until and after it is sent.
pub(super) struct OfferedTrack {
    pub camera: CameraName,
    pub feed: Feed,
    pub codec: RTCRtpCodec,
    pub ssrc: u32,
    pub rtp_offset: u32,
    pub track: Arc<dyn TrackLocal>,
    pub handover: Arc<Handover>,
    pub transceiver: Option<Arc<dyn RtpTransceiver>>,
}

/// What it carries.
pub(super) enum Feed {
    Video(VideoFeed),
    Audio(AudioFeed),
}

impl Feed {
    pub(super) fn kind(&self) -> TrackKind {
        match self {
            Self::Video(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }

    pub(super) fn feedback(&self) -> &FeedbackSink {
        match self {
            Self::Video(feed) => &feed.feedback,
            Self::Audio(feed) => &feed.feedback,
        }
    }

    pub(super) fn clock_rate_hz(&self) -> u32 {
        match self {
            Self::Video(_) => VIDEO_CLOCK_HZ,
            Self::Audio(_) => AUDIO_CLOCK_HZ,
        }
    }
}

impl OfferedTrack {
    pub(super) fn new(camera: &CameraName, feed: Feed) -> Self {
        let (kind, name, codec) = match &feed {
            Feed::Video(video) => {
                (RtpCodecKind::Video, "video", codecs::h264(ProfileLevelId::of_sps(video.profile_level)))
            }
            Feed::Audio(_) => (RtpCodecKind::Audio, "audio", codecs::opus()),
        };
        let ssrc = fastrand::u32(1..);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            codec: codec.clone(),
            ..RTCRtpEncodingParameters::default()
        };
        // The crate's CNAME is the stream's id: one for a camera's sound and picture, so that a browser plays them in step.
        let (stream, id) = (camera.to_string(), format!("{camera}-{name}"));
        let track = MediaStreamTrack::new(stream, id.clone(), id, kind, vec![coding]);
        Self {
            camera: camera.clone(),
            feed,
            codec,
            ssrc,
            rtp_offset: fastrand::u32(..),
            track: Arc::new(TrackLocalStaticRTP::new(track)),
            handover: Arc::default(),
            transceiver: None,
        }
    }
}
