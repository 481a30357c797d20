//! A speaker's thread: plays what viewers say, from somebody's first word until they leave, and opens the card anew when it
//! fails.

use std::sync::Arc;
use std::time::Duration;

use crate::media::CameraName;
use crate::playback::{self, Echoes, Mixer, PlaybackError, SPEAKER_PERIOD, TalkCounts, Talkers, config::Speaker};

use super::demand::Demand;
use super::metrics::Metrics;
use super::pulse::{Pulse, ROUND};
use super::state::{Board, State};

/// A card takes a period every 10 ms; after this long it is opened anew.
const SILENCE_LIMIT: Duration = Duration::from_secs(1);
/// Pauses between attempts to open a card.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// What the thread works with.
pub struct Playing {
    /// Whose.
    pub camera: CameraName,
    /// How to open it.
    pub config: Speaker,
    /// Who talks.
    pub talkers: Arc<Talkers>,
    /// Where to say what is heard.
    pub echoes: Echoes,
    /// Whether somebody talks.
    pub demand: Arc<Demand>,
    /// Where to say what it does.
    pub board: Arc<Board>,
    /// Where to count.
    pub metrics: Metrics,
}

impl Playing {
    /// Runs until the demand stops it.
    pub fn run(self) {
        let part = format!("speaker:{}", self.camera);
        let pulse = self.board.pulses.begin(format!("speak-{}", self.camera));
        let mut failures = 0;
        let mut away = false;
        loop {
            pulse.beat();
            if !self.demand.wish().wanted {
                // One that is unplugged is so also while nobody talks; what else there was is tried with whoever talks next.
                failures = 0;
                away = away && !playback::is_there(&self.config);
                if !away {
                    self.board.note(&part, State::Idle, "");
                }
            }
            let wish = self.demand.wait_until_wanted(ROUND);
            if wish.stop {
                return;
            }
            if !wish.wanted {
                continue;
            }
            let mut plays = false;
            match self.run_once(&part, &pulse, &mut plays) {
                Ok(()) => (failures, away) = (0, false),
                Err(error) => {
                    away = State::after(&error) == State::Away;
                    failures = if plays { 1 } else { failures + 1 };
                    self.board.note(&part, State::after(&error), error.to_string());
                    self.demand.pause(RETRY_PAUSES[(failures - 1).min(RETRY_PAUSES.len() - 1)]);
                }
            }
        }
    }

    /// Opens the card and plays until nobody talks (`Ok`) or it fails.
    fn run_once(&self, part: &str, pulse: &Pulse, plays: &mut bool) -> Result<(), PlaybackError> {
        let Some(mut sink) = playback::open(&self.config)? else { return Ok(()) };
        let limit = usize::try_from(self.config.max_talkers.value()).unwrap_or(1);
        let mut mixer = Mixer::new(Arc::clone(&self.talkers), limit);
        let delays = self.metrics.talk_seconds.with_label_values(&[self.camera.as_str()]);
        let latency = sink.latency();
        let mut period = [0; SPEAKER_PERIOD];
        let mut counted = TalkCounts::default();
        while self.wanted() {
            pulse.beat();
            let heard_at = sink.room(SILENCE_LIMIT)?;
            if !*plays {
                *plays = true;
                self.board.note(part, State::Live, "");
            }
            let took = |waited: Duration| delays.observe((waited + latency).as_secs_f64());
            let audible = mixer.mix(&mut period, heard_at.minus(latency), took)?;
            counted = self.count(mixer.counts(), counted);
            self.echoes.played(&period, heard_at, audible);
            sink.play(&period)?;
        }
        Ok(())
    }

    /// Counts what has come since; gives `now` back.
    fn count(&self, now: TalkCounts, before: TalkCounts) -> TalkCounts {
        for ((fate, now), (_, before)) in now.by_name().into_iter().zip(before.by_name()) {
            if now > before {
                self.metrics.talk_packets.with_label_values(&[self.camera.as_str(), fate]).inc_by(now - before);
            }
        }
        now
    }

    fn wanted(&self) -> bool {
        let wish = self.demand.wish();
        wish.wanted && !wish.stop
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::node::clock::now;
    use crate::playback::config::SinkKind;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A speaker that writes to a file.
    struct Bench {
        board: Arc<Board>,
        demand: Arc<Demand>,
        thread: Option<JoinHandle<()>>,
    }

    impl Bench {
        fn with(file: &Path) -> Self {
            let (board, demand) = (Arc::<Board>::default(), Arc::<Demand>::default());
            let playing = Playing {
                camera: CameraName::try_from("main".to_owned()).expect("letters"),
                config: Speaker { sink: SinkKind::File, file: file.to_owned(), ..Speaker::default() },
                talkers: Arc::default(),
                echoes: Echoes::default(),
                demand: Arc::clone(&demand),
                board: Arc::clone(&board),
                metrics: Metrics::default(),
            };
            let thread = thread::spawn(move || playing.run());
            Self { board, demand, thread: Some(thread) }
        }

        /// How it is, once that `fits`.
        fn settles(&self, what: &str, fits: impl Fn(State) -> bool) -> (State, String) {
            let end = now() + LIMIT;
            loop {
                let condition = self.board.conditions().remove("speaker:main");
                if let Some(condition) = condition.filter(|condition| fits(condition.state)) {
                    return (condition.state, condition.detail);
                }
                assert!(now() < end, "{what}: {:?}", self.board.conditions());
                thread::yield_now();
            }
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.demand.stop();
            let ended = self.thread.take().map(JoinHandle::join);
            assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
        }
    }

    /// What becomes of a speaker that writes to `file`, while somebody talks.
    fn state_with(file: &Path) -> (State, String) {
        let bench = Bench::with(file);
        bench.demand.want(true);
        bench.settles("opened", |state| state != State::Idle)
    }

    #[test]
    fn a_speaker_that_is_there_again_is_said_to_be_though_nobody_talks() {
        let folder = tempfile::tempdir().expect("there is room");
        let (place, letter) = (folder.path().join("plug"), folder.path().join("letter"));
        let bench = Bench::with(&place.join("talk.wav"));
        bench.demand.want(true);
        bench.settles("away", |state| state == State::Away);
        bench.demand.want(false);
        std::fs::create_dir(&place).expect("there is room");
        bench.settles("back", |state| state == State::Idle);

        std::fs::write(&letter, "Dear Ada").expect("there is room");
        let bench = Bench::with(&letter);
        bench.demand.want(true);
        bench.settles("not ours", |state| state == State::Unsupported);
        bench.demand.want(false);
        bench.settles("nobody's trouble while nobody talks", |state| state == State::Idle);
        bench.demand.want(true);
        bench.settles("as it was", |state| state == State::Unsupported);
    }

    #[test]
    fn a_speaker_that_cannot_be_opened_says_why() {
        let folder = tempfile::tempdir().expect("there is room");
        let letter = folder.path().join("letter");
        std::fs::write(&letter, "Dear Ada").expect("there is room");
        let (state, detail) = state_with(&letter);
        assert_eq!(state, State::Unsupported, "{detail}");
        assert!(detail.contains("name another file"), "{detail}");
        assert_eq!(std::fs::read(&letter).expect("it is there"), b"Dear Ada");
        let (state, detail) = state_with(&letter.join("talk.wav"));
        assert_eq!(state, State::Failed, "a file is no folder: {detail}");
        let (state, detail) = state_with(&folder.path().join("no/talk.wav"));
        assert_eq!(state, State::Away, "{detail}");
        assert_eq!(state_with(&folder.path().join("talk.wav")), (State::Live, String::new()));
    }
}
