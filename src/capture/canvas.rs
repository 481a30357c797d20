//! Drawing on I420 pictures: rectangles, discs and letters, quickly enough to do it for each frame.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// A colour of limited-range video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour {
    pub(super) y: u8,
    pub(super) u: u8,
    pub(super) v: u8,
}

impl Colour {
    /// From 8-bit RGB, by BT.601.
    pub(super) const fn rgb(r: u8, g: u8, b: u8) -> Self {
        let (r, g, b) = (r as i32, g as i32, b as i32);
        Self {
            y: ((66 * r + 129 * g + 25 * b + 128) / 256 + 16) as u8,
            u: ((-38 * r - 74 * g + 112 * b + 128 * 256 + 128) / 256) as u8,
            v: ((112 * r - 94 * g - 18 * b + 128 * 256 + 128) / 256) as u8,
        }
    }
}

/// A rectangle in pixels. Even numbers, or its colour bleeds by a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Pixels a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

/// An I420 picture without padding being drawn on. Both sides are even; what lies outside is not drawn.
pub(super) struct Canvas<'a> {
    width: usize,
    height: usize,
    data: &'a mut [u8],
}

/// Bytes of an I420 picture without padding.
pub(super) const fn i420_bytes(width: usize, height: usize) -> usize {
    width * height / 2 * 3
}

impl<'a> Canvas<'a> {
    /// A canvas over `data`, which holds [`i420_bytes`]; `None` when it does not, or a side is odd.
    pub(super) fn new(width: usize, height: usize, data: &'a mut [u8]) -> Option<Self> {
        let fits = width.is_multiple_of(2) && height.is_multiple_of(2) && data.len() == i420_bytes(width, height);
        fits.then_some(Self { width, height, data })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    pub(super) fn luma(&mut self) -> &mut [u8] {
        &mut self.data[..self.width * self.height]
    }

    pub(super) fn fill(&mut self, area: Area, colour: Colour) {
        self.fill_luma(area, colour.y);
        let chroma_width = self.width / 2;
        let (left, right) = (area.x.min(self.width) / 2, (area.x + area.width).min(self.width) / 2);
        let (top, bottom) = (area.y.min(self.height) / 2, (area.y + area.height).min(self.height) / 2);
        let (u_plane, v_plane) = self.data[self.width * self.height..].split_at_mut(self.width * self.height / 4);
        for (plane, value) in [(u_plane, colour.u), (v_plane, colour.v)] {
            for line in top..bottom {
                plane[line * chroma_width + left..line * chroma_width + right].fill(value);
            }
        }
    }

    pub(super) fn fill_luma(&mut self, area: Area, value: u8) {
        let (left, right) = (area.x.min(self.width), (area.x + area.width).min(self.width));
        for line in area.y.min(self.height)..(area.y + area.height).min(self.height) {
            self.data[line * self.width + left..line * self.width + right].fill(value);
        }
    }

    /// A disc; luma only.
    pub(super) fn disc_luma(&mut self, centre_x: usize, centre_y: usize, radius: usize, value: u8) {
        for line in centre_y.saturating_sub(radius)..=centre_y + radius {
            let rise = line.abs_diff(centre_y);
            let half = (radius * radius - rise * rise).isqrt();
            let x = centre_x.saturating_sub(half);
            self.fill_luma(Area { x, y: line, width: centre_x + half + 1 - x, height: 1 }, value);
        }
    }

    /// Copies a block of luma whose left upper corner comes to `x`, `y`.
    pub(super) fn copy_luma(&mut self, x: usize, y: usize, width: usize, luma: &[u8]) {
        let shown = (x + width).min(self.width).saturating_sub(x);
        if shown == 0 || width == 0 {
            return;
        }
        for (line, row) in luma.chunks_exact(width).enumerate().take(self.height.saturating_sub(y)) {
            let start = (y + line) * self.width + x;
            self.data[start..start + shown].copy_from_slice(&row[..shown]);
        }
    }
}

/// Buffers of one size that come back when their last reader drops them.
#[derive(Debug)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    size: usize,
}

/// More than the frame path holds at once; what comes back beyond it is freed.
const POOLED: usize = 6;

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self { free: Arc::default(), size }
    }

    /// A buffer of the pool's size, with whatever was last written to it.
    pub(super) fn take(&self) -> Vec<u8> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; self.size])
    }

    /// Hands the buffer out, to come back when the last clone is dropped.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Pooled { buffer, pool: Arc::downgrade(&self.free) })
    }
}

struct Pooled {
    buffer: Vec<u8>,
    pool: Weak<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            let mut free = pool.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < POOLED {
                free.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_within_video_range() {
        assert_eq!(Colour::rgb(0, 0, 0), Colour { y: 16, u: 128, v: 128 });
        assert_eq!(Colour::rgb(255, 255, 255), Colour { y: 235, u: 128, v: 128 });
        assert_eq!(Colour::rgb(255, 0, 0), Colour { y: 82, u: 90, v: 240 });
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut data = vec![0; i420_bytes(16, 8)];
        let mut canvas = Canvas::new(16, 8, &mut data).expect("even");
        let white = Colour::rgb(255, 255, 255);
        canvas.fill(Area { x: 10, y: 4, width: 100, height: 100 }, white);
        canvas.fill(Area { x: 100, y: 100, width: 4, height: 4 }, white);
        canvas.disc_luma(15, 7, 5, 99);
        canvas.copy_luma(14, 6, 4, &[7; 16]);
        canvas.copy_luma(40, 40, 4, &[7; 16]);
        assert_eq!((data[15], data[4 * 16 + 10], data[7 * 16 + 15]), (0, 235, 7));
        assert!(Canvas::new(15, 8, &mut data).is_none());
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_clone_is_dropped() {
        let pool = Pool::new(16);
        let mut buffer = pool.take();
        buffer[0] = 42;
        let lent = pool.lend(buffer);
        let clone = lent.clone();
        drop(lent);
        assert_eq!(pool.take()[0], 0);
        drop(clone);
        assert_eq!(pool.take()[0], 42);
    }
}
