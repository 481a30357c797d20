//! The clocks a connection lives by; the only place here that reads them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::media::{MediaTime, NtpAnchor};

/// The program's monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a shell's one way to the clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The media clock: what cameras and sound cards stamp with.
pub(super) fn media_now() -> MediaTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    MediaTime::from_nanos(u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// One moment on the three clocks of a session: the program's, the media's and NTP's.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionClock {
    /// The program's monotonic clock.
    pub instant: Instant,
    /// The media clock at that moment.
    pub media: MediaTime,
    /// The wall clock at that moment.
    pub ntp: NtpAnchor,
}

impl SessionClock {
    /// Reads the three clocks, once for a session: a wall clock that steps later does not move sound against picture.
    #[expect(clippy::disallowed_methods, reason = "a shell's one way to the wall clock")]
    pub(super) fn start() -> Self {
        let media = media_now();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: now(), media, ntp: NtpAnchor::new(media, since_1970) }
    }

    /// The media time of `now`.
    pub(super) fn media_at(&self, now: Instant) -> MediaTime {
        self.media.plus(now.saturating_duration_since(self.instant))
    }
}
