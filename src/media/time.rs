//! The media clock and its two projections: RTP time stamps and NTP time.

use std::time::Duration;

/// A moment on the camera's media clock: nanoseconds of `CLOCK_MONOTONIC`.
///
/// V4L2 and ALSA both stamp with this clock, so sound and picture of one camera are comparable, and a stepped wall
/// clock does not move them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The moment `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A driver's `timeval` (V4L2) as a moment; negative parts, which no driver should send, count as zero.
    pub fn from_timeval(seconds: i64, micros: i64) -> Self {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let micros = u64::try_from(micros).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(micros.saturating_mul(1_000)))
    }

    /// A `timespec` (ALSA) of whatever width the platform has as a moment; negative parts count as zero.
    pub fn from_timespec(seconds: impl Into<i64>, nanos: impl Into<i64>) -> Self {
        let seconds = u64::try_from(seconds.into()).unwrap_or(0);
        let nanos = u64::try_from(nanos.into()).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved on by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This moment moved back by `by`, at most to zero.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The RTP time stamp of this moment at `clock_rate_hz`, wrapping as [RFC 3550 §5.1] lets it.
    ///
    /// [RFC 3550 §5.1]: https://www.rfc-editor.org/rfc/rfc3550#section-5.1
    pub fn rtp(self, clock_rate_hz: u32) -> u32 {
        let ticks = u128::from(self.0) * u128::from(clock_rate_hz) / 1_000_000_000;
        // Truncation is the wrap-around that RTP asks for.
        (ticks & u128::from(u32::MAX)) as u32
    }
}

/// One pairing of media time and NTP time, kept for a whole session.
///
/// Sender reports are computed from it, so a wall clock that steps in mid-session does not move sound against picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtpAnchor {
    media: MediaTime,
    /// 32.32 fixed-point seconds since 1900 ([RFC 5905 §6](https://www.rfc-editor.org/rfc/rfc5905#section-6)).
    ntp: u64,
}

/// Seconds from 1900 (NTP's epoch) to 1970 (Unix's).
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

impl NtpAnchor {
    /// Pairs `media` with the wall-clock time `since_unix_epoch` read at the same moment.
    pub fn new(media: MediaTime, since_unix_epoch: Duration) -> Self {
        let seconds = since_unix_epoch.as_secs().wrapping_add(NTP_UNIX_OFFSET_S);
        let fraction = (u64::from(since_unix_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self { media, ntp: (seconds << 32).wrapping_add(fraction) }
    }

    /// The NTP time of `at`, 32.32 fixed-point.
    pub fn ntp_at(&self, at: MediaTime) -> u64 {
        let to_fixed = |d: Duration| (d.as_secs() << 32) + ((u64::from(d.subsec_nanos()) << 32) / 1_000_000_000);
        if at >= self.media {
            self.ntp.wrapping_add(to_fixed(at.since(self.media)))
        } else {
            self.ntp.wrapping_sub(to_fixed(self.media.since(at)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_stamps_wrap_and_never_go_back_within_a_day() {
        let second = MediaTime::from_nanos(1_000_000_000);
        assert_eq!(second.rtp(90_000), 90_000);
        let wrapped = MediaTime::from_nanos(47_722 * 1_000_000_000);
        assert_eq!(wrapped.rtp(90_000), (47_722u64 * 90_000 % (1 << 32)) as u32);
    }

    #[test]
    fn an_anchor_maps_both_directions_in_time() {
        let anchor = NtpAnchor::new(MediaTime::from_nanos(5_000_000_000), Duration::new(0, 500_000_000));
        let at = |nanos| anchor.ntp_at(MediaTime::from_nanos(nanos));
        assert_eq!(at(5_000_000_000), (NTP_UNIX_OFFSET_S << 32) + (1 << 31));
        assert_eq!(at(6_500_000_000), (NTP_UNIX_OFFSET_S + 2) << 32);
        assert_eq!(at(4_500_000_000), NTP_UNIX_OFFSET_S << 32);
    }

    #[test]
    fn a_negative_timeval_is_zero_and_not_a_panic() {
        assert_eq!(MediaTime::from_timeval(-1, 5), MediaTime::from_nanos(5_000));
        assert_eq!(MediaTime::from_timespec(1_i32, -5_i64), MediaTime::from_nanos(1_000_000_000));
    }
}
