//! The two threads of a microphone: one reads the card and heals it, one encodes for all viewers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::capture::{self, CaptureError, Chosen, config::Audio};
use crate::encode::{self, AudioEncoder, EncodeError, config::Opus};
use crate::fanout::Fanout;
use crate::media::{CameraName, EncodedAudio, Pcm, SAMPLES_PER_PERIOD};
use crate::playback::{EchoGuard, Echoes, config::Speaker};

use super::clock::media_now;
use super::demand::Demand;
use super::pulse::{Pulse, ROUND};
use super::shutter::Shutter;
use super::state::{Board, State};

/// A card delivers a period every 20 ms; after this long it is opened anew.
const SILENCE_LIMIT: Duration = Duration::from_secs(1);

/// What is said of the tone that `auto` has come to.
const MISSING: &str = "none was found: a tone is heard until one is plugged in";

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
    pub chosen: Arc<Chosen<Audio>>,
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
                away = away && !capture::is_card_there(&self.chosen.now());
                if !away {
                    self.note_well(&part, State::Idle, "");
                }
            }
            let wish = self.demand.wait_until_wanted(ROUND);
            if wish.stop {
                return;
            }
            if wish.shut {
                continue;
            }
            self.looks_for_card();
            if !wish.wanted {
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

    /// Opens the card and delivers until nobody wants it, or what stands in for it need not any more (`Ok`), or it fails.
    fn run_once(
        &self,
        part: &str,
        (pulse, guard): (&Pulse, &mut EchoGuard),
        delivered: &mut bool,
    ) -> Result<(), CaptureError> {
        let Some(mut source) = capture::open_audio(&self.chosen.now())? else {
            self.board.note(part, State::Idle, "none configured");
            while self.wanted() {
                pulse.beat();
                self.demand.pause(ROUND);
            }
            return Ok(());
        };
        let silence: Arc<[i16]> = Arc::new([0; SAMPLES_PER_PERIOD]);
        let mut said = None;
        while self.wanted() && !self.looks_for_card() {
            pulse.beat();
            let mut pcm = guard.pass(source.next(SILENCE_LIMIT)?);
            *delivered = true;
            let muted = self.shutter.is_muted();
            if muted {
                pcm.samples = Arc::clone(&silence);
            }
            if said.replace(muted) != Some(muted) {
                self.note_well(part, State::Live, if muted { "muted" } else { "" });
            }
            match self.periods.try_send(pcm) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => tracing::trace!(part, "the encoder is late: 20 ms of sound dropped"),
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the card has come in whose place a stand-in is.
    fn looks_for_card(&self) -> bool {
        let has_come = self.chosen.look(media_now());
        if has_come {
            let device = self.chosen.now().device;
            tracing::info!(camera = %self.camera, device, "plugged in: it takes the place of the tone");
        }
        has_come
    }

    /// Nothing is wrong with what delivers; if that is a stand-in, something is.
    fn note_well(&self, part: &str, state: State, detail: &str) {
        if self.chosen.is_stand_in() {
            self.board.note(part, State::Missing, MISSING);
        } else {
            self.board.note(part, state, detail);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::config::AudioSourceKind;
    use crate::node::clock::now;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_microphone_that_is_plugged_in_after_the_start_takes_the_place_of_the_tone() {
        let folder = tempfile::tempdir().expect("there is room");
        let card = folder.path().join("pcmC0D0c");
        let there = card.clone();
        // alsa-lib's own, which is always there, and silent.
        let microphone = Audio { source: AudioSourceKind::Alsa, device: "null".to_owned(), ..Audio::default() };
        let tone = Audio { source: AudioSourceKind::Tone, ..Audio::default() };
        let find = move || there.exists().then(|| microphone.clone());
        let (board, demand) = (Arc::<Board>::default(), Arc::<Demand>::default());
        let (periods, delivered) = periods();
        let sound = Sound {
            camera: CameraName::try_from("main".to_owned()).expect("letters"),
            chosen: Arc::new(Chosen::new(tone, true, (folder.path(), "pcm"), find)),
            periods,
            speaker: Speaker::default(),
            echoes: Echoes::default(),
            demand: Arc::clone(&demand),
            shutter: Arc::default(),
            board: Arc::clone(&board),
        };
        let thread = std::thread::spawn(move || sound.run());
        demand.want(true);
        let end = now() + LIMIT;
        let hears = |what: &str, fits: &dyn Fn(&Pcm, State) -> bool| loop {
            assert!(now() < end, "{what}: {:?}", board.conditions());
            let pcm = delivered.recv_timeout(LIMIT).expect(what);
            let condition = board.conditions().remove("microphone:main").expect("it delivers");
            if fits(&pcm, condition.state) {
                return condition.detail;
            }
        };
        let is_silent = |pcm: &Pcm| pcm.samples.iter().all(|sample| *sample == 0);
        assert_eq!(hears("a tone", &|pcm, state| !is_silent(pcm) && state == State::Missing), MISSING);
        std::fs::write(&card, "").expect("there is room");
        assert_eq!(hears("the microphone", &|pcm, state| is_silent(pcm) && state == State::Live), "");
        demand.stop();
        thread.join().expect("it ends");
    }
}
