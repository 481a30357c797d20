//! The config section `speaker` of a camera.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// Where viewers are heard who talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speaker {
    /// `none`: viewers cannot talk. `alsa`: the card that `device` names. `file`: a `.wav`, for tests.
    pub sink: SinkKind,
    /// For `alsa`: `auto` (the first playback device), or a PCM name as `camera-node devices` shows it.
    pub device: String,
    /// For `file`: a `.wav`, written anew when somebody begins to talk and nobody there has before. A file that was not written
    /// here is left alone.
    pub file: PathBuf,
    /// For `alsa`: milliseconds that the card holds. Less is heard sooner; too little crackles.
    pub buffer_ms: Bounded<20, 200>,
    /// Viewers that are heard at a time.
    pub max_talkers: Bounded<1, 16>,
    /// What keeps viewers from hearing themselves: `none`, `duck` (the microphone is turned down while one talks), or
    /// `cancel` (what the microphone hears of the speaker is taken out, and both can talk at once).
    pub echo: Echo,
    /// For `duck`: decibels by which the microphone is turned down.
    pub duck_db: Bounded<6, 60>,
}

impl Default for Speaker {
    fn default() -> Self {
        Self {
            sink: SinkKind::None,
            device: AUTO.to_owned(),
            file: PathBuf::new(),
            buffer_ms: const { Bounded::new(30) },
            max_talkers: const { Bounded::new(4) },
            echo: Echo::Duck,
            duck_db: const { Bounded::new(24) },
        }
    }
}

/// The device name that stands for "the first there is".
pub const AUTO: &str = "auto";

/// Kinds of speakers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// No speaker.
    #[default]
    None,
    /// An ALSA playback device.
    Alsa,
    /// A file.
    File,
}

/// What is done against echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Echo {
    /// Nothing: the speaker is out of the microphone's hearing, or the card does it.
    None,
    /// The microphone is turned down while somebody talks.
    #[default]
    Duck,
    /// What the microphone hears of the speaker is taken out.
    Cancel,
}
