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
