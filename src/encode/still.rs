//! A still picture: a raw frame as JPEG.
//!
//! A camera's own JPEG is made anew, too. Many leave out what every picture has in common (the Huffman tables, T.81 B.2.4.2),
//! some end in garbage, and none can be asked for fewer bytes: what is decoded and encoded here is known to be a picture.

use bytes::Bytes;
use turbojpeg::{Compressor, Subsamp, YuvImage};

use super::planes::Planes;
use super::{Converter, EncodeError, Turn};
use crate::media::Frame;

/// What a still picture is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillWish {
    /// Pixels a line at most; the camera's own where it has fewer, and where nothing is said.
    pub width: Option<u32>,
    /// 1 to 100, of libjpeg.
    pub quality: u32,
    /// Quality and then size are given up until it has no more than this.
    pub max_bytes: usize,
}

impl StillWish {
    /// As the camera has it.
    pub const FULL: Self = Self { width: None, quality: 85, max_bytes: usize::MAX };
}

/// A still picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// JFIF.
    pub jpeg: Bytes,
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// Below this, less quality saves little and looks bad: then the picture gets smaller.
const LEAST_QUALITY: u32 = 40;
const QUALITY_STEP: u32 = 20;

/// Nobody sees anything in a smaller one.
const LEAST_WIDTH: usize = 64;

/// Makes the JPEG of a frame, turned as `turn` says.
///
/// # Errors
/// [`EncodeError::BadFrame`] for a damaged frame, [`EncodeError::Unsupported`] for one that is already encoded, or where no
/// picture has so few bytes; [`EncodeError::Codec`] when the library refuses.
pub fn still(frame: &Frame, turn: Turn, wish: StillWish) -> Result<Still, EncodeError> {
    let mut converter = Converter::new(turn);
    let source = converter.convert(frame)?;
    let range = Range::of(frame.format.full_range);
    let mut compressor = Compressor::new().map_err(|error| refused(&error))?;
    compressor.set_subsamp(Subsamp::Sub2x2).map_err(|error| refused(&error))?;
    let asked = wish.width.map_or(source.width(), |width| width as usize);
    let (mut width, mut quality) = (asked.clamp(2, source.width()), wish.quality.clamp(1, 100));
    let mut picture = scaled(source, width, &range);
    loop {
        compressor.set_quality(quality as i32).map_err(|error| refused(&error))?;
        let (width_now, height_now) = (picture.width, picture.height);
        let image = YuvImage {
            pixels: picture.pixels.as_slice(),
            width: width_now,
            align: 1,
            height: height_now,
            subsamp: Subsamp::Sub2x2,
        };
        let jpeg = compressor.compress_yuv_to_vec(image).map_err(|error| refused(&error))?;
        if jpeg.len() <= wish.max_bytes {
            return Ok(Still { jpeg: jpeg.into(), width: width_now as u32, height: height_now as u32 });
        }
        if quality > LEAST_QUALITY {
            quality = LEAST_QUALITY.max(quality - QUALITY_STEP.min(quality));
            continue;
        }
        width = width * 3 / 4;
        if width < LEAST_WIDTH {
            return Err(EncodeError::Unsupported(format!("a picture into {} bytes", wish.max_bytes)));
        }
        picture = scaled(source, width, &range);
    }
}

fn refused(error: &turbojpeg::Error) -> EncodeError {
    EncodeError::Codec { codec: "turbojpeg", message: error.to_string() }
}

/// A picture in I420, tightly packed, both sides even.
struct Packed {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// JPEG's samples (full range, JFIF) for those of video.
struct Range {
    luma: [u8; 256],
    chroma: [u8; 256],
}

impl Range {
    fn of(full: bool) -> Self {
        let table = |zero: f32, black: f32, span: f32| {
            std::array::from_fn(|at| match full {
                true => at as u8,
                // A cast of a float stays within the type.
                false => ((at as f32 - zero) * 255.0 / span + black).round() as u8,
            })
        };
        Self { luma: table(16.0, 0.0, 219.0), chroma: table(128.0, 128.0, 224.0) }
    }
}

/// The picture with `width` pixels a line, in JPEG's range. Both sides become even.
fn scaled(source: Planes<'_>, width: usize, range: &Range) -> Packed {
    let width = (width & !1).max(2);
    let height = ((source.height() * width / source.width() + 1) & !1).clamp(2, source.height());
    let mut pixels = Vec::with_capacity(width * height * 3 / 2);
    let (y, y_stride) = source.luma();
    let (u, v, uv_stride) = source.chroma();
    let full = (source.width(), source.height());
    let half = (full.0 / 2, full.1 / 2);
    shrink((y, y_stride), full, (width, height), &range.luma, &mut pixels);
    shrink((u, uv_stride), half, (width / 2, height / 2), &range.chroma, &mut pixels);
    shrink((v, uv_stride), half, (width / 2, height / 2), &range.chroma, &mut pixels);
    Packed { width, height, pixels }
}

/// Appends a plane, each sample the mean of those that it stands for.
fn shrink(
    (plane, stride): (&[u8], usize),
    from: (usize, usize),
    to: (usize, usize),
    table: &[u8; 256],
    out: &mut Vec<u8>,
) {
    if from == to {
        for line in plane.chunks(stride).take(to.1) {
            out.extend(line[..to.0].iter().map(|sample| table[usize::from(*sample)]));
        }
        return;
    }
    let mut sums = vec![0_u32; from.0];
    for row in 0..to.1 {
        let (top, bottom) = (row * from.1 / to.1, ((row + 1) * from.1 / to.1).max(row * from.1 / to.1 + 1));
        sums.fill(0);
        for line in top..bottom {
            for (sum, sample) in sums.iter_mut().zip(&plane[line * stride..][..from.0]) {
                *sum += u32::from(*sample);
            }
        }
        out.extend((0..to.0).map(|column| {
            let (left, right) = (column * from.0 / to.0, (column + 1) * from.0 / to.0);
            let samples = &sums[left..right.max(left + 1)];
            let mean = samples.iter().sum::<u32>() / (samples.len() * (bottom - top)) as u32;
            table[mean.min(255) as usize]
        }));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::pictures::{Texture, pattern};
    use super::*;
    use crate::media::{Flip, FrameFormat, MediaTime, PixelFormat, Rotation};

    const SMALL: StillWish = StillWish { width: None, quality: 85, max_bytes: usize::MAX };

    /// Left half dark, right half bright, in the range of video.
    fn halves(width: usize, height: usize) -> Frame {
        let mut data: Vec<u8> = (0..width * height).map(|at| if at % width < width / 2 { 16 } else { 235 }).collect();
        data.resize(width * height * 3 / 2, 128);
        let format = FrameFormat {
            pixel: PixelFormat::I420,
            width: width as u32,
            height: height as u32,
            stride: width as u32,
            full_range: false,
        };
        Frame { format, data: Bytes::from(data), captured: MediaTime::from_nanos(0), sequence: 0 }
    }

    fn luma_of(still: &Still) -> Vec<u8> {
        let image = turbojpeg::decompress(&still.jpeg, turbojpeg::PixelFormat::GRAY).expect("a JPEG");
        assert_eq!((image.width, image.height), (still.width as usize, still.height as usize));
        image.pixels
    }

    #[test]
    fn it_is_a_jpeg_of_the_frames_size_in_the_range_of_jpeg() {
        let still = still(&halves(64, 32), Turn::default(), SMALL).expect("a picture");
        assert_eq!((still.width, still.height), (64, 32));
        let luma = luma_of(&still);
        assert!(luma[0] <= 2 && luma[63] >= 253, "black is 0 and white is 255, not {} and {}", luma[0], luma[63]);
    }

    #[test]
    fn a_smaller_one_keeps_the_shape_and_a_larger_one_is_not_made() {
        let frame = halves(640, 360);
        for (asked, got) in
            [(Some(320), (320, 180)), (Some(101), (100, 56)), (Some(1), (2, 2)), (Some(4_000), (640, 360))]
        {
            let still = still(&frame, Turn::default(), StillWish { width: asked, ..SMALL }).expect("a picture");
            assert_eq!((still.width, still.height), got, "{asked:?}");
        }
    }

    #[test]
    fn it_is_turned_as_viewers_see_it() {
        let turn = Turn { rotation: Rotation::Clockwise90, flip: Flip::None };
        let still = still(&halves(64, 32), turn, SMALL).expect("a picture");
        assert_eq!((still.width, still.height), (32, 64));
        let luma = luma_of(&still);
        assert!(luma[0] < 10 && luma[63 * 32] > 245, "what was left is above");
    }

    #[test]
    fn quality_and_then_size_are_given_up_for_fewer_bytes() {
        let frame = Texture::new().frame(0, 640, 480);
        let full = still(&frame, Turn::default(), SMALL).expect("a picture");
        assert!(full.jpeg.len() > 60_000, "{} bytes: the picture is too easy", full.jpeg.len());
        let less = |max_bytes| still(&frame, Turn::default(), StillWish { max_bytes, ..SMALL });
        let worse = less(full.jpeg.len() - 1).expect("a picture");
        assert!(worse.jpeg.len() < full.jpeg.len() && worse.width == 640);
        let smaller = less(8_000).expect("a picture");
        assert!(smaller.jpeg.len() <= 8_000 && smaller.width < 640, "{smaller:?}");
        luma_of(&smaller);
        assert!(matches!(less(100), Err(EncodeError::Unsupported(_))));
    }

    #[test]
    fn a_cameras_own_jpeg_is_read_and_made_anew_and_what_is_no_frame_is_an_error() {
        let made = still(&pattern(3, 320, 240), Turn::default(), SMALL).expect("a picture");
        let format = FrameFormat { pixel: PixelFormat::Mjpeg, stride: 0, width: 320, height: 240, full_range: true };
        let frame = Frame { format, data: made.jpeg.clone(), captured: MediaTime::from_nanos(0), sequence: 0 };
        let again = still(&frame, Turn::default(), SMALL).expect("a picture");
        let far = luma_of(&made).iter().zip(luma_of(&again)).map(|(a, b)| a.abs_diff(b)).max();
        assert!(far < Some(40), "the same picture, not {far:?} apart");
        let cut = Frame { data: made.jpeg.slice(..100), ..frame.clone() };
        assert!(matches!(still(&cut, Turn::default(), SMALL), Err(EncodeError::BadFrame(_))));
        let encoded = Frame { format: FrameFormat { pixel: PixelFormat::H264, ..format }, ..frame };
        assert!(matches!(still(&encoded, Turn::default(), SMALL), Err(EncodeError::Unsupported(_))));
    }
}
