//! Streaming from a V4L2 capture device (single-planar, memory-mapped) without a copy.
//!
//! The queue lends its buffers out as [`Bytes`]. Dropping the last clone gives a buffer back to the driver; a buffer that
//! is still held when the queue closes, or when the camera is unplugged, stays readable until it is dropped.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags};
use v4l::device::Handle;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::clock::monotonic_nanos;
use super::mapping::Mapping;
use super::video_device::{borrow, ioctl};

/// A running capture stream. Its device must not be used for a second one.
pub struct CaptureQueue {
    shared: Arc<Shared>,
    mappings: Vec<Arc<Mapping>>,
    broken: u32,
}

/// A buffer that the driver filled.
#[derive(Debug)]
pub struct FilledBuffer {
    /// What the driver wrote, cut to what it said it used.
    pub data: Bytes,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`: the driver's own stamp, or the time of fetching where the driver does
    /// not stamp with this clock.
    pub captured_nanos: u64,
    /// The driver's counter.
    pub sequence: u32,
}

struct Shared {
    handle: Arc<Handle>,
    state: Mutex<State>,
    given_back: Condvar,
}

struct State {
    /// Buffers may be queued. Off from the moment the queue starts to close.
    streaming: bool,
    /// Buffers that the driver owns.
    queued: u32,
}

impl CaptureQueue {
    /// Asks the driver for `buffers` buffers (it may round), queues them all and starts the stream. The format must have
    /// been set before.
    ///
    /// # Errors
    /// What the driver answered; `EBUSY` when another program is streaming.
    pub fn start(device: &v4l::Device, buffers: u32) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            handle: device.handle(),
            state: Mutex::new(State { streaming: true, queued: 0 }),
            given_back: Condvar::new(),
        });
        // From here on dropping `queue` undoes what was done.
        let mut queue = Self { shared, mappings: Vec::new(), broken: 0 };
        let granted = request_buffers(&queue.shared.handle, buffers)?;
        if granted < 2 {
            return Err(io::Error::other(format!("the driver grants {granted} buffers, two are the least")));
        }
        for index in 0..granted {
            queue.mappings.push(Arc::new(map_buffer(&queue.shared.handle, index)?));
            queue_buffer(&queue.shared.handle, index)?;
            queue.shared.lock().queued += 1;
        }
        set_streaming(&queue.shared.handle, true)?;
        Ok(queue)
    }

    /// The next good buffer, or `None` after `timeout`. Buffers that the driver flags as broken, or leaves empty, are
    /// counted and given back.
    ///
    /// While all buffers are lent out it waits for one to come back; what the camera delivers meanwhile is lost, which
    /// shows as a gap in `sequence`.
    ///
    /// # Errors
    /// What the driver answered: `ENODEV` after an unplug. The stream cannot go on after any error.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<FilledBuffer>> {
        let timeout_nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let deadline = monotonic_nanos().saturating_add(timeout_nanos);
        loop {
            if let Some(buffer) = self.dequeue()? {
                if let Some(filled) = self.lend(&buffer) {
                    return Ok(Some(filled));
                }
                continue;
            }
            let left = Duration::from_nanos(deadline.saturating_sub(monotonic_nanos()));
            if left.is_zero() || !self.wait(left)? {
                return Ok(None);
            }
        }
    }

    /// Buffers so far that the driver flagged as broken or left empty.
    pub fn broken(&self) -> u32 {
        self.broken
    }

    /// VIDIOC_DQBUF; `None` when nothing is ready.
    fn dequeue(&mut self) -> io::Result<Option<sys::v4l2_buffer>> {
        let mut buffer = empty_buffer(0);
        // Outside of the lock: a driver that hangs here must not hold up a consumer that drops its frame. The
        // descriptor is non-blocking.
        // SAFETY: VIDIOC_DQBUF takes a v4l2_buffer; for memory-mapped single-planar buffers it holds no pointer.
        match unsafe { ioctl(&self.shared.handle, vidioc::VIDIOC_DQBUF, &mut buffer) } {
            Ok(()) => {
                let mut state = self.shared.lock();
                state.queued = state.queued.saturating_sub(1);
                drop(state);
                Ok(Some(buffer))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the driver to fill a buffer, or for a lent one to come back. `false` after `left`.
    fn wait(&self, left: Duration) -> io::Result<bool> {
        let state = self.shared.lock();
        if state.queued == 0 {
            let (state, _) = self
                .shared
                .given_back
                .wait_timeout_while(state, left, |state| state.queued == 0)
                .unwrap_or_else(PoisonError::into_inner);
            return Ok(state.queued > 0);
        }
        drop(state);
        let limit = rustix::event::Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut polled = [PollFd::from_borrowed_fd(borrow(&self.shared.handle), PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&limit)) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let events = polled[0].revents();
        // An unregistered device hangs up; a queue whose driver gave up reports an error. Neither ends by waiting.
        if events.intersects(PollFlags::HUP | PollFlags::NVAL) {
            Err(io::Error::from_raw_os_error(libc::ENODEV))
        } else if events.contains(PollFlags::IN) {
            Ok(true)
        } else {
            Err(io::Error::from_raw_os_error(libc::EIO))
        }
    }

    /// Lends a dequeued buffer out; `None` when it is broken, and then the driver has it again.
    fn lend(&mut self, buffer: &sys::v4l2_buffer) -> Option<FilledBuffer> {
        let mapping = self.mappings.get(usize::try_from(buffer.index).ok()?)?;
        let used = whole(buffer, mapping.len());
        let lent = Lent {
            mapping: Arc::clone(mapping),
            used: used.unwrap_or(0),
            index: buffer.index,
            queue: Arc::downgrade(&self.shared),
        };
        if used.is_none() {
            self.broken = self.broken.saturating_add(1);
            return None;
        }
        Some(FilledBuffer {
            data: Bytes::from_owner(lent),
            captured_nanos: captured_nanos(buffer, monotonic_nanos()),
            sequence: buffer.sequence,
        })
    }
}

/// How many bytes of the buffer's `mapped` ones are a frame; `None` if the driver says that it is broken, or empty.
fn whole(buffer: &sys::v4l2_buffer, mapped: usize) -> Option<usize> {
    let is_broken = buffer.flags & sys::V4L2_BUF_FLAG_ERROR != 0 || buffer.bytesused == 0;
    // A driver that reports more than it mapped is cut to the mapping.
    (!is_broken).then(|| usize::try_from(buffer.bytesused).unwrap_or(usize::MAX).min(mapped))
}

impl Drop for CaptureQueue {
    fn drop(&mut self) {
        self.shared.lock().streaming = false;
        // An unplugged device refuses all three, which changes nothing: the kernel frees its side with the last handle
        // and the last mapping.
        let _ = set_streaming(&self.shared.handle, false);
        self.mappings.clear();
        // Frees the queue for the next program though a consumer may still hold a buffer, whose mapping keeps the file
        // open (Linux 5.0 and later orphan such buffers).
        let _ = request_buffers(&self.shared.handle, 0);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is two plain values that are never left half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, index: u32) {
        let mut state = self.lock();
        if state.streaming && queue_buffer(&self.handle, index).is_ok() {
            state.queued += 1;
            self.given_back.notify_one();
        }
        // A refusal means that the device is gone or the stream has failed; `next` learns it from the driver.
    }
}

/// A buffer in the hands of a consumer.
struct Lent {
    mapping: Arc<Mapping>,
    used: usize,
    index: u32,
    queue: Weak<Shared>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a `Lent` exists only between VIDIOC_DQBUF and its own drop, which alone queues the buffer again; in
        // between the driver does not write to it, nor does it after the stream is off.
        unsafe { self.mapping.filled(self.used) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.give_back(self.index);
        }
    }
}

/// The driver's stamp where it can be believed, else `now`.
fn captured_nanos(buffer: &sys::v4l2_buffer, now: u64) -> u64 {
    // 32 or 64 bit, as the platform's `timeval` has it.
    fn wide(part: impl Into<i64>) -> u64 {
        u64::try_from(part.into()).unwrap_or(0)
    }
    let stamp = wide(buffer.timestamp.tv_sec)
        .saturating_mul(1_000_000_000)
        .saturating_add(wide(buffer.timestamp.tv_usec).saturating_mul(1_000));
    let monotonic = buffer.flags & sys::V4L2_BUF_FLAG_TIMESTAMP_MASK == sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    // Some drivers stamp their first buffers with zero.
    if monotonic && stamp != 0 && stamp <= now { stamp } else { now }
}

const BUFFER_TYPE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MEMORY: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

fn empty_buffer(index: u32) -> sys::v4l2_buffer {
    // SAFETY: a plain C struct for which all zeros is valid.
    let mut buffer: sys::v4l2_buffer = unsafe { std::mem::zeroed() };
    buffer.index = index;
    buffer.type_ = BUFFER_TYPE;
    buffer.memory = MEMORY;
    buffer
}

/// VIDIOC_REQBUFS; says how many the driver gave.
fn request_buffers(handle: &Handle, count: u32) -> io::Result<u32> {
    // SAFETY: a plain C struct for which all zeros is valid.
    let mut request: sys::v4l2_requestbuffers = unsafe { std::mem::zeroed() };
    request.count = count;
    request.type_ = BUFFER_TYPE;
    request.memory = MEMORY;
    // SAFETY: VIDIOC_REQBUFS takes a v4l2_requestbuffers, which holds no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_REQBUFS, &mut request)? };
    Ok(request.count)
}

fn map_buffer(handle: &Handle, index: u32) -> io::Result<Mapping> {
    let mut buffer = empty_buffer(index);
    // SAFETY: VIDIOC_QUERYBUF takes a v4l2_buffer; for single-planar types it follows no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_QUERYBUF, &mut buffer)? };
    // SAFETY: for memory-mapped buffers the driver has just filled in this member of the union.
    let offset = unsafe { buffer.m.offset };
    let len = usize::try_from(buffer.length).map_err(io::Error::other)?;
    Mapping::new(handle, len, u64::from(offset))
}

fn queue_buffer(handle: &Handle, index: u32) -> io::Result<()> {
    let mut buffer = empty_buffer(index);
    // SAFETY: VIDIOC_QBUF takes a v4l2_buffer; for memory-mapped single-planar buffers it follows no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_QBUF, &mut buffer) }
}

fn set_streaming(handle: &Handle, on: bool) -> io::Result<()> {
    let request = if on { vidioc::VIDIOC_STREAMON } else { vidioc::VIDIOC_STREAMOFF };
    // The buffer type, as an int.
    let mut kind = BUFFER_TYPE;
    // SAFETY: both requests read one int, of the size of u32.
    unsafe { ioctl(handle, request, &mut kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(flags: u32, seconds: u32, micros: u32) -> sys::v4l2_buffer {
        let mut buffer = empty_buffer(0);
        buffer.flags = flags;
        buffer.timestamp.tv_sec = seconds.into();
        buffer.timestamp.tv_usec = micros.into();
        buffer
    }

    #[test]
    fn only_a_monotonic_stamp_of_the_past_is_believed() {
        let now = 10_000_000_000;
        let at = |flags, seconds| captured_nanos(&stamped(flags, seconds, 500), now);
        assert_eq!(at(sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, 9), 9_000_500_000);
        assert_eq!(at(sys::V4L2_BUF_FLAG_TIMESTAMP_COPY, 9), now);
        assert_eq!(at(sys::V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 9), now);
        assert_eq!(at(sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, 11), now);
        assert_eq!(captured_nanos(&stamped(sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, 0, 0), now), now);
    }

    #[test]
    fn a_frame_is_cut_to_what_was_written_and_a_broken_one_is_none() {
        let of = |flags, bytesused| {
            let mut buffer = empty_buffer(0);
            (buffer.flags, buffer.bytesused) = (flags, bytesused);
            whole(&buffer, 4_096)
        };
        assert_eq!(of(0, 100), Some(100));
        assert_eq!(of(0, 4_096), Some(4_096));
        assert_eq!(of(0, u32::MAX), Some(4_096), "no more than is mapped");
        assert_eq!(of(0, 0), None, "an empty one");
        assert_eq!(of(sys::V4L2_BUF_FLAG_ERROR, 100), None, "one that the driver calls damaged");
    }
}
