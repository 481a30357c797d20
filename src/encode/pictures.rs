//! Moving pictures for tests: one as easy as the test pattern, one as hard as grass in the wind.

use bytes::Bytes;

use crate::media::{Frame, FrameFormat, MediaTime, PixelFormat};

/// Frames a second.
pub(super) const FPS: u32 = 30;

/// Makes a frame of I420 from a luma function; chroma is a slow gradient.
fn i420(n: u32, width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Frame {
    let mut data = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        data.extend((0..width).map(|x| luma(x, y)));
    }
    for plane in 0..2 {
        for y in 0..height / 2 {
            data.extend((0..width / 2).map(|x| (64 + (x * 64 / width) + (y * 64 / height) + plane * 32) as u8));
        }
    }
    let format = FrameFormat {
        pixel: PixelFormat::I420,
        width: width as u32,
        height: height as u32,
        stride: width as u32,
        full_range: false,
    };
    let captured = MediaTime::from_nanos(5_000_000_000 + u64::from(n) * 1_000_000_000 / u64::from(FPS));
    Frame { format, data: Bytes::from(data), captured, sequence: n }
}

/// Bars, a ramp, a moving square and rows of blocks that change as the bits of a clock do.
pub(super) fn pattern(n: u32, width: usize, height: usize) -> Frame {
    let side = (width / 40) & !1;
    let square = (n as usize * 4) % (width - 80);
    i420(n, width, height, |x, y| {
        if y < side && x < side * 40 {
            return if (n.wrapping_mul(0x9e37_79b9) >> (x / side % 32)) & 1 == 1 { 235 } else { 16 };
        }
        if (height / 2..height / 2 + 80).contains(&y) && (square..square + 80).contains(&x) {
            return 235;
        }
        if y < height * 3 / 4 { 30 + (x * 8 / width * 25) as u8 } else { (16 + x * 219 / width) as u8 }
    })
}

/// A panning texture with detail at every scale, six moving blocks and noise of the sensor's kind.
pub(super) struct Texture {
    size: usize,
    values: Vec<u8>,
}

impl Texture {
    pub(super) fn new() -> Self {
        let size = 1024;
        let mut sum = vec![0_f32; size * size];
        let mut random = fastrand::Rng::with_seed(7);
        for octave in 0..10 {
            let cell = 1_usize << (9 - octave);
            let cells = size / cell;
            // Amplitude falls with frequency, as in photographs, but not as fast.
            let amplitude = 46.0 * 0.97_f32.powi(octave);
            let grid: Vec<f32> = (0..cells * cells).map(|_| random.f32() - 0.5).collect();
            for y in 0..size {
                for x in 0..size {
                    let (gx, gy) = (x / cell, y / cell);
                    let (fx, fy) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
                    let at = |gx: usize, gy: usize| grid[gy % cells * cells + gx % cells];
                    let above = at(gx, gy) * (1.0 - fx) + at(gx + 1, gy) * fx;
                    let below = at(gx, gy + 1) * (1.0 - fx) + at(gx + 1, gy + 1) * fx;
                    sum[y * size + x] += amplitude * (above * (1.0 - fy) + below * fy);
                }
            }
        }
        Self { size, values: sum.into_iter().map(|v| (126.0 + v).clamp(16.0, 235.0) as u8).collect() }
    }

    pub(super) fn frame(&self, n: u32, width: usize, height: usize) -> Frame {
        let mut random = fastrand::Rng::with_seed(u64::from(n) + 1);
        let noise: Vec<u8> = (0..65_536).map(|_| random.u8(0..4)).collect();
        let time = n as usize;
        i420(n, width, height, |x, y| {
            let block = (0..6).find(|b| {
                let (bx, by) = ((b * 190 + time * (b + 2)) % width, (b * 110 + time * (b + 1)) % height);
                (bx..bx + 64).contains(&x) && (by..by + 64).contains(&y)
            });
            let (sx, sy) = (x + time * 3 + block.unwrap_or(0) * 77, y + time + block.unwrap_or(0) * 131);
            let value = self.values[(sy % self.size) * self.size + sx % self.size];
            value.saturating_add(noise[(y * width + x) & 0xffff]).saturating_sub(2)
        })
    }
}
