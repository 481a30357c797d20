//! Opening a V4L2 device node.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use v4l::Device;
use v4l::device::Handle;
use v4l::v4l_sys::{V4L2_CAP_DEVICE_CAPS, V4L2_CAP_STREAMING, V4L2_CAP_VIDEO_CAPTURE, v4l2_capability};
use v4l::v4l2::vidioc;

/// Opens a device node for reading and control, without blocking, closed in child processes.
///
/// # Errors
/// The system's answer; a path with a NUL byte is [`io::ErrorKind::InvalidInput`].
pub fn open_video_device(path: &Path) -> io::Result<Device> {
    // The crate panics on such a path.
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path holds a NUL byte"));
    }
    let device = Device::with_path(path)?;
    // The crate opens without O_CLOEXEC; a child that inherits the camera would keep it busy after we closed it.
    rustix::io::fcntl_setfd(borrow(&device.handle()), rustix::io::FdFlags::CLOEXEC)?;
    Ok(device)
}

/// What VIDIOC_QUERYCAP says of a device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoDeviceInfo {
    /// The driver's name: `uvcvideo`, `vivid`.
    pub driver: String,
    /// The device's name, for people.
    pub card: String,
    /// Where it is plugged in: `usb-0000:00:14.0-1`, `platform:vivid-000`.
    pub bus: String,
    /// It delivers pictures in single-planar, memory-mapped buffers.
    pub captures: bool,
}

/// Asks a device what it is. The crate's own query panics on names that are not UTF-8, which a long name cut at 31 bytes
/// need not be.
///
/// # Errors
/// `ENOTTY` when it is no V4L2 device, `ENODEV` when it is gone.
pub fn video_device_info(device: &Device) -> io::Result<VideoDeviceInfo> {
    // SAFETY: a plain C struct for which all zeros is valid.
    let mut answer: v4l2_capability = unsafe { std::mem::zeroed() };
    // SAFETY: VIDIOC_QUERYCAP takes a v4l2_capability, which holds no pointer.
    unsafe { ioctl(&device.handle(), vidioc::VIDIOC_QUERYCAP, &mut answer)? };
    // The node's own abilities, where the driver tells them apart from the whole device's.
    let own = answer.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
    let capabilities = if own { answer.device_caps } else { answer.capabilities };
    let needed = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    Ok(VideoDeviceInfo {
        driver: text(&answer.driver),
        card: text(&answer.card),
        bus: text(&answer.bus_info),
        captures: capabilities & needed == needed,
    })
}

/// A driver's fixed-size name as text.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The handle's descriptor, for as long as the handle is held.
pub(super) fn borrow(handle: &Handle) -> BorrowedFd<'_> {
    // SAFETY: `Handle` closes its descriptor only when dropped, and the result borrows it until then.
    unsafe { BorrowedFd::borrow_raw(handle.fd()) }
}

/// One ioctl, asked again when a signal cut it short.
///
/// # Safety
/// `T` must be the type that `request` was defined with, and any pointer inside `argument` must be valid for what the
/// request does with it.
pub(super) unsafe fn ioctl<T>(handle: &Handle, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: the pointer is to a live `T`, which the caller vouches is what the request reads and writes.
        match unsafe { v4l::v4l2::ioctl(handle.fd(), request, std::ptr::from_mut(argument).cast()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_nul_byte_is_an_error_and_not_a_panic() {
        let refused = open_video_device(Path::new("/dev/vid\0eo0")).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::InvalidInput));
    }

    #[test]
    fn what_is_no_v4l2_device_says_so() {
        let device = open_video_device(Path::new("/dev/null")).expect("every system has it");
        assert_eq!(video_device_info(&device).map_err(|error| error.raw_os_error()), Err(Some(libc::ENOTTY)));
    }

    #[test]
    fn a_name_that_was_cut_inside_a_character_is_still_a_name() {
        assert_eq!(text("Caméra".as_bytes().split_at(4).0), "Cam\u{fffd}");
        assert_eq!(text(b"vivid\0\0"), "vivid");
    }
}
