//! Sound to an ALSA card.

use std::time::Duration;

use alsa::Direction;
use alsa::pcm::{Frames, PCM, State};

use super::config::AUTO;
use super::{PlaybackError, SPEAKER_PERIOD, Sink};
use crate::media::{MediaTime, SAMPLE_RATE_HZ};
use crate::sys;

const PERIOD: Frames = SPEAKER_PERIOD as Frames;

/// An open speaker.
pub(super) struct AlsaSink {
    device: String,
    pcm: PCM,
    /// What the card holds when it is full, in samples.
    buffer: Frames,
}

/// Opens `device`: `auto` (the first playback device) or a PCM name; to hold `buffer_ms` at the most, if the card can.
pub(super) fn open(device: &str, buffer_ms: u32) -> Result<AlsaSink, PlaybackError> {
    let device = if device == AUTO {
        let first = sys::first_sound_card(Direction::Playback);
        first.ok_or_else(|| sys::no_sound_card("an ALSA speaker"))?
    } else {
        device.to_owned()
    };
    let pcm = sys::open_sound_card(&device, Direction::Playback)?;
    let wanted = (SAMPLE_RATE_HZ / 1_000 * buffer_ms) as Frames;
    let buffer = configure(&pcm, wanted).map_err(|e| sys::refused_sound_card(&device, "set 48 kHz mono", e))?;
    tracing::info!(%device, buffer_ms = buffer / 48, "speaker opened");
    Ok(AlsaSink { device, pcm, buffer })
}

impl Sink for AlsaSink {
    fn room(&mut self, timeout: Duration) -> Result<MediaTime, PlaybackError> {
        let deadline = now().plus(timeout);
        loop {
            match self.pcm.avail_update() {
                Ok(room) if room >= PERIOD => return Ok(self.heard_next()),
                Ok(_) => {}
                Err(error) => {
                    self.recover(error)?;
                    continue;
                }
            }
            let left = deadline.since(now());
            if left.is_zero() {
                return Err(PlaybackError::Stalled { device: self.device.clone(), waited: timeout });
            }
            // Rounded up, or the last millisecond would be spent turning.
            let wait_ms = u32::try_from(left.as_millis() + 1).unwrap_or(u32::MAX).min(1_000);
            if let Err(error) = self.pcm.wait(Some(wait_ms)) {
                self.recover(error)?;
            }
        }
    }

    fn play(&mut self, period: &[i16; SPEAKER_PERIOD]) -> Result<(), PlaybackError> {
        // There is room for all of it; what a card does not take all the same is lost, and `room` waits anew.
        let written = self.pcm.io_i16().and_then(|io| io.writei(period));
        match written {
            Ok(_) => Ok(()),
            Err(error) => self.recover(error),
        }
    }

    fn latency(&self) -> Duration {
        samples(self.buffer - PERIOD)
    }
}

impl AlsaSink {
    /// When what is written next will be heard.
    fn heard_next(&self) -> MediaTime {
        // A card that has not begun yet holds what it was given, and begins when it is full.
        let queued = match self.pcm.state() {
            State::Running => self.pcm.delay().unwrap_or(0).max(0),
            _ => self.buffer - PERIOD,
        };
        now().plus(samples(queued))
    }

    /// An underrun or a suspend is mended: the card begins anew when it is full again.
    fn recover(&mut self, error: alsa::Error) -> Result<(), PlaybackError> {
        sys::mend_sound_card(&self.device, &self.pcm, error).map(drop)
    }
}

fn configure(pcm: &PCM, buffer: Frames) -> alsa::Result<Frames> {
    sys::set_sound_card(pcm, SAMPLE_RATE_HZ, PERIOD, buffer)?;
    let (buffer, _) = pcm.get_params().map(|(buffer, period)| (buffer as Frames, period))?;
    let software = pcm.sw_params_current()?;
    software.set_avail_min(PERIOD)?;
    // It begins when no further period fits.
    software.set_start_threshold((buffer / PERIOD * PERIOD).max(1))?;
    pcm.sw_params(&software)?;
    Ok(buffer)
}

fn samples(count: Frames) -> Duration {
    super::ticks::duration(count as super::ticks::Ticks)
}

fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_that_is_not_there_is_not_found() {
        for device in ["plughw:CARD=NoSuchCard,DEV=0", "no such pcm", "a\0b"] {
            let refused = open(device, 30).map(|_| ());
            assert!(matches!(refused, Err(PlaybackError::NotFound { .. })), "{device}: {refused:?}");
        }
    }

    #[test]
    fn alsas_null_device_takes_whole_periods() {
        let mut sink = open("null", 30).expect("alsa-lib always has it");
        for _ in 0..5 {
            sink.room(Duration::from_secs(2)).expect("it has room");
            sink.play(&[0; SPEAKER_PERIOD]).expect("it takes all");
        }
    }
}
