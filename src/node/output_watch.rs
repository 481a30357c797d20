//! Notices an encoder that takes pictures and gives none, whosever fault that is: a hardware one can hang without a word, a
//! camera's pictures can be damaged one and all, and its own stream can lack the key frame that viewers need.

use std::time::{Duration, Instant};

use crate::encode::EncodeError;

/// How long an encoder may give nothing while pictures go in.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// One of ours: rate control skips a few pictures, never seconds of them.
    pub encoder: Duration,
    /// A camera's own stream, which goes on at its next key frame when one picture is lost: cameras send one every second, some
    /// every ten.
    pub passed_on: Duration,
    /// A pause before a broken encoder is built anew, so that one that never works does not burn the processor.
    pub rebuild: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { encoder: Duration::from_secs(5), passed_on: Duration::from_secs(20), rebuild: Duration::from_secs(1) }
    }
}

/// And so many of them: a camera of one picture in ten seconds is none that stalls.
const STALLED_AFTER_PICTURES: u32 = 10;

/// What one encoder has given lately.
#[derive(Debug)]
pub struct OutputWatch {
    limit: Duration,
    passes: bool,
    /// Since when nothing has come out, and how many pictures went in meanwhile.
    nothing: Option<(Instant, u32)>,
}

impl OutputWatch {
    /// Of an encoder, or (`passes`) of a camera's own stream.
    pub fn new(passes: bool, patience: Patience) -> Self {
        let limit = if passes { patience.passed_on } else { patience.encoder };
        Self { limit, passes, nothing: None }
    }

    /// A picture went in, and something came out.
    pub fn gave(&mut self) {
        self.nothing = None;
    }

    /// A picture went in, and nothing came out, perhaps because it was `damaged`.
    ///
    /// # Errors
    /// That was so for too long.
    pub fn gave_nothing(&mut self, damaged: Option<String>, now: Instant) -> Result<(), EncodeError> {
        let (since, pictures) = self.nothing.get_or_insert((now, 0));
        *pictures = pictures.saturating_add(1);
        let silent = now.saturating_duration_since(*since);
        if silent < self.limit || *pictures < STALLED_AFTER_PICTURES {
            return Ok(());
        }
        Err(match damaged {
            Some(last) => EncodeError::Unreadable { silent, last },
            None if self.passes => EncodeError::NoKeyFrame(silent),
            None => EncodeError::Stalled(silent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::clock::now;

    /// Gives a picture every 33 ms for a minute; when it was too much, and how that is told.
    fn told(passes: bool, came_out: impl Fn(u64) -> Result<bool, &'static str>) -> Option<(u64, String)> {
        let mut watch = OutputWatch::new(passes, Patience::default());
        let begun = now();
        (0..1_800).find_map(|picture| {
            let at = begun + Duration::from_millis(picture * 33);
            let result = match came_out(picture) {
                Ok(true) => {
                    watch.gave();
                    Ok(())
                }
                Ok(false) => watch.gave_nothing(None, at),
                Err(damaged) => watch.gave_nothing(Some(damaged.to_owned()), at),
            };
            result.err().map(|error| (picture * 33, error.to_string()))
        })
    }

    #[test]
    fn an_encoder_that_skips_is_well_and_one_that_gives_nothing_for_five_seconds_is_not() {
        assert_eq!(told(false, |picture| Ok(picture % 30 == 0)), None, "one a second comes out");
        let (at, why) = told(false, |picture| Ok(picture < 1_000)).expect("it has stalled");
        assert!((38_000..38_034).contains(&at), "{at}");
        assert_eq!(why, "the encoder has given nothing for 5 s");
    }

    #[test]
    fn a_camera_whose_every_picture_is_damaged_gives_nothing_either() {
        assert_eq!(told(false, |picture| if picture % 30 == 0 { Ok(true) } else { Err("cut off") }), None);
        let (at, why) = told(false, |_| Err("cut off")).expect("it has stalled");
        assert!((5_000..5_034).contains(&at), "{at}");
        assert_eq!(why, "no picture could be read for 5 s: cut off");
    }

    #[test]
    fn a_camera_s_own_stream_has_longer_to_its_next_key_frame() {
        assert_eq!(told(true, |picture| Ok(picture % 600 == 0)), None, "one in twenty seconds");
        let (at, why) = told(true, |_| Ok(false)).expect("it has stalled");
        assert!((20_000..20_034).contains(&at), "{at}");
        assert_eq!(why, "the camera's own h.264 has had no key frame for 20 s");
    }

    #[test]
    fn a_slow_camera_is_given_its_time() {
        let mut watch = OutputWatch::new(false, Patience::default());
        let begun = now();
        for picture in 0..9 {
            assert!(watch.gave_nothing(None, begun + Duration::from_secs(10 * picture)).is_ok());
        }
        assert!(watch.gave_nothing(None, begun + Duration::from_secs(90)).is_err());
    }
}
