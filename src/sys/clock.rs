//! The system's clocks.

use std::time::{Duration, SystemTime};

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `CLOCK_MONOTONIC` in nanoseconds: the clock that V4L2 and ALSA stamp with.
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * NANOS_PER_SECOND + nanos
}

/// The wall clock; zero if it stands before 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock for the shells")]
pub fn since_unix_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Sleeps until `CLOCK_MONOTONIC` reaches `nanos`; returns at once when it has already passed.
///
/// An absolute time does not drift, however long the caller was held up before it asked.
pub fn sleep_until_nanos(nanos: u64) {
    let until = Timespec {
        tv_sec: i64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(i64::MAX),
        // Less than 10⁹, which fits every platform's type.
        tv_nsec: (nanos % NANOS_PER_SECOND) as _,
    };
    // A signal cuts the sleep short; the absolute time makes asking again harmless.
    while clock_nanosleep_absolute(ClockId::Monotonic, &until) == Err(rustix::io::Errno::INTR) {}
}

/// Seconds that local time is ahead of UTC at `unix_s`, by the system's time zone; 0 where none is set.
pub fn local_offset_s(unix_s: u64) -> i32 {
    let Ok(time) = libc::time_t::try_from(unix_s) else { return 0 };
    // SAFETY: `tm` is a plain C struct for which all zeros is a valid value.
    let mut broken_down: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right type; `localtime_r` writes nothing else.
    let filled = unsafe { libc::localtime_r(&raw const time, &raw mut broken_down) };
    if filled.is_null() { 0 } else { i32::try_from(broken_down.tm_gmtoff).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_sleep_ends_at_its_time_and_a_past_one_at_once() {
        let start = monotonic_nanos();
        sleep_until_nanos(start.saturating_sub(1));
        sleep_until_nanos(start + 5_000_000);
        assert!(monotonic_nanos() >= start + 5_000_000);
    }

    #[test]
    fn the_local_offset_is_less_than_a_day() {
        assert!(local_offset_s(1_700_000_000).abs() < 86_400);
    }
}
