//! The methods there are, what each needs, and how its params are read.

use serde::Deserialize;
use serde_json::Value;

use super::error::{ControlError, ErrorCode};
use crate::access::Scope;
use crate::media::CameraName;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `describe`
    Describe,
    /// `camera.controls`
    Controls,
    /// `camera.setControl`
    SetControl,
    /// `camera.settings`
    Settings,
    /// `camera.setSettings`
    SetSettings,
    /// `camera.keyFrame`
    KeyFrame,
    /// `camera.mute`
    Mute,
    /// `camera.privacy`
    Privacy,
    /// `node.restart`
    Restart,
}

/// A request that has been read: what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Tell what there is.
    Describe,
    /// List the camera's own controls, those with ids above `after`.
    Controls {
        /// Of which camera.
        camera: CameraName,
        /// 0 for the first page.
        after: u32,
    },
    /// Set one of them.
    SetControl {
        /// Of which camera.
        camera: CameraName,
        /// V4L2's number for it.
        id: u32,
        /// None for a button.
        value: Option<i64>,
    },
    /// Tell size, rate and bit rate.
    Settings {
        /// Of which camera.
        camera: CameraName,
    },
    /// Change some of them.
    SetSettings {
        /// Of which camera.
        camera: CameraName,
        /// Which, and to what.
        change: SettingsChange,
    },
    /// Make a key frame.
    KeyFrame {
        /// Of which camera.
        camera: CameraName,
    },
    /// Let the microphone be heard or not.
    Mute {
        /// Of which camera.
        camera: CameraName,
        /// Not.
        muted: bool,
    },
    /// Close the shutter, or lift it.
    Privacy {
        /// Of which camera.
        camera: CameraName,
        /// Close it.
        private: bool,
    },
    /// End the process so that it is started anew.
    Restart,
}

/// What is to change of a camera's settings; what is absent stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChange {
    /// Pixels a line.
    pub width: Option<u32>,
    /// Lines.
    pub height: Option<u32>,
    /// Frames a second.
    pub fps: Option<u32>,
    /// The most that the picture may take, in kbit/s.
    pub bitrate_kbps: Option<u32>,
}

impl Method {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Describe,
        Self::Controls,
        Self::SetControl,
        Self::Settings,
        Self::SetSettings,
        Self::KeyFrame,
        Self::Mute,
        Self::Privacy,
        Self::Restart,
    ];

    /// Its name in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Controls => "camera.controls",
            Self::SetControl => "camera.setControl",
            Self::Settings => "camera.settings",
            Self::SetSettings => "camera.setSettings",
            Self::KeyFrame => "camera.keyFrame",
            Self::Mute => "camera.mute",
            Self::Privacy => "camera.privacy",
            Self::Restart => "node.restart",
        }
    }

    /// What the viewer must be allowed. Asked for each request, as a new token may allow less than the one before.
    /// None needs less than the channel does: who may only see asks for a key frame by RTCP.
    pub const fn scope(self) -> Scope {
        Scope::Control
    }

    /// The method of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// What a request with these params asks for.
    ///
    /// # Errors
    /// They are not this method's.
    pub fn command(self, params: Value) -> Result<Command, ControlError> {
        Ok(match self {
            Self::Describe => Command::Describe,
            Self::Restart => Command::Restart,
            Self::Controls => {
                let Page { camera, after } = self.read(params)?;
                Command::Controls { camera, after }
            }
            Self::SetControl => {
                let ControlValue { camera, id, value } = self.read(params)?;
                Command::SetControl { camera, id, value: value.map(i64::from) }
            }
            Self::Settings => Command::Settings { camera: self.read::<OfCamera>(params)?.camera },
            Self::SetSettings => {
                let OfCamera { camera } = self.read(params.clone())?;
                let change: SettingsChange = self.read(params)?;
                if change == SettingsChange::default() {
                    return Err(self.bad("none of width, height, fps and bitrateKbps is given"));
                }
                Command::SetSettings { camera, change }
            }
            Self::KeyFrame => Command::KeyFrame { camera: self.read::<OfCamera>(params)?.camera },
            Self::Mute => {
                let Muted { camera, muted } = self.read(params)?;
                Command::Mute { camera, muted }
            }
            Self::Privacy => {
                let Private { camera, on } = self.read(params)?;
                Command::Privacy { camera, private: on }
            }
        })
    }

    fn read<T: for<'de> Deserialize<'de>>(self, params: Value) -> Result<T, ControlError> {
        serde_json::from_value(params).map_err(|error| self.bad(&error.to_string()))
    }

    fn bad(self, why: &str) -> ControlError {
        ControlError::new(ErrorCode::BadMessage, format!("the params of {} cannot be used: {why}", self.name()))
    }
}

#[derive(Deserialize)]
struct OfCamera {
    camera: CameraName,
}

#[derive(Deserialize)]
struct Page {
    camera: CameraName,
    #[serde(default)]
    after: u32,
}

#[derive(Deserialize)]
struct ControlValue {
    camera: CameraName,
    id: u32,
    value: Option<Number>,
}

/// Booleans are 0 and 1 to V4L2, and a page may send what its checkbox has.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Truth(bool),
}

impl From<Number> for i64 {
    fn from(number: Number) -> Self {
        match number {
            Number::Whole(number) => number,
            Number::Truth(truth) => Self::from(truth),
        }
    }
}

#[derive(Deserialize)]
struct Muted {
    camera: CameraName,
    muted: bool,
}

#[derive(Deserialize)]
struct Private {
    camera: CameraName,
    on: bool,
}
