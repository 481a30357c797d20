//! What can be wrong with a camera, a microphone or a speaker, or with the file that stands in for one.

use std::time::Duration;

/// Why a device cannot be opened or used. `device` is what a person would recognise: `/dev/video0`, `plughw:CARD=Mic`.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
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
    /// It is there and cannot do what is needed; waiting does not help.
    #[error("{device}: {reason}")]
    Unsupported {
        /// The device asked for.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// It gave nothing, or took nothing, for this long.
    #[error("{device}: stands still for {waited:?}")]
    Stalled {
        /// The device.
        device: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The driver, the file system or a codec said so.
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
