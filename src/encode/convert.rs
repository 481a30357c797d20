//! Every format a camera may deliver, brought to I420 and upright, with as few copies as the format allows.

use yuv::{BufferStoreMut, YuvPackedImage, YuvPlanarImageMut, uyvy422_to_yuv420, yuyv422_to_yuv420};

use super::EncodeError;
use super::jpeg::JpegDecoder;
use super::planes::{PlaneBuffer, Planes};
use super::turn::Turn;
use crate::media::{Frame, FrameFormat, PixelFormat};

/// Converts frame after frame; its buffers are used again.
#[derive(Debug)]
pub struct Converter {
    turn: Turn,
    /// Made when the first JPEG comes.
    jpeg: Option<JpegDecoder>,
    converted: PlaneBuffer,
    oriented: PlaneBuffer,
}

impl Converter {
    /// A converter that turns and mirrors every picture by `turn`.
    pub fn new(turn: Turn) -> Self {
        Self { turn, jpeg: None, converted: PlaneBuffer::default(), oriented: PlaneBuffer::default() }
    }

    /// The picture in `frame`; I420, and the luma of NV12, are the frame's own memory unless they are turned.
    ///
    /// # Errors
    /// [`EncodeError::BadFrame`] for a frame that is shorter than its format says or a damaged JPEG,
    /// [`EncodeError::Unsupported`] for what never becomes a picture here (H.264, a JPEG in CMYK).
    pub fn convert<'a>(&'a mut self, frame: &'a Frame) -> Result<Planes<'a>, EncodeError> {
        let format = &frame.format;
        let layout = Layout::of(format);
        let upright = match format.pixel {
            PixelFormat::I420 => layout.i420(&frame.data),
            PixelFormat::Nv12 => layout.nv12(&frame.data, &mut self.converted),
            PixelFormat::Yuyv | PixelFormat::Uyvy => layout.packed(format.pixel, &frame.data, &mut self.converted),
            PixelFormat::Mjpeg => {
                let jpeg = match &mut self.jpeg {
                    Some(jpeg) => jpeg,
                    none => none.insert(JpegDecoder::new()?),
                };
                Some(jpeg.decode(&frame.data, layout.width, layout.height)?)
            }
            PixelFormat::H264 => return Err(EncodeError::Unsupported("h.264 that is already encoded".to_owned())),
        };
        let upright = upright.ok_or_else(|| too_short(frame))?;
        if self.turn.is_upright() {
            return Ok(upright);
        }
        self.turn.apply(upright, &mut self.oriented).ok_or_else(|| too_short(frame))
    }
}

fn too_short(frame: &Frame) -> EncodeError {
    let FrameFormat { pixel, width, height, stride, .. } = frame.format;
    EncodeError::BadFrame(format!(
        "{} bytes are no {pixel:?} of {width}x{height} with a stride of {stride}",
        frame.data.len()
    ))
}

/// A frame's sizes, for index arithmetic. `None` from any method: the data does not hold the picture.
struct Layout {
    width: usize,
    height: usize,
    stride: usize,
}

impl Layout {
    fn of(format: &FrameFormat) -> Self {
        Self { width: format.width as usize, height: format.height as usize, stride: format.stride as usize }
    }

    fn i420<'a>(&self, data: &'a [u8]) -> Option<Planes<'a>> {
        let uv_stride = self.stride.div_ceil(2);
        let uv_len = uv_stride.checked_mul(self.height.div_ceil(2))?;
        let (y, chroma) = data.split_at_checked(self.stride.checked_mul(self.height)?)?;
        let (u, v) = chroma.split_at_checked(uv_len)?;
        Planes::new((self.width, self.height), (y, self.stride), (u, v, uv_stride))
    }

    fn nv12<'a>(&self, data: &'a [u8], buffer: &'a mut PlaneBuffer) -> Option<Planes<'a>> {
        let (y, interleaved) = data.split_at_checked(self.stride.checked_mul(self.height)?)?;
        let (width, height) = (self.width & !1, self.height & !1);
        // Checked before any index is made of it. Only the chroma goes through the buffer, but a whole picture of it is
        // kept, as the same camera may deliver another format next.
        let lines = (height / 2).checked_sub(1)?;
        if width == 0 || self.stride < width || interleaved.len() < lines.checked_mul(self.stride)? + width {
            return None;
        }
        let into = buffer.planes_mut(width, height);
        let rows = into.u.chunks_exact_mut(width / 2).zip(into.v.chunks_exact_mut(width / 2));
        for (row, (u, v)) in rows.enumerate() {
            let line = &interleaved[row * self.stride..][..width];
            for ((pair, u), v) in line.chunks_exact(2).zip(u).zip(v) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
        let (u, v, uv_stride) = buffer.planes()?.chroma();
        Planes::new((width, height), (y, self.stride), (u, v, uv_stride))
    }

    fn packed<'a>(&self, pixel: PixelFormat, data: &[u8], buffer: &'a mut PlaneBuffer) -> Option<Planes<'a>> {
        let (width, height) = (self.width & !1, self.height & !1);
        // The crate wants exactly the lines it reads, padding included.
        let yuy = data.get(..self.stride.checked_mul(height)?)?;
        let (w, h) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        let packed = YuvPackedImage { yuy, yuy_stride: u32::try_from(self.stride).ok()?, width: w, height: h };
        if width == 0 || height == 0 || self.stride < 2 * width {
            return None;
        }
        let into = buffer.planes_mut(width, height);
        let mut planar = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(into.y),
            y_stride: w,
            u_plane: BufferStoreMut::Borrowed(into.u),
            u_stride: w / 2,
            v_plane: BufferStoreMut::Borrowed(into.v),
            v_stride: w / 2,
            width: w,
            height: h,
        };
        let convert = if pixel == PixelFormat::Yuyv { yuyv422_to_yuv420 } else { uyvy422_to_yuv420 };
        convert(&mut planar, &packed).ok()?;
        buffer.planes()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{Flip, MediaTime, Rotation};

    /// A picture whose samples all differ where they can, at full resolution.
    fn luma(x: usize, y: usize) -> u8 {
        (x * 7 + y * 31) as u8
    }

    /// Chroma of each 2 by 2 pixels; both lines of 4:2:2 carry the same, so every way to halve them agrees.
    fn chroma(plane: usize, x: usize, y: usize) -> u8 {
        (100 + plane * 50 + x * 5 + y * 11) as u8
    }

    const GARBAGE: u8 = 0xee;

    fn frame(pixel: PixelFormat, width: usize, height: usize, padding: usize) -> Frame {
        let mut data = Vec::new();
        let bytes_a_line = match pixel {
            PixelFormat::Yuyv | PixelFormat::Uyvy => width * 2,
            _ => width,
        };
        let stride = bytes_a_line + padding;
        let mut line = |bytes: Vec<u8>, stride: usize| {
            let end = data.len() + stride;
            data.extend(bytes);
            data.resize(end, GARBAGE);
        };
        match pixel {
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                for y in 0..height {
                    let pixels = (0..width / 2).flat_map(|x| {
                        let (y0, y1) = (luma(2 * x, y), luma(2 * x + 1, y));
                        let (u, v) = (chroma(0, x, y / 2), chroma(1, x, y / 2));
                        if pixel == PixelFormat::Yuyv { [y0, u, y1, v] } else { [u, y0, v, y1] }
                    });
                    line(pixels.collect(), stride);
                }
            }
            PixelFormat::I420 => {
                (0..height).for_each(|y| line((0..width).map(|x| luma(x, y)).collect(), stride));
                for plane in 0..2 {
                    for y in 0..height.div_ceil(2) {
                        line((0..width.div_ceil(2)).map(|x| chroma(plane, x, y)).collect(), stride.div_ceil(2));
                    }
                }
            }
            PixelFormat::Nv12 => {
                (0..height).for_each(|y| line((0..width).map(|x| luma(x, y)).collect(), stride));
                for y in 0..height / 2 {
                    line((0..width / 2).flat_map(|x| [chroma(0, x, y), chroma(1, x, y)]).collect(), stride);
                }
            }
            PixelFormat::Mjpeg | PixelFormat::H264 => unreachable!("not raw"),
        }
        let format =
            FrameFormat { pixel, width: width as u32, height: height as u32, stride: stride as u32, full_range: false };
        Frame { format, data: Bytes::from(data), captured: MediaTime::default(), sequence: 0 }
    }

    /// The picture pixel by pixel as a person would describe it: for each place in the result, where it was before.
    fn naive(width: usize, height: usize, o: Turn, sample: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let turned = o.rotation.swaps_sides();
        let (out_w, out_h) = if turned { (height, width) } else { (width, height) };
        let mut out = Vec::new();
        for y in 0..out_h {
            for x in 0..out_w {
                let (x, y) = match o.flip {
                    Flip::None => (x, y),
                    Flip::Horizontal => (out_w - 1 - x, y),
                    Flip::Vertical => (x, out_h - 1 - y),
                };
                out.push(match o.rotation {
                    Rotation::None => sample(x, y),
                    Rotation::Clockwise90 => sample(y, height - 1 - x),
                    Rotation::Half => sample(width - 1 - x, height - 1 - y),
                    Rotation::Clockwise270 => sample(width - 1 - y, x),
                });
            }
        }
        out
    }

    fn tight(plane: &[u8], stride: usize, width: usize, height: usize) -> Vec<u8> {
        (0..height).flat_map(|y| plane[y * stride..][..width].to_vec()).collect()
    }

    fn turns() -> Vec<Turn> {
        let rotations = [Rotation::None, Rotation::Clockwise90, Rotation::Half, Rotation::Clockwise270];
        let flips = [Flip::None, Flip::Horizontal, Flip::Vertical];
        rotations.iter().flat_map(|&rotation| flips.map(|flip| Turn { rotation, flip })).collect()
    }

    #[test]
    fn every_raw_format_in_every_orientation_gives_the_same_picture() {
        let formats = [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::I420];
        for pixel in formats {
            // Sizes below, at and above one tile and one vector; padding that is and is not a multiple of two.
            for (width, height, padding) in [(2, 2, 0), (6, 4, 2), (64, 36, 0), (70, 66, 10), (130, 72, 3)] {
                let frame = frame(pixel, width, height, padding);
                for o in turns() {
                    let mut converter = Converter::new(o);
                    let planes = converter.convert(&frame).expect("a good frame");
                    let name = format!("{pixel:?} {width}x{height}+{padding} {o:?}");
                    let (w, h) = o.sides(width as u32, height as u32);
                    let (w, h) = (w as usize, h as usize);
                    assert_eq!((planes.width(), planes.height()), (w, h), "{name}");
                    let (y, y_stride) = planes.luma();
                    let (u, v, uv_stride) = planes.chroma();
                    assert!(tight(y, y_stride, w, h) == naive(width, height, o, luma), "luma of {name}");
                    for (plane, samples) in [u, v].into_iter().enumerate() {
                        let expected = naive(width / 2, height / 2, o, |x, y| chroma(plane, x, y));
                        assert!(tight(samples, uv_stride, w / 2, h / 2) == expected, "chroma {plane} of {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_upright_planar_frame_is_not_copied() {
        let mut converter = Converter::new(Turn::default());
        for pixel in [PixelFormat::I420, PixelFormat::Nv12] {
            let frame = frame(pixel, 64, 36, 0);
            assert_eq!(converter.convert(&frame).expect("good").luma().0.as_ptr(), frame.data.as_ptr(), "{pixel:?}");
        }
    }

    #[test]
    fn odd_sides_lose_their_last_line_and_column() {
        let frame = frame(PixelFormat::I420, 33, 19, 0);
        let mut converter = Converter::new(Turn::default());
        let planes = converter.convert(&frame).expect("a good frame");
        assert_eq!((planes.width(), planes.height()), (32, 18));
        assert_eq!(planes.chroma().0[17], chroma(0, 0, 1), "chroma lines are 17 long");
    }

    #[test]
    fn a_frame_shorter_than_its_format_is_refused_at_every_length() {
        for pixel in [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::I420] {
            let whole = frame(pixel, 8, 6, 0);
            for len in 0..whole.data.len() {
                let short = Frame { data: whole.data.slice(..len), ..whole.clone() };
                let refused = Converter::new(Turn::default()).convert(&short).map(|_| ());
                assert!(matches!(refused, Err(EncodeError::BadFrame(_))), "{pixel:?} {len}");
            }
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        for pixel in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420] {
            for (width, height, stride) in [(0, 0, 0), (8, 0, 8), (1, 1, 1), (8, 6, 7), (u32::MAX, u32::MAX, u32::MAX)]
            {
                let mut frame = frame(pixel, 8, 6, 0);
                frame.format = FrameFormat { width, height, stride, ..frame.format };
                let refused = Converter::new(Turn::default()).convert(&frame).map(|_| ());
                assert!(matches!(refused, Err(EncodeError::BadFrame(_))), "{pixel:?} {width}x{height}+{stride}");
            }
        }
    }

    fn jpeg_frame(subsamp: turbojpeg::Subsamp, width: usize, height: usize) -> Frame {
        let shade = |x: usize, y: usize| [(60 + x) as u8, (90 + y) as u8, 120];
        let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| shade(x, y))).collect();
        let image = turbojpeg::Image {
            pixels: pixels.as_slice(),
            width,
            pitch: width * 3,
            height,
            format: turbojpeg::PixelFormat::RGB,
        };
        let data = turbojpeg::compress(image, 95, subsamp).expect("compresses").to_vec();
        let format = FrameFormat {
            pixel: PixelFormat::Mjpeg,
            width: width as u32,
            height: height as u32,
            stride: 0,
            full_range: true,
        };
        Frame { format, data: Bytes::from(data), captured: MediaTime::default(), sequence: 0 }
    }

    #[test]
    fn jpegs_of_every_sampling_give_the_same_picture_but_for_rounding() {
        use turbojpeg::Subsamp;
        let samplings = [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub1x2, Subsamp::Sub4x1];
        for subsamp in samplings {
            let frame = jpeg_frame(subsamp, 64, 48);
            let mut converter = Converter::new(Turn { rotation: Rotation::Half, flip: Flip::None });
            let planes = converter.convert(&frame).expect("a good jpeg");
            assert_eq!((planes.width(), planes.height()), (64, 48));
            let ((y, y_stride), (u, v, uv_stride)) = (planes.luma(), planes.chroma());
            // JFIF's BT.601, turned by half.
            let (r, g, b) = (60.0 + 40.0, 90.0 + 30.0, 120.0_f64);
            let (at_x, at_y) = (63 - 40, 47 - 30);
            let expected = [
                0.299 * r + 0.587 * g + 0.114 * b,
                128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b,
                128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b,
            ];
            let uv_at = at_y / 2 * uv_stride + at_x / 2;
            for (got, expected) in [y[at_y * y_stride + at_x], u[uv_at], v[uv_at]].into_iter().zip(expected) {
                assert!((f64::from(got) - expected).abs() < 4.0, "{subsamp:?}: {got} and {expected}");
            }
        }
        let grey = jpeg_frame(Subsamp::Gray, 64, 48);
        let mut converter = Converter::new(Turn::default());
        let (u, v, _) = converter.convert(&grey).expect("a good jpeg").chroma();
        assert!(u.iter().chain(v).all(|&sample| sample == 128));
    }

    #[test]
    fn a_damaged_jpeg_is_a_bad_frame_and_the_next_one_is_fine() {
        let good = jpeg_frame(turbojpeg::Subsamp::Sub2x1, 64, 48);
        let mut converter = Converter::new(Turn::default());
        for len in 0..good.data.len() - 2 {
            let cut = Frame { data: good.data.slice(..len), ..good.clone() };
            let refused = converter.convert(&cut).map(|_| ());
            assert!(matches!(refused, Err(EncodeError::BadFrame(_))), "cut to {len}: {refused:?}");
        }
        let larger = jpeg_frame(turbojpeg::Subsamp::None, 640, 480);
        let lying = Frame { format: good.format, ..larger };
        assert!(matches!(converter.convert(&lying).map(|_| ()), Err(EncodeError::BadFrame(_))), "another size");
        converter.convert(&good).expect("the decoder survives damage");
    }

    #[test]
    fn padding_and_stray_bytes_in_a_jpeg_are_shrugged_off() {
        let good = jpeg_frame(turbojpeg::Subsamp::Sub2x1, 64, 48);
        let mut padded = good.data.to_vec();
        padded.extend([0; 32]);
        let mut stray = good.data.to_vec();
        stray.splice(stray.len() - 2..stray.len() - 2, [0x12, 0x34, 0x56]);
        for data in [padded, stray] {
            let frame = Frame { data: Bytes::from(data), ..good.clone() };
            assert!(Converter::new(Turn::default()).convert(&frame).is_ok());
        }
    }
}
