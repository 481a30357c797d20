//! The node's only look at a clock: everything below it is told the time.

use std::time::Instant;

use crate::media::MediaTime;
use crate::sys;

/// Now, for cores.
#[expect(clippy::disallowed_methods, reason = "the one place where the node's shells read this clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, on the media clock.
pub fn media_now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}
