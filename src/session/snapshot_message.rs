//! What is said of still pictures: one struct each, limits in the types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Token;
use crate::media::{Bounded, CameraName};

/// The largest picture in a message, in bytes: base64 makes 64,000 characters of it, and the rest of the message fits beside.
pub const MAX_PICTURE_BYTES: usize = 48_000;

/// `snapshot`: a peer wants a still picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Of this camera; of the first one, where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraName>,
    /// Pixels a line at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<Bounded<16, 4096>>,
    /// Bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bounded<4096, 48_000>>,
    /// Proof of the right to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// `picture`: what a `snapshot` got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Whose it is.
    pub camera: CameraName,
    /// Pixels a line.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// The picture.
    pub jpeg: Base64,
}

/// Up to [`MAX_PICTURE_BYTES`] in base64 (RFC 4648, section 4).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64(String);

/// This is no base64 of the length that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("4 to 64000 characters of base64 were expected")]
pub struct BadBase64;

const MAX_CHARS: usize = MAX_PICTURE_BYTES.div_ceil(3) * 4;

impl Base64 {
    /// These bytes.
    ///
    /// # Errors
    /// None, or too many.
    pub fn of(bytes: &[u8]) -> Result<Self, BadBase64> {
        Self::try_from(STANDARD.encode(bytes))
    }

    /// The bytes; `None` where they were badly written.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.0).ok()
    }
}

impl TryFrom<String> for Base64 {
    type Error = BadBase64;

    fn try_from(text: String) -> Result<Self, BadBase64> {
        let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if (4..=MAX_CHARS).contains(&text.len()) && text.bytes().all(is_of_it) {
            Ok(Self(text))
        } else {
            Err(BadBase64)
        }
    }
}

impl From<Base64> for String {
    fn from(Base64(text): Base64) -> Self {
        text
    }
}

/// A picture in a log is its length.
impl std::fmt::Debug for Base64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Base64({} characters)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Body, MAX_MESSAGE_BYTES, Message};

    #[test]
    fn the_largest_picture_fits_into_a_message_and_one_byte_more_is_none() {
        let bytes = vec![0xff; MAX_PICTURE_BYTES];
        let camera = "x".repeat(32).try_into().expect("a camera's name");
        let jpeg = Base64::of(&bytes).expect("the largest");
        assert_eq!(jpeg.bytes(), Some(bytes));
        let picture = Body::Picture(Picture { camera, width: u16::MAX, height: u16::MAX, jpeg });
        let message = Message::plain(picture, None, Some(u32::MAX));
        assert!(message.to_bytes().len() <= MAX_MESSAGE_BYTES);
        assert_eq!(Message::read(&message.to_bytes()), Ok(message));
        assert_eq!(Base64::of(&vec![0; MAX_PICTURE_BYTES + 1]), Err(BadBase64));
    }

    #[test]
    fn what_is_badly_padded_is_read_and_gives_no_bytes() {
        let bad = Base64::try_from("=abc".to_owned()).expect("of its characters");
        assert_eq!(bad.bytes(), None);
        for text in ["abc", "ab c", "ab-_", "äääää"] {
            assert_eq!(Base64::try_from(text.to_owned()), Err(BadBase64), "{text}");
        }
    }
}
