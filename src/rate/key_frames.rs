//! When the next frame must be a key frame: the wishes of all viewers, held to a rate the link can carry.

use std::time::{Duration, Instant};

use crate::media::Feedback;

/// Viewers that have lost the picture (PLI, FIR) share at most two key frames a second. A key frame is some ten times a
/// delta frame, so more would cost everybody's picture more than the loss cost one.
const LOSS_SPACING: Duration = Duration::from_millis(500);

/// A viewer who joins has nothing to show at all and waits for no more than this.
const JOIN_SPACING: Duration = Duration::from_millis(100);

/// Coalesces key-frame requests of one encoder's viewers.
///
/// A request is served by the first key frame made after it; one that comes while a key frame is already due shares it.
#[derive(Debug, Default)]
pub struct KeyFrameGate {
    /// The earliest moment at which a waiting request may be served.
    due: Option<Instant>,
    last: Option<Instant>,
}

impl KeyFrameGate {
    /// A viewer asks for something; what is not about key frames is left alone.
    pub fn handle(&mut self, feedback: Feedback, now: Instant) {
        let spacing = match feedback {
            Feedback::KeyFrameWanted => LOSS_SPACING,
            Feedback::ViewerJoined => JOIN_SPACING,
            Feedback::BitrateLimit(_) | Feedback::LossRate(_) => return,
        };
        let earliest = self.last.map_or(now, |last| now.max(last + spacing));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }

    /// Whether the frame that is encoded now must be a key frame. A yes counts as one made: an encoder that
    /// skips the frame owes it with the next.
    pub fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.last = Some(now);
        }
        is_due
    }

    /// When [`KeyFrameGate::poll`] will say yes, if nothing else is asked.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLI: Feedback = Feedback::KeyFrameWanted;
    const JOIN: Feedback = Feedback::ViewerJoined;

    /// Frames every 33 ms for `ms`, each asked of the gate, with `requests` at their times; the times of key frames.
    #[expect(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
    fn key_frames(requests: &[(u64, Feedback)], ms: u64) -> Vec<u64> {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut gate = KeyFrameGate::default();
        let mut waiting = requests.iter().peekable();
        let mut made = Vec::new();
        for frame in (0..=ms).step_by(33) {
            while let Some((asked, feedback)) = waiting.next_if(|(asked, _)| *asked <= frame) {
                gate.handle(*feedback, at(*asked));
            }
            if gate.poll(at(frame)) {
                made.push(frame);
            }
        }
        made
    }

    #[test]
    fn a_storm_of_losses_costs_two_key_frames_a_second() {
        let storm: Vec<_> = (0..2_000).step_by(5).map(|ms| (ms, PLI)).collect();
        let made = key_frames(&storm, 2_000);
        assert_eq!(made.len(), 4, "{made:?}");
        assert!(made.windows(2).all(|pair| pair[1] - pair[0] >= 500), "{made:?}");
    }

    #[test]
    fn one_request_makes_one_key_frame_at_once() {
        assert_eq!(key_frames(&[(40, PLI)], 3_000), [66]);
        assert_eq!(key_frames(&[(40, JOIN)], 3_000), [66]);
    }

    #[test]
    fn a_viewer_who_joins_does_not_wait_for_the_spacing_of_losses() {
        assert_eq!(key_frames(&[(0, PLI), (10, JOIN)], 3_000), [0, 132]);
    }

    #[test]
    fn requests_that_wait_together_share_a_key_frame() {
        assert_eq!(key_frames(&[(0, PLI), (40, PLI), (50, JOIN), (60, JOIN)], 3_000), [0, 132]);
    }

    #[test]
    fn other_feedback_asks_for_nothing() {
        assert_eq!(key_frames(&[(0, Feedback::LossRate(0.5))], 1_000), [0u64; 0]);
    }
}
