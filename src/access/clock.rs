//! What is known of the time: a board without a battery starts in the past.

/// The wall clock, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallClock {
    /// It stands before a moment that has certainly passed: nobody has set it yet.
    Unset {
        /// That moment, in seconds since 1970.
        floor_s: u64,
    },
    /// It may be right.
    Set {
        /// Seconds since 1970.
        unix_s: u64,
    },
}

impl WallClock {
    /// Judges a clock that shows `unix_s`, given a moment that has certainly passed: the build of this program, or the
    /// latest time it has seen before.
    pub fn judge(unix_s: u64, floor_s: u64) -> Self {
        if unix_s < floor_s { Self::Unset { floor_s } } else { Self::Set { unix_s } }
    }
}
