//! How the board and the node are, once a second. What cannot be known is left out.

use std::collections::BTreeMap;

use serde::Serialize;

/// One message of the channel `telemetry`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// Seconds since the node started.
    #[serde(rename = "uptime_s")]
    pub uptime_s: u64,
    /// Of the processor, or the warmest zone there is, in degrees Celsius.
    #[serde(rename = "temperature_c", skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// The system's load of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<usize>,
    /// Memory there is, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory that programs can still have, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Memory that this process has, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_own_bytes: Option<u64>,
    /// Why a Raspberry Pi runs slower than it could: those of now, and those since its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Throttled>,
    /// Wi-Fi's signal, in dBm.
    #[serde(rename = "wifi_dbm", skip_serializing_if = "Option::is_none")]
    pub wifi_dbm: Option<i32>,
    /// What is free where the node keeps its state, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Cameras by name.
    pub cameras: BTreeMap<String, CameraFigures>,
    /// Of whoever reads this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer: Option<ViewerFigures>,
}

/// A Raspberry Pi's flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Throttled {
    /// `underVoltage`, `frequencyCapped`, `throttled`, `softTemperatureLimit`.
    pub now: Vec<&'static str>,
    /// The same, at any time since the start.
    pub since: Vec<&'static str>,
}

const FLAGS: [&str; 4] = ["underVoltage", "frequencyCapped", "throttled", "softTemperatureLimit"];

impl Throttled {
    /// The firmware's word: four flags from bit 0 for now, the same from bit 16 since the start.
    pub fn of(bits: u32) -> Self {
        let named = |from: u32| {
            let is_set = |(n, flag): (u32, &'static str)| (bits >> (from + n) & 1 == 1).then_some(flag);
            (0..).zip(FLAGS).filter_map(is_set).collect()
        };
        Self { now: named(0), since: named(16) }
    }
}

/// How long pictures take through the node, of those sent in the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraFigures {
    /// Viewers there are.
    pub viewers: usize,
    /// From capture to the last packet at the socket, half of the pictures, in ms.
    #[serde(rename = "captureToWire_ms", skip_serializing_if = "Option::is_none")]
    pub capture_to_wire_ms: Option<f64>,
    /// The same, of the slowest in twenty.
    #[serde(rename = "captureToWireP95_ms", skip_serializing_if = "Option::is_none")]
    pub capture_to_wire_p95_ms: Option<f64>,
    /// From the encoder to the last packet at the socket, half of the pictures, in ms.
    #[serde(rename = "encodedToWire_ms", skip_serializing_if = "Option::is_none")]
    pub encoded_to_wire_ms: Option<f64>,
}

/// The connection of whoever reads this.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerFigures {
    /// Time there and back, in ms.
    #[serde(rename = "rtt_ms", skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Share of the packets that it lost lately, 0 to 1.
    pub loss: f32,
    /// Media sent to it in the last second, in bit/s.
    #[serde(rename = "bitrate_bps")]
    pub bitrate_bps: u64,
    /// Pictures not sent since it was too slow, in all.
    pub frames_dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = serde_json::to_string(&Telemetry { uptime_s: 3, ..Telemetry::default() }).expect("plain data");
        assert_eq!(text, r#"{"uptime_s":3,"cameras":{}}"#);
    }

    #[test]
    fn the_firmwares_bits_have_names() {
        assert_eq!(Throttled::of(0), Throttled { now: vec![], since: vec![] });
        let hot = Throttled::of(0x8_000A | 1 << 16);
        assert_eq!(hot.now, ["frequencyCapped", "softTemperatureLimit"]);
        assert_eq!(hot.since, ["underVoltage", "softTemperatureLimit"]);
    }
}
