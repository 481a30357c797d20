//! Encoded pictures: an H.264 elementary stream, Annex B, passed on as it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::access_units::{AccessUnit, Splitter};
use super::{failed, unsupported};
use crate::capture::pacing::{Timetable, now, sleep_until};
use crate::capture::{CaptureError, VideoSource};
use crate::media::{Frame, FrameFormat, PixelFormat, Sps};

/// Larger pictures are taken for damage: 4K at its very best has less than a tenth.
const MAX_UNIT: u32 = 16 << 20;

/// Pictures in a file, an hour at 60 a second: its index then takes 3.5 MB.
const MAX_UNITS: usize = 216_000;

/// An open Annex B file. Only its index is held in memory.
pub(super) struct AnnexB {
    path: PathBuf,
    file: File,
    units: Vec<AccessUnit>,
    next: usize,
    format: FrameFormat,
    timetable: Timetable,
    sequence: u32,
}

pub(super) fn open(path: &Path, fps: u32) -> Result<AnnexB, CaptureError> {
    let mut file = super::open(path)?;
    let mut splitter = Splitter::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut piece).map_err(|e| failed(path, "read", e))?;
        if read == 0 {
            break;
        }
        splitter.push(&piece[..read]);
    }
    // A decoder starts at a key frame; what comes before the first can never be shown.
    let units: Vec<_> = splitter.finish().into_iter().skip_while(|unit| !unit.key).collect();
    if units.is_empty() {
        return Err(unsupported(path, "holds no H.264 key frame in Annex B form"));
    }
    if units.len() > MAX_UNITS || units.iter().any(|unit| unit.len > MAX_UNIT) {
        return Err(unsupported(path, format!("more than {MAX_UNITS} pictures, or one of more than 16 MB")));
    }
    let first = read_unit(&mut file, units[0]).map_err(|e| failed(path, "read a picture", e))?;
    let Some(Sps { width, height, .. }) = Sps::find(&first) else {
        return Err(unsupported(path, "its first key frame has no readable sequence parameter set"));
    };
    Ok(AnnexB {
        path: path.to_owned(),
        file,
        units,
        next: 0,
        format: FrameFormat { pixel: PixelFormat::H264, width, height, stride: 0, full_range: false },
        // Without patience: catching up would bring nothing but a burst, as no picture is left out either way.
        timetable: Timetable::new(fps, 1),
        sequence: 0,
    })
}

impl VideoSource for AnnexB {
    fn format(&self) -> (FrameFormat, Duration) {
        (self.format, self.timetable.interval())
    }

    fn next(&mut self, _timeout: Duration) -> Result<Frame, CaptureError> {
        let slot = self.timetable.take(now());
        sleep_until(slot.at);
        let unit = self.units[self.next];
        self.next = (self.next + 1) % self.units.len();
        let data = read_unit(&mut self.file, unit).map_err(|e| failed(&self.path, "read a picture", e))?;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Ok(Frame { format: self.format, data: Bytes::from(data), captured: slot.at, sequence })
    }
}

fn read_unit(file: &mut File, unit: AccessUnit) -> io::Result<Vec<u8>> {
    let len = usize::try_from(unit.len).map_err(io::Error::other)?;
    let mut data = vec![0; len];
    file.seek(SeekFrom::Start(unit.start))?;
    file.read_exact(&mut data)?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Constrained baseline, 320x180 after cropping.
    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0d, 0x8c, 0x68, 0x14, 0x19, 0xf9, 0xd0];
    const IDR: &[u8] = &[0, 0, 1, 0x65, 0x88, 1];
    const P: &[u8] = &[0, 0, 1, 0x41, 0x9a, 2];

    fn file(parts: &[&[u8]]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".h264").tempfile().expect("temporary file");
        file.write_all(&parts.concat()).expect("written");
        file
    }

    #[test]
    fn pictures_come_in_a_loop_from_the_first_key_frame_on() {
        let file = file(&[P, SPS, IDR, P]);
        let mut source = open(file.path(), 100).expect("one key frame");
        let (format, interval) = source.format();
        assert_eq!((format.pixel, format.width, format.height), (PixelFormat::H264, 320, 180));
        assert_eq!(interval, Duration::from_millis(10));
        let lens: Vec<_> = (0..4).map(|_| source.next(Duration::from_secs(1)).expect("picture").data.len()).collect();
        assert_eq!(lens, [SPS.len() + IDR.len(), P.len(), SPS.len() + IDR.len(), P.len()]);
    }

    #[test]
    fn a_file_without_a_start_is_refused_in_words() {
        for (parts, expected) in [
            (vec![P, P], "holds no H.264 key frame in Annex B form"),
            (vec![IDR], "its first key frame has no readable sequence parameter set"),
            (vec![], "holds no H.264 key frame in Annex B form"),
        ] {
            let file = file(&parts);
            let refused = open(file.path(), 30).map(|_| ()).expect_err(expected).to_string();
            assert!(refused.ends_with(expected), "{refused}");
        }
    }
}
