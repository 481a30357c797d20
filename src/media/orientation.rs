//! How a camera hangs: turned, mirrored, or both.

use serde::{Deserialize, Serialize};

/// Degrees clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub enum Rotation {
    /// As it is.
    #[default]
    None,
    /// A quarter to the right.
    Clockwise90,
    /// Upside down.
    Half,
    /// A quarter to the left.
    Clockwise270,
}

impl Rotation {
    /// Whether width and height change places.
    pub const fn swaps_sides(self) -> bool {
        matches!(self, Self::Clockwise90 | Self::Clockwise270)
    }
}

/// Something other than 0, 90, 180 or 270 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0, 90, 180 or 270, not {0}")]
pub struct BadRotation(i64);

impl TryFrom<i64> for Rotation {
    type Error = BadRotation;

    fn try_from(degrees: i64) -> Result<Self, BadRotation> {
        match degrees {
            0 => Ok(Self::None),
            90 => Ok(Self::Clockwise90),
            180 => Ok(Self::Half),
            270 => Ok(Self::Clockwise270),
            _ => Err(BadRotation(degrees)),
        }
    }
}

impl From<Rotation> for u16 {
    fn from(rotation: Rotation) -> Self {
        match rotation {
            Rotation::None => 0,
            Rotation::Clockwise90 => 90,
            Rotation::Half => 180,
            Rotation::Clockwise270 => 270,
        }
    }
}

/// Mirroring, after turning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// As it is.
    #[default]
    None,
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}
