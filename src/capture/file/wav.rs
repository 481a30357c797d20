//! Sound: RIFF WAVE of 16-bit PCM, mixed to mono and brought to 48 kHz by linear interpolation.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{failed, fill, unsupported};
use crate::capture::pacing::{Timetable, now, sleep_until};
use crate::capture::{AudioSource, CaptureError};
use crate::media::{Pcm, SAMPLE_RATE_HZ, SAMPLES_PER_PERIOD};

const PERIOD: Duration = Duration::from_millis(20);

/// As much as a card's buffer holds.
const PATIENCE_PERIODS: u32 = 8;

/// An open WAV file.
pub(super) struct Wav {
    path: PathBuf,
    samples: Samples,
    /// The two input samples that the output lies between, and how far it has gone from the first, in input samples
    /// times 48 000.
    between: (i16, i16),
    gone: u32,
    timetable: Timetable,
}

/// The file's sound as an endless row of mono samples at its own rate.
struct Samples {
    reader: BufReader<File>,
    data: Data,
    /// Bytes of the data not yet read in this round.
    left: u64,
}

/// Where the samples are and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Data {
    start: u64,
    len: u64,
    channels: u16,
    rate_hz: u32,
}

pub(super) fn open(path: &Path) -> Result<Wav, CaptureError> {
    let mut reader = BufReader::new(super::open(path)?);
    let data = find_data(&mut reader).map_err(|bad| match bad {
        BadWav::Io(error) => failed(path, "read the header", error),
        BadWav::Refused(reason) => unsupported(path, reason),
    })?;
    let mut samples = Samples { reader, data, left: 0 };
    let mut next = || samples.next().map_err(|e| failed(path, "read samples", e));
    let Some(first) = next()? else { return Err(unsupported(path, "holds not one sample")) };
    let second = next()?.unwrap_or(first);
    Ok(Wav {
        path: path.to_owned(),
        samples,
        between: (first, second),
        gone: 0,
        timetable: Timetable::new(50, 1).with_patience(PATIENCE_PERIODS),
    })
}

impl AudioSource for Wav {
    fn next(&mut self, _timeout: Duration) -> Result<Pcm, CaptureError> {
        let mut period = Vec::with_capacity(SAMPLES_PER_PERIOD);
        while period.len() < SAMPLES_PER_PERIOD {
            period.push(self.resampled().map_err(|e| failed(&self.path, "read samples", e))?);
        }
        // A period is complete when its last sample was heard.
        let slot = self.timetable.take(now());
        sleep_until(slot.at);
        Ok(Pcm { samples: Arc::from(period), captured: slot.at.minus(PERIOD) })
    }
}

impl Wav {
    fn resampled(&mut self) -> io::Result<i16> {
        while self.gone >= SAMPLE_RATE_HZ {
            self.gone -= SAMPLE_RATE_HZ;
            let next = self.samples.next()?.unwrap_or(0);
            self.between = (self.between.1, next);
        }
        let (from, to) = (i64::from(self.between.0), i64::from(self.between.1));
        let value = from + (to - from) * i64::from(self.gone) / i64::from(SAMPLE_RATE_HZ);
        self.gone += self.samples.data.rate_hz;
        Ok(i16::try_from(value).unwrap_or(0))
    }
}

impl Samples {
    /// The next sample, from the start again after the last; `None` only when the file holds none.
    fn next(&mut self) -> io::Result<Option<i16>> {
        // Twice: once to come to the end, once to learn that the start is the end too.
        for _ in 0..2 {
            let frame_len = u64::from(self.data.channels) * 2;
            if self.left >= frame_len {
                let mut frame = [0; 4];
                let frame = &mut frame[..usize::from(self.data.channels) * 2];
                if fill(&mut self.reader, frame)? {
                    self.left -= frame_len;
                    let sum: i32 = frame.chunks_exact(2).map(|s| i32::from(i16::from_le_bytes([s[0], s[1]]))).sum();
                    return Ok(i16::try_from(sum / i32::from(self.data.channels)).ok());
                }
            }
            self.reader.seek(SeekFrom::Start(self.data.start))?;
            self.left = self.data.len;
        }
        Ok(None)
    }
}

/// Why a file is not one we read.
#[derive(Debug)]
enum BadWav {
    Io(io::Error),
    Refused(String),
}

impl From<io::Error> for BadWav {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Walks the chunks to `fmt ` and `data`.
fn find_data(reader: &mut (impl Read + Seek)) -> Result<Data, BadWav> {
    let refused = |reason: &str| Err(BadWav::Refused(reason.to_owned()));
    let mut riff = [0; 12];
    if !fill(reader, &mut riff)? || &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return refused("not a RIFF WAVE file");
    }
    let mut format = None;
    loop {
        let mut head = [0; 8];
        if !fill(reader, &mut head)? {
            return refused("has no data chunk");
        }
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        match &head[..4] {
            b"fmt " => {
                let mut body = [0; 16];
                if len < 16 || !fill(reader, &mut body)? {
                    return refused("has a damaged fmt chunk");
                }
                format = Some(parse_format(body)?);
                skip(reader, i64::from(len) - 16 + i64::from(len % 2))?;
            }
            b"data" => {
                let Some((channels, rate_hz)) = format else { return refused("has its data before its fmt chunk") };
                // A recorder that was cut off leaves 0 or the greatest number; reading ends with the file anyway.
                let len = if len == 0 { u64::from(u32::MAX) } else { u64::from(len) };
                return Ok(Data { start: reader.stream_position()?, len, channels, rate_hz });
            }
            _ => skip(reader, i64::from(len) + i64::from(len % 2))?,
        }
    }
}

fn skip(reader: &mut impl Seek, bytes: i64) -> io::Result<()> {
    reader.seek(SeekFrom::Current(bytes)).map(|_| ())
}

fn parse_format(body: [u8; 16]) -> Result<(u16, u32), BadWav> {
    let short = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
    let rate_hz = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
    let (tag, channels, bits) = (short(0), short(2), short(14));
    // 0xfffe is the extensible form of the same; its bits tell integers of 16 from all that matters otherwise.
    if !matches!(tag, 1 | 0xfffe) || bits != 16 {
        return Err(BadWav::Refused(format!("format {tag} of {bits} bits; only 16-bit PCM is read")));
    }
    if !matches!(channels, 1 | 2) {
        return Err(BadWav::Refused(format!("{channels} channels; only mono and stereo are read")));
    }
    if !(8_000..=192_000).contains(&rate_hz) {
        return Err(BadWav::Refused(format!("{rate_hz} Hz; only 8000 to 192000 are read")));
    }
    Ok((channels, rate_hz))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn wav(channels: u16, rate: u32, bits: u16, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0".to_vec();
        bytes.extend_from_slice(&channels.to_le_bytes());
        bytes.extend_from_slice(&rate.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&bits.to_le_bytes());
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&u32::try_from(samples.len() * 2).expect("short").to_le_bytes());
        samples.iter().for_each(|sample| bytes.extend_from_slice(&sample.to_le_bytes()));
        bytes
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".wav").tempfile().expect("temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    fn first_period(bytes: &[u8]) -> Vec<i16> {
        let file = file(bytes);
        let mut source = open(file.path()).expect("valid");
        source.next(Duration::from_secs(1)).expect("sound").samples.to_vec()
    }

    #[test]
    fn mono_at_48_khz_comes_out_unchanged_and_in_a_loop() {
        let ramp: Vec<i16> = (0..100).collect();
        let heard = first_period(&wav(1, 48_000, 16, &ramp));
        assert_eq!(heard.len(), SAMPLES_PER_PERIOD);
        assert!(heard.iter().enumerate().all(|(n, &sample)| sample == (n % 100) as i16));
    }

    #[test]
    fn stereo_is_mixed_and_other_rates_are_interpolated() {
        let heard = first_period(&wav(2, 48_000, 16, &[100, 300, -100, 500]));
        assert_eq!(heard[..4], [200, 200, 200, 200]);
        let heard = first_period(&wav(1, 24_000, 16, &[0, 100, 200, 300]));
        assert_eq!(heard[..7], [0, 50, 100, 150, 200, 250, 300]);
        let heard = first_period(&wav(1, 96_000, 16, &[0, 1, 2, 3]));
        assert_eq!(heard[..4], [0, 2, 0, 2]);
    }

    #[test]
    fn every_truncation_is_an_error_or_plays() {
        let bytes = wav(2, 44_100, 16, &[5; 40]);
        for len in 0..bytes.len() {
            let file = file(&bytes[..len]);
            if let Ok(mut source) = open(file.path()) {
                source.next(Duration::from_secs(1)).expect("a file that opens has sound");
            }
        }
    }

    #[test]
    fn what_is_not_read_is_refused_in_words() {
        for (bytes, expected) in [
            (b"OggS".to_vec(), "not a RIFF WAVE file"),
            (wav(1, 48_000, 24, &[]), "format 1 of 24 bits; only 16-bit PCM is read"),
            (wav(6, 48_000, 16, &[]), "6 channels; only mono and stereo are read"),
            (wav(1, 5, 16, &[]), "5 Hz; only 8000 to 192000 are read"),
            (wav(1, 48_000, 16, &[]), "holds not one sample"),
        ] {
            let file = file(&bytes);
            let refused = open(file.path()).map(|_| ()).expect_err(expected).to_string();
            assert!(refused.ends_with(expected), "{refused}");
        }
    }
}
