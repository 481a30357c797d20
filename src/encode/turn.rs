//! Turns and mirrors a picture, plane by plane.

use super::planes::{PlaneBuffer, Planes};
use crate::media::{Flip, Rotation};

/// What is to be done to every picture of a camera: turned first, then mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Degrees clockwise.
    pub rotation: Rotation,
    /// Mirroring, after turning.
    pub flip: Flip,
}

impl Turn {
    /// Turned by `rotation`, then mirrored by `flip`.
    pub const fn of(rotation: Rotation, flip: Flip) -> Self {
        Self { rotation, flip }
    }

    /// Whether there is nothing to do.
    pub fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// The sides of a picture after turning.
    pub fn sides(self, width: u32, height: u32) -> (u32, u32) {
        if self.rotation.swaps_sides() { (height, width) } else { (width, height) }
    }

    /// Which pixel of the source the first one of the result is, and whether lines become columns.
    fn steps(self) -> Steps {
        // Clockwise by 90°, the first line of the result is the first column, read from below.
        let (transposed, from_right, from_below) = match self.rotation {
            Rotation::None => (false, false, false),
            Rotation::Clockwise90 => (true, false, true),
            Rotation::Half => (false, true, true),
            Rotation::Clockwise270 => (true, true, false),
        };
        // Left and right of the result are above and below in the source when lines become columns.
        let (right, below) = match (self.flip, transposed) {
            (Flip::None, _) => (false, false),
            (Flip::Horizontal, false) | (Flip::Vertical, true) => (true, false),
            (Flip::Vertical, false) | (Flip::Horizontal, true) => (false, true),
        };
        Steps { transposed, from_right: from_right ^ right, from_below: from_below ^ below }
    }

    /// Writes `source` into `buffer` as it is to be seen.
    pub(super) fn apply<'b>(self, source: Planes<'_>, buffer: &'b mut PlaneBuffer) -> Option<Planes<'b>> {
        let steps = self.steps();
        let (width, height) = (source.width(), source.height());
        let into = if steps.transposed { buffer.planes_mut(height, width) } else { buffer.planes_mut(width, height) };
        let (y, y_stride) = source.luma();
        let (u, v, uv_stride) = source.chroma();
        steps.plane(y, y_stride, width, height, into.y);
        steps.plane(u, uv_stride, width / 2, height / 2, into.u);
        steps.plane(v, uv_stride, width / 2, height / 2, into.v);
        buffer.planes()
    }
}

struct Steps {
    transposed: bool,
    from_right: bool,
    from_below: bool,
}

/// Side of the squares that are transposed at a time: one cache line high and wide, so each line is fetched once.
const TILE: usize = 64;

impl Steps {
    /// Writes a plane of `width` by `height` to `into`, tightly packed.
    fn plane(&self, from: &[u8], stride: usize, width: usize, height: usize, into: &mut [u8]) {
        let line = |row: usize| {
            let row = if self.from_below { height - 1 - row } else { row };
            &from[row * stride..row * stride + width]
        };
        if !self.transposed {
            for (row, out) in into.chunks_exact_mut(width).enumerate() {
                out.copy_from_slice(line(row));
                if self.from_right {
                    out.reverse();
                }
            }
            return;
        }
        for top in (0..height).step_by(TILE) {
            for left in (0..width).step_by(TILE) {
                let bottom = (top + TILE).min(height);
                for column in left..(left + TILE).min(width) {
                    let source_column = if self.from_right { width - 1 - column } else { column };
                    let out = &mut into[column * height + top..column * height + bottom];
                    for (row, pixel) in (top..bottom).zip(out) {
                        *pixel = line(row)[source_column];
                    }
                }
            }
        }
    }
}
