//! Motion JPEG: one image a frame, of any chroma sampling, to I420.

use turbojpeg::{Colorspace, Decompressor, Subsamp, YuvImage};

use super::EncodeError;
use super::planes::Planes;

/// A JPEG decoder and the memory it writes to, used again for the next image.
#[derive(Debug)]
pub(super) struct JpegDecoder {
    decompressor: Decompressor,
    /// The last image did not decode: the library then stays in the middle of it and reads the next one wrongly.
    stuck: bool,
    pixels: Vec<u8>,
    /// Chroma after averaging, for images that are not 4:2:0.
    chroma: [Vec<u8>; 2],
}

impl JpegDecoder {
    pub(super) fn new() -> Result<Self, EncodeError> {
        Ok(Self { decompressor: decompressor()?, stuck: false, pixels: Vec::new(), chroma: [Vec::new(), Vec::new()] })
    }

    /// Decodes the first `width` by `height` pixels of an image.
    pub(super) fn decode(&mut self, jpeg: &[u8], width: usize, height: usize) -> Result<Planes<'_>, EncodeError> {
        if std::mem::replace(&mut self.stuck, true) {
            self.decompressor = decompressor()?;
        }
        let damaged = |e: &turbojpeg::Error| EncodeError::BadFrame(e.to_string());
        let header = self.decompressor.read_header(jpeg).map_err(|e| damaged(&e))?;
        // The image's own word on its size rules the decoder and our memory; it must not claim much more than the driver
        // did. Some cameras code whole blocks of 16 pixels.
        let fits = |image: usize, frame: usize| image >= frame && image - frame < 16;
        if !fits(header.width, width) || !fits(header.height, height) {
            let (w, h) = (header.width, header.height);
            return Err(EncodeError::BadFrame(format!("a jpeg of {w}x{h} in a frame of {width}x{height}")));
        }
        if !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) {
            return Err(EncodeError::Unsupported(format!("jpeg of colour space {:?}", header.colorspace)));
        }

        // The sampling must be the header's: the library writes by it, whatever the output claims to be.
        let shape =
            YuvImage { pixels: (), width: header.width, align: 1, height: header.height, subsamp: header.subsamp };
        let len = turbojpeg::yuv_pixels_len(header.width, 1, header.height, header.subsamp).map_err(|e| damaged(&e))?;
        self.pixels.resize(len, 0);
        let output = YuvImage {
            pixels: self.pixels.as_mut_slice(),
            width: shape.width,
            align: shape.align,
            height: shape.height,
            subsamp: shape.subsamp,
        };
        if let Err(e) = self.decompressor.decompress_to_yuv(jpeg, output)
            && !is_harmless(&e, jpeg)
        {
            return Err(damaged(&e));
        }
        self.stuck = false;

        let (y_stride, y_len) = (shape.y_width(), shape.y_width() * shape.y_height());
        let (sub_width, sub_height) = (header.subsamp.width(), header.subsamp.height());
        let (uv_stride, uv_len) = (shape.uv_width(), shape.uv_width() * shape.uv_height());
        let (y, chroma) = self.pixels.split_at_checked(y_len).ok_or_else(no_room)?;
        let (out_width, out_height) = (width / 2, height / 2);
        let planes = if header.subsamp == Subsamp::Sub2x2 {
            let (u, v) = chroma.split_at_checked(uv_len).ok_or_else(no_room)?;
            Planes::new((width, height), (y, y_stride), (u, v, uv_stride))
        } else {
            for (plane, out) in self.chroma.iter_mut().enumerate() {
                out.resize(out_width * out_height, 0);
                match header.subsamp {
                    Subsamp::Gray => out.fill(128),
                    _ => {
                        let plane = chroma.get(plane * uv_len..(plane + 1) * uv_len).ok_or_else(no_room)?;
                        halve(plane, uv_stride, (sub_width, sub_height), out, out_width);
                    }
                }
            }
            let [u, v] = &self.chroma;
            Planes::new((width, height), (y, y_stride), (u, v, out_width))
        };
        planes.ok_or_else(no_room)
    }
}

/// Brings chroma that has a sample every `sub.0` by `sub.1` pixels to one every 2 by 2, by averaging.
fn halve(plane: &[u8], stride: usize, sub: (usize, usize), out: &mut [u8], out_width: usize) {
    let mean = |a: u8, b: u8| (u16::from(a) + u16::from(b)).div_ceil(2) as u8;
    for (row, out) in out.chunks_exact_mut(out_width).enumerate() {
        let line = |pixel_row: usize| &plane[pixel_row / sub.1 * stride..][..stride];
        let (above, below) = (line(2 * row), line(2 * row + 1));
        if sub.0 == 2 {
            // 4:2:2, what most cameras send: plain zips, which become vector instructions.
            for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
                *out = mean(*above, *below);
            }
        } else {
            for (column, out) in out.iter_mut().enumerate() {
                let (left, right) = (2 * column / sub.0, (2 * column + 1) / sub.0);
                let sum = [above[left], above[right], below[left], below[right]].map(u16::from).iter().sum::<u16>();
                *out = ((sum + 2) / 4) as u8;
            }
        }
    }
}

/// Whether the library only warned about something many cameras do and every decoder shrugs off.
///
/// Such a camera does it in every frame, so refusing would mean no picture at all. Only the first warning is kept, hence
/// the look for the end marker: an image that is also cut off lacks it.
fn is_harmless(error: &turbojpeg::Error, jpeg: &[u8]) -> bool {
    let turbojpeg::Error::TurboJpegError(message) = error else { return false };
    let shrugged_off = ["extraneous bytes before marker", "Invalid SOS parameters"];
    shrugged_off.iter().any(|text| message.contains(text)) && jpeg.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

fn no_room() -> EncodeError {
    EncodeError::BadFrame("a jpeg with planes smaller than its size".to_owned())
}

fn decompressor() -> Result<Decompressor, EncodeError> {
    Decompressor::new().map_err(|e| EncodeError::Codec { codec: "turbojpeg", message: e.to_string() })
}
