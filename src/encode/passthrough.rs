//! For cameras that deliver H.264 themselves: their access units, made fit for viewers who come later.

use bytes::Bytes;

use super::{EncodeError, VideoEncoder, media_now};
use crate::media::annexb::{NalKind, nals};
use crate::media::{Bitrate, EncodedVideo, Frame, PixelFormat, Sps};

/// Hands a camera's own H.264 on.
///
/// It cannot make a key frame, nor change the bit rate: asking for either does nothing, and a viewer waits for the
/// camera's next key frame. When a frame is missing, nothing goes out up to then: a picture that stands still for a moment
/// is better than one in shreds.
#[derive(Debug, Default)]
pub struct Passthrough {
    sps: Option<Bytes>,
    pps: Option<Bytes>,
    profile_level: Option<[u8; 3]>,
    /// The number of the frame before.
    last_sequence: Option<u32>,
    /// A frame is missing: what comes before the next key frame builds on it.
    waits_for_key: bool,
}

impl Passthrough {
    /// A pass-through that waits for the camera's first parameter sets and key frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the latest parameter sets; says whether this unit is a key frame, and whether it brings them itself.
    fn read(&mut self, unit: &[u8]) -> (bool, bool) {
        let (mut key, mut brings_sps, mut brings_pps) = (false, false, false);
        for nal in nals(unit) {
            match nal.kind() {
                NalKind::Idr => key = true,
                NalKind::Sps => {
                    brings_sps = true;
                    if let Some(sps) = Sps::parse(nal.bytes()) {
                        self.profile_level = Some(sps.profile_level);
                    }
                    keep(&mut self.sps, nal.bytes());
                }
                NalKind::Pps => {
                    brings_pps = true;
                    keep(&mut self.pps, nal.bytes());
                }
                _ => {}
            }
        }
        (key, brings_sps && brings_pps)
    }
}

impl VideoEncoder for Passthrough {
    /// `key` is not obeyed. `None` until the first key frame with parameter sets: nothing before it can be decoded.
    fn encode(&mut self, frame: &Frame, _key: bool) -> Result<Option<EncodedVideo>, EncodeError> {
        if frame.format.pixel != PixelFormat::H264 {
            return Err(EncodeError::Unsupported(format!("{:?} by passing it through", frame.format.pixel)));
        }
        let (key, complete) = self.read(&frame.data);
        // Drivers that do not count give every frame the same number.
        let follows = |last: u32| frame.sequence == last || frame.sequence == last.wrapping_add(1);
        let has_gap = !self.last_sequence.replace(frame.sequence).is_none_or(follows);
        self.waits_for_key = !key && (self.waits_for_key || has_gap);
        let (Some(sps), Some(pps)) = (&self.sps, &self.pps) else { return Ok(None) };
        if self.waits_for_key {
            return Ok(None);
        }
        let data = if key && !complete {
            // Some cameras send parameter sets once, when they start; a viewer who comes later needs them as well.
            Bytes::from([&START_CODE, &sps[..], &START_CODE, &pps[..], &frame.data[..]].concat())
        } else {
            frame.data.clone()
        };
        Ok(Some(EncodedVideo { data, key, captured: frame.captured, encoded: media_now() }))
    }

    fn set_bitrate(&mut self, _target: Bitrate) -> Result<(), EncodeError> {
        Ok(())
    }

    /// Constrained baseline 3.1, which nearly all such cameras send, until the first parameter set says otherwise.
    fn profile_level(&self) -> [u8; 3] {
        self.profile_level.unwrap_or([0x42, 0xe0, 31])
    }
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

fn keep(kept: &mut Option<Bytes>, unit: &[u8]) {
    if kept.as_deref() != Some(unit) {
        *kept = Some(Bytes::copy_from_slice(unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{FrameFormat, MediaTime};

    /// 640 by 480, constrained baseline 3.0.
    const SPS: [u8; 9] = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x84];
    const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

    fn frame(units: &[&[u8]]) -> Frame {
        let format = FrameFormat { pixel: PixelFormat::H264, width: 640, height: 480, stride: 0, full_range: false };
        let data: Vec<u8> = units.iter().flat_map(|unit| [&START_CODE, *unit].concat()).collect();
        Frame { format, data: Bytes::from(data), captured: MediaTime::from_nanos(9), sequence: 0 }
    }

    #[test]
    fn nothing_goes_out_before_the_parameter_sets_and_every_key_frame_carries_them() {
        let mut passthrough = Passthrough::new();
        let mut pass = |units: &[&[u8]]| passthrough.encode(&frame(units), false).expect("h.264 passes");
        assert!(pass(&[&[0x41, 1]]).is_none());
        assert!(pass(&[&[0x65, 1]]).is_none());
        let first = pass(&[&SPS, &PPS, &[0x65, 2]]).expect("complete");
        assert!(first.key && first.data == frame(&[&SPS, &PPS, &[0x65, 2]]).data);
        let delta = pass(&[&[0x41, 3]]).expect("decodable");
        assert!(!delta.key && delta.data == frame(&[&[0x41, 3]]).data);
        let bare = pass(&[&[0x65, 4]]).expect("decodable");
        assert!(bare.key && bare.data == frame(&[&SPS, &PPS, &[0x65, 4]]).data);
    }

    #[test]
    fn nothing_goes_out_between_a_missing_frame_and_the_next_key_frame() {
        let mut passthrough = Passthrough::new();
        let mut pass = |sequence: u32, key: bool| {
            let units: &[&[u8]] = if key { &[&SPS, &PPS, &[0x65, 2]] } else { &[&[0x41, 3]] };
            let frame = Frame { sequence, ..frame(units) };
            passthrough.encode(&frame, false).expect("h.264 passes").is_some()
        };
        let passed =
            [(u32::MAX, true), (0, false), (2, false), (3, false), (4, true), (4, false), (4, false), (0, false)]
                .map(|(sequence, key)| pass(sequence, key));
        assert_eq!(passed, [true, true, false, false, true, true, true, false]);
    }

    #[test]
    fn the_profile_is_the_camera_s_own_as_soon_as_it_is_known() {
        let mut passthrough = Passthrough::new();
        assert_eq!(passthrough.profile_level(), [0x42, 0xe0, 31]);
        passthrough.encode(&frame(&[&SPS, &PPS, &[0x65, 2]]), true).expect("h.264 passes");
        assert_eq!(passthrough.profile_level(), [0x42, 0xc0, 30]);
    }

    #[test]
    fn raw_frames_are_refused() {
        let mut raw = frame(&[&[0x65]]);
        raw.format.pixel = PixelFormat::Yuyv;
        let refused = Passthrough::new().encode(&raw, false).map(|_| ()).expect_err("not h.264");
        assert_eq!(refused.to_string(), "cannot encode Yuyv by passing it through");
    }
}
