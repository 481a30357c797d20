//! A talker's packets on their way to the speaker: in which order, when, and what stands in for those that are missing.
//! Pure.
//!
//! Where the talker is in its stream is a position in RTP time. It is *due* to be where the fastest packet would be that has
//! waited for the time [`Transit`] asks for; how far it lags behind that, the resampler makes up for.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ticks::{self, Ticks, millis};
use super::toc;
use super::transit::Transit;
use crate::media::SpokenPacket;

/// Packets kept at the most; more than the longest wait holds in packets of 10 ms.
const MAX_WAITING: usize = 32;
/// The largest packet that is kept: Opus recommends room for 1275 bytes.
const MAX_BYTES: usize = 1_500;
/// Sequence numbers this far from the last are another stream's.
const MAX_STEP: i64 = 1_000;
/// A packet this far from its time is of a stream whose clock has jumped.
const MAX_JUMP: Ticks = millis(1_500);
/// All packets are late by more than can be waited for, for this long: the way has changed, and the fastest of before is no
/// measure any more.
const NEW_WAY_AFTER: Ticks = millis(400);
/// As much as is concealed at once while it is not known what is missing; then what came meanwhile is looked at.
const SHORT: Ticks = millis(10);
/// Opus conceals in steps of 2.5 ms.
const OPUS_STEP: Ticks = 120;
/// As much as Opus conceals at once.
const FRAME: Ticks = millis(20);
/// Nothing has come for this long: the talker has paused.
const PAUSE_AFTER: Ticks = millis(200);
/// Lagging by more than this beyond what is due is made up for at once, and not by the resampler, which takes minutes.
const MAX_LAG: Ticks = millis(120);

/// What to play next, and for how many samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Play {
    /// This packet, which came in at this moment.
    Packet { payload: Bytes, arrived: Ticks },
    /// What this packet, the one after the lost one, knows of that (FEC), for so many samples.
    Repair { payload: Bytes, samples: Ticks },
    /// What Opus makes up, for so many samples.
    Conceal { samples: Ticks },
    /// Nothing, for so many samples.
    Silence { samples: Ticks },
}

/// What became of talkers' packets. Counts only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Played.
    pub played: u64,
    /// Came after their turn, or twice, or could not be kept.
    pub discarded: u64,
    /// Lost packets that the next one has repaired.
    pub repaired: u64,
    /// Stretches of sound that were made up.
    pub concealed: u64,
    /// Times that the stream was begun anew.
    pub restarts: u64,
}

impl Counts {
    /// These and `others`.
    #[must_use]
    pub(super) fn plus(self, others: Self) -> Self {
        Self {
            played: self.played + others.played,
            discarded: self.discarded + others.discarded,
            repaired: self.repaired + others.repaired,
            concealed: self.concealed + others.concealed,
            restarts: self.restarts + others.restarts,
        }
    }

    /// Each by its name.
    pub fn by_name(self) -> [(&'static str, u64); 5] {
        let Self { played, discarded, repaired, concealed, restarts } = self;
        [
            ("played", played),
            ("discarded", discarded),
            ("repaired", repaired),
            ("concealed", concealed),
            ("restarted", restarts),
        ]
    }
}

/// One talker's packets.
#[derive(Debug, Default)]
pub(super) struct Jitter {
    stream: Option<Stream>,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    /// The newest packet's, counted on where the wire's wrap around.
    newest: (i64, Ticks),
    waiting: BTreeMap<i64, Waiting>,
    /// The number of the packet that was played last.
    played: Option<i64>,
    /// The RTP time that is played next; `None` while the talker pauses.
    position: Option<Ticks>,
    /// How long nothing has been there to be played.
    dry: Ticks,
    transit: Transit,
    /// Since when all packets have been hopelessly late.
    late_since: Option<Ticks>,
}

#[derive(Debug)]
struct Waiting {
    at: Ticks,
    samples: Ticks,
    payload: Bytes,
    arrived: Ticks,
}

impl Jitter {
    /// A packet has come in.
    pub(super) fn insert(&mut self, packet: SpokenPacket) {
        let fits = packet.payload.len() <= MAX_BYTES;
        let Some(samples) = toc::samples(&packet.payload).filter(|_| fits) else {
            self.counts.discarded += 1;
            return;
        };
        let arrived = ticks::at(packet.arrived);
        let goes_on = self.stream.as_ref().is_some_and(|stream| stream.is_continued_by(&packet, arrived));
        if !goes_on {
            self.counts.restarts += u64::from(self.stream.is_some());
            self.stream = Some(Stream::new(&packet, arrived));
        }
        let stream = self.stream.as_mut().expect("begun above, if it was not there");
        if !stream.insert(packet, samples, arrived) {
            self.counts.discarded += 1;
        }
    }

    /// What to play from `now` on. What it says counts as played.
    pub(super) fn next(&mut self, now: Ticks) -> Play {
        match &mut self.stream {
            Some(stream) => stream.next(now, &mut self.counts),
            None => Play::Silence { samples: SHORT },
        }
    }

    /// How far the talker lags at `now` behind where it is due to be, negative if it is ahead; `None` while it pauses.
    pub(super) fn lag(&self, now: Ticks) -> Option<Ticks> {
        let stream = self.stream.as_ref()?;
        Some(stream.due(now) - stream.position?)
    }

    /// How long packets wait for their turn now.
    #[cfg(test)]
    pub(super) fn wait(&self) -> Ticks {
        self.stream.as_ref().map_or(0, |stream| stream.transit.wait())
    }

    /// How many packets wait.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.waiting.len())
    }
}

impl Stream {
    fn new(first: &SpokenPacket, arrived: Ticks) -> Self {
        let at = Ticks::from(first.rtp_time);
        Self {
            ssrc: first.ssrc,
            newest: (i64::from(first.sequence), at),
            waiting: BTreeMap::new(),
            played: None,
            position: None,
            dry: 0,
            transit: Transit::new(arrived - at),
            late_since: None,
        }
    }

    /// Its number and time, counted on from the newest's.
    fn unwrapped(&self, packet: &SpokenPacket) -> (i64, Ticks) {
        let (sequence, at) = self.newest;
        // The wire's numbers are the lowest bits of ours.
        let ahead = packet.sequence.wrapping_sub(sequence as u16) as i16;
        let later = packet.rtp_time.wrapping_sub(at as u32) as i32;
        (sequence + i64::from(ahead), at + Ticks::from(later))
    }

    fn is_continued_by(&self, packet: &SpokenPacket, arrived: Ticks) -> bool {
        let (sequence, at) = self.unwrapped(packet);
        let step = sequence - self.newest.0;
        let jump = (arrived - at) - self.transit.base();
        packet.ssrc == self.ssrc && step.abs() <= MAX_STEP && jump.abs() <= MAX_JUMP
    }

    /// Whether it can be played.
    fn insert(&mut self, packet: SpokenPacket, samples: Ticks, arrived: Ticks) -> bool {
        let (sequence, at) = self.unwrapped(&packet);
        self.newest = self.newest.max((sequence, at));
        self.observe(arrived - at, arrived);
        let has_passed = self.position.is_some_and(|position| at + samples <= position)
            || self.played.is_some_and(|played| sequence <= played);
        if has_passed || self.waiting.contains_key(&sequence) {
            return false;
        }
        self.waiting.insert(sequence, Waiting { at, samples, payload: packet.payload, arrived });
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            return false;
        }
        true
    }

    fn observe(&mut self, transit: Ticks, arrived: Ticks) {
        let pauses = self.position.is_none() && self.played.is_some();
        if pauses && transit - self.transit.base() > MAX_LAG {
            // Some senders' RTP clocks stand still while nothing is said.
            self.transit = Transit::new(transit);
        }
        self.transit.observe(transit);
        if transit - self.transit.base() <= MAX_LAG * 2 {
            self.late_since = None;
            return;
        }
        if arrived - *self.late_since.get_or_insert(arrived) >= NEW_WAY_AFTER {
            self.transit = Transit::new(transit);
            self.late_since = None;
        }
    }

    /// The RTP time that is due at `now`.
    fn due(&self, now: Ticks) -> Ticks {
        now - self.transit.base() - self.transit.wait()
    }

    fn next(&mut self, now: Ticks, counts: &mut Counts) -> Play {
        let due = self.due(now);
        if self.position.is_some_and(|position| due - position > MAX_LAG) {
            self.position = None;
        }
        let position = match self.position {
            Some(position) => position,
            None => match self.begin(due, counts) {
                Ok(position) => position,
                Err(samples) => return Play::Silence { samples },
            },
        };
        self.forget_until(position, counts);
        let Some((&sequence, first)) = self.waiting.first_key_value() else {
            return self.run_dry(position, due, counts);
        };
        self.dry = 0;
        let gap = first.at - position;
        let lost = self.played.is_some_and(|played| sequence != played + 1);
        if gap >= OPUS_STEP {
            return self.bridge(position, gap, lost, counts);
        }
        let Some((sequence, packet)) = self.waiting.pop_first() else { return Play::Silence { samples: SHORT } };
        self.position = Some(packet.at + packet.samples);
        self.played = Some(sequence);
        self.transit.turn(false);
        counts.played += 1;
        Play::Packet { payload: packet.payload, arrived: packet.arrived }
    }

    /// The position to begin with after a pause, or how long to wait for it.
    fn begin(&mut self, due: Ticks, counts: &mut Counts) -> Result<Ticks, Ticks> {
        self.forget_until(due, counts);
        let first = self.waiting.first_key_value().map(|(_, first)| first.at).ok_or(SHORT)?;
        if first > due {
            return Err((first - due).min(SHORT));
        }
        self.position = Some(first);
        self.dry = 0;
        Ok(first)
    }

    /// Drops what has passed.
    fn forget_until(&mut self, position: Ticks, counts: &mut Counts) {
        while let Some(first) = self.waiting.first_entry().filter(|first| {
            let Waiting { at, samples, .. } = first.get();
            at + samples <= position
        }) {
            self.played = Some(*first.key());
            first.remove();
            counts.discarded += 1;
        }
    }

    /// Nothing is there: what comes next is late, lost, or never said.
    fn run_dry(&mut self, position: Ticks, due: Ticks, counts: &mut Counts) -> Play {
        self.dry += SHORT;
        if self.dry > PAUSE_AFTER {
            self.position = None;
            return Play::Silence { samples: SHORT };
        }
        // Where packets are to wait longer than they do, the gap is the time to begin with that.
        if due >= position {
            self.position = Some(position + SHORT);
        }
        counts.concealed += 1;
        Play::Conceal { samples: SHORT }
    }

    /// A packet is there, but not the one before it: that was lost, or nothing was said.
    fn bridge(&mut self, position: Ticks, gap: Ticks, lost: bool, counts: &mut Counts) -> Play {
        let (_, first) = self.waiting.first_key_value().expect("the gap is before it");
        if lost && gap.abs_diff(first.samples) < OPUS_STEP as u64 && gap % OPUS_STEP == 0 {
            let payload = first.payload.clone();
            self.transit.turn(true);
            self.position = Some(first.at);
            counts.repaired += 1;
            return Play::Repair { payload, samples: gap };
        }
        // As much as leaves whole what the packet after it may repair.
        let left = if lost && gap > first.samples { gap - first.samples } else { gap };
        let samples = (left.min(FRAME) / OPUS_STEP * OPUS_STEP).max(OPUS_STEP);
        if lost {
            counts.concealed += 1;
            self.transit.turn(true);
        }
        self.position = Some(position + samples);
        Play::Conceal { samples }
    }
}
