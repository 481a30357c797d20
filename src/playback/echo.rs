//! What is done so that viewers who talk do not hear themselves.

use std::sync::Arc;

use super::SPEAKER_PERIOD;
#[cfg(feature = "echo-canceller")]
use super::canceller::Canceller;
use super::config::{Echo, SinkKind, Speaker};
use super::duck::{Ducker, Heard};
#[cfg(feature = "echo-canceller")]
use super::reference::Reference;
use crate::media::{MediaTime, Pcm};

/// What the speaker's thread tells the microphone's. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Echoes {
    heard: Heard,
    #[cfg(feature = "echo-canceller")]
    reference: Reference,
}

impl Echoes {
    /// This period is heard from `heard_at` on; `audible` is whether somebody talks in it.
    pub fn played(&self, period: &[i16; SPEAKER_PERIOD], heard_at: MediaTime, audible: bool) {
        #[cfg(feature = "echo-canceller")]
        self.reference.played(period, heard_at);
        #[cfg(not(feature = "echo-canceller"))]
        let _ = period;
        if audible {
            self.heard.note(heard_at.plus(super::ticks::duration(SPEAKER_PERIOD as i64)));
        }
    }
}

/// Stands between a microphone and its encoder.
pub struct EchoGuard(Way);

enum Way {
    Leave,
    Duck(Ducker),
    #[cfg(feature = "echo-canceller")]
    Cancel(Box<Canceller>),
}

impl EchoGuard {
    /// As `speaker` says.
    pub fn new(speaker: &Speaker, echoes: &Echoes) -> Self {
        Self(match speaker.echo {
            _ if speaker.sink == SinkKind::None => Way::Leave,
            Echo::None => Way::Leave,
            #[cfg(feature = "echo-canceller")]
            Echo::Cancel => Way::Cancel(Box::new(Canceller::new(echoes.reference.clone()))),
            _ => Way::Duck(Ducker::new(echoes.heard.clone(), speaker.duck_db.value())),
        })
    }

    /// What is sent of a period that was captured.
    pub fn pass(&mut self, pcm: Pcm) -> Pcm {
        if matches!(self.0, Way::Leave) {
            return pcm;
        }
        let mut samples = pcm.samples.to_vec();
        let changed = match &mut self.0 {
            Way::Leave => false,
            Way::Duck(ducker) => ducker.apply(&mut samples, pcm.captured),
            #[cfg(feature = "echo-canceller")]
            Way::Cancel(canceller) => canceller.clean(&mut samples, pcm.captured),
        };
        if changed { Pcm { samples: Arc::from(samples), ..pcm } } else { pcm }
    }
}
