//! H.264 in software, by OpenH264.

use bytes::Bytes;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};

use super::convert::Converter;
use super::key_frame_aim::KeyFrameAim;
use super::planes::{PlaneBuffer, Planes};
use super::{EncodeError, Turn, VideoEncoder, media_now};
use crate::media::{Bitrate, EncodedVideo, Frame, Sps};
use crate::sys::set_openh264_bitrate;

/// What an encoder is asked for, once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The most that is ever sent; [`VideoEncoder::set_bitrate`] moves below it.
    pub bitrate: Bitrate,
    /// Frames a second that will come.
    pub fps: u32,
}

/// The encoder. Pictures of another size or range than before are taken as they come, with a key frame.
pub struct OpenH264 {
    settings: Settings,
    converter: Converter,
    codec: Codec,
    /// Below or at `settings.bitrate`.
    target: Bitrate,
    key_frames: KeyFrameAim,
    profile_level: [u8; 3],
    /// A key frame was asked for and has not come out yet.
    key_owed: bool,
    /// Where an access unit is put together.
    scratch: Vec<u8>,
}

impl OpenH264 {
    /// An encoder for pictures that are `width` by `height` pixels before they are turned.
    ///
    /// It encodes one grey picture to learn the profile and level it will write. That one is thrown away together with
    /// the encoder that made it: rate control would expect all pictures to be as easy.
    ///
    /// # Errors
    /// [`EncodeError::Codec`]: the library refuses the size (its limit is 3840 by 2160) or has no memory.
    pub fn new(settings: Settings, turn: Turn, (width, height): (u32, u32)) -> Result<Self, EncodeError> {
        let (width, height) = turn.sides(width, height);
        let mut grey = PlaneBuffer::default();
        // Filled with zeros, which is a shade of green, and as good.
        grey.planes_mut(width as usize & !1, height as usize & !1);
        let picture = grey.planes().ok_or_else(|| EncodeError::Unsupported(format!("{width}x{height}")))?;
        let shape = Shape { width: picture.width(), height: picture.height(), full_range: false };

        let mut scratch = Vec::new();
        let key_frames = KeyFrameAim::default();
        let aim = key_frames.of(settings.bitrate);
        Codec::new(shape, settings, aim)?.encode(&picture, Timestamp::ZERO, &mut scratch)?;
        let sps = Sps::find(&scratch).ok_or_else(|| refused("the first access unit has no sps"))?;
        Ok(Self {
            settings,
            converter: Converter::new(turn),
            codec: Codec::new(shape, settings, aim)?,
            target: settings.bitrate,
            key_frames,
            profile_level: sps.profile_level,
            key_owed: false,
            scratch,
        })
    }
}

impl VideoEncoder for OpenH264 {
    fn encode(&mut self, frame: &Frame, key: bool) -> Result<Option<EncodedVideo>, EncodeError> {
        // Also when this frame turns out to be damaged: the wish stays.
        self.key_owed |= key;
        let picture = self.converter.convert(frame)?;
        let full_range = frame.format.full_range;
        let shape = Shape { width: picture.width(), height: picture.height(), full_range };
        if self.codec.shape != shape {
            self.key_frames = KeyFrameAim::default();
            self.codec = Codec::new(shape, self.settings, self.key_frames.of(self.target))?;
        }
        // A new one starts with a key frame whether asked or not.
        let wanted = self.key_owed || !self.codec.started;
        let at = Timestamp::from_millis(frame.captured.as_nanos() / 1_000_000);
        let mut kind;
        loop {
            let aim = if wanted { self.key_frames.of(self.target) } else { self.target };
            self.codec.prepare(wanted, aim, self.settings)?;
            kind = self.codec.encode(&picture, at, &mut self.scratch)?;
            // A key frame that is too big is made once more, coarser; the first attempt is never sent, and the second
            // refers to nothing.
            if kind != FrameType::IDR || self.key_frames.accepts(self.scratch.len(), self.target) {
                break;
            }
        }
        if self.scratch.is_empty() || matches!(kind, FrameType::Skip | FrameType::Invalid) {
            return Ok(None);
        }
        let key = kind == FrameType::IDR;
        if key {
            self.key_owed = false;
            if let Some(sps) = Sps::find(&self.scratch) {
                self.profile_level = sps.profile_level;
            }
        }
        let data = Bytes::copy_from_slice(&self.scratch);
        Ok(Some(EncodedVideo { data, key, captured: frame.captured, encoded: media_now() }))
    }

    fn set_bitrate(&mut self, target: Bitrate) -> Result<(), EncodeError> {
        self.target = target.clamp(LEAST_BITRATE, self.settings.bitrate.max(LEAST_BITRATE));
        Ok(())
    }

    fn profile_level(&self) -> [u8; 3] {
        self.profile_level
    }
}

/// Below this the library skips nearly every frame, and at less than a bit a frame it refuses.
const LEAST_BITRATE: Bitrate = Bitrate::from_bps(50_000);

/// What a change of makes a new encoder necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    width: usize,
    height: usize,
    full_range: bool,
}

/// The library's encoder for one shape of pictures.
struct Codec {
    encoder: Encoder,
    shape: Shape,
    /// The library sets itself up at the first picture, and takes no changes before.
    started: bool,
    /// What its rate control aims at now.
    aim: Bitrate,
}

impl Codec {
    fn new(shape: Shape, settings: Settings, aim: Bitrate) -> Result<Self, EncodeError> {
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .profile(Profile::Baseline)
            // By time stamps: it keeps the rate when the camera slows down in the dark, and its key frames are half as
            // big as in `Bitrate` mode.
            .rate_control_mode(RateControlMode::Timestamp)
            .skip_frames(true)
            .bitrate(BitRate::from_bps(aim.as_bps()))
            .max_frame_rate(FrameRate::from_hz(settings.fps.max(1) as f32))
            .qp(QpRange::new(QP_MIN, QP_MAX))
            // Key frames come when a viewer needs one; the library would make one for every passing cloud.
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            // A picture is one slice, and slices are what the library shares out to threads.
            .num_threads(1)
            .vui(VuiConfig::bt601().full_range(shape.full_range));
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(refused)?;
        Ok(Self { encoder, shape, started: false, aim })
    }

    /// Makes the next picture a key frame or not, and sets the bit rate to aim at for it.
    fn prepare(&mut self, key: bool, aim: Bitrate, settings: Settings) -> Result<(), EncodeError> {
        if !self.started {
            return Ok(());
        }
        if self.aim != aim {
            let ceiling = settings.bitrate.max(LEAST_BITRATE).as_bps();
            set_openh264_bitrate(&mut self.encoder, aim.as_bps(), ceiling)
                .map_err(|code| refused(format!("setting {aim}: code {code}")))?;
            self.aim = aim;
        }
        if key {
            self.encoder.force_intra_frame();
        }
        Ok(())
    }

    /// Encodes one picture; `into` then holds the access unit, nothing if it was skipped.
    fn encode(&mut self, picture: &Planes<'_>, at: Timestamp, into: &mut Vec<u8>) -> Result<FrameType, EncodeError> {
        into.clear();
        let unit = self.encoder.encode_at(picture, at).map_err(refused)?;
        unit.write_vec(into);
        let kind = unit.frame_type();
        self.started = true;
        Ok(kind)
    }
}

/// The finest quantiser: below it a still scene spends its rate on noise.
const QP_MIN: u8 = 20;
/// The coarsest, for delta frames; key frames have a limit of the library's own (see [`super::key_frame_aim`]).
const QP_MAX: u8 = 51;

fn refused(error: impl std::fmt::Display) -> EncodeError {
    EncodeError::Codec { codec: "openh264", message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::H264Decoder;
    use crate::encode::pictures::{FPS, Texture, pattern};
    use crate::media::{Flip, MediaTime, ProfileLevelId, Rotation};

    fn encoder(kbps: u32) -> OpenH264 {
        let settings = Settings { bitrate: Bitrate::from_bps(kbps * 1_000), fps: FPS };
        OpenH264::new(settings, Turn::default(), (1280, 720)).expect("720p fits")
    }

    /// Sizes of all access units, 0 for a skipped one, with the numbers of those that are key frames.
    fn run(encoder: &mut OpenH264, frames: impl Iterator<Item = Frame>, keys: &[u32]) -> (Vec<usize>, Vec<usize>) {
        let mut key_frames = Vec::new();
        let sizes = frames.enumerate().map(|(n, frame)| {
            let wanted = keys.contains(&(n as u32));
            let unit = encoder.encode(&frame, wanted).expect("a good frame");
            if unit.as_ref().is_some_and(|unit| unit.key) {
                key_frames.push(n);
            }
            unit.map_or(0, |unit| unit.data.len())
        });
        (sizes.collect(), key_frames)
    }

    #[test]
    fn profile_and_level_are_known_before_the_first_frame_and_are_the_stream_s_own() {
        let mut encoder = encoder(2_000);
        let known = encoder.profile_level();
        assert_eq!(ProfileLevelId::of_sps(known).to_string(), "42e01f");
        let first = encoder.encode(&pattern(0, 1280, 720), false).expect("a good frame").expect("not skipped");
        assert!(first.key && first.encoded > MediaTime::default());
        let sps = Sps::find(&first.data).expect("a key frame carries its sps");
        assert_eq!(sps, Sps { profile_level: known, width: 1280, height: 720 });
    }

    #[test]
    fn a_key_frame_comes_exactly_when_asked_and_decodes_alone() {
        let mut encoder = encoder(2_000);
        let mut late = H264Decoder::new().expect("memory");
        for n in 0..20 {
            let frame = pattern(n, 1280, 720);
            let unit = encoder.encode(&frame, n == 12).expect("a good frame").expect("an easy picture is not skipped");
            assert_eq!(unit.key, n == 0 || n == 12, "frame {n}");
            assert_eq!(unit.captured, frame.captured);
            if n >= 12 {
                let picture = late.decode(&unit.data).expect("starts at a key frame").expect("no delay");
                assert_eq!(picture.size(), (1280, 720));
                let (luma, stride) = picture.luma();
                let off = (0..720).map(|y| {
                    let (a, b) = (&luma[y * stride..][..1280], &frame.data[y * 1280..][..1280]);
                    a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
                });
                assert!(off.sum::<u64>() < 2 * 1280 * 720, "the picture is the one encoded");
            }
        }
    }

    #[test]
    fn pictures_of_another_size_or_range_are_taken_with_a_key_frame() {
        let settings = Settings { bitrate: Bitrate::from_bps(1_000_000), fps: FPS };
        let turn = Turn::of(Rotation::Clockwise90, Flip::None);
        let mut encoder = OpenH264::new(settings, turn, (640, 360)).expect("it fits");
        let mut next = |frame: Frame| encoder.encode(&frame, false).expect("good").expect("not skipped");
        let size_of = |unit: &EncodedVideo| Sps::find(&unit.data).map(|sps| (sps.width, sps.height));
        assert_eq!(size_of(&next(pattern(0, 640, 360))), Some((360, 640)), "turned");
        assert!(!next(pattern(1, 640, 360)).key);
        let small = next(pattern(2, 320, 240));
        assert!(small.key && size_of(&small) == Some((240, 320)));
        assert!(!next(pattern(3, 320, 240)).key);
        let mut full = pattern(4, 320, 240);
        full.format.full_range = true;
        assert!(next(full).key);
    }

    #[test]
    fn key_frames_stay_within_30_kb_at_2_mbit_s_however_hard_the_picture() {
        let texture = Texture::new();
        for hard in [false, true] {
            let mut encoder = encoder(2_000);
            let mut decoder = H264Decoder::new().expect("memory");
            for n in 0..24 {
                let frame = if hard { texture.frame(n, 1280, 720) } else { pattern(n, 1280, 720) };
                let Some(unit) = encoder.encode(&frame, n % 8 == 7).expect("a good frame") else { continue };
                assert!(!unit.key || unit.data.len() <= 30_000, "hard {hard}, frame {n}: {} bytes", unit.data.len());
                let shown = decoder.decode(&unit.data).expect("an attempt thrown away is not missed");
                assert!(shown.is_some(), "hard {hard}, frame {n}");
            }
        }
    }

    #[test]
    fn the_bit_rate_follows_down_and_up_without_a_key_frame() {
        let settings = Settings { bitrate: Bitrate::from_bps(1_500_000), fps: FPS };
        let mut encoder = OpenH264::new(settings, Turn::default(), (640, 360)).expect("it fits");
        let texture = Texture::new();
        let mut n = 0;
        let mut kbps_at = |encoder: &mut OpenH264, bps: u32| {
            encoder.set_bitrate(Bitrate::from_bps(bps)).expect("taken");
            let frames = (n..n + 60).map(|n| texture.frame(n, 640, 360));
            let (sizes, keys) = run(encoder, frames, &[]);
            n += 60;
            // The first of the two seconds is for the change.
            (sizes[30..].iter().sum::<usize>() * 8 / 1_000, keys)
        };
        let (start, keys) = kbps_at(&mut encoder, 1_500_000);
        assert!((1_100..1_900).contains(&start) && keys == [0], "{start} kbit/s, keys {keys:?}");
        let (low, keys) = kbps_at(&mut encoder, 400_000);
        assert!((200..600).contains(&low) && keys.is_empty(), "{low} kbit/s, keys {keys:?}");
        // More than was configured is not given.
        let (high, keys) = kbps_at(&mut encoder, 9_000_000);
        assert!((1_100..1_900).contains(&high) && keys.is_empty(), "{high} kbit/s, keys {keys:?}");
    }

    #[test]
    fn skipped_frames_are_no_access_units_and_the_rest_still_decodes() {
        let settings = Settings { bitrate: Bitrate::from_bps(60_000), fps: FPS };
        let mut encoder = OpenH264::new(settings, Turn::default(), (640, 360)).expect("it fits");
        let mut decoder = H264Decoder::new().expect("memory");
        let texture = Texture::new();
        let mut skipped = 0;
        for n in 0..60 {
            match encoder.encode(&texture.frame(n, 640, 360), false).expect("a good frame") {
                Some(unit) => assert!(decoder.decode(&unit.data).expect("decodes").is_some(), "frame {n}"),
                None => skipped += 1,
            }
        }
        assert!((1..60).contains(&skipped), "{skipped} skipped");
    }

    #[test]
    fn a_damaged_frame_does_not_swallow_the_key_frame_that_was_asked_with_it() {
        let mut encoder = encoder(2_000);
        run(&mut encoder, (0..3).map(|n| pattern(n, 1280, 720)), &[]);
        let mut short = pattern(3, 1280, 720);
        short.data.truncate(1000);
        assert!(matches!(encoder.encode(&short, true), Err(EncodeError::BadFrame(_))));
        assert!(encoder.encode(&pattern(4, 1280, 720), false).expect("good").expect("not skipped").key);
    }

    fn thread_cpu_ms() -> f64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
    }

    /// Run with `cargo test --lib encode::openh264 -- --ignored --nocapture`. The libraries are optimised in every
    /// profile, our own code is not in this one, so what it copies by itself counts too much here.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn processor_time_of_720p_at_2_mbit_s() {
        use std::io::Write as _;
        let texture = Texture::new();
        for hard in [false, true] {
            let frames = (0..90).map(|n| if hard { texture.frame(n, 1280, 720) } else { pattern(n, 1280, 720) });
            let frames: Vec<Frame> = frames.collect();
            for rotation in [Rotation::None, Rotation::Half, Rotation::Clockwise90] {
                let mut converter = Converter::new(Turn::of(rotation, Flip::None));
                let begun = thread_cpu_ms();
                for frame in &frames {
                    converter.convert(frame).expect("a good frame");
                }
                let turning = (thread_cpu_ms() - begun) / 90.0;
                let settings = Settings { bitrate: Bitrate::from_bps(2_000_000), fps: FPS };
                let turn = Turn::of(rotation, Flip::None);
                let mut encoder = OpenH264::new(settings, turn, (1280, 720)).expect("720p fits");
                let begun = thread_cpu_ms();
                let (sizes, _) = run(&mut encoder, frames.iter().cloned(), &[]);
                let all = (thread_cpu_ms() - begun) / 90.0;
                let kbps = sizes.iter().sum::<usize>() * 8 / 3 / 1_000;
                writeln!(
                    std::io::stderr(),
                    "hard {hard} {rotation:?}: {all:.2} ms a frame, of it conversion {turning:.2} ms; {kbps} kbit/s"
                )
                .expect("stderr takes a line");
            }
        }
    }
}
