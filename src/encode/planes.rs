//! The one picture format inside this module: I420, three planes, 4:2:0, both sides even.

use openh264::formats::YUVSource;

/// A view of a picture in I420, checked: every pixel it promises lies within its slices.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    width: usize,
    height: usize,
    y: &'a [u8],
    y_stride: usize,
    u: &'a [u8],
    v: &'a [u8],
    uv_stride: usize,
}

impl<'a> Planes<'a> {
    /// A view of `width` by `height` pixels; an odd last column or line is left out, since 4:2:0 has no half samples.
    ///
    /// `None` when a plane does not hold what is promised, or nothing is left.
    pub fn new(
        (width, height): (usize, usize),
        (y, y_stride): (&'a [u8], usize),
        (u, v, uv_stride): (&'a [u8], &'a [u8], usize),
    ) -> Option<Self> {
        let (width, height) = (width & !1, height & !1);
        let holds = |plane: &[u8], stride: usize, width: usize, height: usize| {
            let needed = height.checked_sub(1)?.checked_mul(stride)?.checked_add(width)?;
            (width > 0 && stride >= width && plane.len() >= needed).then_some(())
        };
        holds(y, y_stride, width, height)?;
        holds(u, uv_stride, width / 2, height / 2)?;
        holds(v, uv_stride, width / 2, height / 2)?;
        Some(Self { width, height, y, y_stride, u, v, uv_stride })
    }

    /// Pixels a line, even.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Lines, even.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Luma, and the bytes from one line to the next.
    pub fn luma(&self) -> (&'a [u8], usize) {
        (self.y, self.y_stride)
    }

    /// Chroma (U, V), and the bytes from one line to the next.
    pub fn chroma(&self) -> (&'a [u8], &'a [u8], usize) {
        (self.u, self.v, self.uv_stride)
    }
}

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.y_stride, self.uv_stride, self.uv_stride)
    }

    fn y(&self) -> &[u8] {
        self.y
    }

    fn u(&self) -> &[u8] {
        self.u
    }

    fn v(&self) -> &[u8] {
        self.v
    }
}

/// Memory for one picture, used again for the next.
#[derive(Debug, Default)]
pub(super) struct PlaneBuffer {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl PlaneBuffer {
    /// Makes room for a picture of even sides and hands out its planes, tightly packed.
    pub(super) fn planes_mut(&mut self, width: usize, height: usize) -> PlanesMut<'_> {
        debug_assert!(width.is_multiple_of(2) && height.is_multiple_of(2), "4:2:0 has even sides");
        (self.width, self.height) = (width, height);
        let luma = width * height;
        self.bytes.resize(luma + luma / 2, 0);
        let (y, chroma) = self.bytes.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        PlanesMut { y, u, v }
    }

    /// What was written last.
    pub(super) fn planes(&self) -> Option<Planes<'_>> {
        let luma = self.width * self.height;
        let (y, chroma) = self.bytes.split_at_checked(luma)?;
        let (u, v) = chroma.split_at_checked(luma / 4)?;
        Planes::new((self.width, self.height), (y, self.width), (u, v, self.width / 2))
    }
}

/// The planes of a [`PlaneBuffer`], to be written; strides are the width and half of it.
pub(super) struct PlanesMut<'a> {
    pub(super) y: &'a mut [u8],
    pub(super) u: &'a mut [u8],
    pub(super) v: &'a mut [u8],
}
