//! What we offer and accept: H.264 with retransmission, and Opus; nothing else is registered.

use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine};
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::shared::error::Result;

use crate::media::ProfileLevelId;

/// RTP clock of video ([RFC 6184 §8.2.1](https://www.rfc-editor.org/rfc/rfc6184#section-8.2.1)).
pub(super) const VIDEO_CLOCK_HZ: u32 = 90_000;
/// RTP clock of Opus ([RFC 7587 §4.1](https://www.rfc-editor.org/rfc/rfc7587#section-4.1)).
pub(super) const AUDIO_CLOCK_HZ: u32 = 48_000;

const OPUS_PAYLOAD_TYPE: u8 = 111;
/// First of the dynamic payload types we give to H.264 and its retransmissions, two a profile.
const H264_FIRST_PAYLOAD_TYPE: u8 = 96;

/// What a receiver of ours takes: every profile a browser or camera is likely to send.
const RECEIVED_PROFILES: [[u8; 3]; 5] =
    [[0x42, 0xe0, 0x1f], [0x42, 0x00, 0x1f], [0x4d, 0x00, 0x1f], [0x64, 0x00, 0x1f], [0x64, 0x0c, 0x1f]];

/// H.264 in packetization mode 1.
pub(super) fn h264(profile: ProfileLevelId) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: VIDEO_CLOCK_HZ,
        channels: 0,
        sdp_fmtp_line: format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"),
        rtcp_feedback: vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")],
    }
}

/// Opus; always two channels in the description ([RFC 7587 §7](https://www.rfc-editor.org/rfc/rfc7587#section-7)).
pub(super) fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: AUDIO_CLOCK_HZ,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// An engine that knows these H.264 profiles, each with its retransmissions, and Opus if wanted.
///
/// # Errors
/// The crate's refusal.
pub(super) fn engine(profiles: &[ProfileLevelId], audio: bool) -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    for (payload_type, profile) in (H264_FIRST_PAYLOAD_TYPE..).step_by(2).zip(profiles) {
        let video = RTCRtpCodecParameters { rtp_codec: h264(*profile), payload_type };
        engine.register_codec(video, RtpCodecKind::Video)?;
        let rtx = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: VIDEO_CLOCK_HZ,
            channels: 0,
            sdp_fmtp_line: format!("apt={payload_type}"),
            rtcp_feedback: Vec::new(),
        };
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: rtx, payload_type: payload_type + 1 },
            RtpCodecKind::Video,
        )?;
    }
    if audio {
        let opus = RTCRtpCodecParameters { rtp_codec: opus(), payload_type: OPUS_PAYLOAD_TYPE };
        engine.register_codec(opus, RtpCodecKind::Audio)?;
    }
    Ok(engine)
}

/// An engine for a receiver.
///
/// # Errors
/// The crate's refusal.
pub(super) fn receiving_engine() -> Result<MediaEngine> {
    engine(&RECEIVED_PROFILES.map(ProfileLevelId::of_sps), true)
}

/// The payload type under which the other side takes `codec`: for H.264 that of the same profile in packetization mode 1,
/// never just the first.
pub(super) fn negotiated_payload_type(codec: &RTCRtpCodec, negotiated: &[RTCRtpCodecParameters]) -> Option<u8> {
    let same = |other: &RTCRtpCodec| {
        other.mime_type.eq_ignore_ascii_case(&codec.mime_type)
            && (!codec.mime_type.eq_ignore_ascii_case(MIME_TYPE_H264)
                || fmtp(other, "packetization-mode") == Some("1")
                    && sub_profile(other).is_some_and(|p| Some(p) == sub_profile(codec)))
    };
    negotiated.iter().find(|candidate| same(&candidate.rtp_codec)).map(|candidate| candidate.payload_type)
}

/// Profile and flags of a `profile-level-id`, lower-case.
fn sub_profile(codec: &RTCRtpCodec) -> Option<String> {
    fmtp(codec, "profile-level-id").and_then(|id| id.get(..4)).map(str::to_ascii_lowercase)
}

fn fmtp<'a>(codec: &'a RTCRtpCodec, key: &str) -> Option<&'a str> {
    let parameters = codec.sdp_fmtp_line.split(';').filter_map(|parameter| parameter.split_once('='));
    parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(key)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(idc: u8, flags: u8) -> ProfileLevelId {
        ProfileLevelId::of_sps([idc, flags, 0x28])
    }

    #[test]
    fn the_payload_type_is_that_of_profile_and_mode_and_not_the_first() {
        let with = |payload_type, fmtp: &str| RTCRtpCodecParameters {
            rtp_codec: RTCRtpCodec { sdp_fmtp_line: fmtp.to_owned(), ..h264(profile(0x42, 0xe0)) },
            payload_type,
        };
        let answer = [
            with(100, "packetization-mode=0;profile-level-id=42e01f"),
            with(102, "profile-level-id=42001f;packetization-mode=1"),
            with(108, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E034"),
        ];
        assert_eq!(negotiated_payload_type(&h264(profile(0x42, 0xe0)), &answer), Some(108));
        assert_eq!(negotiated_payload_type(&h264(profile(0x64, 0x00)), &answer), None);
        assert_eq!(negotiated_payload_type(&opus(), &answer), None);
    }
}
