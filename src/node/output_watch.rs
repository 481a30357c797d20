//! Notices an encoder that takes pictures and gives none: a hardware one can hang without a word.

use std::time::{Duration, Instant};

/// So long may an encoder give nothing while pictures go in. Rate control skips a few pictures, never seconds of them.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// And so many of them: a camera of one picture in ten seconds is none that stalls.
const STALLED_AFTER_PICTURES: u32 = 10;

/// What one encoder has given lately.
#[derive(Debug, Default)]
pub struct OutputWatch {
    /// Since when nothing has come out, and how many pictures went in meanwhile.
    nothing: Option<(Instant, u32)>,
}

impl OutputWatch {
    /// A picture went in, and `something` came out or nothing; how long nothing has, once that is too long.
    pub fn gave(&mut self, something: bool, now: Instant) -> Option<Duration> {
        if something {
            self.nothing = None;
            return None;
        }
        let (since, pictures) = self.nothing.get_or_insert((now, 0));
        *pictures = pictures.saturating_add(1);
        let silent = now.saturating_duration_since(*since);
        (silent >= STALLED_AFTER && *pictures >= STALLED_AFTER_PICTURES).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::clock::now;

    #[test]
    fn an_encoder_that_skips_is_well_and_one_that_gives_nothing_for_five_seconds_is_not() {
        let mut watch = OutputWatch::default();
        let begun = now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        for picture in 0..1_000 {
            assert_eq!(watch.gave(picture % 30 == 0, at(picture * 33)), None, "one a second comes out");
        }
        let from = 1_000;
        let stalled = (from..2_000).find_map(|picture| Some((picture, watch.gave(false, at(picture * 33))?)));
        let (picture, silent) = stalled.expect("it has stalled");
        assert!(silent >= STALLED_AFTER && silent < STALLED_AFTER + Duration::from_millis(34), "{silent:?}");
        assert!((picture - from) * 33 <= 5_033, "after {picture} pictures");
    }

    #[test]
    fn a_slow_camera_is_given_its_time() {
        let mut watch = OutputWatch::default();
        let begun = now();
        for picture in 0..9 {
            assert_eq!(watch.gave(false, begun + Duration::from_secs(10 * picture)), None);
        }
        assert!(watch.gave(false, begun + Duration::from_secs(90)).is_some());
    }
}
