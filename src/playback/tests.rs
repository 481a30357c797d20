//! Talkers over simulated networks, in virtual time.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use ::opus::{Application, Channels, Encoder};
use bytes::Bytes;

use super::drift::Drift;
use super::jitter::{Jitter, Play};
use super::ticks::{Ticks, millis};
use super::transit::{MAX_WAIT, MIN_WAIT};
use super::{Mixer, SPEAKER_PERIOD, Talkers};
use crate::media::{MediaTime, SpokenPacket};

const FRAME: Ticks = millis(20);
/// When the talker's first packet leaves, on the node's clock.
const START: Ticks = millis(1_000_000);
const HZ: f64 = 1_000.0;

/// What a network does to a talker's packets.
struct Network {
    random: fastrand::Rng,
    /// Packets of a hundred that are late, by up to so much.
    late: (u32, Ticks),
    /// The share of packets lost, and how many at a time on average.
    loss: (f64, f64),
    in_burst: bool,
}

impl Network {
    fn clean(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), late: (0, 0), loss: (0.0, 1.0), in_burst: false }
    }

    /// How long the next packet takes, or that it is lost (Gilbert's model).
    fn carry(&mut self) -> Option<Ticks> {
        let (share, length) = self.loss;
        let stays = 1.0 - 1.0 / length;
        let begins = share * (1.0 - stays) / (1.0 - share);
        self.in_burst = self.random.f64() < if self.in_burst { stays } else { begins };
        let jitter = Ticks::from(self.random.u32(0..96));
        let late = if self.random.u32(0..100) < self.late.0 { self.random.i64(0..=self.late.1) } else { 0 };
        (!self.in_burst).then_some(millis(30) + jitter + late)
    }
}

/// A talker whose clock runs off by `ppm`, seen from the node: when each packet arrives.
struct Sender<F> {
    ppm: f64,
    network: Network,
    payload: F,
    sent: Ticks,
    under_way: Vec<(Ticks, SpokenPacket)>,
}

impl<F: FnMut(Ticks) -> Bytes> Sender<F> {
    fn new(ppm: f64, network: Network, payload: F) -> Self {
        Self { ppm, network, payload, sent: 0, under_way: Vec::new() }
    }

    /// All that has come in by `now`.
    fn arrived(&mut self, now: Ticks) -> Vec<SpokenPacket> {
        loop {
            // A fast clock's packets come sooner. A packet leaves when its last sample was said.
            let leaves = START + ((self.sent + 1) as f64 * FRAME as f64 / (1.0 + self.ppm * 1e-6)) as Ticks;
            if leaves > now {
                break;
            }
            let payload = (self.payload)(self.sent);
            if let Some(takes) = self.network.carry() {
                let at = leaves + takes;
                let packet = SpokenPacket {
                    ssrc: 7,
                    // Both wrap soon.
                    sequence: 65_000_u16.wrapping_add(self.sent as u16),
                    rtp_time: (u32::MAX - 100_000).wrapping_add((self.sent * FRAME) as u32),
                    payload,
                    arrived: moment(at),
                };
                self.under_way.push((at, packet));
            }
            self.sent += 1;
        }
        let (mut come, on_the_way): (Vec<_>, _) =
            std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = on_the_way;
        come.sort_by_key(|(at, _)| *at);
        come.into_iter().map(|(_, packet)| packet).collect()
    }
}

fn moment(ticks: Ticks) -> MediaTime {
    // Rounded up, so that it comes back as the same number of samples.
    MediaTime::from_nanos((ticks as u64 * 1_000_000).div_ceil(48))
}

/// What was seen each 10 ms: how far behind its due the talker was, what was due to wait, and what waited.
struct Seen {
    lag: Ticks,
    wait: Ticks,
    held: usize,
}

/// Plays a talker for `seconds` without decoding it.
fn play(seconds: Ticks, ppm: f64, network: Network) -> (Jitter, Vec<Seen>) {
    let opus_of_20_ms = Bytes::from_static(&[15 << 3]);
    let mut sender = Sender::new(ppm, network, |_| opus_of_20_ms.clone());
    let (mut jitter, mut drift, mut seen) = (Jitter::default(), Drift::default(), Vec::new());
    let mut ready = 0.0;
    for n in 0..seconds * 100 {
        let now = START + n * millis(10);
        sender.arrived(now).into_iter().for_each(|packet| jitter.insert(packet));
        while ready < millis(10) as f64 {
            let lag = jitter.lag(now + ready as Ticks);
            drift.observe(lag, millis(10));
            let samples = match jitter.next(now + ready as Ticks) {
                Play::Packet { .. } => FRAME,
                Play::Repair { samples, .. } | Play::Conceal { samples } | Play::Silence { samples } => samples,
            };
            ready += samples as f64 / drift.speed();
            if let Some(lag) = lag {
                seen.push(Seen { lag, wait: jitter.wait(), held: jitter.held() });
            }
        }
        ready -= millis(10) as f64;
    }
    (jitter, seen)
}

#[test]
fn a_clock_200_ppm_off_is_followed_for_five_minutes_without_losing_a_packet() {
    for ppm in [-200.0, 200.0] {
        let (jitter, seen) = play(300, ppm, Network::clean(1));
        assert!(seen.iter().all(|seen| seen.lag.abs() <= millis(15) && seen.held <= 3), "{ppm}");
        assert!(seen.iter().all(|seen| seen.wait == MIN_WAIT), "{ppm}: a clean link needs no more");
        let counts = jitter.counts;
        assert!(counts.played >= 14_990 && counts.discarded == 0 && counts.restarts == 0, "{ppm}: {counts:?}");
        // The way takes 30 ms, so nothing is there at first; then all of it is.
        assert!(counts.concealed <= 2, "{ppm}: {counts:?}");
    }
}

#[test]
fn a_tenth_lost_in_bursts_and_a_clock_that_is_off_keep_the_buffer_within_its_bounds() {
    for (seed, ppm) in [(1, 200.0), (2, -200.0), (3, 0.0)] {
        let network = Network { loss: (0.1, 4.0), late: (20, millis(40)), ..Network::clean(seed) };
        let (jitter, seen) = play(300, ppm, network);
        let most = seen.iter().map(|seen| seen.lag).max().unwrap_or_default();
        assert!(most <= millis(40), "{seed}: lags by {most}");
        assert!(seen.iter().all(|seen| seen.lag >= -MAX_WAIT && seen.held <= 10), "{seed}");
        assert!(seen.iter().all(|seen| (MIN_WAIT..=MAX_WAIT).contains(&seen.wait)), "{seed}");
        let counts = jitter.counts;
        // What arrives is played, but for the few percent that come too late.
        assert!(counts.played > 13_000 && counts.discarded < 300, "{seed}: {counts:?}");
        assert_eq!(counts.restarts, 0, "{seed}");
    }
}

#[test]
fn jitter_is_waited_for_and_then_not_any_more() {
    let rough = Network { late: (30, millis(70)), ..Network::clean(4) };
    let (jitter, seen) = play(60, 0.0, rough);
    let settled = &seen[seen.len() / 2..];
    assert!(settled.iter().all(|seen| (millis(60)..=millis(95)).contains(&seen.wait)), "{}", jitter.wait());
    assert!(jitter.counts.discarded < 60, "{:?}", jitter.counts);
}

#[test]
fn an_outage_is_not_played_late() {
    let mut jitter = Jitter::default();
    let mut sender = Sender::new(0.0, Network::clean(5), |_| Bytes::from_static(&[15 << 3]));
    let mut held_back = Vec::new();
    let mut ready = 0;
    for n in 0..1_000 {
        let now = START + n * millis(10);
        let come = sender.arrived(now);
        if (300..420).contains(&n) {
            held_back.extend(come);
        } else {
            let late = held_back.drain(..).map(|packet| SpokenPacket { arrived: moment(now), ..packet });
            late.chain(come).for_each(|packet| jitter.insert(packet));
        }
        assert!(jitter.held() <= 32);
        while ready < millis(10) {
            let lag = jitter.lag(now + ready);
            // A moment after the outage it is where it was before.
            assert!(n < 430 || lag.is_some_and(|lag| lag < millis(30)), "{n}: {lag:?}");
            ready += match jitter.next(now + ready) {
                Play::Packet { .. } => FRAME,
                Play::Repair { samples, .. } | Play::Conceal { samples } | Play::Silence { samples } => samples,
            };
        }
        ready -= millis(10);
    }
}

/// A talker's tone, as a browser encodes it.
fn tone(hz: f64) -> impl FnMut(Ticks) -> Bytes {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).expect("libopus encodes");
    encoder.set_inband_fec(true).expect("it can");
    encoder.set_packet_loss_perc(10).expect("it can");
    move |packet| {
        let sample = |n: Ticks| ((TAU * hz * (packet * FRAME + n) as f64 / 48_000.0).sin() * 8_000.0) as i16;
        let samples: Vec<i16> = (0..FRAME).map(sample).collect();
        encoder.encode_vec(&samples, 1_275).expect("20 ms").into()
    }
}

/// What the speaker plays of some talkers within so many seconds, and how long packets waited.
fn heard(seconds: Ticks, networks: Vec<(f64, f64, Network)>) -> (Vec<i16>, Vec<Duration>) {
    let talkers = Arc::new(Talkers::default());
    let mut mixer = Mixer::new(Arc::clone(&talkers), 4);
    let mut senders: Vec<_> =
        networks.into_iter().map(|(hz, ppm, network)| (talkers.join(), Sender::new(ppm, network, tone(hz)))).collect();
    let (mut all, mut took) = (Vec::new(), Vec::new());
    for n in 0..seconds * 100 {
        let now = START + n * millis(10);
        for (voice, sender) in &mut senders {
            sender.arrived(now).into_iter().for_each(|packet| voice.say(packet));
        }
        let mut period = [0; SPEAKER_PERIOD];
        mixer.mix(&mut period, moment(now), |waited| took.push(waited)).expect("a decoder");
        all.extend(period);
    }
    (all, took)
}

/// The longest stretch without the tone, in milliseconds, and the tone's frequency where it is heard.
fn longest_gap_and_frequency(samples: &[i16]) -> (usize, f64) {
    let loud = |block: &[i16]| block.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / block.len() as f64 > 1e5;
    let blocks: Vec<bool> = samples.chunks(240).map(loud).collect();
    let gap = blocks.split(|loud| *loud).map(<[bool]>::len).max().unwrap_or_default() * 5;
    let (mut crossings, mut seconds) = (0, 0.0);
    // With the next block's first sample: a tone may cross on the border each time.
    for (pair, samples) in blocks.windows(2).zip(samples.windows(241).step_by(240)) {
        if pair[0] && pair[1] {
            crossings += samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
            seconds += 240.0 / 48_000.0;
        }
    }
    (gap, f64::from(u32::try_from(crossings).expect("few")) / seconds)
}

#[test]
fn a_tone_is_heard_without_gaps_soon_and_at_its_pitch() {
    for (seed, loss) in [(1, 0.0), (2, 0.03)] {
        let network = Network { loss: (loss, 1.0), ..Network::clean(seed) };
        let (samples, mut took) = heard(30, vec![(HZ, 200.0, network)]);
        let (gap, hz) = longest_gap_and_frequency(&samples[24_000..]);
        assert!(gap <= 20, "{loss}: a gap of {gap} ms");
        assert!((hz - HZ).abs() < HZ / 100.0, "{loss}: {hz} Hz");
        took.sort();
        let p95 = took[took.len() * 95 / 100];
        assert!(p95 <= Duration::from_millis(50), "{loss}: {p95:?}");
    }
}

#[test]
fn several_are_heard_at_once_and_no_more_than_there_is_room_for() {
    let level = |count: u64| {
        let (samples, _) = heard(3, (0..count).map(|n| (500.0 + 170.0 * n as f64, 0.0, Network::clean(n))).collect());
        let end = &samples[samples.len() - 48_000..];
        (end.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / 48_000.0).sqrt()
    };
    let (one, two, four, six) = (level(1), level(2), level(4), level(6));
    assert!(two > one * 1.3 && four > two * 1.3, "{one} {two} {four}");
    assert!((six / four - 1.0).abs() < 0.1, "{four} {six}");
}
