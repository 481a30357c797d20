//! Takes out of the microphone's sound what it hears of the speaker: WebRTC's AEC3, in Rust.

use aec3::api::config::EchoCanceller3Config;
use aec3::api::control::EchoControl;
use aec3::audio_processing::aec3::echo_canceller3::EchoCanceller3;
use aec3::audio_processing::audio_buffer::AudioBuffer;

use super::reference::{Reader, Reference};
use super::ticks::{self, Ticks, millis};
use crate::media::{MediaTime, SAMPLE_RATE_HZ};

/// What it works on at a time: 10 ms.
const BLOCK: usize = millis(10) as usize;
/// What is played is shown to it by this much earlier than it is heard: an echo that seems to come before its sound cannot
/// be found, and cards err by some milliseconds.
const LEAD: Ticks = millis(10);
/// Nothing was played for this long: a room has gone silent.
const ROOM: Ticks = millis(1_000);

/// The canceller of one microphone.
pub(super) struct Canceller {
    reader: Reader,
    aec: EchoCanceller3,
    render: AudioBuffer,
    capture: AudioBuffer,
    /// For how long nothing has been played.
    silent_for: Ticks,
}

impl Canceller {
    pub(super) fn new(reference: Reference) -> Self {
        let rate = SAMPLE_RATE_HZ as usize;
        let buffer = || AudioBuffer::from_sample_rates(rate, 1, rate, 1, rate);
        Self {
            reader: Reader::new(reference),
            aec: EchoCanceller3::new(EchoCanceller3Config::default(), SAMPLE_RATE_HZ.cast_signed(), 1, 1),
            render: buffer(),
            capture: buffer(),
            silent_for: ROOM,
        }
    }

    /// Cleans what was captured from `captured` on; whether anything is played, so that there is something to do.
    pub(super) fn clean(&mut self, samples: &mut [i16], captured: MediaTime) -> bool {
        let mut at = ticks::at(captured) + LEAD;
        let mut did = false;
        for block in samples.chunks_exact_mut(BLOCK) {
            let mut played = [0; BLOCK];
            let is_played = self.reader.read(at, &mut played) && played.iter().any(|sample| *sample != 0);
            at += BLOCK as Ticks;
            self.silent_for = if is_played { 0 } else { (self.silent_for + BLOCK as Ticks).min(ROOM) };
            if self.silent_for < ROOM {
                self.clean_block(&played, block);
                did = true;
            }
        }
        did
    }

    fn clean_block(&mut self, played: &[i16; BLOCK], heard: &mut [i16]) {
        // The crate counts as the wire does: full scale is 32768.
        let fill = |buffer: &mut AudioBuffer, samples: &[i16]| {
            buffer.channel_mut(0).iter_mut().zip(samples).for_each(|(to, from)| *to = f32::from(*from));
        };
        fill(&mut self.render, played);
        fill(&mut self.capture, heard);
        self.render.split_into_frequency_bands();
        self.aec.analyze_render(&mut self.render);
        self.aec.analyze_capture(&mut self.capture);
        self.capture.split_into_frequency_bands();
        self.aec.process_capture(&mut self.capture, false);
        self.capture.merge_frequency_bands();
        heard.iter_mut().zip(self.capture.channel(0)).for_each(|(to, from)| *to = *from as i16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::hearing::{SECOND, change_db, reduction_db, speech, worst_db};

    /// What a microphone hears of it: 60 ms later, with the echoes of a room of a tenth of a second.
    fn in_a_room(sound: &[f32]) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(9);
        let mut taps = vec![(2_880, 0.5)];
        taps.extend((1..120).map(|tap| {
            let fades = (-(tap as f32) / 22.0).exp();
            (2_880 + tap * 40, (random.f32() * 2.0 - 1.0) * 0.2 * fades)
        }));
        let at =
            |n: usize| taps.iter().filter(|(delay, _)| n >= *delay).map(|(delay, gain)| sound[n - delay] * gain).sum();
        (0..sound.len()).map(at).collect()
    }

    /// Two sound cards, each with a crystal of its own.
    struct Cards {
        /// By how many parts of a million the speaker's is fast.
        ppm: f64,
        /// The drivers' times are late by up to this many nanoseconds.
        tremble_ns: u64,
    }

    impl Cards {
        /// What was heard of the speaker, in the microphone's samples.
        fn recorded(&self, heard: &[f32]) -> Vec<f32> {
            let at = |n: usize| {
                let position = n as f64 * (1.0 + self.ppm * 1e-6);
                let (before, part) = (position as usize, position.fract() as f32);
                heard.get(before..before + 2).map_or(0.0, |pair| pair[0] * (1.0 - part) + pair[1] * part)
            };
            (0..heard.len()).map(at).collect()
        }

        /// What is left of `heard` while `played` is played.
        fn cleaned(&self, played: &[f32], heard: &[f32]) -> Vec<f32> {
            let reference = Reference::default();
            let mut canceller = Canceller::new(reference.clone());
            let mut random = fastrand::Rng::with_seed(5);
            let mut moment = |ticks: f64| {
                let nanos = 1_000_000_000 + (ticks * 1e6 / 48.0) as u64 + random.u64(0..=self.tremble_ns);
                MediaTime::from_nanos(nanos)
            };
            let whole = |samples: &[f32]| samples.iter().map(|sample| *sample as i16).collect::<Vec<i16>>();
            let mut periods = played.chunks_exact(480).zip(0_u32..).peekable();
            let mut out = Vec::new();
            // The speaker writes 40 ms before it is heard; the microphone is read 20 ms after.
            for n in (0..heard.len() + 2_880).step_by(480) {
                let due = |period: u32| f64::from(period) * 480.0 / (1.0 + self.ppm * 1e-6);
                while let Some((period, number)) = periods.next_if(|(_, number)| due(*number) <= n as f64) {
                    reference.played(&whole(period), moment(due(number)));
                }
                if n >= 2_880 && n % 960 == 0 {
                    let from = n - 2_880;
                    let mut period = whole(&heard[from..(from + 960).min(heard.len())]);
                    canceller.clean(&mut period, moment(from as f64));
                    out.extend(period.iter().map(|sample| f32::from(*sample)));
                }
            }
            out
        }
    }

    #[test]
    fn an_echo_is_taken_out_and_who_speaks_at_the_camera_meanwhile_is_kept() {
        const LEN: usize = 12 * SECOND;
        let far = speech(1, 12);
        let echo = in_a_room(&far);
        let mut random = fastrand::Rng::with_seed(77);
        let noise: Vec<f32> = (0..LEN).map(|_| (random.f32() - 0.5) * 40.0).collect();
        // Somebody speaks at the camera in the last third.
        let begins = LEN * 2 / 3;
        let near: Vec<f32> =
            speech(2, 12).iter().enumerate().map(|(n, s)| if n < begins { 0.0 } else { s * 0.7 }).collect();
        let heard: Vec<f32> = (0..LEN).map(|n| echo[n] + near[n] + noise[n]).collect();
        let left = Cards { ppm: 0.0, tremble_ns: 0 }.cleaned(&far, &heard);
        assert_eq!(left.len(), LEN);

        let alone = 3 * SECOND..begins;
        let erle = reduction_db(&heard[alone.clone()], &left[alone]);
        assert!(erle >= 15.0, "echo return loss enhancement of {erle} dB");

        let gain = change_db(&near, &left, begins + SECOND..LEN);
        assert!(gain.abs() <= 3.0, "the voice is changed by {gain} dB");
        let worst = worst_db(&near, &left, begins + SECOND..LEN);
        assert!(worst >= -10.0, "a quarter of a second of the voice is changed by {worst} dB");
    }

    #[test]
    fn an_echo_is_taken_out_where_speaker_and_microphone_have_clocks_of_their_own() {
        // At this rate the reference is read anew, 5 ms from where it was, after 17 s. Crystals differ by a third of it at most.
        const SECONDS: usize = 20;
        let far = speech(1, SECONDS);
        let in_room = in_a_room(&far);
        for ppm in [-300.0, 300.0] {
            let cards = Cards { ppm, tremble_ns: 500_000 };
            let echo = cards.recorded(&in_room);
            let left = cards.cleaned(&far, &echo);
            for half in [3 * SECOND..10 * SECOND, 10 * SECOND..(SECONDS - 1) * SECOND] {
                let erle = reduction_db(&echo[half.clone()], &left[half]);
                assert!(erle >= 15.0, "{ppm} ppm: echo return loss enhancement of {erle} dB");
            }
        }
    }

    #[test]
    fn while_nothing_is_played_the_microphone_is_left_alone() {
        let mut canceller = Canceller::new(Reference::default());
        let mut samples = [1_234; 960];
        assert!(!canceller.clean(&mut samples, MediaTime::from_nanos(5_000_000_000)));
        assert_eq!(samples, [1_234; 960]);
    }
}
