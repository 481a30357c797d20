//! A speaker that writes a WAV file, at the pace of the media clock.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD};

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

/// Begins the file at `path` anew, where there is none yet, an empty one, or one that was written here.
pub(super) fn open(path: &Path) -> Result<WavSink, PlaybackError> {
    is_a_file(path)?;
    // What is there is not cut before it has been looked at.
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(|source| failed(path, "create", source))?;
    is_ours(path, &file)?;
    let begun = file.set_len(0).and_then(|()| {
        let mut file = BufWriter::new(file);
        write_header(&mut file, 0)?;
        Ok(file)
    });
    let file = begun.map_err(|source| failed(path, "write", source))?;
    Ok(WavSink { path: path.to_owned(), file, periods: 0, next: now() })
}

/// Whether [`open`] would be let in; leaves everything as it is.
pub(super) fn try_out(path: &Path) -> Result<(), PlaybackError> {
    is_a_file(path)?;
    match File::options().read(true).write(true).open(path) {
        Ok(file) => is_ours(path, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The folder of a name alone is the one we are in.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let may_enter_and_write = Access::WRITE_OK | Access::EXEC_OK;
            let allowed = rustix::fs::accessat(CWD, folder, may_enter_and_write, AtFlags::EACCESS);
            allowed.map_err(|errno| failed(path, "create", errno.into()))
        }
        Err(source) => Err(failed(path, "open", source)),
    }
}

/// A pipe would be waited at for ever, and a device is not for sound in files.
fn is_a_file(path: &Path) -> Result<(), PlaybackError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(in_the_way(path, "is there, and is no file: name another one")),
        _ => Ok(()),
    }
}

/// What somebody else has put there is not overwritten, be it a WAV or not.
fn is_ours(path: &Path, file: &File) -> Result<(), PlaybackError> {
    let mut found = Vec::new();
    let read = Read::take(file, HEADER.into()).read_to_end(&mut found);
    read.map_err(|source| failed(path, "read", source))?;
    // The two numbers in it grow with the file.
    let fixed = |header: &[u8]| header.len() == HEADER as usize && header[..4] == *b"RIFF";
    let same = |header: &[u8]| fixed(header) && header[8..40] == self::header(0)[8..40];
    if found.is_empty() || same(&found) {
        return Ok(());
    }
    Err(in_the_way(path, "is there, and is no talk that was written here: name another file, or move that one away"))
}

fn in_the_way(path: &Path, reason: &str) -> PlaybackError {
    PlaybackError::Unsupported { device: path.display().to_string(), reason: reason.to_owned() }
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
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(periods))?;
    file.seek(SeekFrom::End(0))?;
    Ok(())
}

fn header(periods: u32) -> Vec<u8> {
    let bytes = periods * 2 * SPEAKER_PERIOD as u32;
    let mut header = Vec::with_capacity(HEADER as usize);
    header.extend(b"RIFF");
    header.extend((HEADER - 8 + bytes).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    header.extend(SAMPLE_RATE_HZ.to_le_bytes());
    header.extend((SAMPLE_RATE_HZ * 2).to_le_bytes());
    header.extend(b"\x02\0\x10\0data");
    header.extend(bytes.to_le_bytes());
    header
}

fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> PlaybackError {
    let device = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => PlaybackError::NotFound { device },
        io::ErrorKind::PermissionDenied => PlaybackError::Denied { device },
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
            try_out(&path).expect("nothing is in the way");
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

    #[test]
    fn what_is_there_and_was_not_written_here_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        // Music is a WAV as well: stereo at 44.1 kHz.
        let mut music = header(1);
        music[22..28].copy_from_slice(&[2, 0, 0x44, 0xac, 0, 0]);
        let (cut, text) = (header(0)[..43].to_vec(), b"[node]\nid = 'cam'\n".to_vec());
        for (name, content) in [("music.wav", music), ("cut.wav", cut), ("camera-node.toml", text)] {
            std::fs::write(path(name), &content).expect("there is room");
            for refused in [try_out(&path(name)), open(&path(name)).map(drop)] {
                let refused = refused.expect_err("it is somebody's").to_string();
                assert!(refused.ends_with("name another file, or move that one away"), "{refused}");
            }
            assert_eq!(std::fs::read(path(name)).expect("it is there"), content, "{name}");
        }
        std::fs::write(path("empty.wav"), "").expect("there is room");
        assert!(try_out(&path("empty.wav")).is_ok() && open(&path("empty.wav")).is_ok());
        for no_file in [folder.path(), Path::new("/dev/null")] {
            let refused = open(no_file).map(drop).expect_err("it is no file").to_string();
            assert!(refused.ends_with("is no file: name another one"), "{refused}");
        }
    }

    #[test]
    fn trying_out_makes_nothing_and_names_what_is_missing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("talk.wav");
        assert!(try_out(&path).is_ok() && !path.exists());
        let missing = try_out(&folder.path().join("no/talk.wav")).expect_err("no such folder");
        assert!(matches!(missing, PlaybackError::NotFound { .. }), "{missing}");
        // Root may write anywhere, but for where nobody may.
        assert!(try_out(Path::new("/proc/talk.wav")).is_err() || open(Path::new("/proc/talk.wav")).is_err());
        let denied = failed(&path, "create", io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(denied, PlaybackError::Denied { .. }), "{denied}");
    }
}
