//! What the node counts, in Prometheus' text format; every media figure is labelled by camera.

use std::collections::BTreeMap;

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tokio::runtime::Handle;

use crate::media::CameraName;
use crate::peer::{LATENCY_BOUNDS_US, LatencyCounts};

use super::state::Condition;

/// All of the node's counters. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Frames the camera delivered.
    pub captured: IntCounterVec,
    /// Frames lost on the way, by `stage`: `driver` (a gap in its sequence), `raw` (a newer one came first), `encoder`
    /// (rate control skipped it), `damaged`.
    pub dropped: IntCounterVec,
    /// Access units that left the encoder.
    pub encoded: IntCounterVec,
    /// Bytes that left the encoder.
    pub encoded_bytes: IntCounterVec,
    /// Key frames that left the encoder.
    pub key_frames: IntCounterVec,
    /// Key frames asked for by viewers (PLI, FIR), before they are coalesced.
    pub key_frames_asked: IntCounterVec,
    /// Seconds of one encode, conversion included.
    pub encode_seconds: HistogramVec,
    /// Seconds since capture at the end of a `stage`: `encoded`. The way to the wire is counted by `peer`.
    pub stage_seconds: HistogramVec,
    /// Seconds from a packet of a talker's to its first sample at the speaker.
    pub talk_seconds: HistogramVec,
    /// Packets of talkers by what became of them, their `fate`: `played`, `repaired` (lost, and heard from the next one),
    /// `concealed` (made up, in stretches of up to 20 ms), `discarded` (too late, or twice), `restarted` (another stream).
    pub talk_packets: IntCounterVec,
    /// Viewers that receive this camera.
    pub viewers: IntGaugeVec,
    /// Bits a second sent to one viewer.
    pub viewer_bitrate: GaugeVec,
    /// 1 for the state a part is in.
    pub state: IntGaugeVec,
    /// Broker connections after the first.
    pub mqtt_reconnects: IntCounter,
    /// Tasks of the process that have not ended.
    pub tasks: IntGauge,
}

/// The same buckets for every latency, so that stages can be told apart by subtraction.
fn latency_buckets() -> Vec<f64> {
    LATENCY_BOUNDS_US.iter().map(|us| f64::from(*us) / 1e6).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help).namespace("camera_node"), labels);
            register(&registry, made)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help).namespace("camera_node"), labels))
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).namespace("camera_node").buckets(latency_buckets());
            register(&registry, HistogramVec::new(opts, labels))
        };
        Self {
            captured: counters("frames_captured_total", "Frames the camera delivered", &["camera"]),
            dropped: counters("frames_dropped_total", "Frames lost on the way", &["camera", "stage"]),
            encoded: counters("frames_encoded_total", "Access units that left the encoder", &["camera"]),
            encoded_bytes: counters("encoded_bytes_total", "Bytes that left the encoder", &["camera"]),
            key_frames: counters("key_frames_total", "Key frames that left the encoder", &["camera"]),
            key_frames_asked: counters("key_frames_asked_total", "Key frames asked for by viewers", &["camera"]),
            encode_seconds: histograms("encode_seconds", "Time of one encode, conversion included", &["camera"]),
            stage_seconds: histograms(
                "stage_seconds",
                "Time since capture at the end of a stage",
                &["camera", "stage"],
            ),
            talk_seconds: histograms(
                "talk_seconds",
                "Time from a packet of a viewer's sound to its first sample at the speaker",
                &["camera"],
            ),
            talk_packets: counters(
                "talk_packets_total",
                "Packets of viewers' sound, by what became of them",
                &["camera", "fate"],
            ),
            viewers: gauges("viewers", "Viewers that receive this camera", &["camera"]),
            viewer_bitrate: register(
                &registry,
                GaugeVec::new(
                    Opts::new("viewer_bitrate_bps", "Bits a second sent to one viewer").namespace("camera_node"),
                    &["viewer"],
                ),
            ),
            state: gauges("state", "1 for the state a part is in", &["part", "state"]),
            mqtt_reconnects: register(
                &registry,
                IntCounter::with_opts(
                    Opts::new("mqtt_reconnects_total", "Broker connections after the first").namespace("camera_node"),
                ),
            ),
            tasks: register(
                &registry,
                IntGauge::with_opts(Opts::new("tasks", "Tasks that have not ended").namespace("camera_node")),
            ),
            registry,
        }
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("names and labels are constants that Prometheus allows");
    registry.register(Box::new(collector.clone())).expect("every name is used once");
    collector
}

impl Metrics {
    /// Takes down the states that parts are in now.
    pub fn set_states(&self, conditions: &BTreeMap<String, Condition>) {
        self.state.reset();
        for (part, condition) in conditions {
            self.state.with_label_values(&[part.as_str(), condition.state.word()]).set(1);
        }
    }

    /// Takes down how many tasks there are now, where there are any.
    pub fn count_tasks(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.set(i64::try_from(runtime.metrics().num_alive_tasks()).unwrap_or(i64::MAX));
        }
    }

    /// A viewer has gone; its figures go too, or they would pile up over years.
    pub fn forget_viewer(&self, viewer: &str) {
        // Nothing was counted for a viewer that never connected.
        let _ = self.viewer_bitrate.remove_label_values(&[viewer]);
    }

    /// Everything as Prometheus text.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// Appends a histogram of a camera that `peer` counts in buckets of its own.
pub fn write_latency(text: &mut String, (name, help): (&str, &str), camera: &CameraName, counts: &LatencyCounts) {
    use std::fmt::Write;
    let mut sum = 0u64;
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    for (bound_us, count) in LATENCY_BOUNDS_US.iter().zip(counts.buckets) {
        sum += u64::from(count);
        let bound = f64::from(*bound_us) / 1e6;
        let _ = writeln!(text, "{name}_bucket{{camera=\"{camera}\",le=\"{bound}\"}} {sum}");
    }
    let _ = writeln!(text, "{name}_bucket{{camera=\"{camera}\",le=\"+Inf\"}} {}", counts.count());
    let _ = writeln!(text, "{name}_sum{{camera=\"{camera}\"}} {}", counts.sum_us as f64 / 1e6);
    let _ = writeln!(text, "{name}_count{{camera=\"{camera}\"}} {}", counts.count());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_in_the_text_with_its_camera() {
        let metrics = Metrics::default();
        metrics.captured.with_label_values(&["front"]).inc_by(3);
        assert!(metrics.text().contains("camera_node_frames_captured_total{camera=\"front\"} 3"));
    }

    #[tokio::test]
    async fn tasks_are_counted_while_they_last() {
        let metrics = Metrics::default();
        let task = tokio::spawn(std::future::pending::<()>());
        metrics.count_tasks();
        assert!(metrics.text().contains("camera_node_tasks 1"), "{}", metrics.text());
        task.abort();
        let _ = task.await;
        metrics.count_tasks();
        assert!(metrics.text().contains("camera_node_tasks 0"), "{}", metrics.text());
    }
}
