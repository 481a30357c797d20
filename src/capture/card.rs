//! A picture that says in words why there is no other: "camera away".

use bytes::Bytes;

use super::canvas::{Area, Canvas, Colour, i420_bytes};
use super::test_pattern::write;
use super::text::Lettering;
use crate::media::{Frame, FrameFormat, MediaTime, PixelFormat};

/// A drawn card, ready to be sent as a frame as often as wanted: its bytes are shared.
#[derive(Debug, Clone)]
pub struct Card {
    format: FrameFormat,
    data: Bytes,
}

const GROUND: Colour = Colour::rgb(17, 23, 32);
const ACCENT: Colour = Colour::rgb(232, 164, 72);
const TITLE_LUMA: u8 = 225;
const DETAIL_LUMA: u8 = 145;

/// Letters a line of detail is broken at, at the latest.
const DETAIL_LETTERS: usize = 56;

/// Lines of detail shown; the rest is cut off.
const DETAIL_LINES: usize = 3;

impl Card {
    /// Draws a card of this size (odd sides lose a pixel): `title` large, `detail` in smaller letters under it.
    pub fn new(width: u32, height: u32, title: &str, detail: &str) -> Self {
        let even = |pixels: u32| (pixels & !1).max(2);
        let (width, height) = (even(width), even(height));
        let mut data = vec![0; i420_bytes(width as usize, height as usize)];
        if let Some(mut canvas) = Canvas::new(width as usize, height as usize, &mut data) {
            paint(&mut canvas, title, detail);
        }
        let format = FrameFormat { pixel: PixelFormat::I420, width, height, stride: width, full_range: false };
        Self { format, data: Bytes::from(data) }
    }

    /// The card as the frame of this moment.
    pub fn frame(&self, captured: MediaTime, sequence: u32) -> Frame {
        Frame { format: self.format, data: self.data.clone(), captured, sequence }
    }
}

fn paint(canvas: &mut Canvas<'_>, title: &str, detail: &str) {
    let (width, height) = (canvas.width(), canvas.height());
    canvas.fill(Area { x: 0, y: 0, width, height }, GROUND);
    let room = width - width / 8;

    let title_height = Lettering::height_to_fit(title.chars().count(), room, height * 15 / 100);
    let title_lettering = Lettering::new(title_height, TITLE_LUMA, GROUND.y);
    let lines = wrap(detail, DETAIL_LETTERS);
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let detail_height = Lettering::height_to_fit(longest, room, height * 6 / 100);
    let detail_lettering = Lettering::new(detail_height, DETAIL_LUMA, GROUND.y);

    let total = title_height + title_height / 2 + lines.len() * detail_height;
    let mut y = height.saturating_sub(total) / 2;
    let bar = Area {
        x: (width * 7 / 16) & !1,
        y: (y.saturating_sub(title_height / 2)) & !1,
        width: (width / 8) & !1,
        height: (height / 90).max(1) * 2,
    };
    canvas.fill(bar, ACCENT);
    centred(canvas, &title_lettering, y, title);
    y += title_height + title_height / 2;
    for line in &lines {
        centred(canvas, &detail_lettering, y, line);
        y += detail_height;
    }
}

fn centred(canvas: &mut Canvas<'_>, lettering: &Lettering, y: usize, text: &str) {
    let x = canvas.width().saturating_sub(text.chars().count() * lettering.width()) / 2;
    write(canvas, lettering, x, y, text);
}

/// Breaks at spaces into lines of at most `most` letters; a longer word is broken anywhere.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let piece: String = word.drain(..word.len().min(most)).collect();
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= most => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines.truncate(DETAIL_LINES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_of_any_size_shows_light_letters_on_dark() {
        for (width, height) in [(1280, 720), (320, 180), (64, 64), (480, 1280), (641, 481), (1, 1), (4096, 64)] {
            let card = Card::new(width, height, "camera away", "/dev/video0: gone; waiting for it to come back");
            let frame = card.frame(MediaTime::from_nanos(5), 7);
            let (w, h) = (frame.format.width as usize, frame.format.height as usize);
            assert_eq!(frame.data.len(), w * h * 3 / 2, "{width}x{height}");
            if height >= 180 {
                let bright = frame.data[..w * h].iter().filter(|&&luma| luma > 200).count();
                assert!(bright * 400 > w * h, "{width}x{height}: {bright} bright pixels");
            }
        }
    }

    #[test]
    fn an_empty_card_or_endless_words_are_no_panic() {
        for text in ["", "   ", &"x".repeat(10_000), "日本語のカメラ"] {
            Card::new(320, 240, text, text);
        }
    }

    #[test]
    fn detail_is_broken_at_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a b c d e f g h", 1).len(), DETAIL_LINES);
    }
}
