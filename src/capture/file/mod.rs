//! Pictures and sound from files, played in a loop at their own pace: recordings to test with, or a card to show.

mod access_units;
mod annex_b;
mod wav;
mod y4m;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::config::{Audio, Video};
use super::{AudioSource, CaptureError, VideoSource};

/// Opens a picture file by its ending.
pub(super) fn open_video(video: &Video) -> Result<Box<dyn VideoSource>, CaptureError> {
    let path = &video.file;
    match ending(path).as_str() {
        "y4m" => Ok(Box::new(y4m::open(path)?)),
        "h264" | "264" => Ok(Box::new(annex_b::open(path, video.fps.value())?)),
        _ => Err(unsupported(path, "a picture file ends in .y4m, .h264 or .264")),
    }
}

/// Opens a sound file by its ending.
pub(super) fn open_audio(audio: &Audio) -> Result<Box<dyn AudioSource>, CaptureError> {
    match ending(&audio.file).as_str() {
        "wav" => Ok(Box::new(wav::open(&audio.file)?)),
        _ => Err(unsupported(&audio.file, "a sound file ends in .wav")),
    }
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn open(path: &Path) -> Result<File, CaptureError> {
    // A pipe cannot be played in a loop, and opening it would wait for a writer; a folder opens without an error.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| failed(path, "open", error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(unsupported(path, "not a regular file")),
        Err(error) => Err(failed(path, "open", error)),
    }
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> CaptureError {
    let device = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => CaptureError::NotFound { device },
        _ => CaptureError::Io { device, operation, source },
    }
}

fn unsupported(path: &Path, reason: impl Into<String>) -> CaptureError {
    CaptureError::Unsupported { device: path.display().to_string(), reason: reason.into() }
}

/// Fills `buffer` whole, or says `false` when the file ends before or within it.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe.y4m");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let refused = open(&pipe).expect_err("not a file").to_string();
        assert!(refused.ends_with("pipe.y4m: not a regular file"), "{refused}");
    }
}
