//! One picture as the camera gave it.

use bytes::Bytes;

use super::MediaTime;

/// How a frame's bytes are to be read. Names follow V4L2's four-character codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// Packed 4:2:2, U Y0 V Y1.
    Uyvy,
    /// 4:2:0, a luma plane, then interleaved U V.
    Nv12,
    /// 4:2:0 in three planes, Y, U, V (V4L2's `YU12`).
    I420,
    /// One JPEG image a frame.
    Mjpeg,
    /// One H.264 access unit a frame, Annex B.
    H264,
}

/// Shape and meaning of a frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFormat {
    /// How the bytes are to be read.
    pub pixel: PixelFormat,
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bytes from one line of the first plane to the next; 0 for compressed formats. I420's chroma lines are half of it.
    pub stride: u32,
    /// Luma 0–255 (JPEG) instead of 16–235 (video).
    pub full_range: bool,
}

/// One picture, shared: cloning copies a handle.
///
/// `data` may be a driver's own buffer ([`Bytes::from_owner`]); it goes back to the driver when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Shape and meaning of `data`.
    pub format: FrameFormat,
    /// The bytes, already cut to what the driver said it used.
    pub data: Bytes,
    /// When the sensor delivered it.
    pub captured: MediaTime,
    /// The driver's counter; a gap is a frame lost before us.
    pub sequence: u32,
}
