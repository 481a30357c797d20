//! Sound from an ALSA card.

use std::sync::Arc;
use std::time::Duration;

use alsa::Direction;
use alsa::pcm::{Frames, PCM, TstampType};

use super::config::AUTO;
use super::pacing::now;
use super::sample_clock::{SampleClock, samples};
use super::{AudioSource, CaptureError};
use crate::media::{MediaTime, Pcm, SAMPLE_RATE_HZ, SAMPLES_PER_PERIOD};
use crate::sys;

/// Periods that the card can hold while this thread is kept from running: 320 ms. A large buffer costs no latency, as it
/// is emptied at every period.
const BUFFER_PERIODS: Frames = 16;

/// 20 ms.
const PERIOD: Frames = SAMPLES_PER_PERIOD as Frames;

/// An open microphone, running.
pub(super) struct AlsaSource {
    device: String,
    pcm: PCM,
    clock: SampleClock,
    /// Samples read since the clock was reset.
    read: u64,
    /// Read, and not yet a whole period.
    pending: Vec<i16>,
    /// Of the last period.
    captured: MediaTime,
}

/// Opens `device`: `auto` (the first capture device) or a PCM name.
pub(super) fn open(device: &str) -> Result<AlsaSource, CaptureError> {
    let device = if device == AUTO {
        first().ok_or_else(|| sys::no_sound_card("an ALSA microphone"))?
    } else {
        device.to_owned()
    };
    let pcm = sys::open_sound_card(&device, Direction::Capture)?;
    configure(&pcm).map_err(|e| sys::refused_sound_card(&device, "set 48 kHz mono", e))?;
    pcm.start().map_err(|e| sys::refused_sound_card(&device, "start", e))?;
    tracing::info!(%device, "microphone started");
    Ok(AlsaSource {
        device,
        pcm,
        clock: SampleClock::default(),
        read: 0,
        pending: Vec::with_capacity(4 * SAMPLES_PER_PERIOD),
        captured: MediaTime::default(),
    })
}

/// The first capture device's name.
pub(super) fn first() -> Option<String> {
    sys::first_sound_card(Direction::Capture)
}

impl AudioSource for AlsaSource {
    fn next(&mut self, timeout: Duration) -> Result<Pcm, CaptureError> {
        let deadline = now().plus(timeout);
        loop {
            if let Some(pcm) = self.take_period() {
                return Ok(pcm);
            }
            let left = deadline.since(now());
            if left.is_zero() {
                return Err(CaptureError::Stalled { device: self.device.clone(), waited: timeout });
            }
            // Rounded up, or the last millisecond would be spent turning.
            let wait_ms = u32::try_from(left.as_millis() + 1).unwrap_or(u32::MAX).min(1_000);
            match self.pcm.wait(Some(wait_ms)).and_then(|_| self.read()) {
                Ok(()) => {}
                Err(error) => self.recover(error)?,
            }
        }
    }
}

impl AlsaSource {
    /// Takes what the card has, as long as it fits.
    fn read(&mut self) -> alsa::Result<()> {
        let status = self.pcm.status()?;
        let stamp = status.get_htstamp();
        let updated = MediaTime::from_timespec(stamp.tv_sec, stamp.tv_nsec);
        let waiting = u64::try_from(status.get_avail()).unwrap_or(0);
        if waiting > 0 {
            // Zero where the driver does not stamp; ahead of us where it stamps with another clock.
            let present = now();
            let updated = if updated == MediaTime::default() || updated > present { present } else { updated };
            self.clock.observe(self.read, updated.minus(samples(waiting)));
        }
        let mut chunk = [0_i16; 2 * SAMPLES_PER_PERIOD];
        match self.pcm.io_i16()?.readi(&mut chunk) {
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count.min(chunk.len())]);
                self.read += count as u64;
                Ok(())
            }
            Err(error) if error.errno() == libc::EAGAIN => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take_period(&mut self) -> Option<Pcm> {
        if self.pending.len() < SAMPLES_PER_PERIOD {
            return None;
        }
        let first = self.read.saturating_sub(self.pending.len() as u64);
        // Time never goes back, whatever a card's stamps do.
        let captured = self.clock.time_of(first).unwrap_or_else(now).max(self.captured.plus(Duration::from_millis(1)));
        self.captured = captured;
        let period = self.pending.drain(..SAMPLES_PER_PERIOD).collect::<Vec<_>>();
        Some(Pcm { samples: Arc::from(period), captured })
    }

    /// An overrun or a suspend is mended; the samples between are lost and the time stamps jump.
    fn recover(&mut self, error: alsa::Error) -> Result<(), CaptureError> {
        if !sys::mend_sound_card(&self.device, &self.pcm, error)? {
            return Ok(());
        }
        // Recovery prepares a capture stream but leaves the start to us.
        self.pcm.start().map_err(|error| sys::lost_sound_card(&self.device, &self.pcm, error))?;
        self.pending.clear();
        self.clock.reset();
        self.read = 0;
        Ok(())
    }
}

fn configure(pcm: &PCM) -> alsa::Result<()> {
    sys::set_sound_card(pcm, SAMPLE_RATE_HZ, PERIOD, PERIOD * BUFFER_PERIODS)?;
    let software = pcm.sw_params_current()?;
    software.set_avail_min(PERIOD)?;
    software.set_tstamp_mode(true)?;
    software.set_tstamp_type(TstampType::Monotonic)?;
    pcm.sw_params(&software)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_that_is_not_there_is_not_found() {
        for device in ["plughw:CARD=NoSuchCard,DEV=0", "no such pcm", "a\0b"] {
            let refused = open(device).map(|_| ());
            assert!(matches!(refused, Err(CaptureError::NotFound { .. })), "{device}: {refused:?}");
        }
    }

    #[test]
    fn alsas_null_device_delivers_whole_periods_in_rising_time() {
        let mut source = open("null").expect("alsa-lib always has it");
        let mut last = MediaTime::default();
        for _ in 0..5 {
            let pcm = source.next(Duration::from_secs(2)).expect("silence");
            assert_eq!(pcm.samples.len(), SAMPLES_PER_PERIOD);
            assert!(pcm.captured > last);
            last = pcm.captured;
        }
    }
}
