//! What the viewer says: a file or a tone, encoded as a browser would.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::capture::config::{Audio, AudioSourceKind};
use crate::capture::{self, AudioSource};
use crate::encode::{self, config::Opus};
use crate::fanout::Fanout;
use crate::media::EncodedAudio;

/// What is older than this is not worth saying.
const LAG: Duration = Duration::from_millis(400);
const ITEMS: usize = 20;
/// A file and a tone give a period every 20 ms.
const PATIENCE: Duration = Duration::from_secs(1);
/// The loss that FEC is made for: enough that there is some.
const EXPECTED_LOSS: f32 = 0.1;

/// `tone`, or a file's path.
#[derive(Debug, Clone)]
pub struct Said(Audio);

impl FromStr for Said {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(match text {
            "tone" => Audio { source: AudioSourceKind::Tone, ..Audio::default() },
            file => Audio { source: AudioSourceKind::File, file: PathBuf::from(file), ..Audio::default() },
        }))
    }
}

/// Somebody who says it, again and again. Dropped, nobody does.
pub struct Talk {
    sound: Arc<Fanout<EncodedAudio>>,
    over: Arc<AtomicBool>,
}

impl Talk {
    /// Begins.
    ///
    /// # Errors
    /// The file is not there, or none that can be read.
    pub fn start(said: &Said) -> anyhow::Result<Self> {
        let Some(mut source) = capture::open_audio(&said.0)? else { anyhow::bail!("there is nothing to say") };
        let mut encoder = encode::open_audio(&Opus::default())?;
        encoder.set_loss(EXPECTED_LOSS)?;
        let sound = Arc::new(Fanout::new(ITEMS, LAG));
        let over = Arc::new(AtomicBool::new(false));
        let (said, ends) = (Arc::clone(&sound), Arc::clone(&over));
        std::thread::Builder::new().name("talk".to_owned()).spawn(move || {
            if let Err(error) = say(&mut *source, &mut *encoder, &said, &ends) {
                tracing::warn!(%error, "nothing more is said");
            }
        })?;
        Ok(Self { sound, over })
    }

    /// Where it is heard.
    pub fn sound(&self) -> &Arc<Fanout<EncodedAudio>> {
        &self.sound
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn say(
    source: &mut dyn AudioSource,
    encoder: &mut dyn encode::AudioEncoder,
    sound: &Fanout<EncodedAudio>,
    over: &AtomicBool,
) -> anyhow::Result<()> {
    while !over.load(Ordering::Relaxed) {
        sound.publish(encoder.encode(&source.next(PATIENCE)?)?);
    }
    Ok(())
}
