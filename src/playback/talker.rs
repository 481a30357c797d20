//! One talker, from its packets to samples at the card's speed: jitter buffer, Opus, and the correction of its clock.

use std::time::Duration;

use ::opus::{Channels, Decoder};

use super::PlaybackError;
use super::drift::Drift;
use super::jitter::{Counts, Jitter, Play};
use super::resample::{Resampler, Weights};
use super::ticks::{self, Ticks, millis};
use crate::media::{SAMPLE_RATE_HZ, SpokenPacket};

/// The longest packet that Opus allows.
const LONGEST: usize = millis(120) as usize;
/// Less than this (-54 dB) is a pause between words.
const QUIET: f32 = 0.002;
/// A lag beyond this is made up for in pauses between words, where nobody hears it.
const LAG_WORTH_A_CUT: Ticks = millis(15);
/// Said nothing for this long, a talker is forgotten.
const GONE_AFTER: Ticks = millis(3_000);

/// One talker.
pub(super) struct Talker {
    jitter: Jitter,
    decoder: Decoder,
    drift: Drift,
    resampler: Resampler,
    decoded: Vec<f32>,
    /// At the card's speed, to be played next.
    ready: Vec<f32>,
    silent_for: Ticks,
    last_seen: Option<Ticks>,
}

impl Talker {
    /// Somebody begins to talk.
    ///
    /// # Errors
    /// libopus has no memory to give.
    pub(super) fn new() -> Result<Self, PlaybackError> {
        let decoder = Decoder::new(SAMPLE_RATE_HZ, Channels::Mono);
        let decoder = decoder.map_err(|error| {
            let (device, source) = ("opus".to_owned(), std::io::Error::other(error.to_string()));
            PlaybackError::Io { device, operation: "begin to decode", source }
        })?;
        Ok(Self {
            jitter: Jitter::default(),
            decoder,
            drift: Drift::default(),
            resampler: Resampler::default(),
            decoded: Vec::with_capacity(LONGEST),
            ready: Vec::with_capacity(2 * LONGEST),
            silent_for: 0,
            last_seen: None,
        })
    }

    /// A packet has come in.
    pub(super) fn insert(&mut self, packet: SpokenPacket) {
        self.jitter.insert(packet);
    }

    /// Whether there is nobody any more.
    pub(super) fn is_gone(&self) -> bool {
        self.silent_for >= GONE_AFTER
    }

    /// How far it lags at `now`, with which the next period begins; `None` while it pauses.
    #[cfg(test)]
    pub(super) fn lag(&self, now: Ticks) -> Option<Ticks> {
        self.jitter.lag(now + self.ready.len() as Ticks)
    }

    /// What became of its packets.
    pub(super) fn counts(&self) -> Counts {
        self.jitter.counts
    }

    /// Its packets.
    #[cfg(test)]
    pub(super) fn jitter(&self) -> &Jitter {
        &self.jitter
    }

    /// Adds what is said from `now` on to `mixed`; tells `took` how long each packet that begins in it has waited.
    pub(super) fn add_to(&mut self, mixed: &mut [f32], now: Ticks, weights: &Weights, took: &mut impl FnMut(Duration)) {
        while self.ready.len() < mixed.len() {
            let at = now + self.ready.len() as Ticks;
            let lag = self.jitter.lag(at);
            let since = self.last_seen.replace(at).map_or(0, |last| (at - last).max(0));
            self.drift.observe(lag, since);
            let is_cut = self.decode_next(at, took) && lag.is_some_and(|lag| lag > LAG_WORTH_A_CUT) && self.is_quiet();
            if !is_cut {
                self.resampler.push(&self.decoded, self.drift.speed(), weights, &mut self.ready);
            }
        }
        let wanted = mixed.len();
        for (sum, sample) in mixed.iter_mut().zip(self.ready.drain(..wanted)) {
            *sum += sample;
        }
    }

    /// Decodes the next stretch; whether it is a packet's.
    fn decode_next(&mut self, at: Ticks, took: &mut impl FnMut(Duration)) -> bool {
        let (payload, samples, fec, is_packet) = match self.jitter.next(at) {
            Play::Packet { payload, arrived } => {
                took(ticks::duration(at - arrived));
                (payload, LONGEST, false, true)
            }
            Play::Repair { payload, samples } => (payload, samples as usize, true, false),
            Play::Conceal { samples } => (bytes::Bytes::new(), samples as usize, false, false),
            Play::Silence { samples } => {
                self.silent_for += samples;
                self.decoded.clear();
                self.decoded.resize(samples.max(1) as usize, 0.0);
                return false;
            }
        };
        self.silent_for = 0;
        self.decoded.clear();
        self.decoded.resize(samples.min(LONGEST), 0.0);
        match self.decoder.decode_float(&payload, &mut self.decoded, fec) {
            Ok(count) => self.decoded.truncate(count.max(1)),
            // What it cannot read is silence of the same length, as far as that is known.
            Err(error) => {
                tracing::trace!(%error, "a packet of a talker could not be decoded");
                self.decoded.truncate(samples.min(millis(20) as usize));
                self.decoded.fill(0.0);
            }
        }
        is_packet
    }

    fn is_quiet(&self) -> bool {
        self.decoded.iter().all(|sample| sample.abs() < QUIET)
    }
}
