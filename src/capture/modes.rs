//! Which of a camera's formats, sizes and rates to take: a pure choice over what it lists.

use std::cmp::Reverse;
use std::time::Duration;

use super::config::FormatPreference;
use crate::media::PixelFormat;

/// The time between two frames as V4L2 says it: a fraction of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Seconds, times the denominator.
    pub numerator: u32,
    /// See the numerator.
    pub denominator: u32,
}

impl Interval {
    /// The interval of `fps` frames a second.
    pub const fn of_fps(fps: u32) -> Self {
        Self { numerator: 1, denominator: fps }
    }

    /// Frames in a thousand seconds; 0 for what is no interval.
    pub fn millihertz(self) -> u64 {
        u64::from(self.denominator) * 1_000 / u64::from(self.numerator).max(1)
    }

    /// As a duration; a second for what is no interval.
    pub fn duration(self) -> Duration {
        if self.numerator == 0 || self.denominator == 0 {
            return Duration::from_secs(1);
        }
        Duration::from_nanos(u64::from(self.numerator) * 1_000_000_000 / u64::from(self.denominator))
    }
}

/// Something the camera can deliver: one format in one size, at these intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The format.
    pub pixel: PixelFormat,
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// The intervals it offers; empty where the driver lists none, which is taken to mean any.
    pub intervals: Vec<Interval>,
}

/// What is wanted of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// The format, or `auto`.
    pub format: FormatPreference,
}

/// What to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The format.
    pub pixel: PixelFormat,
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// The time between frames.
    pub interval: Interval,
}

/// The best of `modes`: first the size (exact, else the nearest), then the rate (reached, else the highest), then what
/// costs least to encode (I420, NV12, the 4:2:2 ones, MJPEG). H.264 only when asked for. `None` when nothing fits.
pub fn choose(modes: &[Mode], asked: &Asked) -> Option<Choice> {
    modes
        .iter()
        .filter(|mode| fits(mode.pixel, asked.format))
        .filter(|mode| mode.width > 0 && mode.height > 0)
        .map(|mode| {
            let interval = nearest_interval(&mode.intervals, asked.fps);
            let chosen = Choice { pixel: mode.pixel, width: mode.width, height: mode.height, interval };
            let distance = mode.width.abs_diff(asked.width) + mode.height.abs_diff(asked.height);
            // Of two equally near sizes the larger one, which loses nothing.
            ((distance, Reverse(mode.width), shortfall(interval, asked.fps), cost(mode.pixel)), chosen)
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, chosen)| chosen)
}

/// Whether a format is one that `preference` takes.
pub(super) fn fits(pixel: PixelFormat, preference: FormatPreference) -> bool {
    match preference {
        FormatPreference::Auto => pixel != PixelFormat::H264,
        FormatPreference::Yuyv => pixel == PixelFormat::Yuyv,
        FormatPreference::Uyvy => pixel == PixelFormat::Uyvy,
        FormatPreference::Nv12 => pixel == PixelFormat::Nv12,
        FormatPreference::Yu12 => pixel == PixelFormat::I420,
        FormatPreference::Mjpeg => pixel == PixelFormat::Mjpeg,
        FormatPreference::H264 => pixel == PixelFormat::H264,
    }
}

/// What it costs to make I420 of it.
fn cost(pixel: PixelFormat) -> u8 {
    match pixel {
        PixelFormat::I420 => 0,
        PixelFormat::Nv12 => 1,
        PixelFormat::Yuyv => 2,
        PixelFormat::Uyvy => 3,
        PixelFormat::Mjpeg => 4,
        PixelFormat::H264 => 5,
    }
}

/// The slowest interval that reaches `fps`, else the fastest there is.
fn nearest_interval(intervals: &[Interval], fps: u32) -> Interval {
    let reaching = intervals.iter().filter(|i| shortfall(**i, fps) == 0).min_by_key(|i| i.millihertz());
    let fastest = || intervals.iter().max_by_key(|i| i.millihertz());
    reaching.or_else(fastest).copied().unwrap_or(Interval::of_fps(fps))
}

/// Millihertz missing to `fps`. A hundredth less counts as reached: 29.97 is meant by 30.
fn shortfall(interval: Interval, fps: u32) -> u64 {
    let asked = u64::from(fps) * 1_000;
    if interval.millihertz() * 100 >= asked * 99 { 0 } else { asked - interval.millihertz() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(pixel: PixelFormat, width: u32, height: u32, rates: &[u32]) -> Mode {
        Mode { pixel, width, height, intervals: rates.iter().map(|&fps| Interval::of_fps(fps)).collect() }
    }

    fn asked(width: u32, height: u32, fps: u32, format: FormatPreference) -> Asked {
        Asked { width, height, fps, format }
    }

    /// A common USB webcam: raw is slow at large sizes.
    fn webcam() -> Vec<Mode> {
        use PixelFormat::{H264, Mjpeg, Yuyv};
        vec![
            mode(Yuyv, 640, 480, &[30, 15]),
            mode(Yuyv, 1280, 720, &[10, 5]),
            mode(Mjpeg, 640, 480, &[30]),
            mode(Mjpeg, 1280, 720, &[60, 30, 24]),
            mode(Mjpeg, 1920, 1080, &[30]),
            mode(H264, 1280, 720, &[30]),
            mode(H264, 1920, 1080, &[30]),
        ]
    }

    #[test]
    fn the_choice_follows_size_then_rate_then_cost() {
        use FormatPreference::{Auto, H264 as WantH264, Mjpeg as WantMjpeg, Nv12 as WantNv12, Yuyv as WantYuyv};
        use PixelFormat::{H264, Mjpeg, Yuyv};
        let table = [
            (asked(640, 480, 30, Auto), Some((Yuyv, 640, 480, 30))),
            (asked(1280, 720, 30, Auto), Some((Mjpeg, 1280, 720, 30))),
            (asked(1280, 720, 10, Auto), Some((Yuyv, 1280, 720, 10))),
            (asked(1280, 720, 50, Auto), Some((Mjpeg, 1280, 720, 60))),
            (asked(1280, 720, 90, Auto), Some((Mjpeg, 1280, 720, 60))),
            (asked(1920, 1080, 30, Auto), Some((Mjpeg, 1920, 1080, 30))),
            (asked(3840, 2160, 30, Auto), Some((Mjpeg, 1920, 1080, 30))),
            (asked(320, 240, 15, Auto), Some((Yuyv, 640, 480, 15))),
            (asked(1280, 720, 30, WantYuyv), Some((Yuyv, 1280, 720, 10))),
            (asked(640, 480, 30, WantMjpeg), Some((Mjpeg, 640, 480, 30))),
            (asked(1920, 1080, 30, WantH264), Some((H264, 1920, 1080, 30))),
            (asked(640, 480, 30, WantNv12), None),
        ];
        for (asked, expected) in table {
            let got = choose(&webcam(), &asked).map(|c| (c.pixel, c.width, c.height, c.interval.denominator));
            assert_eq!(got, expected, "{asked:?}");
        }
    }

    #[test]
    fn planar_formats_are_taken_before_packed_ones_at_the_same_rate() {
        let all = [PixelFormat::Mjpeg, PixelFormat::Uyvy, PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420];
        let modes: Vec<_> = all.into_iter().map(|pixel| mode(pixel, 640, 480, &[25])).collect();
        let chosen = choose(&modes, &asked(640, 480, 30, FormatPreference::Auto)).expect("one fits");
        assert_eq!((chosen.pixel, chosen.interval), (PixelFormat::I420, Interval::of_fps(25)));
    }

    #[test]
    fn the_ntsc_rate_counts_as_its_round_number() {
        let ntsc = Interval { numerator: 1_001, denominator: 30_000 };
        let modes = [Mode { pixel: PixelFormat::Yuyv, width: 640, height: 480, intervals: vec![ntsc] }];
        let modes = [&modes[..], &[mode(PixelFormat::Mjpeg, 640, 480, &[30])]].concat();
        let chosen = choose(&modes, &asked(640, 480, 30, FormatPreference::Auto)).expect("one fits");
        assert_eq!((chosen.pixel, chosen.interval), (PixelFormat::Yuyv, ntsc));
    }

    #[test]
    fn a_driver_that_lists_no_intervals_is_asked_for_the_wanted_one() {
        let modes = [mode(PixelFormat::H264, 640, 360, &[])];
        let chosen = choose(&modes, &asked(640, 360, 20, FormatPreference::H264)).expect("one fits");
        assert_eq!(chosen.interval, Interval::of_fps(20));
        assert_eq!(choose(&modes, &asked(640, 360, 20, FormatPreference::Auto)), None);
    }

    #[test]
    fn an_interval_of_zero_is_no_division_by_zero() {
        let zero = Interval { numerator: 0, denominator: 0 };
        assert_eq!((zero.millihertz(), zero.duration()), (0, Duration::from_secs(1)));
        let modes = [Mode { pixel: PixelFormat::Yuyv, width: 2, height: 2, intervals: vec![zero] }];
        assert!(choose(&modes, &asked(640, 480, 30, FormatPreference::Auto)).is_some());
    }
}
