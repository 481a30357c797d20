//! A speaker's thread: plays what viewers say, from somebody's first word until they leave, and opens the card anew when it
//! fails.

use std::sync::Arc;
use std::time::Duration;

use crate::media::CameraName;
use crate::playback::{self, Echoes, Mixer, PlaybackError, SPEAKER_PERIOD, Talkers, config::Speaker};

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
        loop {
            pulse.beat();
            if !self.demand.wish().wanted && failures == 0 {
                self.board.note(&part, State::Idle, "");
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
                Ok(()) => failures = 0,
                Err(error) => {
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
        while self.wanted() {
            pulse.beat();
            let heard_at = sink.room(SILENCE_LIMIT)?;
            if !*plays {
                *plays = true;
                self.board.note(part, State::Live, "");
            }
            let took = |waited: Duration| delays.observe((waited + latency).as_secs_f64());
            let audible = mixer.mix(&mut period, heard_at.minus(latency), took)?;
            self.echoes.played(&period, heard_at, audible);
            sink.play(&period)?;
        }
        Ok(())
    }

    fn wanted(&self) -> bool {
        let wish = self.demand.wish();
        wish.wanted && !wish.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::config::SinkKind;

    /// What becomes of a speaker that writes to `file`, while somebody talks.
    fn state_with(file: &std::path::Path) -> (State, String) {
        let (board, demand) = (Arc::new(Board::default()), Arc::new(Demand::default()));
        let playing = Playing {
            camera: CameraName::try_from("main".to_owned()).expect("letters"),
            config: Speaker { sink: SinkKind::File, file: file.to_owned(), ..Speaker::default() },
            talkers: Arc::default(),
            echoes: Echoes::default(),
            demand: Arc::clone(&demand),
            board: Arc::clone(&board),
            metrics: Metrics::default(),
        };
        demand.want(true);
        let thread = std::thread::spawn(move || playing.run());
        let settled = || {
            let condition = board.conditions().remove("speaker:main")?;
            (condition.state != State::Idle).then_some((condition.state, condition.detail))
        };
        let found = std::iter::repeat_with(|| {
            std::thread::yield_now();
            settled()
        });
        let found = found.flatten().next().expect("it never ends");
        demand.stop();
        thread.join().expect("it ends");
        found
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
