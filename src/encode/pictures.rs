//! Moving pictures for tests: one as easy as the test pattern, one as hard as grass in the wind.

use bytes::Bytes;

use crate::media::{Frame, FrameFormat, MediaTime, PixelFormat};

/// Frames a second.
pub(super) const FPS: u32 = 30;

/// Makes a frame of I420 of its luma; chroma is a slow gradient.
fn i420(n: u32, width: usize, height: usize, luma: Vec<u8>) -> Frame {
    let mut data = luma;
    data.reserve(width * height / 2);
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
    let luma = |x: usize, y: usize| {
        if y < side && x < side * 40 {
            return if (n.wrapping_mul(0x9e37_79b9) >> (x / side % 32)) & 1 == 1 { 235 } else { 16 };
        }
        if (height / 2..height / 2 + 80).contains(&y) && (square..square + 80).contains(&x) {
            return 235;
        }
        if y < height * 3 / 4 { 30 + (x * 8 / width * 25) as u8 } else { (16 + x * 219 / width) as u8 }
    };
    i420(n, width, height, (0..width * height).map(|at| luma(at % width, at / width)).collect())
}

/// A panning texture with as much detail at every scale, six moving blocks and noise of the sensor's kind: grass in the
/// wind, at which a camera's picture is about as hard as it gets.
pub(super) struct Texture {
    values: Vec<u8>,
}

/// Side of the texture, which repeats.
const SIDE: usize = 512;

impl Texture {
    pub(super) fn new() -> Self {
        let mut sum = vec![0_f32; SIDE * SIDE];
        let mut random = fastrand::Rng::with_seed(7);
        for octave in 0..9 {
            let cell = 1_usize << (8 - octave);
            let cells = SIDE / cell;
            let amplitude = 46.0 * 0.97_f32.powi(octave);
            let grid: Vec<f32> = (0..cells * cells).map(|_| (random.f32() - 0.5) * amplitude).collect();
            for (at, value) in sum.iter_mut().enumerate() {
                let (x, y) = (at % SIDE, at / SIDE);
                let (gx, gy) = (x / cell, y / cell);
                let (fx, fy) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
                let at = |gx: usize, gy: usize| grid[gy % cells * cells + gx % cells];
                let above = at(gx, gy) * (1.0 - fx) + at(gx + 1, gy) * fx;
                let below = at(gx, gy + 1) * (1.0 - fx) + at(gx + 1, gy + 1) * fx;
                *value += above * (1.0 - fy) + below * fy;
            }
        }
        Self { values: sum.into_iter().map(|v| (126.0 + v).clamp(16.0, 235.0) as u8).collect() }
    }

    pub(super) fn frame(&self, n: u32, width: usize, height: usize) -> Frame {
        let mut random = fastrand::Rng::with_seed(u64::from(n) + 1);
        let noise: Vec<u8> = (0..8_192).map(|_| random.u8(0..4)).collect();
        let time = n as usize;
        let mut luma = Vec::with_capacity(width * height);
        // Line by line by copying, as tests are not optimised.
        let line = |x: usize, y: usize| {
            let row = &self.values[y % SIDE * SIDE..][..SIDE];
            row[x % SIDE..].iter().chain(row.iter().cycle()).copied()
        };
        for y in 0..height {
            luma.extend(line(time * 3, y + time).take(width));
        }
        for block in 0..6 {
            let (left, top) = ((block * 190 + time * (block + 2)) % (width - 64), (block * 110 + time) % (height - 64));
            for y in top..top + 64 {
                for (pixel, value) in luma[y * width + left..][..64].iter_mut().zip(line(block * 77, y + block * 131)) {
                    *pixel = value;
                }
            }
        }
        for (pixel, noise) in luma.iter_mut().zip(noise.iter().cycle()) {
            *pixel += noise;
        }
        i420(n, width, height, luma)
    }
}
