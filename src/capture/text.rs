//! Letters of any height, as blocks of luma.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster};

/// Letters of one height, light on dark. All are equally wide.
#[derive(Debug)]
pub(super) struct Lettering {
    height: usize,
    width: usize,
    ink: u8,
    paper: u8,
}

/// The font's own raster.
const RASTER: RasterHeight = RasterHeight::Size32;
const RASTER_HEIGHT: usize = 32;

impl Lettering {
    /// Letters `height` pixels high from the tallest ascender to the deepest descender, in luma `ink` on `paper`.
    pub(super) fn new(height: usize, ink: u8, paper: u8) -> Self {
        let height = height.max(1);
        Self { height, width: width_of(height), ink, paper }
    }

    /// The greatest height up to `most` at which `letters` letters fit into `width` pixels.
    pub(super) fn height_to_fit(letters: usize, width: usize, most: usize) -> usize {
        let mut height = most.min(width * RASTER_HEIGHT / (letters * width_of(RASTER_HEIGHT)).max(1) + 1);
        while height > 1 && letters * width_of(height) > width {
            height -= 1;
        }
        height.max(1)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The block of luma that shows `letter`, line after line. What the font lacks shows as `?`.
    pub(super) fn block(&self, letter: char) -> Vec<u8> {
        let raster = get_raster(letter, FontWeight::Bold, RASTER).or_else(|| get_raster('?', FontWeight::Bold, RASTER));
        let Some(raster) = raster else { return vec![self.paper; self.width * self.height] };
        let mut block = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            for x in 0..self.width {
                block.push(self.mix(self.coverage(&raster, x, y)));
            }
        }
        block
    }

    /// How much of the pixel the letter covers, 0–255.
    ///
    /// Enlarged letters are interpolated and the blur at their edges is then steepened by the same factor, which gives
    /// round and sharp shapes from a small raster.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "pixels and shares"
    )]
    fn coverage(&self, raster: &RasterizedChar, x: usize, y: usize) -> u8 {
        let scale_x = raster.width() as f32 / self.width as f32;
        let scale_y = raster.height() as f32 / self.height as f32;
        let (at_x, at_y) = ((x as f32 + 0.5) * scale_x - 0.5, (y as f32 + 0.5) * scale_y - 0.5);
        let (left, top) = (at_x.floor(), at_y.floor());
        let (right_share, bottom_share) = (at_x - left, at_y - top);
        let at = |dx: f32, dy: f32| {
            let (x, y) = (left + dx, top + dy);
            let inside = x >= 0.0 && y >= 0.0;
            let pixel = if inside { raster.pixel(x as usize, y as usize).unwrap_or(0) } else { 0 };
            f32::from(pixel) / 255.0
        };
        let upper = at(0.0, 0.0) * (1.0 - right_share) + at(1.0, 0.0) * right_share;
        let lower = at(0.0, 1.0) * (1.0 - right_share) + at(1.0, 1.0) * right_share;
        let blurred = upper * (1.0 - bottom_share) + lower * bottom_share;
        let steepness = (1.0 / scale_y).max(1.0);
        (((blurred - 0.5) * steepness + 0.5).clamp(0.0, 1.0) * 255.0) as u8
    }

    fn mix(&self, coverage: u8) -> u8 {
        let (ink, paper, share) = (i32::from(self.ink), i32::from(self.paper), i32::from(coverage));
        u8::try_from(paper + (ink - paper) * share / 255).unwrap_or(self.ink)
    }
}

fn width_of(height: usize) -> usize {
    (height * noto_sans_mono_bitmap::get_raster_width(FontWeight::Bold, RASTER) / RASTER_HEIGHT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_scale_to_any_height_and_keep_their_luma_range() {
        for height in [1, 7, 16, 32, 100] {
            let lettering = Lettering::new(height, 235, 30);
            let block = lettering.block('8');
            assert_eq!(block.len(), lettering.width() * height);
            assert!(block.iter().all(|luma| (30..=235).contains(luma)));
            if height >= 16 {
                assert!(block.contains(&30) && block.iter().any(|&luma| luma > 200), "height {height}");
            }
        }
    }

    #[test]
    fn a_letter_the_font_lacks_is_a_question_mark() {
        let lettering = Lettering::new(20, 235, 16);
        assert_eq!(lettering.block('\u{1F4F7}'), lettering.block('?'));
    }

    #[test]
    fn a_height_is_found_that_fits() {
        for (letters, width) in [(12, 256), (40, 300), (200, 64), (1, 5_000)] {
            let height = Lettering::height_to_fit(letters, width, 90);
            assert!(height == 1 || letters * width_of(height) <= width);
            assert!(height <= 90);
        }
    }
}
