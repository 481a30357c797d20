//! Names and units that are not to be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A camera's name: `[a-z0-9-]{1,32}`. Requests, tracks, labels and file names carry it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CameraName(String);

/// A camera's name holds something other than `a-z`, `0-9` and `-`, or is empty or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a camera's name is 1 to 32 of a-z, 0-9 and '-', not {0:?}")]
pub struct BadCameraName(String);

impl CameraName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CameraName {
    type Error = BadCameraName;

    fn try_from(name: String) -> Result<Self, BadCameraName> {
        let fits = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(name)) } else { Err(BadCameraName(name)) }
    }
}

impl From<CameraName> for String {
    fn from(name: CameraName) -> Self {
        name.0
    }
}

impl fmt::Display for CameraName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u32);

impl Bitrate {
    /// A rate of `bps` bits a second.
    pub const fn from_bps(bps: u32) -> Self {
        Self(bps)
    }

    /// Bits a second.
    pub const fn as_bps(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kbit/s", self.0 / 1_000)
    }
}
