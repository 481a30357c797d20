//! The way back, for the headless viewer: H.264 to luma.

use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;

use super::EncodeError;

/// An H.264 decoder.
pub struct H264Decoder {
    decoder: Decoder,
}

/// A decoded picture; it lives in the decoder until the next one.
#[derive(Debug)]
pub struct Picture<'a>(DecodedYUV<'a>);

impl Picture<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.0.dimensions()
    }

    /// The luma plane, and the bytes from one line to the next.
    pub fn luma(&self) -> (&[u8], usize) {
        (self.0.y(), self.0.strides().0)
    }
}

impl H264Decoder {
    /// A decoder that waits for its first key frame.
    ///
    /// # Errors
    /// [`EncodeError::Codec`]: the library has no memory.
    pub fn new() -> Result<Self, EncodeError> {
        Ok(Self { decoder: Decoder::new().map_err(|e| refused(&e))? })
    }

    /// Decodes one access unit of Annex B; `None` when it completes no picture.
    ///
    /// # Errors
    /// [`EncodeError::BadFrame`]: damaged, or it refers to pictures that are missing; go on with the next key frame.
    pub fn decode(&mut self, access_unit: &[u8]) -> Result<Option<Picture<'_>>, EncodeError> {
        let picture = self.decoder.decode(access_unit).map_err(|e| EncodeError::BadFrame(e.to_string()))?;
        Ok(picture.map(Picture))
    }
}

fn refused(error: &openh264::Error) -> EncodeError {
    EncodeError::Codec { codec: "openh264", message: error.to_string() }
}
