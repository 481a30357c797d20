//! V4L2 capture devices: what there is, under which names, and what they deliver.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::{FrameSizeEnum, Stepwise};
use v4l::video::Capture;
use v4l::{Device, FourCC, Fraction};

use super::DeviceKind;
use crate::capture::CaptureError;
use crate::capture::config::{AUTO, FormatPreference};
use crate::capture::modes::{Asked, Interval, Mode, fits};
use crate::media::PixelFormat;
use crate::sys;

/// A V4L2 capture device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Camera {
    /// `videoinput`.
    pub kind: DeviceKind,
    /// A name that stays when other cameras come and go: udev's by-id or by-path name, else where it is plugged in.
    pub id: String,
    /// What a person calls it.
    pub label: String,
    /// Its node now.
    pub path: PathBuf,
    /// The kernel's driver.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
    /// It can encode by itself.
    #[serde(rename = "deliversH264")]
    pub delivers_h264: bool,
    /// What it delivers.
    pub formats: Vec<CameraFormat>,
    /// Brightness, exposure and so on.
    pub controls: Vec<CameraControl>,
}

/// One of a camera's formats.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraFormat {
    /// V4L2's four characters: `YUYV`, `MJPG`.
    pub fourcc: String,
    /// In words.
    pub description: String,
    /// This program can use it.
    pub usable: bool,
    /// Sizes and rates.
    pub sizes: Vec<CameraSize>,
}

/// A size, or a range of sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraSize {
    /// Pixels a line; of a range the smallest.
    pub width: u32,
    /// Lines; of a range the smallest.
    pub height: u32,
    /// Of a range, the largest size and the steps to it: width, height, step of width, step of height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to: Option<[u32; 4]>,
    /// The intervals between frames; of a range of sizes, those of the largest.
    pub rates: Vec<Rate>,
}

/// A time between frames; of a continuous range, its ends are listed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Frames a second.
    pub fps: f64,
    /// Seconds between frames, as a fraction.
    pub interval: [u32; 2],
}

/// One of a camera's controls.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraControl {
    /// V4L2's number.
    pub id: u32,
    /// The driver's name for it.
    pub name: String,
    /// `integer`, `boolean`, `menu` or `button`.
    pub kind: &'static str,
    /// Smallest value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// Distance of values.
    pub step: u64,
    /// The driver's default.
    pub default: i64,
    /// The present value.
    pub value: Option<i64>,
    /// A menu's items by value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<(u32, String)>,
    /// It cannot be set now.
    pub read_only: bool,
}

/// All V4L2 capture devices, in the order of their numbers.
pub fn cameras() -> Vec<Camera> {
    nodes().into_iter().filter_map(|path| describe(&path)).collect()
}

/// The first device that is a camera and delivers what `format` takes, by its stable id.
pub(in crate::capture) fn first(format: FormatPreference) -> Option<String> {
    nodes().into_iter().find_map(|path| {
        let (device, info) = open_camera(&path)?;
        let listed = device.enum_formats().ok()?;
        let taken = listed.iter().filter_map(|listed| pixel_format_of(listed.fourcc)).any(|pixel| fits(pixel, format));
        taken.then(|| stable_id(&path, &info))
    })
}

/// The node that `device` names: `auto` (the first that delivers what `format` takes), a path, or a stable id.
pub(in crate::capture) fn find(device: &str, format: FormatPreference) -> Result<PathBuf, CaptureError> {
    let not_found = || CaptureError::NotFound { device: device.to_owned() };
    if device.starts_with('/') {
        return Ok(PathBuf::from(device));
    }
    let wanted = if device == AUTO {
        first(format).ok_or_else(|| CaptureError::NotFound { device: "a V4L2 camera".to_owned() })?
    } else {
        device.to_owned()
    };
    for path in nodes() {
        if udev_names(&path).contains(&wanted) {
            return Ok(path);
        }
        if open_camera(&path).is_some_and(|(_, info)| info.bus == wanted) {
            return Ok(path);
        }
    }
    Err(not_found())
}

/// What the device can do of what is asked: each usable format in each size. A range of sizes counts as the size in it
/// that is nearest to the one asked for.
pub(in crate::capture) fn modes(device: &Device, asked: &Asked) -> io::Result<Vec<Mode>> {
    let mut modes = Vec::new();
    for format in device.enum_formats()? {
        let Some(pixel) = pixel_format_of(format.fourcc) else { continue };
        // A driver that lists no sizes is asked for the wanted one; it then says what it made of it.
        let listed = device.enum_framesizes(format.fourcc).unwrap_or_default();
        let mut sizes: Vec<(u32, u32)> = listed.into_iter().map(|listed| nearest_size(&listed.size, asked)).collect();
        if sizes.is_empty() {
            sizes.push((asked.width, asked.height));
        }
        for (width, height) in sizes {
            let intervals = intervals(device, format.fourcc, width, height, Some(asked.fps));
            modes.push(Mode { pixel, width, height, intervals });
        }
    }
    Ok(modes)
}

/// The formats this program can use.
pub(in crate::capture) fn pixel_format_of(fourcc: FourCC) -> Option<PixelFormat> {
    match &fourcc.repr {
        b"YUYV" => Some(PixelFormat::Yuyv),
        b"UYVY" => Some(PixelFormat::Uyvy),
        b"NV12" => Some(PixelFormat::Nv12),
        b"YU12" => Some(PixelFormat::I420),
        b"MJPG" | b"JPEG" => Some(PixelFormat::Mjpeg),
        b"H264" => Some(PixelFormat::H264),
        _ => None,
    }
}

/// Drivers whose capture nodes are parts of a machine and not cameras: image processors and codecs.
const NOT_CAMERAS: [&str; 4] = ["bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec", "pispbe"];

/// `/dev/video*`, by number.
fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/dev") else { return Vec::new() };
    let mut nodes: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path)| path).collect()
}

fn open_camera(path: &Path) -> Option<(Device, sys::VideoDeviceInfo)> {
    let device = sys::open_video_device(path).ok()?;
    let info = sys::video_device_info(&device).ok()?;
    (info.captures && !NOT_CAMERAS.contains(&info.driver.as_str())).then_some((device, info))
}

fn describe(path: &Path) -> Option<Camera> {
    let (device, info) = open_camera(path)?;
    let formats: Vec<_> =
        device.enum_formats().ok()?.into_iter().map(|format| describe_format(&device, &format)).collect();
    Some(Camera {
        kind: DeviceKind::VideoInput,
        id: stable_id(path, &info),
        label: info.card,
        path: path.to_owned(),
        driver: info.driver,
        bus: info.bus,
        delivers_h264: formats.iter().any(|format| format.fourcc == "H264"),
        formats,
        controls: sys::controls(&device).into_iter().map(describe_control).collect(),
    })
}

fn describe_format(device: &Device, format: &v4l::format::Description) -> CameraFormat {
    let sizes = device.enum_framesizes(format.fourcc).unwrap_or_default();
    let rates = |width, height| intervals(device, format.fourcc, width, height, None).into_iter().map(rate).collect();
    CameraFormat {
        fourcc: String::from_utf8_lossy(&format.fourcc.repr).trim_end().to_owned(),
        description: format.description.clone(),
        usable: pixel_format_of(format.fourcc).is_some(),
        sizes: sizes
            .into_iter()
            .map(|listed| match listed.size {
                FrameSizeEnum::Discrete(size) => CameraSize {
                    width: size.width,
                    height: size.height,
                    up_to: None,
                    rates: rates(size.width, size.height),
                },
                FrameSizeEnum::Stepwise(range) => CameraSize {
                    width: range.min_width,
                    height: range.min_height,
                    up_to: Some([range.max_width, range.max_height, range.step_width, range.step_height]),
                    rates: rates(range.max_width, range.max_height),
                },
            })
            .collect(),
    }
}

fn describe_control(control: sys::Control) -> CameraControl {
    CameraControl {
        id: control.id,
        name: control.name,
        kind: control.kind.word(),
        minimum: control.minimum,
        maximum: control.maximum,
        step: control.step,
        default: control.default,
        value: control.value,
        items: control.items.into_iter().map(|item| (item.value, item.name)).collect(),
        read_only: control.read_only || control.inactive,
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people; rates have few digits")]
fn rate(interval: Interval) -> Rate {
    Rate { fps: interval.millihertz() as f64 / 1_000.0, interval: [interval.numerator, interval.denominator] }
}

/// The intervals at one size; of a continuous range its ends, and what is asked for where it lies between.
fn intervals(device: &Device, fourcc: FourCC, width: u32, height: u32, asked_fps: Option<u32>) -> Vec<Interval> {
    let of = |fraction: Fraction| Interval { numerator: fraction.numerator, denominator: fraction.denominator };
    let mut intervals = Vec::new();
    for listed in device.enum_frameintervals(fourcc, width, height).unwrap_or_default() {
        match listed.interval {
            FrameIntervalEnum::Discrete(interval) => intervals.push(of(interval)),
            FrameIntervalEnum::Stepwise(range) => {
                let (shortest, longest) = (of(range.min), of(range.max));
                let asked = asked_fps.map(Interval::of_fps);
                let between = |i: &Interval| (longest.millihertz()..=shortest.millihertz()).contains(&i.millihertz());
                intervals.extend([Some(shortest), asked.filter(between), Some(longest)].into_iter().flatten());
            }
        }
    }
    intervals
}

fn nearest_size(size: &FrameSizeEnum, asked: &Asked) -> (u32, u32) {
    match size {
        FrameSizeEnum::Discrete(size) => (size.width, size.height),
        FrameSizeEnum::Stepwise(Stepwise { min_width, max_width, step_width, min_height, max_height, step_height }) => {
            (
                nearest_step(asked.width, *min_width, *max_width, *step_width),
                nearest_step(asked.height, *min_height, *max_height, *step_height),
            )
        }
    }
}

/// The value of `min`, `min + step`, … `max` that is nearest to `asked`.
fn nearest_step(asked: u32, min: u32, max: u32, step: u32) -> u32 {
    let (max, step) = (max.max(min), step.max(1));
    let steps = (asked.clamp(min, max) - min + step / 2) / step;
    (min + steps * step).min(max)
}

/// The name under which `find` will know the device again.
fn stable_id(path: &Path, info: &sys::VideoDeviceInfo) -> String {
    udev_names(path).into_iter().next().unwrap_or_else(|| info.bus.clone())
}

/// udev's names for a node: by-id first (it names the camera), then by-path (it names the socket).
fn udev_names(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["/dev/v4l/by-id", "/dev/v4l/by-path"] {
        let Ok(links) = fs::read_dir(folder) else { continue };
        let mut here: Vec<String> = links
            .flatten()
            .filter(|link| fs::canonicalize(link.path()).is_ok_and(|target| target == path))
            .filter_map(|link| link.file_name().into_string().ok())
            .collect();
        here.sort();
        names.extend(here);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_sizes_gives_the_step_nearest_to_what_is_asked() {
        for (asked, min, max, step, expected) in [
            (1280, 2, 3840, 2, 1280),
            (1281, 2, 3840, 2, 1282),
            (5000, 2, 3840, 2, 3840),
            (1, 16, 3840, 16, 16),
            (100, 64, 200, 0, 100),
            (10, 50, 20, 8, 50),
        ] {
            assert_eq!(nearest_step(asked, min, max, step), expected, "{asked} in {min}..{max} by {step}");
        }
    }

    #[test]
    fn a_camera_that_is_not_there_is_not_found_by_any_name() {
        let missing = find("usb-No_Such_Camera-video-index0", FormatPreference::Auto);
        assert!(matches!(missing, Err(CaptureError::NotFound { device }) if device.contains("No_Such")));
    }

    #[test]
    fn only_formats_that_can_be_encoded_are_usable() {
        assert_eq!(pixel_format_of(FourCC::new(b"YU12")), Some(PixelFormat::I420));
        assert_eq!(pixel_format_of(FourCC::new(b"JPEG")), Some(PixelFormat::Mjpeg));
        assert_eq!(pixel_format_of(FourCC::new(b"RGB3")), None);
    }
}
