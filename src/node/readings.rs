//! How the board is, as its kernel tells it in files. What cannot be read is left out.

use std::fs;
use std::path::Path;

use rustix::fs::statvfs;

use crate::control::{Telemetry, Throttled};

/// Reads all there is; a few dozen system calls. `folder` is where the free room is of interest.
pub fn board(folder: &Path) -> Telemetry {
    let memory = read("/proc/meminfo").unwrap_or_default();
    Telemetry {
        temperature_c: temperature(Path::new("/sys/class")),
        load: read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
        cpus: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        memory_bytes: kilobytes(&memory, "MemTotal:"),
        memory_available_bytes: kilobytes(&memory, "MemAvailable:"),
        memory_own_bytes: read("/proc/self/status").and_then(|text| kilobytes(&text, "VmRSS:")),
        throttled: read("/sys/devices/platform/soc/soc:firmware/get_throttled").and_then(|text| throttled(&text)),
        wifi_dbm: read("/proc/net/wireless").and_then(|text| wifi(&text)),
        disk_free_bytes: disk(folder),
        ..Telemetry::default()
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The processor's zone, or else the warmest of all zones, or else the warmest sensor.
fn temperature(class: &Path) -> Option<f64> {
    let zones = |kind: &str, prefix: &str| -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(class.join(kind)).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path())
            .collect()
    };
    let degrees = |path: std::path::PathBuf| -> Option<f64> {
        let thousandths: f64 = read(path)?.trim().parse().ok()?;
        // A sensor that is not connected tells nonsense.
        let degrees = thousandths / 1_000.0;
        (-40.0..=150.0).contains(&degrees).then_some(degrees)
    };
    let thermal = zones("thermal", "thermal_zone");
    let is_cpu = |zone: &&std::path::PathBuf| {
        read(zone.join("type")).is_some_and(|kind| kind.contains("cpu") || kind.contains("x86_pkg"))
    };
    let cpu = thermal.iter().find(is_cpu).and_then(|zone| degrees(zone.join("temp")));
    let warmest = |temperatures: &mut dyn Iterator<Item = f64>| temperatures.reduce(f64::max);
    cpu.or_else(|| warmest(&mut thermal.iter().filter_map(|zone| degrees(zone.join("temp")))))
        .or_else(|| warmest(&mut zones("hwmon", "hwmon").iter().filter_map(|chip| degrees(chip.join("temp1_input")))))
}

/// The line `name   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

/// The firmware's word, in hexadecimal.
fn throttled(text: &str) -> Option<Throttled> {
    let digits = text.trim();
    u32::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok().map(Throttled::of)
}

/// The signal of the first network that has one: ` wlan0: 0000   54.  -56.  -256  …`.
fn wifi(text: &str) -> Option<i32> {
    let line = text.lines().find(|line| line.contains(':'))?;
    let (_, rest) = line.split_once(':')?;
    let level: f64 = rest.split_whitespace().nth(2)?.trim_end_matches('.').parse().ok()?;
    // Drivers that do not know it tell 0, or a share of something.
    (-120.0..0.0).contains(&level).then(|| level.round() as i32)
}

fn disk(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find_map(|place| statvfs(place).ok())?;
    there.f_bavail.checked_mul(there.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_board_has_memory_load_and_a_disk() {
        let base = tempfile::tempdir().expect("there is room");
        let board = board(&base.path().join("not/there/yet"));
        assert!(board.memory_bytes > board.memory_available_bytes && board.memory_own_bytes > Some(1_000_000));
        assert!(board.load.is_some() && board.cpus > Some(0) && board.disk_free_bytes > Some(0));
    }

    #[test]
    fn the_processors_zone_comes_before_a_warmer_one_and_nonsense_is_left_out() {
        let class = tempfile::tempdir().expect("there is room");
        let zone = |folder: &str, file: &str, text: &str| {
            let folder = class.path().join(folder);
            fs::create_dir_all(&folder).expect("there is room");
            fs::write(folder.join(file), text).expect("there is room");
        };
        assert_eq!(temperature(class.path()), None);
        zone("hwmon/hwmon0", "temp1_input", "30000\n");
        assert_eq!(temperature(class.path()), Some(30.0));
        zone("thermal/thermal_zone0", "temp", "-273000\n");
        assert_eq!(temperature(class.path()), Some(30.0));
        zone("thermal/thermal_zone1", "temp", "61000\n");
        zone("thermal/thermal_zone1", "type", "wifi\n");
        assert_eq!(temperature(class.path()), Some(61.0));
        zone("thermal/thermal_zone2", "temp", "48312\n");
        zone("thermal/thermal_zone2", "type", "cpu-thermal\n");
        assert_eq!(temperature(class.path()), Some(48.312));
    }

    #[test]
    fn the_kernels_files_are_read_as_they_are() {
        let wireless = "Inter-| sta-|   Quality        |\n face | tus | link level noise |\n\
                         wlan0: 0000   54.  -56.  -256        0      0      0      0      7        0\n";
        assert_eq!(wifi(wireless), Some(-56));
        assert_eq!(wifi("Inter-| sta-|\n face | tus |\n"), None);
        assert_eq!(wifi(" wlan0: 0000 54. 200. 0 0\n"), None);
        assert_eq!(throttled("50005\n"), Some(Throttled::of(0x5_0005)));
        assert_eq!(throttled("0x0"), Some(Throttled::of(0)));
        assert_eq!(throttled("junk"), None);
        assert_eq!(kilobytes("MemTotal:   16 kB\n", "MemTotal:"), Some(16_384));
        assert_eq!(kilobytes("MemTotal:   16\n", "MemTotal:"), None);
    }
}
