//! What is plugged in: cameras and sound cards, as `enumerateDevices` would tell a page, with more detail.

mod cameras;
mod sound_cards;

use serde::Serialize;

pub use cameras::{Camera, CameraControl, CameraFormat, CameraSize, Rate, cameras};
pub use sound_cards::{SoundDevice, sound_devices};

pub(super) use cameras::{find, first, modes, pixel_format_of};

/// Everything that pictures and sound can come from or go to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// V4L2 capture devices.
    pub cameras: Vec<Camera>,
    /// ALSA capture and playback devices.
    pub sound: Vec<SoundDevice>,
}

/// Looks at what is plugged in now. What cannot be opened or asked is left out.
pub fn devices() -> Devices {
    Devices { cameras: cameras(), sound: sound_devices() }
}

/// The words of the W3C's `MediaDeviceInfo.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A camera.
    VideoInput,
    /// A microphone.
    AudioInput,
    /// A speaker.
    AudioOutput,
}
