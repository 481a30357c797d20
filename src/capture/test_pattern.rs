//! A picture for people and machines: colour bars, a running clock, a flash at each second's start, and the time stamp of
//! [`stamp`] in its first lines.
//!
//! The flash lies on whole seconds of the media clock, as the tone's beep does, so the two show lip sync.

use std::time::Duration;

use super::canvas::{Area, Canvas, Colour, Pool, i420_bytes};
use super::config::Video;
use super::pacing::{Timetable, now, sleep_until};
use super::text::Lettering;
use super::{CaptureError, VideoSource};
use crate::media::{Frame, FrameFormat, MediaTime, PixelFormat, stamp};
use crate::sys;

/// How long the flash lasts, from each whole second of the media clock on; one frame at the least.
pub const FLASH: Duration = Duration::from_millis(100);

/// Where the flash is, in a picture of this size: white while it lasts, else dark.
pub fn flash_area(width: u32, height: u32) -> Area {
    Layout::of(width as usize, height as usize).flash
}

/// The running pattern.
pub(super) struct TestPattern {
    painter: Painter,
    pool: Pool,
    timetable: Timetable,
    /// The one frame of a still pattern, once it is made.
    still: Option<Option<bytes::Bytes>>,
}

/// Opens the pattern; a `still` one repeats its first frame.
pub(super) fn open(video: &Video, still: bool) -> Result<TestPattern, CaptureError> {
    let (width, height) = (video.width.value() as usize, video.height.value() as usize);
    let refused =
        |reason: &str| CaptureError::Unsupported { device: "test pattern".to_owned(), reason: reason.to_owned() };
    if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return Err(refused("width and height must be even"));
    }
    if stamp::block_side(width, height).is_none() {
        return Err(refused("too small for the time stamp: at least 320 wide, and a fortieth of that high"));
    }
    Ok(TestPattern {
        painter: Painter::new(width, height, video.fps.value()),
        pool: Pool::new(i420_bytes(width, height)),
        timetable: Timetable::new(video.fps.value(), 1),
        still: still.then_some(None),
    })
}

impl VideoSource for TestPattern {
    fn format(&self) -> (FrameFormat, Duration) {
        (self.painter.format(), self.timetable.interval())
    }

    fn next(&mut self, timeout: Duration) -> Result<Frame, CaptureError> {
        let start = now();
        let slot = self.timetable.take(start);
        // A slot further off than the time limit is waited for all the same: it is at most a second away.
        let _ = timeout;
        sleep_until(slot.at);
        let wall = sys::since_unix_epoch();
        let data = match &self.still {
            Some(Some(first)) => first.clone(),
            _ => {
                let mut buffer = self.pool.take();
                self.painter.paint(&mut buffer, slot.at, wall, sys::local_offset_s(wall.as_secs()));
                self.pool.lend(buffer)
            }
        };
        if let Some(first) = &mut self.still {
            first.get_or_insert_with(|| data.clone());
        }
        // Truncation is the wrap-around that a driver's counter has too.
        let sequence = (slot.number & u64::from(u32::MAX)) as u32;
        Ok(Frame { format: self.painter.format(), data, captured: slot.at, sequence })
    }
}

/// Draws frames. Pure: what it draws depends on its arguments alone.
struct Painter {
    layout: Layout,
    /// All that does not move.
    background: Vec<u8>,
    /// Blocks for the clock's letters, in the order of [`CLOCK_LETTERS`].
    letters: Vec<Vec<u8>>,
    lettering: Lettering,
    interval: Duration,
}

const CLOCK_LETTERS: &str = "0123456789:.";
const CLOCK_LEN: usize = "23:59:59.999".len();

const GROUND: Colour = Colour::rgb(17, 23, 32);
const FRAME: Colour = Colour::rgb(52, 62, 78);
const DARK_LUMA: u8 = 16;
const WHITE: Colour = Colour::rgb(255, 255, 255);
const SOFT_LUMA: u8 = 150;

/// 75 % colour bars.
const BARS: [Colour; 7] = [
    Colour::rgb(191, 191, 191),
    Colour::rgb(191, 191, 0),
    Colour::rgb(0, 191, 191),
    Colour::rgb(0, 191, 0),
    Colour::rgb(191, 0, 191),
    Colour::rgb(191, 0, 0),
    Colour::rgb(0, 0, 191),
];

/// Steps of the grey ramp, black to white.
const RAMP_STEPS: usize = 16;

/// One turn of the orbiting dot.
const TURN_NANOS: u64 = 2_000_000_000;

impl Painter {
    fn new(width: usize, height: usize, fps: u32) -> Self {
        let layout = Layout::of(width, height);
        let lettering = Lettering::new(layout.clock_height, WHITE.y, GROUND.y);
        let letters = CLOCK_LETTERS.chars().map(|letter| lettering.block(letter)).collect();
        let mut background = vec![0; i420_bytes(width, height)];
        if let Some(mut canvas) = Canvas::new(width, height, &mut background) {
            layout.paint_background(&mut canvas, fps);
        }
        let interval = Duration::from_secs(1) / fps.max(1);
        Self { layout, background, letters, lettering, interval }
    }

    fn format(&self) -> FrameFormat {
        let (width, height) = (self.layout.width as u32, self.layout.height as u32);
        FrameFormat { pixel: PixelFormat::I420, width, height, stride: width, full_range: false }
    }

    /// Draws the frame of `captured`, showing and stamping the wall clock `wall`.
    fn paint(&self, buffer: &mut [u8], captured: MediaTime, wall: Duration, local_offset_s: i32) {
        buffer.copy_from_slice(&self.background);
        let (width, height) = (self.layout.width, self.layout.height);
        let Some(mut canvas) = Canvas::new(width, height, buffer) else { return };
        // The low 32 bits are what the stamp carries.
        stamp::write(canvas.luma(), width, width, height, (wall.as_millis() & u128::from(u32::MAX)) as u32);
        let phase = Duration::from_nanos(captured.as_nanos() % 1_000_000_000);
        if phase < FLASH.max(self.interval) {
            canvas.fill(self.layout.flash, WHITE);
        }
        self.paint_orbit(&mut canvas, captured);
        self.paint_clock(&mut canvas, wall, local_offset_s);
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
    fn paint_orbit(&self, canvas: &mut Canvas<'_>, captured: MediaTime) {
        let area = self.layout.orbit;
        let angle = (captured.as_nanos() % TURN_NANOS) as f64 / TURN_NANOS as f64 * std::f64::consts::TAU;
        let reach = area.width as f64 * 0.34;
        let (centre_x, centre_y) = (area.x + area.width / 2, area.y + area.height / 2);
        let x = centre_x as f64 + angle.sin() * reach;
        let y = centre_y as f64 - angle.cos() * reach;
        canvas.disc_luma(x.max(0.0) as usize, y.max(0.0) as usize, area.width / 10, WHITE.y);
    }

    fn paint_clock(&self, canvas: &mut Canvas<'_>, wall: Duration, local_offset_s: i32) {
        let second = wall.as_secs().saturating_add_signed(local_offset_s.into()) % 86_400;
        let text =
            format!("{:02}:{:02}:{:02}.{:03}", second / 3_600, second / 60 % 60, second % 60, wall.subsec_millis());
        let mut x = self.layout.clock_x;
        for letter in text.chars() {
            let block = CLOCK_LETTERS.find(letter).and_then(|index| self.letters.get(index));
            if let Some(block) = block {
                canvas.copy_luma(x, self.layout.clock_y, self.lettering.width(), block);
            }
            x += self.lettering.width();
        }
    }
}

/// Where things are. From the top: the stamp, the bars, a row of orbit, ramp and flash, the clock, a line of text.
struct Layout {
    width: usize,
    height: usize,
    margin: usize,
    bars: Area,
    orbit: Area,
    ramp: Area,
    flash: Area,
    clock_x: usize,
    clock_y: usize,
    clock_height: usize,
}

impl Layout {
    fn of(width: usize, height: usize) -> Self {
        let even = |pixels: usize| pixels & !1;
        let margin = even(width / 40).max(2);
        let side = even((height / 6).min(width / 6));
        let row_y = even(height * 53 / 100);
        let bars_y = 2 * margin;
        let bars_bottom = row_y.saturating_sub(margin);
        let inner = even(width - 2 * margin);
        let clock_height = Lettering::height_to_fit(CLOCK_LEN, inner, height * 21 / 100);
        let clock_width = CLOCK_LEN * Lettering::new(clock_height, 0, 0).width();
        let flash_x = width.saturating_sub(margin + side);
        let ramp_x = 2 * margin + side;
        Self {
            width,
            height,
            margin,
            bars: Area { x: margin, y: bars_y, width: inner, height: bars_bottom.saturating_sub(bars_y) },
            orbit: Area { x: margin, y: row_y, width: side, height: side },
            ramp: Area { x: ramp_x, y: row_y, width: flash_x.saturating_sub(margin + ramp_x), height: side },
            flash: Area { x: even(flash_x), y: row_y, width: side, height: side },
            clock_x: width.saturating_sub(clock_width) / 2,
            clock_y: height * 71 / 100,
            clock_height,
        }
    }

    fn paint_background(&self, canvas: &mut Canvas<'_>, fps: u32) {
        canvas.fill(Area { x: 0, y: 0, width: self.width, height: self.height }, GROUND);
        columns(self.bars, BARS.len(), |index, area| canvas.fill(area, BARS[index]));
        columns(self.ramp, RAMP_STEPS, |index, area| {
            let y = u8::try_from(16 + index * 219 / (RAMP_STEPS - 1)).unwrap_or(235);
            canvas.fill(area, Colour { y, u: 128, v: 128 });
        });
        for square in [self.orbit, self.flash] {
            canvas.fill(square, FRAME);
            let inset = (self.margin / 8).max(1) * 2;
            let shrunk = square.width.saturating_sub(2 * inset);
            let inner = Area { x: square.x + inset, y: square.y + inset, width: shrunk, height: shrunk };
            canvas.fill(inner, Colour { y: DARK_LUMA, u: 128, v: 128 });
        }
        let label = format!("camera-node test pattern  {}x{}  {fps} fps", self.width, self.height);
        let height = Lettering::height_to_fit(label.len(), self.width - 2 * self.margin, self.height * 5 / 100);
        let lettering = Lettering::new(height, SOFT_LUMA, GROUND.y);
        let x = self.width.saturating_sub(label.len() * lettering.width()) / 2;
        write(canvas, &lettering, x, self.height * 93 / 100, &label);
    }
}

/// Calls `paint` for each of `count` equal columns of `area`.
fn columns(area: Area, count: usize, mut paint: impl FnMut(usize, Area)) {
    let edge = |index: usize| area.x + ((area.width * index / count) & !1);
    for index in 0..count {
        let (x, next) = (edge(index), edge(index + 1));
        paint(index, Area { x, width: next - x, ..area });
    }
}

/// Writes one line of text.
pub(super) fn write(canvas: &mut Canvas<'_>, lettering: &Lettering, x: usize, y: usize, text: &str) {
    for (index, letter) in text.chars().enumerate() {
        canvas.copy_luma(x + index * lettering.width(), y, lettering.width(), &lettering.block(letter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Bounded;

    const SECOND: u64 = 1_000_000_000;

    fn painted(width: usize, height: usize, captured_nanos: u64, wall_ms: u64) -> Vec<u8> {
        let painter = Painter::new(width, height, 30);
        let mut buffer = vec![0; i420_bytes(width, height)];
        painter.paint(&mut buffer, MediaTime::from_nanos(captured_nanos), Duration::from_millis(wall_ms), 0);
        buffer
    }

    fn luma_at_centre(picture: &[u8], width: usize, area: Area) -> u8 {
        picture[(area.y + area.height / 2) * width + area.x + area.width / 2]
    }

    #[test]
    fn each_frame_carries_the_stamp_of_its_wall_clock() {
        for (width, height) in [(320, 180), (640, 480), (1280, 720), (480, 640), (1920, 1080)] {
            let picture = painted(width, height, 0, 0x1_2345_6789);
            assert_eq!(stamp::read(&picture, width, width, height), Some(0x2345_6789), "{width}x{height}");
        }
    }

    #[test]
    fn it_flashes_for_the_first_tenth_of_each_second() {
        let area = flash_area(1280, 720);
        for (nanos, lit) in [(0, true), (99_000_000, true), (100_000_000, false), (999_999_999, false)] {
            let picture = painted(1280, 720, 7 * SECOND + nanos, 1);
            assert_eq!(luma_at_centre(&picture, 1280, area) > 200, lit, "{nanos} ns into the second");
        }
    }

    #[test]
    fn the_clock_moves_from_frame_to_frame() {
        let (one, other) = (painted(640, 480, 500_000_000, 1_000), painted(640, 480, 500_000_000, 1_033));
        let clock = 640 * (480 * 71 / 100)..640 * (480 * 92 / 100);
        assert_ne!(one[clock.clone()], other[clock]);
    }

    #[test]
    fn a_running_source_is_paced_and_a_still_one_keeps_its_stamp() {
        let small =
            Video { width: const { Bounded::new(320) }, height: const { Bounded::new(180) }, ..Video::default() };
        let read = |frame: &Frame| stamp::read(&frame.data, 320, 320, 180).expect("stamped");
        let limit = Duration::from_secs(1);
        let mut running = open(&small, false).expect("large enough");
        let (first, second) = (running.next(limit).expect("frame"), running.next(limit).expect("frame"));
        let apart = second.captured.since(first.captured).as_millis();
        assert!((33..500).contains(&apart), "{apart} ms");
        assert_ne!(read(&first), read(&second));
        let mut still = open(&small, true).expect("large enough");
        let (first, second) = (still.next(limit).expect("frame"), still.next(limit).expect("frame"));
        assert!(second.captured > first.captured);
        assert_eq!(read(&first), read(&second));
    }

    #[test]
    fn a_picture_too_small_for_the_stamp_is_refused_in_words() {
        let tiny = Video { width: const { Bounded::new(318) }, ..Video::default() };
        let refused = open(&tiny, false).map(|_| ()).expect_err("too small");
        assert_eq!(
            refused.to_string(),
            "test pattern: too small for the time stamp: at least 320 wide, and a fortieth of that high"
        );
        let odd = Video { height: const { Bounded::new(721) }, ..Video::default() };
        assert!(open(&odd, false).is_err());
    }
}
