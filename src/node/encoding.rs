//! The thread that encodes a camera's pictures once for all viewers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::capture::Card;
use crate::encode::{self, EncodeError, Turn, VideoEncoder, config::H264};
use crate::fanout::{Fanout, Latest};
use crate::media::{CameraName, Feedback, Frame, FrameFormat, PixelFormat, VideoPackets};
use crate::rate::KeyFrameGate;

use super::clock::{media_now, now};
use super::metrics::Metrics;
use super::output_watch::OutputWatch;
use super::pulse::Pulse;
use super::state::{Board, State};

/// How long to wait for a frame before looking whether the slot is closed; it is also the slowest a shutdown can be.
const FRAME_WAIT: Duration = Duration::from_millis(500);

/// RTP payload bytes a packet: an Ethernet frame less IPv6, UDP, TURN's channel header, SRTP's tag and RTP with its
/// extensions, rounded down. Browsers use much the same.
const MAX_PAYLOAD_BYTES: usize = 1_180;

/// How often a card is sent in place of pictures.
const CARD_INTERVAL: Duration = Duration::from_millis(200);

/// A pause before a broken encoder is built anew, so that one that never works does not burn the processor.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

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
    /// Where the newest frame comes from.
    pub frames: Arc<Latest<Frame>>,
    /// Where packets go.
    pub packets: Arc<Fanout<Arc<VideoPackets>>>,
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
        let mut card_encoder = None;
        self.board.note(&part, State::Idle, "");
        while !self.frames.is_closed() {
            if let Err(error) = self.run_once(&part, &pulse) {
                let state = if matches!(error, EncodeError::Stalled(_)) { State::Stalled } else { State::Failed };
                self.board.note(&part, state, error.to_string());
                let shown = self.show_card_for(REBUILD_PAUSE, &error, &mut card_encoder, &pulse);
                if let Err(error) = shown {
                    tracing::debug!(%error, "not even a card can be encoded");
                }
            }
        }
    }

    /// Builds an encoder for the frames that come and encodes until they end (`Ok`) or it fails.
    fn run_once(&mut self, part: &str, pulse: &Pulse) -> Result<(), EncodeError> {
        let mut current: Option<(bool, Box<dyn VideoEncoder>)> = None;
        let camera = [self.camera.as_str()];
        let mut output = OutputWatch::default();
        // Said once it has given something: one that only opens, each second anew, is none that works.
        let mut is_said = false;
        while !self.frames.is_closed() {
            pulse.beat();
            let Some(frame) = self.frames.take(FRAME_WAIT) else {
                if current.is_none() {
                    // What has failed before is nobody's trouble while nothing is asked of it.
                    self.board.note(part, State::Idle, "");
                }
                continue;
            };
            let passes = frame.format.pixel == PixelFormat::H264;
            let encoder = match &mut current {
                Some((is, encoder)) if *is == passes => encoder,
                other => {
                    let made = match self.warm.take() {
                        Some(warm) if !passes => warm,
                        _ => encode::open_video(&self.config, frame.format, self.fps, self.turn)?,
                    };
                    is_said = false;
                    // Decoders of the previous stream can only go on from a key frame.
                    self.want_key_frame();
                    &mut other.insert((passes, made)).1
                }
            };
            if self.packets.take_entry_wanted() {
                self.want_key_frame();
            }
            let key = self.gate().poll(now());
            let begun = media_now();
            let result = encoder.encode(&frame, key);
            // A camera's own stream is handed on as it comes, from its next key frame on: that may take its time.
            let gave = passes || !matches!(result, Ok(None));
            match result {
                Ok(Some(encoded)) => {
                    if !std::mem::replace(&mut is_said, true) {
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
                    *self.profile_level.lock().unwrap_or_else(PoisonError::into_inner) = encoder.profile_level();
                    let packets = VideoPackets::from_access_unit(&encoded, MAX_PAYLOAD_BYTES);
                    self.packets.publish(Arc::new(packets));
                }
                Ok(None) => {
                    self.metrics.dropped.with_label_values(&[self.camera.as_str(), "encoder"]).inc();
                }
                Err(EncodeError::BadFrame(reason)) => {
                    tracing::debug!(camera = %self.camera, reason, "damaged frame");
                    self.metrics.dropped.with_label_values(&[self.camera.as_str(), "damaged"]).inc();
                }
                Err(error) => return Err(error),
            }
            if let Some(silent) = output.gave(gave, now()) {
                return Err(EncodeError::Stalled(silent));
            }
        }
        Ok(())
    }

    /// Lets frames go by for `time`, and sends a card in their place that says what is wrong.
    fn show_card_for(
        &self,
        time: Duration,
        error: &EncodeError,
        encoder: &mut Option<Box<dyn VideoEncoder>>,
        pulse: &Pulse,
    ) -> Result<(), EncodeError> {
        let card = Card::new(self.size.0, self.size.1, "not encodable", &error.to_string()).frame(media_now(), 0);
        let encoder = match encoder {
            Some(encoder) => encoder,
            none => {
                self.want_key_frame();
                none.insert(encode::open_video(&self.config, card.format, self.fps, Turn::default())?)
            }
        };
        let end = now() + time;
        while !self.frames.is_closed() && now() < end {
            pulse.beat();
            let key = self.gate().poll(now());
            if let Some(encoded) = encoder.encode(&Frame { captured: media_now(), ..card.clone() }, key)? {
                self.packets.publish(Arc::new(VideoPackets::from_access_unit(&encoded, MAX_PAYLOAD_BYTES)));
            }
            let pause = now() + CARD_INTERVAL.min(end.saturating_duration_since(now()));
            while !self.frames.is_closed() && now() < pause {
                self.frames.take(pause.saturating_duration_since(now()));
            }
        }
        Ok(())
    }

    fn want_key_frame(&self) {
        self.gate().handle(Feedback::KeyFrameWanted, now());
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, KeyFrameGate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(format: FrameFormat) -> String {
    format!("{}x{} from {:?}", format.width, format.height, format.pixel)
}
