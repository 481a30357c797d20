//! SHA-256 ([FIPS 180-4](https://doi.org/10.6028/NIST.FIPS.180-4)) of what comes in pieces.

use std::fmt::Write as _;

use ring::digest;

/// The hash of what it has been told so far.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// More of it.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// 64 lower-case hex digits.
    pub fn hex(self) -> String {
        self.0.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
