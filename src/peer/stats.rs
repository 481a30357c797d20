//! Numbers of one connection, and the time pictures take to the wire.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one connection has sent, received and lost. Counts only rise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PeerStats {
    /// Media can flow: DTLS is up and the other side is heard.
    pub connected: bool,
    /// Time there and back.
    pub rtt: Option<Duration>,
    /// Share of our packets the other side lost lately, 0–1, the worse of its tracks.
    pub loss: f32,
    /// Media packets handed to the connection.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// Pictures sent whole.
    pub frames_sent: u64,
    /// Pictures not sent, since the viewer was too slow or silent.
    pub frames_dropped: u64,
    /// Key frames the other side asked for (PLI, FIR).
    pub key_frames_wanted: u64,
    /// Media packets received.
    pub packets_received: u64,
    /// Their payload bytes.
    pub bytes_received: u64,
    /// Packets missing from what was received, those recovered by retransmission not counted.
    pub packets_lost: u64,
    /// Packets received and not taken by whoever reads them.
    pub packets_discarded: u64,
}

/// The counters of one connection, written by its tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters(Arc<Mutex<PeerStats>>);

impl Counters {
    pub(super) fn update(&self, change: impl FnOnce(&mut PeerStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn snapshot(&self) -> PeerStats {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Upper bounds of the buckets, in microseconds; a millisecond wide up to 20, where one encode and the way out lie.
pub const LATENCY_BOUNDS_US: [u32; 36] = [
    250, 500, 750, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 11_000, 12_000,
    13_000, 14_000, 15_000, 16_000, 17_000, 18_000, 19_000, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000, 75_000,
    100_000, 150_000, 200_000, 500_000, 1_000_000,
];

/// How long something took, counted in buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyCounts {
    /// Observations in each bucket of [`LATENCY_BOUNDS_US`], and beyond the last.
    pub buckets: [u32; LATENCY_BOUNDS_US.len() + 1],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Default for LatencyCounts {
    fn default() -> Self {
        Self { buckets: [0; LATENCY_BOUNDS_US.len() + 1], sum_us: 0 }
    }
}

impl LatencyCounts {
    /// Something took so long.
    pub fn observe(&mut self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(u64::from(us));
    }

    /// What was observed after `before`, which was so earlier.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].saturating_sub(before.buckets[bucket]));
        Self { buckets, sum_us: self.sum_us.saturating_sub(before.sum_us) }
    }

    /// How many were observed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|n| u64::from(*n)).sum()
    }

    /// The upper bound of the bucket that holds this share (0–1) of the observations; `None` without any, or beyond the
    /// last bound.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        let bucket = self.buckets.iter().position(|n| {
            seen += f64::from(*n);
            seen >= wanted
        })?;
        LATENCY_BOUNDS_US.get(bucket).map(|us| Duration::from_micros(u64::from(*us)))
    }
}

/// How long a camera's pictures take until their last packet is with the socket: one measurement a picture and viewer.
#[derive(Debug, Default)]
pub struct SendLatency(Mutex<[LatencyCounts; 2]>);

impl SendLatency {
    pub(super) fn observe(&self, since_capture: Duration, since_encoded: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts[0].observe(since_capture);
        counts[1].observe(since_encoded);
    }

    /// From the capture stamp on; delta frames only, as a key frame's size says more of the codec than of the path.
    pub fn since_capture(&self) -> LatencyCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[0]
    }

    /// From the encoder's output on; delta frames only.
    pub fn since_encoded(&self) -> LatencyCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let mut counts = LatencyCounts::default();
        assert_eq!(counts.quantile(0.5), None);
        for ms in 1..=100 {
            counts.observe(Duration::from_millis(ms));
        }
        assert_eq!(counts.count(), 100);
        assert_eq!(counts.quantile(0.03), Some(Duration::from_millis(3)));
        assert_eq!(counts.quantile(0.95), Some(Duration::from_millis(100)));
        counts.observe(Duration::from_secs(10));
        assert_eq!(counts.quantile(1.0), None);
    }
}
