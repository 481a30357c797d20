//! The two threads of a microphone: one reads the card and heals it, one encodes for all viewers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::capture::{self, CaptureError, config::Audio};
use crate::encode::{self, AudioEncoder, EncodeError, config::Opus};
use crate::fanout::Fanout;
use crate::media::{CameraName, EncodedAudio, Pcm, SAMPLES_PER_PERIOD};
use crate::playback::{EchoGuard, Echoes, config::Speaker};

use super::demand::Demand;
use super::pulse::{Pulse, ROUND};
use super::shutter::Shutter;
use super::state::{Board, State};

/// A card delivers a period every 20 ms; after this long it is opened anew.
const SILENCE_LIMIT: Duration = Duration::from_secs(1);

/// Periods between the card's thread and the encoder's. Cards whose periods are not ours hand over several at once, so
/// one is not enough; 80 ms is the most that sound can lag here.
const PERIODS_IN_BETWEEN: usize = 4;

/// Pauses between attempts to open a card.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The way from the card's thread to the encoder's.
pub fn periods() -> (SyncSender<Pcm>, Receiver<Pcm>) {
    sync_channel(PERIODS_IN_BETWEEN)
}

/// What the card's thread works with.
pub struct Sound {
    /// Whose.
    pub camera: CameraName,
    /// How to open it.
    pub config: Audio,
    /// Where periods go.
    pub periods: SyncSender<Pcm>,
    /// What is done so that viewers who talk do not hear themselves.
    pub speaker: Speaker,
    /// What is heard from the speaker.
    pub echoes: Echoes,
    /// Whether sound is wanted.
    pub demand: Arc<Demand>,
    /// Whether it is muted.
    pub shutter: Arc<Shutter>,
    /// Where to say what it does.
    pub board: Arc<Board>,
}

impl Sound {
    /// Runs until the demand stops it.
    pub fn run(self) {
        let part = format!("microphone:{}", self.camera);
        let pulse = self.board.pulses.begin(format!("sound-{}", self.camera));
        // Here, as a canceller cannot change threads.
        let mut guard = EchoGuard::new(&self.speaker, &self.echoes);
        let mut failures = 0;
        let mut away = false;
        loop {
            pulse.beat();
            let wish = self.demand.wish();
            if wish.shut {
                self.board.note(&part, State::Private, "");
                (failures, away) = (0, false);
                self.demand.wait_while_shut(ROUND);
                if !self.demand.wish().stop {
                    continue;
                }
            }
            if !wish.wanted {
                // One that is unplugged is so also while nobody asks for it.
                away = away && !capture::is_card_there(&self.config);
                if !away {
                    self.board.note(&part, State::Idle, "");
                }
            }
            let wish = self.demand.wait_until_wanted(ROUND);
            if wish.stop {
                return;
            }
            if !wish.wanted || wish.shut {
                continue;
            }
            let mut delivered = false;
            match self.run_once(&part, (&pulse, &mut guard), &mut delivered) {
                Ok(()) => (failures, away) = (0, false),
                Err(error) => {
                    away = State::after(&error) == State::Away;
                    failures = if delivered { 1 } else { failures + 1 };
                    self.board.note(&part, State::after(&error), error.to_string());
                    self.demand.pause(RETRY_PAUSES[(failures - 1).min(RETRY_PAUSES.len() - 1)]);
                }
            }
        }
    }

    /// Opens the card and delivers until nobody wants it (`Ok`) or it fails.
    fn run_once(
        &self,
        part: &str,
        (pulse, guard): (&Pulse, &mut EchoGuard),
        delivered: &mut bool,
    ) -> Result<(), CaptureError> {
        let Some(mut source) = capture::open_audio(&self.config)? else {
            self.board.note(part, State::Idle, "none configured");
            while self.wanted() {
                pulse.beat();
                self.demand.pause(ROUND);
            }
            return Ok(());
        };
        let silence: Arc<[i16]> = Arc::new([0; SAMPLES_PER_PERIOD]);
        let mut said = None;
        while self.wanted() {
            pulse.beat();
            let mut pcm = guard.pass(source.next(SILENCE_LIMIT)?);
            *delivered = true;
            let muted = self.shutter.is_muted();
            if muted {
                pcm.samples = Arc::clone(&silence);
            }
            if said.replace(muted) != Some(muted) {
                self.board.note(part, State::Live, if muted { "muted" } else { "" });
            }
            match self.periods.try_send(pcm) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => tracing::trace!(part, "the encoder is late: 20 ms of sound dropped"),
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
        }
        Ok(())
    }

    fn wanted(&self) -> bool {
        let wish = self.demand.wish();
        wish.wanted && !wish.stop && !wish.shut
    }
}

/// What the encoder's thread works with.
pub struct SoundEncoding {
    /// Whose.
    pub camera: CameraName,
    /// How to encode.
    pub config: Opus,
    /// Where periods come from; it ends when their sender does.
    pub periods: Receiver<Pcm>,
    /// Where packets go.
    pub packets: Arc<Fanout<EncodedAudio>>,
    /// The worst loss any viewer reported lately, 0–1.
    pub loss: Arc<Mutex<f32>>,
    /// Where to say what it does.
    pub board: Arc<Board>,
}

impl SoundEncoding {
    /// Runs until the periods end.
    pub fn run(self) {
        let pulse = self.board.pulses.begin(format!("opus-{}", self.camera));
        if let Err(error) = self.run_once(&pulse) {
            // Opus fails only for reasons that trying again does not cure.
            self.board.note(&format!("opus:{}", self.camera), State::Failed, error.to_string());
        }
    }

    fn run_once(&self, pulse: &Pulse) -> Result<(), EncodeError> {
        let mut encoder: Box<dyn AudioEncoder> = encode::open_audio(&self.config)?;
        let mut loss_set = 0.0;
        loop {
            pulse.beat();
            match self.periods.recv_timeout(Duration::from_secs(1)) {
                Ok(pcm) => {
                    let loss = *self.loss.lock().unwrap_or_else(PoisonError::into_inner);
                    if (loss - loss_set).abs() >= 0.01 {
                        encoder.set_loss(loss)?;
                        loss_set = loss;
                    }
                    self.packets.publish(encoder.encode(&pcm)?);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}
