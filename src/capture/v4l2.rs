//! Pictures from a V4L2 camera.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use v4l::format::{Colorspace, Quantization};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC, Fraction};

use super::config::Video;
use super::devices;
use super::modes::{Asked, Choice, Interval, choose};
use super::{CaptureError, VideoSource};
use crate::media::{Frame, FrameFormat, MediaTime, PixelFormat};
use crate::sys::{self, CaptureQueue};

/// Three for the driver, so that it always has one to fill while two wait, one for the encoder, and one for a still picture.
pub(super) const BUFFERS: u32 = 5;

/// The one operation that may be refused for want of a right: the device's file is not ours, or its control group's.
const OPEN: &str = "open";

/// An open camera, streaming.
pub(super) struct V4l2Source {
    name: String,
    // Before the device: the queue is closed first.
    queue: CaptureQueue,
    device: Device,
    format: FrameFormat,
    interval: Duration,
    least_bytes: usize,
}

/// Opens the camera that `video` names and starts it with the best it has for the size and rate asked. Each ioctl that may
/// have to wait for the camera is a step.
pub(super) fn open(video: &Video, step: &dyn Fn()) -> Result<V4l2Source, CaptureError> {
    let path = devices::find(&video.device, video.format)?;
    let name = path.display().to_string();
    step();
    let device = sys::open_video_device(&path).map_err(|e| opening(&name, OPEN, e))?;
    step();
    let info = sys::video_device_info(&device).map_err(|e| opening(&name, "query capabilities", e))?;
    if !info.captures {
        return Err(unsupported(&name, format!("{} ({}) is not a capture device", info.card, info.driver)));
    }
    let asked = Asked {
        width: video.width.value(),
        height: video.height.value(),
        fps: video.fps.value(),
        format: video.format,
    };
    let modes = devices::modes(&device, &asked).map_err(|e| opening(&name, "list formats", e))?;
    step();
    let choice = choose(&modes, &asked).ok_or_else(|| {
        let mut has: Vec<String> = modes.iter().map(|mode| format!("{:?}", mode.pixel)).collect();
        has.dedup();
        let has = if has.is_empty() { "none that can be used".to_owned() } else { has.join(", ") };
        unsupported(&name, format!("no format that fits {:?}; it has {has}", asked.format))
    })?;
    let format = set_format(&device, &name, &choice)?;
    step();
    let interval = set_interval(&device, choice.interval);
    step();
    let queue = CaptureQueue::start(&device, BUFFERS).map_err(|e| opening(&name, "start streaming", e))?;
    tracing::info!(
        device = %name,
        card = %info.card,
        pixel = ?format.pixel,
        width = format.width,
        height = format.height,
        fps = 1.0 / interval.as_secs_f64(),
        "camera started"
    );
    Ok(V4l2Source { name, queue, device, format, interval, least_bytes: least_bytes(&format) })
}

impl VideoSource for V4l2Source {
    fn format(&self) -> (FrameFormat, Duration) {
        (self.format, self.interval)
    }

    fn next(&mut self, timeout: Duration) -> Result<Frame, CaptureError> {
        let deadline = MediaTime::from_nanos(sys::monotonic_nanos()).plus(timeout);
        loop {
            let left = deadline.since(MediaTime::from_nanos(sys::monotonic_nanos()));
            let filled = match self.queue.next(left) {
                Ok(Some(filled)) => filled,
                Ok(None) => return Err(CaptureError::Stalled { device: self.name.clone(), waited: timeout }),
                Err(error) => return Err(self.lost(error)),
            };
            // A cut-off frame: USB transfers fail like this without the driver's flag.
            if filled.data.len() < self.least_bytes {
                tracing::debug!(device = %self.name, bytes = filled.data.len(), least = self.least_bytes, "short frame");
                continue;
            }
            // A camera's own H.264 is small and is kept until its viewers have it, a second perhaps; the driver wants its
            // buffer back now.
            let data = match self.format.pixel {
                PixelFormat::H264 => Bytes::copy_from_slice(&filled.data),
                _ => filled.data,
            };
            return Ok(Frame {
                format: self.format,
                data,
                captured: MediaTime::from_nanos(filled.captured_nanos),
                sequence: filled.sequence,
            });
        }
    }
}

impl V4l2Source {
    /// What an error in mid-stream means. An unplugged camera shows in several ways, so the device is asked.
    fn lost(&self, source: io::Error) -> CaptureError {
        let device = self.name.clone();
        if is_absent(&source) || sys::video_device_info(&self.device).is_err_and(|error| is_absent(&error)) {
            CaptureError::Gone { device }
        } else {
            CaptureError::Io { device, operation: "read a frame", source }
        }
    }
}

impl Drop for V4l2Source {
    fn drop(&mut self) {
        if self.queue.broken() > 0 {
            tracing::info!(device = %self.name, broken = self.queue.broken(), "camera stopped; broken frames were dropped");
        }
    }
}

/// VIDIOC_S_FMT, and what the driver made of it.
fn set_format(device: &Device, name: &str, choice: &Choice) -> Result<FrameFormat, CaptureError> {
    let mut last = None;
    for fourcc in fourccs(choice.pixel) {
        match device.set_format(&Format::new(choice.width, choice.height, FourCC::new(fourcc))) {
            Ok(set) if devices::pixel_format_of(set.fourcc) == Some(choice.pixel) => {
                return Ok(frame_format(&set, choice.pixel));
            }
            // Drivers answer with another format instead of refusing.
            Ok(set) => last = Some(unsupported(name, format!("asked for {:?} it gives {}", choice.pixel, set.fourcc))),
            Err(error) => last = Some(opening(name, "set the format", error)),
        }
    }
    Err(last.unwrap_or_else(|| unsupported(name, format!("{:?} cannot be set", choice.pixel))))
}

/// V4L2's names for a format, the usual one first.
fn fourccs(pixel: PixelFormat) -> &'static [&'static [u8; 4]] {
    match pixel {
        PixelFormat::Yuyv => &[b"YUYV"],
        PixelFormat::Uyvy => &[b"UYVY"],
        PixelFormat::Nv12 => &[b"NV12"],
        PixelFormat::I420 => &[b"YU12"],
        PixelFormat::Mjpeg => &[b"MJPG", b"JPEG"],
        PixelFormat::H264 => &[b"H264"],
    }
}

fn frame_format(set: &Format, pixel: PixelFormat) -> FrameFormat {
    let compressed = matches!(pixel, PixelFormat::Mjpeg | PixelFormat::H264);
    let tight = match pixel {
        PixelFormat::Yuyv | PixelFormat::Uyvy => set.width.saturating_mul(2),
        _ => set.width,
    };
    FrameFormat {
        pixel,
        width: set.width,
        height: set.height,
        stride: if compressed { 0 } else { set.stride.max(tight) },
        full_range: match set.quantization {
            Quantization::FullRange => true,
            Quantization::LimitedRange => false,
            // V4L2's rule for "default", and JFIF's.
            Quantization::Default => matches!(set.colorspace, Colorspace::JPEG) || pixel == PixelFormat::Mjpeg,
        },
    }
}

/// What a whole frame takes; a compressed one can be as short as it likes.
fn least_bytes(format: &FrameFormat) -> usize {
    let (stride, height) = (u64::from(format.stride), u64::from(format.height));
    let bytes = match format.pixel {
        PixelFormat::Yuyv | PixelFormat::Uyvy => stride * height,
        PixelFormat::Nv12 | PixelFormat::I420 => stride * height + stride * (height / 2),
        PixelFormat::Mjpeg | PixelFormat::H264 => 1,
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// VIDIOC_S_PARM, and what the driver made of it. Drivers without a choice of rates refuse, and run at their own.
fn set_interval(device: &Device, interval: Interval) -> Duration {
    let fraction = Fraction::new(interval.numerator, interval.denominator);
    match device.set_params(&Parameters::new(fraction)) {
        Ok(set) if set.interval.numerator > 0 && set.interval.denominator > 0 => {
            Interval { numerator: set.interval.numerator, denominator: set.interval.denominator }.duration()
        }
        _ => interval.duration(),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ENOENT))
}

pub(super) fn opening(device: &str, operation: &'static str, source: io::Error) -> CaptureError {
    let device = device.to_owned();
    match source.raw_os_error() {
        _ if is_absent(&source) => CaptureError::NotFound { device },
        Some(libc::EBUSY) => CaptureError::Busy { device },
        Some(libc::EACCES | libc::EPERM) if operation == OPEN => CaptureError::Denied { device },
        Some(libc::ENOTTY) => unsupported(&device, "not a V4L2 device".to_owned()),
        _ => CaptureError::Io { device, operation, source },
    }
}

fn unsupported(device: &str, reason: String) -> CaptureError {
    CaptureError::Unsupported { device: device.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(device: &str) -> Video {
        Video { device: device.to_owned(), ..Video::default() }
    }

    #[test]
    fn opening_what_is_no_camera_says_why() {
        let refused = |device| open(&video(device), &|| {}).map(|_| ()).expect_err("no camera");
        assert!(matches!(refused("/dev/video-not-there"), CaptureError::NotFound { .. }));
        assert_eq!(refused("/dev/null").to_string(), "/dev/null: not a V4L2 device");
        assert!(matches!(refused("usb-nothing"), CaptureError::NotFound { .. }));
    }

    #[test]
    fn an_error_keeps_its_meaning() {
        let of = |errno| opening("/dev/video0", OPEN, io::Error::from_raw_os_error(errno));
        assert!(matches!(of(libc::EBUSY), CaptureError::Busy { .. }));
        assert!(matches!(of(libc::ENODEV), CaptureError::NotFound { .. }));
        assert!(matches!(of(libc::EACCES), CaptureError::Denied { .. }));
        assert!(matches!(of(libc::EPERM), CaptureError::Denied { .. }));
        assert!(matches!(of(libc::EIO), CaptureError::Io { operation: "open", .. }));
        let refused = opening("/dev/video0", "set the format", io::Error::from_raw_os_error(libc::EPERM));
        assert!(matches!(refused, CaptureError::Io { .. }), "{refused}");
    }

    #[test]
    fn a_drivers_stride_counts_in_what_a_whole_frame_takes() {
        let mut set = Format::new(638, 480, FourCC::new(b"YU12"));
        set.stride = 640;
        let format = frame_format(&set, PixelFormat::I420);
        assert_eq!((format.stride, least_bytes(&format)), (640, 640 * 720));
        set.stride = 0;
        assert_eq!(frame_format(&set, PixelFormat::Yuyv).stride, 1276);
        let jpeg = frame_format(&set, PixelFormat::Mjpeg);
        assert_eq!((jpeg.stride, jpeg.full_range), (0, true));
    }
}
