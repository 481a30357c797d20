//! Seam: where pictures and sound come from.
//!
//! A source is opened by its config, read in a blocking loop on a thread of its own, and closed by dropping it. Whatever
//! goes wrong comes back as a [`CaptureError`]; the owner drops the source and opens it again after a back-off.

mod adjust;
mod alsa;
mod canvas;
mod card;
mod chosen;
pub mod config;
pub mod devices;
mod file;
mod lookout;
mod modes;
#[cfg(test)]
mod on_device;
mod open;
mod pacing;
mod sample_clock;
mod test_pattern;
mod text;
mod tone;
mod v4l2;

use std::time::Duration;

pub use adjust::{controls, set_control, sizes};
pub use canvas::Area;
pub use card::Card;
pub use chosen::Chosen;
pub use open::{
    is_card_there, is_there, locate_camera, open_audio, open_video, open_video_by_steps, resolve_audio, resolve_video,
};
pub use test_pattern::{FLASH, flash_area};
pub use tone::{BEEP_HZ, HUM_HZ};

use crate::media::{Frame, FrameFormat, Pcm};
/// Why a source cannot be opened or read.
pub use crate::sys::DeviceError as CaptureError;

/// A camera, or what stands in for one.
pub trait VideoSource: Send {
    /// The format of every frame to come, and the interval asked of the device.
    fn format(&self) -> (FrameFormat, Duration);

    /// Blocks until the next good frame, at most `timeout`. Frames that the driver flags as broken are skipped.
    ///
    /// # Errors
    /// [`CaptureError::Stalled`] after `timeout`; anything else ends this source.
    fn next(&mut self, timeout: Duration) -> Result<Frame, CaptureError>;
}

/// A microphone, or what stands in for one. Always 48 kHz mono in periods of 20 ms.
pub trait AudioSource: Send {
    /// Blocks until the next period, at most `timeout`. Overruns are recovered inside; the time stamps then jump.
    ///
    /// # Errors
    /// [`CaptureError::Stalled`] after `timeout`; anything else ends this source.
    fn next(&mut self, timeout: Duration) -> Result<Pcm, CaptureError>;
}
