//! Talkback: what viewers say, from their packets to the camera's speaker.
//!
//! ```text
//!  peer ─SpokenPacket─▶ talkers ─▶ talker: jitter ─▶ Opus ─▶ resample ─▶ mix ─▶ sink (ALSA, file)
//!                      (inboxes)             └── lag ──▶ drift ──┘
//! ```
//!
//! The network leaves packets with [`Talkers`] and never waits; all else happens on the speaker's thread, which asks the
//! [`Mixer`] for 10 ms at a time, as the [`Sink`] has room for them. `jitter`, `transit`, `drift`, `resample` and `mix` are
//! pure: time is an argument.

mod alsa;
#[cfg(feature = "echo-canceller")]
mod canceller;
pub mod config;
mod drift;
mod duck;
mod echo;
mod file;
#[cfg(all(test, feature = "echo-canceller"))]
pub(crate) mod hearing;
mod jitter;
mod mix;
mod mixer;
#[cfg(test)]
mod on_device;
#[cfg(feature = "echo-canceller")]
mod reference;
mod resample;
mod talker;
mod talkers;
#[cfg(test)]
mod tests;
mod ticks;
mod toc;
mod transit;

use std::path::Path;
use std::time::Duration;

use self::config::{SinkKind, Speaker};
use crate::media::MediaTime;
use crate::sys;
/// Why a speaker cannot be opened or does not play.
pub use crate::sys::DeviceError as PlaybackError;

pub use echo::{EchoGuard, Echoes};
pub use jitter::Counts as TalkCounts;
pub use mixer::{Mixer, SPEAKER_PERIOD};
pub use talkers::{Talkers, Voice};

/// A speaker, or what stands in for one. 48 kHz mono in periods of 10 ms.
pub trait Sink: Send {
    /// Blocks until there is room for a period, at most `timeout`; when its first sample will be heard.
    ///
    /// # Errors
    /// [`PlaybackError::Stalled`] after `timeout`; anything else ends this sink.
    fn room(&mut self, timeout: Duration) -> Result<MediaTime, PlaybackError>;

    /// Plays a period. An underrun is recovered inside.
    ///
    /// # Errors
    /// Each ends this sink.
    fn play(&mut self, period: &[i16; SPEAKER_PERIOD]) -> Result<(), PlaybackError>;

    /// From being written to being heard, when all runs as it should.
    fn latency(&self) -> Duration;
}

/// Opens the speaker that `speaker` names, `None` for none.
///
/// # Errors
/// Why it cannot be opened; [`PlaybackError::NotFound`], [`PlaybackError::Busy`], [`PlaybackError::Denied`] and
/// [`PlaybackError::Io`] may pass.
pub fn open(speaker: &Speaker) -> Result<Option<Box<dyn Sink>>, PlaybackError> {
    match speaker.sink {
        SinkKind::None => Ok(None),
        SinkKind::Alsa => Ok(Some(Box::new(alsa::open(&speaker.device, speaker.buffer_ms.value())?))),
        SinkKind::File => Ok(Some(Box::new(file::open(&speaker.file)?))),
    }
}

/// Whether the speaker that `speaker` names is plugged in now, as far as its name tells; of a file, whether there is a folder for it.
pub fn is_there(speaker: &Speaker) -> bool {
    match speaker.sink {
        SinkKind::None => true,
        SinkKind::Alsa => sys::is_sound_card_there(&speaker.device),
        SinkKind::File => speaker.file.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()),
    }
}

/// Whether the file that stands in for a speaker could be begun; leaves everything as it is.
///
/// # Errors
/// As [`open`].
pub fn try_file(path: &Path) -> Result<(), PlaybackError> {
    file::try_out(path)
}
