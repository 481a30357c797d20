//! A driver's buffer in our address space.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags};
use v4l::device::Handle;

use super::video_device::borrow;

/// A read-only shared mapping of one buffer of a V4L2 device.
///
/// The kernel keeps the pages until the last mapping is gone, whatever happens to the descriptor or to the device: a
/// mapping may outlive both.
pub(super) struct Mapping {
    start: NonNull<c_void>,
    len: usize,
}

// SAFETY: the mapping is read-only memory without thread affinity; nothing in it refers to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared reads of it do not interfere.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes at the `offset` that VIDIOC_QUERYBUF gave.
    pub(super) fn new(handle: &Handle, len: usize, offset: u64) -> io::Result<Self> {
        // SAFETY: the kernel chooses a free address range, so no existing memory is touched.
        let start = unsafe {
            rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, borrow(handle), offset)?
        };
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("the kernel mapped the buffer at address 0"))?;
        Ok(Self { start, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first `used` bytes.
    ///
    /// # Safety
    /// The driver must not own the buffer while the slice lives: it is dequeued, or the stream is off.
    pub(super) unsafe fn filled(&self, used: usize) -> &[u8] {
        // SAFETY: the range was mapped readable with this length and stays so until drop; the caller vouches that the
        // driver does not write to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), used.min(self.len)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped, and no slice of it can outlive `self`. A failure would leave the
        // pages mapped, which is a leak and nothing worse.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.len) };
    }
}
