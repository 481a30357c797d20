//! Opening a V4L2 device node.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use v4l::Device;
use v4l::device::Handle;

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
pub(super) unsafe fn ioctl<T>(
    handle: &Handle,
    request: v4l::v4l2::vidioc::_IOC_TYPE,
    argument: &mut T,
) -> io::Result<()> {
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
}
