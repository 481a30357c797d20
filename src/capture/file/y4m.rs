//! Raw pictures: YUV4MPEG2, 8-bit 4:2:0.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{failed, fill, unsupported};
use crate::capture::canvas::{Pool, i420_bytes};
use crate::capture::pacing::{Timetable, now, sleep_until};
use crate::capture::{CaptureError, VideoSource};
use crate::media::{Frame, FrameFormat, PixelFormat};

/// Longest header line read; real ones have less than a hundred letters.
const MAX_LINE: u64 = 1_024;

/// Larger pictures are taken for a damaged header.
const MAX_SIDE: u32 = 8_192;

/// An open Y4M file.
pub(super) struct Y4m {
    path: PathBuf,
    reader: BufReader<File>,
    first_frame: u64,
    format: FrameFormat,
    pool: Pool,
    timetable: Timetable,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    rate: (u32, u32),
    full_range: bool,
}

pub(super) fn open(path: &Path) -> Result<Y4m, CaptureError> {
    let mut reader = BufReader::new(super::open(path)?);
    let line = read_line(&mut reader).map_err(|e| failed(path, "read the header", e))?;
    let header = parse_header(&line).map_err(|reason| unsupported(path, reason))?;
    let Header { width, height, rate, full_range } = header;
    let mut file = Y4m {
        path: path.to_owned(),
        first_frame: line.len() as u64 + 1,
        reader,
        format: FrameFormat { pixel: PixelFormat::I420, width, height, stride: width, full_range },
        pool: Pool::new(i420_bytes(width as usize, height as usize)),
        timetable: Timetable::new(rate.0, rate.1),
    };
    // Now rather than when a viewer waits.
    let mut probe = file.pool.take();
    if !file.read_frame(&mut probe)? {
        return Err(unsupported(path, "holds not one whole frame"));
    }
    file.rewind()?;
    Ok(file)
}

impl VideoSource for Y4m {
    fn format(&self) -> (FrameFormat, Duration) {
        (self.format, self.timetable.interval())
    }

    fn next(&mut self, _timeout: Duration) -> Result<Frame, CaptureError> {
        let slot = self.timetable.take(now());
        sleep_until(slot.at);
        let mut buffer = self.pool.take();
        if !self.read_frame(&mut buffer)? {
            self.rewind()?;
            if !self.read_frame(&mut buffer)? {
                return Err(CaptureError::Gone { device: self.path.display().to_string() });
            }
        }
        // Truncation is the wrap-around that a driver's counter has too.
        let sequence = (slot.number & u64::from(u32::MAX)) as u32;
        Ok(Frame { format: self.format, data: self.pool.lend(buffer), captured: slot.at, sequence })
    }
}

impl Y4m {
    /// `false` at the end; a last frame that is cut off counts as the end.
    fn read_frame(&mut self, buffer: &mut [u8]) -> Result<bool, CaptureError> {
        let line = read_line(&mut self.reader).map_err(|e| failed(&self.path, "read a frame", e))?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.starts_with(b"FRAME") {
            return Err(unsupported(&self.path, "damaged: a frame does not begin with FRAME"));
        }
        fill(&mut self.reader, buffer).map_err(|e| failed(&self.path, "read a frame", e))
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        self.reader.seek(SeekFrom::Start(self.first_frame)).map_err(|e| failed(&self.path, "rewind", e))?;
        Ok(())
    }
}

/// A line without its end; empty at the end of the file.
fn read_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

fn parse_header(line: &[u8]) -> Result<Header, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not a YUV4MPEG2 file")?;
    let mut words = text.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Err("not a YUV4MPEG2 file".to_owned());
    }
    let mut header = Header { width: 0, height: 0, rate: (25, 1), full_range: false };
    for word in words.filter(|word| word.is_ascii() && !word.is_empty()) {
        let (key, value) = word.split_at(1);
        match key {
            "W" => header.width = value.parse().map_err(|_| format!("width {value:?}"))?,
            "H" => header.height = value.parse().map_err(|_| format!("height {value:?}"))?,
            "F" => header.rate = parse_rate(value).ok_or_else(|| format!("frame rate {value:?}"))?,
            // The 420 variants differ in where chroma was sampled, by less than a pixel.
            "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                return Err(format!("colour space {value}; only 8-bit 4:2:0 is read"));
            }
            "X" if value == "COLORRANGE=FULL" => header.full_range = true,
            _ => {}
        }
    }
    let side_fits = |side: u32| (2..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
    if !side_fits(header.width) || !side_fits(header.height) {
        return Err(format!("{}x{}; both must be even, 2 to {MAX_SIDE}", header.width, header.height));
    }
    Ok(header)
}

/// `30000:1001`, from one frame in ten seconds to 240 a second.
fn parse_rate(text: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = text.split_once(':')?;
    let (numerator, denominator): (u32, u32) = (numerator.parse().ok()?, denominator.parse().ok()?);
    let (n, d) = (u64::from(numerator), u64::from(denominator));
    (d > 0 && n * 10 >= d && n <= d * 240).then_some((numerator, denominator))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".y4m").tempfile().expect("temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    fn two_frames() -> Vec<u8> {
        let mut bytes = b"YUV4MPEG2 W4 H2 F200:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\n".to_vec();
        for value in [10, 20] {
            bytes.extend_from_slice(b"FRAME\n");
            bytes.extend_from_slice(&[value; 12]);
        }
        bytes
    }

    #[test]
    fn frames_come_in_a_loop_and_a_cut_off_one_is_the_end() {
        let mut bytes = two_frames();
        bytes.extend_from_slice(b"FRAME\n\x01\x02");
        let file = file(&bytes);
        let mut source = open(file.path()).expect("two whole frames");
        let (format, interval) = source.format();
        assert_eq!((format.width, format.height, interval), (4, 2, Duration::from_millis(5)));
        let values: Vec<u8> = (0..5).map(|_| source.next(Duration::from_secs(1)).expect("frame").data[0]).collect();
        assert_eq!(values, [10, 20, 10, 20, 10]);
    }

    #[test]
    fn every_truncation_is_an_error_or_plays() {
        let bytes = two_frames();
        for len in 0..bytes.len() {
            let file = file(&bytes[..len]);
            if let Ok(mut source) = open(file.path()) {
                source.next(Duration::from_secs(1)).expect("a file that opens has a frame");
            }
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused_in_words() {
        for (header, expected) in [
            ("RIFF", "not a YUV4MPEG2 file"),
            ("YUV4MPEG2 W640 H480 C444", "colour space 444; only 8-bit 4:2:0 is read"),
            ("YUV4MPEG2 W640 H480 C420p10", "colour space 420p10; only 8-bit 4:2:0 is read"),
            ("YUV4MPEG2 W641 H480", "641x480; both must be even, 2 to 8192"),
            ("YUV4MPEG2 W99999 H480", "99999x480; both must be even, 2 to 8192"),
            ("YUV4MPEG2 W640 H480 F0:0", "frame rate \"0:0\""),
            ("YUV4MPEG2 W640 Hé", "0x0"),
        ] {
            let refused = parse_header(header.as_bytes()).expect_err(header);
            assert!(refused.contains(expected) || header.contains('é'), "{header}: {refused}");
        }
        let header = parse_header(b"YUV4MPEG2 W640 H480 F30000:1001 C420mpeg2 XCOLORRANGE=FULL").expect("valid");
        assert_eq!(header, Header { width: 640, height: 480, rate: (30_000, 1_001), full_range: true });
    }
}
