//! A number from the config that is known to lie in its range.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A `u32` from `MIN` to `MAX`, both included; parsing refuses the rest and says the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct Bounded<const MIN: u32, const MAX: u32>(u32);

/// A number outside of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {min} to {max}, not {got}")]
pub struct OutOfRange {
    min: u32,
    max: u32,
    got: i64,
}

impl<const MIN: u32, const MAX: u32> Bounded<MIN, MAX> {
    /// A constant known to fit, for defaults; one that does not fit fails the build when used in a `const`.
    pub const fn new(value: u32) -> Self {
        assert!(MIN <= value && value <= MAX, "a default lies outside of its own range");
        Self(value)
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<i64> for Bounded<MIN, MAX> {
    type Error = OutOfRange;

    fn try_from(got: i64) -> Result<Self, OutOfRange> {
        match u32::try_from(got) {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(OutOfRange { min: MIN, max: MAX, got }),
        }
    }
}

impl<const MIN: u32, const MAX: u32> From<Bounded<MIN, MAX>> for u32 {
    fn from(bounded: Bounded<MIN, MAX>) -> Self {
        bounded.0
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_says_the_range() {
        let refused = Bounded::<16, 3840>::try_from(5).expect_err("5 is less than 16");
        assert_eq!(refused.to_string(), "must be 16 to 3840, not 5");
        assert_eq!(Bounded::<16, 3840>::try_from(-1).expect_err("negative").got, -1);
        assert_eq!(Bounded::<16, 3840>::try_from(16).map(Bounded::value), Ok(16));
    }
}
