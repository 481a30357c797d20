//! A speaker that writes a WAV file, at the pace of the media clock.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{PlaybackError, SPEAKER_PERIOD, Sink};
use crate::media::{MediaTime, SAMPLE_RATE_HZ};
use crate::sys;

const PERIOD: Duration = Duration::from_millis(10);
/// The header's length: RIFF, `fmt ` and the head of `data`.
const HEADER: u32 = 44;
/// How often the header is brought up to date, in periods: a program that is killed leaves a file that can be read.
const HEADER_EVERY: u32 = 50;
/// Periods after which the file is begun anew: an hour.
const MAX_PERIODS: u32 = 360_000;
/// Behind its time by this much, it goes on from now, as a card does that ran dry; but a file does not mind to be written a
/// little late.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open file.
pub(super) struct WavSink {
    path: PathBuf,
    file: BufWriter<File>,
    periods: u32,
    /// When the next period is heard.
    next: MediaTime,
}

/// Begins the file at `path` anew.
pub(super) fn open(path: &Path) -> Result<WavSink, PlaybackError> {
    let begun = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        write_header(&mut file, 0)?;
        Ok(file)
    });
    let file = begun.map_err(|source| failed(path, "create", source))?;
    Ok(WavSink { path: path.to_owned(), file, periods: 0, next: now() })
}

impl Sink for WavSink {
    fn room(&mut self, _timeout: Duration) -> Result<MediaTime, PlaybackError> {
        let present = now();
        if present.since(self.next) > PATIENCE {
            self.next = present;
        }
        sys::sleep_until_nanos(self.next.as_nanos());
        Ok(self.next)
    }

    fn play(&mut self, period: &[i16; SPEAKER_PERIOD]) -> Result<(), PlaybackError> {
        self.next = self.next.plus(PERIOD);
        self.write(period).map_err(|source| failed(&self.path, "write", source))
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

impl WavSink {
    fn write(&mut self, period: &[i16; SPEAKER_PERIOD]) -> io::Result<()> {
        if self.periods == MAX_PERIODS {
            self.periods = 0;
            self.file.flush()?;
            self.file.get_ref().set_len(0)?;
            write_header(&mut self.file, 0)?;
        }
        for sample in period {
            self.file.write_all(&sample.to_le_bytes())?;
        }
        self.periods += 1;
        if self.periods.is_multiple_of(HEADER_EVERY) {
            write_header(&mut self.file, self.periods)?;
            self.file.flush()?;
        }
        Ok(())
    }
}

impl Drop for WavSink {
    fn drop(&mut self) {
        // What is lost with a disk that is full is only the end.
        let ended = write_header(&mut self.file, self.periods).and_then(|()| self.file.flush());
        if let Err(error) = ended {
            tracing::debug!(path = %self.path.display(), %error, "a file of talk has no proper end");
        }
    }
}

/// Writes the header for so many periods at the beginning, and goes back to the end.
fn write_header(file: &mut BufWriter<File>, periods: u32) -> io::Result<()> {
    let bytes = periods * 2 * SPEAKER_PERIOD as u32;
    let mut header = Vec::with_capacity(HEADER as usize);
    header.extend(b"RIFF");
    header.extend((HEADER - 8 + bytes).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    header.extend(SAMPLE_RATE_HZ.to_le_bytes());
    header.extend((SAMPLE_RATE_HZ * 2).to_le_bytes());
    header.extend(b"\x02\0\x10\0data");
    header.extend(bytes.to_le_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    file.seek(SeekFrom::End(0))?;
    Ok(())
}

fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> PlaybackError {
    let device = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => PlaybackError::NotFound { device },
        _ => PlaybackError::Io { device, operation, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_a_wav_with_all_that_was_played_and_is_begun_anew() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("talk.wav");
        for periods in [3, 2] {
            let mut sink = open(&path).expect("it can be written");
            let mut last = MediaTime::default();
            for n in 0..periods {
                let at = sink.room(Duration::from_secs(1)).expect("a file has room");
                assert!(n == 0 || at.since(last) >= PERIOD);
                last = at;
                sink.play(&[n + 1; SPEAKER_PERIOD]).expect("written");
            }
            drop(sink);
            let bytes = std::fs::read(&path).expect("it is there");
            assert_eq!(bytes.len(), 44 + usize::try_from(periods).expect("few") * 960);
            assert_eq!(u32::from_le_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]), periods as u32 * 960);
            assert_eq!((&bytes[..4], &bytes[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
            assert_eq!((bytes[44], bytes[bytes.len() - 2]), (1, periods as u8));
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let refused = open(Path::new("/no/such/folder/talk.wav")).map(|_| ()).expect_err("it cannot be written");
        assert_eq!(refused.to_string(), "/no/such/folder/talk.wav: not there");
    }
}
