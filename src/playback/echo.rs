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

#[cfg(all(test, feature = "echo-canceller"))]
mod tests {
    use super::*;
    use crate::media::SAMPLES_PER_PERIOD;
    use crate::playback::hearing::{SECOND, reduction_db, speech};

    /// From being played to being in the microphone, in samples: 40 ms.
    const WAY: usize = 1_920;

    fn of(sink: SinkKind, echo: Echo) -> Speaker {
        Speaker { sink, echo, ..Speaker::default() }
    }

    /// By how many decibels the echo of a talker is quieter in what is sent than in what the microphone heard, once whoever
    /// learns has learned.
    fn taken_out_db(speaker: &Speaker, audible: bool) -> f32 {
        const SECONDS: usize = 6;
        let echoes = Echoes::default();
        let mut guard = EchoGuard::new(speaker, &echoes);
        let played: Vec<i16> = speech(1, SECONDS).iter().map(|sample| *sample as i16).collect();
        let moment = |sample: usize| MediaTime::from_nanos(1_000_000_000 + sample as u64 * 1_000_000 / 48);
        let (mut heard, mut sent) = (Vec::new(), Vec::new());
        for (from, both) in (0..).step_by(SAMPLES_PER_PERIOD).zip(played.chunks_exact(SAMPLES_PER_PERIOD)) {
            for (half, period) in both.chunks_exact(SPEAKER_PERIOD).enumerate() {
                let period = period.try_into().expect("half of it");
                echoes.played(period, moment(from + half * SPEAKER_PERIOD), audible);
            }
            let echo = |n: usize| n.checked_sub(WAY).map_or(0, |n| played[n] / 2);
            let samples: Arc<[i16]> = (from..from + SAMPLES_PER_PERIOD).map(echo).collect();
            heard.extend(samples.iter().map(|sample| f32::from(*sample)));
            let passed = guard.pass(Pcm { samples, captured: moment(from) });
            assert_eq!(passed.captured, moment(from));
            sent.extend(passed.samples.iter().map(|sample| f32::from(*sample)));
        }
        let learned = (SECONDS - 2) * SECOND..;
        reduction_db(&heard[learned.clone()], &sent[learned])
    }

    #[test]
    fn what_the_config_says_is_done_against_echo_and_nothing_else() {
        for (speaker, what) in [
            (of(SinkKind::File, Echo::None), "the card does it"),
            (of(SinkKind::None, Echo::Duck), "nobody is heard"),
            (of(SinkKind::None, Echo::Cancel), "nobody is heard"),
        ] {
            assert_eq!(taken_out_db(&speaker, true), 0.0, "{what}");
        }
        let ducked = taken_out_db(&of(SinkKind::File, Echo::Duck), true);
        assert!((23.0..25.0).contains(&ducked), "{ducked} dB");
        assert_eq!(taken_out_db(&of(SinkKind::File, Echo::Duck), false), 0.0, "nobody talks");
        // Who is too quiet to be worth ducking for makes an echo all the same.
        for audible in [true, false] {
            let cancelled = taken_out_db(&of(SinkKind::File, Echo::Cancel), audible);
            assert!(cancelled >= 15.0, "{cancelled} dB");
        }
    }
}
