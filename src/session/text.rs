//! Strings and lists of remote origin that are known to keep their limits.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Text of `MIN` to `MAX` characters (Unicode scalar values, as JSON Schema counts them).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// A text is too short or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text of {got} characters where {min} to {max} are allowed")]
pub struct BadLength {
    min: usize,
    max: usize,
    got: usize,
}

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `MAX` characters of a text of our own making; only for `MIN` = 0.
    pub fn clipped(text: &str) -> Self {
        const { assert!(MIN == 0, "a text that must not be empty cannot be made by clipping") };
        Self(text.chars().take(MAX).collect())
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = BadLength;

    fn try_from(text: String) -> Result<Self, BadLength> {
        let got = text.chars().count();
        if (MIN..=MAX).contains(&got) { Ok(Self(text)) } else { Err(BadLength { min: MIN, max: MAX, got }) }
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<&str> for Text<MIN, MAX> {
    type Error = BadLength;

    fn try_from(text: &str) -> Result<Self, BadLength> {
        Self::try_from(text.to_owned())
    }
}

impl<const MIN: usize, const MAX: usize> From<Text<MIN, MAX>> for String {
    fn from(text: Text<MIN, MAX>) -> Self {
        text.0
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Deserializes a list of at most `MAX` items, for `#[serde(deserialize_with)]`.
pub(super) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    if list.len() <= MAX {
        Ok(list)
    } else {
        Err(serde::de::Error::custom(format_args!("a list of {} items where {MAX} are allowed", list.len())))
    }
}
