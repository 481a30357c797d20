//! The thread that encodes a camera's pictures once for all viewers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::encode::{self, EncodeError, Turn, VideoEncoder, config::H264};
use crate::fanout::{Fanout, Latest};
use crate::media::{CameraName, EncodedVideo, Feedback, Frame, FrameFormat, PixelFormat, ProfileLevelId, VideoPackets};
use crate::rate::KeyFrameGate;

use super::clock::{media_now, now};
use super::metrics::Metrics;
use super::notice::{CARD_INTERVAL, Notice};
use super::output_watch::{OutputWatch, Patience};
use super::pulse::Pulse;
use super::state::{Board, State};

/// How long to wait for a frame before looking whether the slot is closed; it is also the slowest a shutdown can be.
const FRAME_WAIT: Duration = Duration::from_millis(500);

/// RTP payload bytes a packet: an Ethernet frame less IPv6, UDP, TURN's channel header, SRTP's tag and RTP with its
/// extensions, rounded down. Browsers use much the same.
const MAX_PAYLOAD_BYTES: usize = 1_180;

/// An encoder that fails is nobody's trouble any more when no picture has come for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3);

/// What the encoding thread works with.
pub struct Encoding {
    /// Whose.
    pub camera: CameraName,
    /// How to encode.
    pub config: H264,
    /// Width and height asked of the camera, for the card when nothing can be encoded.
    pub size: (u32, u32),
    /// How the picture is turned on the way.
    pub turn: Turn,
    /// Frames a second asked for.
    pub fps: u32,
    /// The encoder made at the start, for raw frames.
    pub warm: Option<Box<dyn VideoEncoder>>,
    /// Where the stream's profile and level stand for offers.
    pub profile_level: Arc<Mutex<[u8; 3]>>,
    /// Told when viewers were offered another stream than the one that comes now.
    pub stream_changed: Arc<Notify>,
    /// Where the newest frame comes from.
    pub frames: Arc<Latest<Frame>>,
    /// Where packets go.
    pub packets: Arc<Fanout<Arc<VideoPackets>>>,
    /// Told that what the camera gives is of no use, so that it is opened anew.
    pub useless: Arc<AtomicBool>,
    /// For how long nothing may come out.
    pub patience: Patience,
    /// When a key frame is due.
    pub gate: Arc<Mutex<KeyFrameGate>>,
    /// Where to say what it does.
    pub board: Arc<Board>,
    /// Where to count.
    pub metrics: Metrics,
}

impl Encoding {
    /// Runs until the frames end.
    pub fn run(mut self) {
        let part = format!("encoder:{}", self.camera);
        let pulse = self.board.pulses.begin(format!("encode-{}", self.camera));
        let mut notice = None;
        self.board.note(&part, State::Idle, "");
        while !self.frames.is_closed() {
            if let Err(error) = self.run_once(&part, &pulse, &mut notice) {
                if matches!(error, EncodeError::Unreadable { .. } | EncodeError::NoKeyFrame(_)) {
                    self.useless.store(true, Ordering::Relaxed);
                }
                self.board.note(&part, state_after(&error), error.to_string());
                self.say(&mut notice, &error.to_string());
                self.pause(&mut notice, &pulse);
            }
        }
    }

    /// Builds an encoder for the frames that come and encodes until they end (`Ok`) or it fails. What is wrong is shown until
    /// something comes out.
    fn run_once(&mut self, part: &str, pulse: &Pulse, notice: &mut Option<Notice>) -> Result<(), EncodeError> {
        let mut current: Option<(bool, Box<dyn VideoEncoder>)> = None;
        let camera = [self.camera.as_str()];
        let mut output = OutputWatch::new(false, self.patience);
        let mut last_frame = now();
        // Said once it has given something: one that only opens, each second anew, is none that works.
        let mut said = None;
        while !self.frames.is_closed() {
            pulse.beat();
            self.show(notice);
            let wait = if notice.is_some() { CARD_INTERVAL } else { FRAME_WAIT };
            let Some(frame) = self.frames.take(wait) else {
                let is_forgotten = notice.is_some() && now() >= last_frame + FORGOTTEN_AFTER;
                if is_forgotten {
                    (*notice, current) = (None, None);
                }
                if current.is_none() && notice.is_none() {
                    // What has failed before is nobody's trouble while nothing is asked of it.
                    self.board.note(part, State::Idle, "");
                }
                continue;
            };
            last_frame = now();
            let passes = frame.format.pixel == PixelFormat::H264;
            let encoder = match &mut current {
                Some((is, encoder)) if *is == passes => encoder,
                other => {
                    let made = match self.warm.take() {
                        Some(warm) if !passes => warm,
                        _ => encode::open_video(&self.config, frame.format, self.fps, self.turn)?,
                    };
                    said = None;
                    output = OutputWatch::new(passes, self.patience);
                    // Decoders of the previous stream can only go on from a key frame.
                    self.want_key_frame();
                    &mut other.insert((passes, made)).1
                }
            };
            // A card's viewers are given theirs by the card; the first picture after it is a key frame in any case.
            let key = notice.is_none() && self.is_key_due();
            let begun = media_now();
            match encoder.encode(&frame, key) {
                Ok(Some(encoded)) => {
                    output.gave();
                    *notice = None;
                    if said.replace(frame.format) != Some(frame.format) {
                        self.board.note(part, State::Live, describe(frame.format));
                    }
                    let seconds = encoded.encoded.since(begun).as_secs_f64();
                    self.metrics.encode_seconds.with_label_values(&camera).observe(seconds);
                    let age = encoded.encoded.since(encoded.captured).as_secs_f64();
                    self.metrics.stage_seconds.with_label_values(&[self.camera.as_str(), "encoded"]).observe(age);
                    self.metrics.encoded.with_label_values(&camera).inc();
                    self.metrics.encoded_bytes.with_label_values(&camera).inc_by(encoded.data.len() as u64);
                    if encoded.key {
                        self.metrics.key_frames.with_label_values(&camera).inc();
                    }
                    let profile_level = encoder.profile_level();
                    self.is_as_offered(profile_level);
                    self.publish(&encoded);
                }
                Ok(None) => {
                    self.metrics.dropped.with_label_values(&[self.camera.as_str(), "encoder"]).inc();
                    output.gave_nothing(None, now())?;
                }
                Err(EncodeError::BadFrame(reason)) => {
                    tracing::debug!(camera = %self.camera, reason, "damaged frame");
                    self.metrics.dropped.with_label_values(&[self.camera.as_str(), "damaged"]).inc();
                    output.gave_nothing(Some(reason), now())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shows a card with these words from now on.
    fn say(&self, notice: &mut Option<Notice>, words: &str) {
        match notice {
            Some(notice) => notice.say(self.size, words),
            none => match Notice::new(&self.config, self.size, self.fps, words, now()) {
                Ok(notice) => *none = Some(notice),
                Err(error) => tracing::debug!(%error, "not even a card can be encoded"),
            },
        }
    }

    /// Sends the card, if one is shown and it is time for it.
    fn show(&self, notice: &mut Option<Notice>) {
        let Some(shown) = notice else { return };
        match shown.poll(now(), || self.is_key_due()) {
            Ok(Some(encoded)) => self.publish(&encoded),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "the card cannot be encoded any more");
                *notice = None;
            }
        }
    }

    /// Lets frames go by for a while.
    fn pause(&self, notice: &mut Option<Notice>, pulse: &Pulse) {
        let end = now() + self.patience.rebuild;
        while !self.frames.is_closed() && now() < end {
            pulse.beat();
            self.show(notice);
            self.frames.take(end.saturating_duration_since(now()).min(CARD_INTERVAL));
        }
    }

    /// Raises what viewers are offered to what comes, where that is more: a camera may come back with larger pictures. It is never
    /// lowered, as the card of a camera that is away is small, and whoever comes meanwhile sees the camera later.
    fn is_as_offered(&self, profile_level: [u8; 3]) {
        let mut offered = self.profile_level.lock().unwrap_or_else(PoisonError::into_inner);
        if !ProfileLevelId::of_sps(*offered).carries(ProfileLevelId::of_sps(profile_level)) {
            *offered = profile_level;
            drop(offered);
            self.stream_changed.notify_one();
        }
    }

    fn publish(&self, encoded: &EncodedVideo) {
        self.packets.publish(Arc::new(VideoPackets::from_access_unit(encoded, MAX_PAYLOAD_BYTES)));
    }

    fn is_key_due(&self) -> bool {
        if self.packets.take_entry_wanted() {
            self.want_key_frame();
        }
        self.gate().poll(now())
    }

    fn want_key_frame(&self) {
        self.gate().handle(Feedback::KeyFrameWanted, now());
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, KeyFrameGate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an encoder's failure is called: one that is silent is not broken, whosever fault that is.
fn state_after(error: &EncodeError) -> State {
    match error {
        EncodeError::Stalled(_) | EncodeError::Unreadable { .. } | EncodeError::NoKeyFrame(_) => State::Stalled,
        EncodeError::BadFrame(_) | EncodeError::Unsupported(_) | EncodeError::Codec { .. } => State::Failed,
    }
}

fn describe(format: FrameFormat) -> String {
    format!("{}x{} from {:?}", format.width, format.height, format.pixel)
}

#[cfg(test)]
mod tests {
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    use bytes::Bytes;
    use tokio::runtime::Runtime;
    use tokio::time::timeout;

    use super::*;
    use crate::fanout::Subscription;
    use crate::media::{Bitrate, MediaTime};

    const LIMIT: Duration = Duration::from_secs(60);
    /// A picture every so often; also what a packet is waited for.
    const INTERVAL: Duration = Duration::from_millis(10);
    /// Many times what ten pictures and a card take, many times shorter than what boards are given.
    const PATIENCE: Patience = Patience {
        encoder: Duration::from_millis(200),
        passed_on: Duration::from_millis(400),
        rebuild: Duration::from_millis(100),
    };
    /// 640 by 480, constrained baseline 3.0, and a key frame; too little to decode, enough to be passed on.
    const KEY: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x84, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0,
        1, 0x65, 1,
    ];

    /// Takes pictures for ever and gives none.
    struct Silent;

    impl VideoEncoder for Silent {
        fn encode(&mut self, _frame: &Frame, _key: bool) -> Result<Option<EncodedVideo>, EncodeError> {
            Ok(None)
        }

        fn set_bitrate(&mut self, _target: Bitrate) -> Result<(), EncodeError> {
            Ok(())
        }

        fn profile_level(&self) -> [u8; 3] {
            [0x42, 0xc0, 0x0d]
        }
    }

    fn frame(pixel: PixelFormat, data: Vec<u8>) -> Frame {
        let format = FrameFormat { pixel, width: 320, height: 180, stride: 320, full_range: false };
        Frame { format, data: Bytes::from(data), captured: MediaTime::from_nanos(1), sequence: 0 }
    }

    fn grey() -> Frame {
        frame(PixelFormat::I420, vec![0x80; 320 * 180 * 3 / 2])
    }

    /// The thread, and what it is given and gives.
    struct Bench {
        frames: Arc<Latest<Frame>>,
        useless: Arc<AtomicBool>,
        offered: Arc<Mutex<[u8; 3]>>,
        stream_changed: Arc<Notify>,
        board: Arc<Board>,
        viewer: Subscription<Arc<VideoPackets>>,
        thread: Option<JoinHandle<()>>,
        runtime: Runtime,
        end: Instant,
    }

    impl Bench {
        fn with(warm: Option<Box<dyn VideoEncoder>>) -> Self {
            let (board, frames) = (Arc::<Board>::default(), Arc::<Latest<Frame>>::default());
            let packets = Arc::new(Fanout::new(1_000, LIMIT));
            let useless = Arc::<AtomicBool>::default();
            let (offered, stream_changed) = (Arc::new(Mutex::new([0x42, 0xc0, 0x0d])), Arc::<Notify>::default());
            let encoding = Encoding {
                camera: CameraName::try_from("main".to_owned()).expect("letters"),
                config: H264::default(),
                size: (320, 180),
                turn: Turn::default(),
                fps: 30,
                warm,
                profile_level: Arc::clone(&offered),
                stream_changed: Arc::clone(&stream_changed),
                frames: Arc::clone(&frames),
                packets: Arc::clone(&packets),
                useless: Arc::clone(&useless),
                patience: PATIENCE,
                gate: Arc::default(),
                board: Arc::clone(&board),
                metrics: Metrics::default(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            let viewer = packets.subscribe();
            let thread = Some(thread::spawn(move || encoding.run()));
            Self { frames, useless, offered, stream_changed, board, viewer, thread, runtime, end: now() + LIMIT }
        }

        /// Gives it this picture again and again; what viewers are sent meanwhile, until `is_so` of that and of its state.
        fn feed(&mut self, what: &str, frame: &Frame, is_so: impl Fn(&[bool], State) -> bool) -> (Vec<bool>, String) {
            let mut sent = Vec::new();
            loop {
                assert!(now() < self.end, "{what}: {:?} after {sent:?}", self.board.conditions());
                self.frames.put(Frame { captured: media_now(), ..frame.clone() });
                let next = self.runtime.block_on(async { timeout(INTERVAL, self.viewer.next()).await });
                if let Ok(packets) = next {
                    sent.push(packets.expect("not closed").key);
                }
                let Some(condition) = self.board.conditions().remove("encoder:main") else { continue };
                if is_so(&sent, condition.state) {
                    return (sent, condition.detail);
                }
            }
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.frames.close();
            let ended = self.thread.take().map(JoinHandle::join);
            assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
        }
    }

    /// A grey picture of this size.
    fn grey_of(width: u32, height: u32) -> Frame {
        let format = FrameFormat { pixel: PixelFormat::I420, width, height, stride: width, full_range: false };
        Frame { format, data: Bytes::from(vec![0x80; (width * height * 3 / 2) as usize]), ..grey() }
    }

    #[test]
    fn a_camera_that_comes_back_with_larger_pictures_is_offered_anew_once() {
        let mut bench = Bench::with(None);
        let mut is_said_after = |what: &str, frame: &Frame| {
            bench.feed(what, frame, |sent, _| sent.len() >= 2);
            let said =
                bench.runtime.block_on(async { timeout(INTERVAL, bench.stream_changed.notified()).await.is_ok() });
            (said, bench.offered.lock().unwrap_or_else(PoisonError::into_inner)[2])
        };
        assert_eq!(is_said_after("as asked", &grey()), (false, 0x0d), "every offer says level 3.1 at least");
        let (is_said, level) = is_said_after("larger", &grey_of(1_344, 768));
        assert!(is_said && level > 31, "{is_said}, {level}");
        assert_eq!(is_said_after("a card", &grey()), (false, level), "whoever comes now sees it later");
        assert_eq!(is_said_after("larger again", &grey_of(1_344, 768)), (false, level));
    }

    #[test]
    fn an_encoder_that_gives_nothing_is_said_to_stall_shown_by_a_card_and_built_anew() {
        let mut bench = Bench::with(Some(Box::new(Silent)));
        let (_, why) = bench.feed("stalled", &grey(), |_, state| state == State::Stalled);
        assert!(why.starts_with("the encoder has given nothing for "), "{why}");
        let (sent, _) = bench.feed("a card", &grey(), |sent, _| !sent.is_empty());
        assert!(sent[0], "decoders begin with it");
        let (_, how) = bench.feed("built anew", &grey(), |_, state| state == State::Live);
        assert_eq!(how, "320x180 from I420");
        let (sent, _) = bench.feed("pictures", &grey(), |sent, _| sent.len() >= 10);
        assert!(sent.iter().filter(|key| **key).count() <= 1, "one key frame after the card: {sent:?}");
        assert!(!bench.useless.load(Ordering::Relaxed), "that is not the camera's fault");
    }

    #[test]
    fn a_camera_whose_every_picture_is_damaged_is_a_card_until_one_is_whole() {
        let damaged = frame(PixelFormat::Mjpeg, vec![0xff, 0xd8, 0, 0]);
        let mut bench = Bench::with(None);
        let (sent, why) = bench.feed("stalled", &damaged, |_, state| state == State::Stalled);
        assert!(why.starts_with("no picture could be read for 0 s: "), "{why}");
        assert!(sent.len() <= 1, "nothing but the card: {sent:?}");
        assert!(bench.useless.load(Ordering::Relaxed), "it is opened anew");
        let (sent, _) =
            bench.feed("card after card", &damaged, |sent, state| sent.len() >= 5 || state != State::Stalled);
        assert!(sent.len() >= 5, "it is no other way meanwhile, however often it is tried");
        bench.feed("one that is whole", &grey(), |_, state| state == State::Live);
    }

    #[test]
    fn a_camera_s_own_stream_without_key_frames_is_a_card_until_one_comes() {
        let delta = frame(PixelFormat::H264, vec![0, 0, 0, 1, 0x41, 1]);
        let mut bench = Bench::with(None);
        let (_, why) = bench.feed("stalled", &delta, |_, state| state == State::Stalled);
        assert!(why.starts_with("the camera's own h.264 has had no key frame for "), "{why}");
        bench.feed("a card", &delta, |sent, _| sent.first() == Some(&true));
        assert!(bench.useless.load(Ordering::Relaxed), "it is opened anew, which makes most begin with a key frame");
        bench.feed("its own", &frame(PixelFormat::H264, KEY.to_vec()), |_, state| state == State::Live);
    }

    #[test]
    fn what_has_failed_is_forgotten_when_no_picture_comes_any_more() {
        let damaged = frame(PixelFormat::Mjpeg, vec![0xff, 0xd8, 0, 0]);
        let mut bench = Bench::with(None);
        bench.feed("stalled", &damaged, |_, state| state == State::Stalled);
        while bench.board.conditions()["encoder:main"].state != State::Idle {
            assert!(now() < bench.end, "still {:?}", bench.board.conditions());
            bench.runtime.block_on(async { _ = timeout(INTERVAL, bench.viewer.next()).await });
        }
    }
}
