//! What the speaker plays next, of all who talk.

use std::sync::Arc;
use std::time::Duration;

use super::PlaybackError;
use super::jitter::Counts;
use super::mix::Limiter;
use super::resample::Weights;
use super::talker::Talker;
use super::talkers::{Inbox, Talkers};
use super::ticks;
use crate::media::MediaTime;

/// Samples that are mixed at once: 10 ms.
pub const SPEAKER_PERIOD: usize = 480;

/// A sum that is louder than this (-46 dB) is somebody talking.
const AUDIBLE: i16 = 160;

/// Mixes for one speaker.
pub struct Mixer {
    talkers: Arc<Talkers>,
    /// Those who talk now: whose inbox, and what becomes of it.
    lines: Vec<(Arc<Inbox>, Talker)>,
    /// Of those who talk no more.
    gone: Counts,
    limit: usize,
    weights: Weights,
    limiter: Limiter,
}

impl Mixer {
    /// Of at most `limit` that are heard at a time; a further one is when one of them pauses.
    pub fn new(talkers: Arc<Talkers>, limit: usize) -> Self {
        let (weights, limiter) = (Weights::default(), Limiter::default());
        Self { talkers, lines: Vec::new(), gone: Counts::default(), limit, weights, limiter }
    }

    /// Fills `period` with what is due at `now`; tells `took` of each packet how long it has been here. Whether somebody is
    /// to be heard in it.
    ///
    /// # Errors
    /// Opus has no decoder to give.
    pub fn mix(
        &mut self,
        period: &mut [i16; SPEAKER_PERIOD],
        now: MediaTime,
        mut took: impl FnMut(Duration),
    ) -> Result<bool, PlaybackError> {
        self.take_what_was_left()?;
        let mut mixed = [0.0; SPEAKER_PERIOD];
        for (_, talker) in &mut self.lines {
            talker.add_to(&mut mixed, ticks::at(now), &self.weights, &mut took);
        }
        self.limiter.limit(&mixed, period);
        Ok(period.iter().any(|sample| sample.unsigned_abs() > AUDIBLE.unsigned_abs()))
    }

    /// What became of all packets that it was left.
    pub fn counts(&self) -> Counts {
        self.lines.iter().fold(self.gone, |sum, (_, talker)| sum.plus(talker.counts()))
    }

    fn take_what_was_left(&mut self) -> Result<(), PlaybackError> {
        let inboxes = self.talkers.inboxes();
        let is_there = |inbox: &Arc<Inbox>| inboxes.iter().any(|there| Arc::ptr_eq(there, inbox));
        let gone = &mut self.gone;
        self.lines.retain(|(inbox, talker)| {
            let stays = is_there(inbox) && !talker.is_gone();
            if !stays {
                *gone = gone.plus(talker.counts());
            }
            stays
        });
        for inbox in &inboxes {
            let left = inbox.take();
            if left.is_empty() {
                continue;
            }
            let line = match self.lines.iter().position(|(known, _)| Arc::ptr_eq(known, inbox)) {
                Some(line) => line,
                None if self.lines.len() < self.limit => {
                    self.lines.push((Arc::clone(inbox), Talker::new()?));
                    self.lines.len() - 1
                }
                None => continue,
            };
            left.into_iter().for_each(|packet| self.lines[line].1.insert(packet));
        }
        Ok(())
    }
}
