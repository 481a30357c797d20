//! Seam: where pictures and sound come from.
//!
//! A source is opened by its config, read in a blocking loop on a thread of its own, and closed by dropping it. Whatever
//! goes wrong comes back as a [`CaptureError`]; the owner drops the source and opens it again after a back-off.

mod adjust;
mod alsa;
mod canvas;
mod card;
pub mod config;
pub mod devices;
mod file;
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
pub use open::{
    is_card_there, is_there, locate_camera, open_audio, open_video, open_video_by_steps, resolve_audio, resolve_video,
};
pub use test_pattern::{FLASH, flash_area};
pub use tone::{BEEP_HZ, HUM_HZ};

use crate::media::{Frame, FrameFormat, Pcm};

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

/// Why a source cannot be opened or read. `device` is what a person would recognise: `/dev/video0`, `plughw:CARD=Mic`.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No such device, now; it may be plugged in later.
    #[error("{device}: not there")]
    NotFound {
        /// The device asked for.
        device: String,
    },
    /// It was there and went away in mid-stream.
    #[error("{device}: gone")]
    Gone {
        /// The device that went.
        device: String,
    },
    /// Another program holds it.
    #[error("{device}: in use by another program")]
    Busy {
        /// The device asked for.
        device: String,
    },
    /// It is there and not ours to open; one just plugged in is given to its group a moment later (udev).
    #[error("{device}: no right to open it")]
    Denied {
        /// The device asked for.
        device: String,
    },
    /// It is there and gives nothing that can be used; waiting does not help.
    #[error("{device}: {reason}")]
    Unsupported {
        /// The device asked for.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// It gave nothing for this long.
    #[error("{device}: no data for {waited:?}")]
    Stalled {
        /// The silent device.
        device: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The driver or the file system said so.
    #[error("{device}: {operation}: {source}")]
    Io {
        /// The device or file.
        device: String,
        /// What was being done.
        operation: &'static str,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
}
