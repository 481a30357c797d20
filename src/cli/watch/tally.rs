//! What a headless viewer has seen, in numbers: pure, and bounded however long it watches.

use std::time::Duration;

use serde::Serialize;

use crate::session::{CameraDetail, CameraInfo, Status};

/// Finest step and longest value of the latencies kept: 1 ms up to 10 s; what is later counts as 10 s.
const LATENCY_BUCKETS: usize = 10_000;

/// Counts while watching.
#[derive(Debug)]
pub struct Tally {
    joined: Option<Duration>,
    first_frame: Option<(Duration, Duration)>,
    last_frame: Duration,
    longest_gap: Duration,
    frames: u64,
    bytes: u64,
    audio_packets: u64,
    size: (u32, u32),
    last_stamp: Option<u32>,
    stamps_distinct: u64,
    latencies: Vec<u32>,
}

/// The outcome, as `watch --json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// From publishing `join` to the first decoded frame, milliseconds.
    pub first_frame_ms: Option<f64>,
    /// Frames decoded.
    pub frames: u64,
    /// Frames a second, from the first to the last.
    pub fps: f64,
    /// The longest time from one frame to the next, milliseconds.
    pub longest_gap_ms: f64,
    /// Media received, payload bits a second.
    pub bitrate_bps: u64,
    /// Packets that never came.
    pub packets_lost: u64,
    /// Time there and back, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Opus packets received.
    pub audio_packets: u64,
    /// Width and height of the last picture.
    pub size: (u32, u32),
    /// From the picture's time stamp to its decoding, where it carries one.
    pub latency_ms: Option<Latency>,
    /// How many of the stamps were later than all before.
    pub stamps_distinct: u64,
    /// What the node last said of its cameras: a card in place of a picture counts as frames too.
    pub cameras: Vec<Told>,
    /// With `--talk`: whether the node has a speaker, and so takes what is said.
    pub talk_heard: Option<bool>,
    /// Why it ended before it was to, after there were pictures.
    pub error: Option<String>,
    /// The protocol's steps, in order.
    pub events: Vec<&'static str>,
}

/// One camera, as its node's `status` tells of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// Name, size and rate.
    #[serde(flatten)]
    pub info: CameraInfo,
    /// Its state, where the node tells it.
    #[serde(flatten)]
    pub detail: Option<CameraDetail>,
}

impl Told {
    /// All cameras of a `status`.
    pub fn all(status: &Status) -> Vec<Self> {
        let details = status.state_detail.as_ref();
        let told = status.cameras.iter().flatten().map(|info| Self {
            info: info.clone(),
            detail: details.and_then(|details| details.cameras.get(&info.name)).cloned(),
        });
        told.collect()
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the frames were this fast or faster.
    pub p50: u32,
    /// 95 % of the frames were.
    pub p95: u32,
    /// The slowest one.
    pub max: u32,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            joined: None,
            first_frame: None,
            last_frame: Duration::ZERO,
            longest_gap: Duration::ZERO,
            frames: 0,
            bytes: 0,
            audio_packets: 0,
            size: (0, 0),
            last_stamp: None,
            stamps_distinct: 0,
            latencies: vec![0; LATENCY_BUCKETS + 1],
        }
    }
}

impl Tally {
    /// `join` was published.
    pub fn joined(&mut self, now: Duration) {
        self.joined = Some(now);
    }

    /// Media came in.
    pub fn received(&mut self, payload_bytes: usize) {
        self.bytes += payload_bytes as u64;
    }

    /// An Opus packet came in.
    pub fn heard(&mut self) {
        self.audio_packets += 1;
    }

    /// A frame was decoded; `stamp` is the time written in it and `wall_ms` the same clock now, both the low 32 bits of
    /// milliseconds.
    pub fn seen(&mut self, size: (u32, u32), stamp: Option<u32>, wall_ms: u32, now: Duration) {
        self.frames += 1;
        self.size = size;
        if self.first_frame.is_some() {
            self.longest_gap = self.longest_gap.max(now.saturating_sub(self.last_frame));
        }
        self.last_frame = now;
        self.first_frame.get_or_insert((self.joined.unwrap_or(now), now));
        let Some(stamp) = stamp else { return };
        // The two clocks may differ by a little between machines: early counts as at once.
        let late = wall_ms.wrapping_sub(stamp).cast_signed().max(0).cast_unsigned();
        let bucket = (late as usize).min(LATENCY_BUCKETS);
        self.latencies[bucket] += 1;
        if self.last_stamp.is_none_or(|last| stamp.wrapping_sub(last).cast_signed() > 0) {
            self.last_stamp = Some(stamp);
            self.stamps_distinct += 1;
        }
    }

    /// When the first frame was decoded.
    pub fn first_frame_at(&self) -> Option<Duration> {
        self.first_frame.map(|(_, at)| at)
    }

    /// The outcome so far; what only the connection and the core know is filled in by them.
    pub fn report(&self) -> Report {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let seen_for = self.first_frame.map_or(0.0, |(_, first)| self.last_frame.saturating_sub(first).as_secs_f64());
        let per_second = |count: u64| if seen_for > 0.0 { count as f64 / seen_for } else { 0.0 };
        Report {
            first_frame_ms: self.first_frame.map(|(joined, first)| ms(first.saturating_sub(joined))),
            frames: self.frames,
            // Between n frames there are n - 1 intervals.
            fps: per_second(self.frames.saturating_sub(1)),
            longest_gap_ms: ms(self.longest_gap),
            bitrate_bps: per_second(self.bytes * 8) as u64,
            packets_lost: 0,
            rtt_ms: None,
            audio_packets: self.audio_packets,
            size: self.size,
            latency_ms: self.latency(),
            stamps_distinct: self.stamps_distinct,
            cameras: Vec::new(),
            talk_heard: None,
            error: None,
            events: Vec::new(),
        }
    }

    fn latency(&self) -> Option<Latency> {
        let total: u64 = self.latencies.iter().map(|n| u64::from(*n)).sum();
        let at = |share: f64| {
            let wanted = ((total as f64 * share).ceil() as u64).max(1);
            let mut sum = 0;
            self.latencies.iter().position(|n| {
                sum += u64::from(*n);
                sum >= wanted
            })
        };
        let at = |share| at(share).and_then(|bucket| u32::try_from(bucket).ok());
        Some(Latency { p50: at(0.5)?, p95: at(0.95)?, max: at(1.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_stamps_become_rates_and_quantiles() {
        let mut tally = Tally::default();
        tally.joined(Duration::from_millis(100));
        for n in 0..31u32 {
            let now = Duration::from_millis(300 + u64::from(n) * 100);
            let stamp = u32::MAX.wrapping_add(n * 100);
            tally.seen((1280, 720), Some(stamp), stamp.wrapping_add(n), now);
        }
        tally.received(3_000);
        assert_eq!(tally.report().longest_gap_ms, 100.0, "the wait for the first is none");
        let report = tally.report();
        assert_eq!(report.first_frame_ms, Some(200.0));
        assert!((report.fps - 10.0).abs() < 1e-9, "{}", report.fps);
        assert_eq!(report.bitrate_bps, 8_000);
        assert_eq!(report.stamps_distinct, 31);
        assert_eq!(report.latency_ms, Some(Latency { p50: 15, p95: 29, max: 30 }));
    }

    #[test]
    fn a_frozen_picture_has_one_stamp_and_no_picture_has_no_latency() {
        let mut tally = Tally::default();
        for n in 0..5 {
            tally.seen((320, 180), Some(7), 7, Duration::from_millis(n));
        }
        assert_eq!(tally.report().stamps_distinct, 1);
        assert_eq!(Tally::default().report().latency_ms, None);
    }
}
