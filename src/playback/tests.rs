//! Talkers over simulated networks, in virtual time.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use ::opus::{Application, Channels, Encoder};
use bytes::Bytes;

use super::jitter::{Counts, Jitter, Play};
use super::resample::Weights;
use super::talker::Talker;
use super::ticks::{self, Ticks, millis};
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
    /// Which packets are lost besides.
    loses: fn(Ticks) -> bool,
    /// From which packet on none is late.
    calm_from: Ticks,
    in_burst: bool,
}

impl Network {
    fn clean(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, late: (0, 0), loss: (0.0, 1.0), loses: |_| false, calm_from: Ticks::MAX, in_burst: false }
    }

    /// How long this packet, the next one, takes, or that it is lost (Gilbert's model).
    fn carry(&mut self, packet: Ticks) -> Option<Ticks> {
        let (share, length) = self.loss;
        let stays = 1.0 - 1.0 / length;
        let begins = share * (1.0 - stays) / (1.0 - share);
        self.in_burst = self.random.f64() < if self.in_burst { stays } else { begins };
        let jitter = Ticks::from(self.random.u32(0..96));
        let is_late = self.random.u32(0..100) < self.late.0 && packet < self.calm_from;
        let late = if is_late { self.random.i64(0..=self.late.1) } else { 0 };
        (!self.in_burst && !(self.loses)(packet)).then_some(millis(30) + jitter + late)
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
            if let Some(takes) = self.network.carry(self.sent) {
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

/// What was seen after each 10 ms: how far behind its due the talker was, what was due to wait, and what waited.
struct Seen {
    lag: Ticks,
    wait: Ticks,
    held: usize,
}

/// A talker who was played for a time.
struct Played {
    seen: Vec<Seen>,
    counts: Counts,
    samples: Vec<f32>,
    /// How long each packet was here before it was played.
    waited: Vec<Duration>,
}

fn play(seconds: Ticks, ppm: f64, network: Network, payload: impl FnMut(Ticks) -> Bytes) -> Played {
    let (mut talker, weights) = (Talker::new().expect("a decoder"), Weights::default());
    let mut sender = Sender::new(ppm, network, payload);
    let (mut seen, mut samples, mut waited) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..seconds * 100 {
        let now = START + n * millis(10);
        sender.arrived(now).into_iter().for_each(|packet| talker.insert(packet));
        let mut period = [0.0; SPEAKER_PERIOD];
        talker.add_to(&mut period, now, &weights, &mut |time| waited.push(time));
        samples.extend(period);
        if let Some(lag) = talker.lag(now + millis(10)) {
            seen.push(Seen { lag, wait: talker.jitter().wait(), held: talker.jitter().held() });
        }
    }
    Played { seen, counts: talker.jitter().counts, samples, waited }
}

/// A tone that goes on for ever, made once: its cycles fit into packets.
fn long_tone() -> impl FnMut(Ticks) -> Bytes {
    let packets: Vec<Bytes> = (0..100).map(tone(HZ)).collect();
    move |packet| packets[usize::try_from(50 + packet % 50).expect("few")].clone()
}

/// Its frequency, as exactly as from the first cycle to the last.
fn exact_hz(samples: &[f32]) -> f64 {
    let rises = samples.windows(2).zip(0_u32..).filter(|(pair, _)| pair[0] < 0.0 && pair[1] >= 0.0);
    let at: Vec<f64> = rises.map(|(pair, n)| f64::from(n) - f64::from(pair[0] / (pair[1] - pair[0]))).collect();
    (at.len() - 1) as f64 * 48_000.0 / (at[at.len() - 1] - at[0])
}

#[test]
fn a_clock_200_ppm_off_is_followed_for_five_minutes_without_losing_a_packet() {
    // A sender that is slow has settled as one that is fast does: five minutes of one will do.
    for (ppm, seconds) in [(200.0, 300), (-200.0, 100)] {
        let Played { seen, counts, samples, waited } = play(seconds, ppm, Network::clean(1), long_tone());
        assert!(seen.iter().all(|seen| seen.lag.abs() <= millis(15) && seen.held <= 3), "{ppm}");
        assert!(seen.iter().all(|seen| seen.wait == MIN_WAIT), "{ppm}: a clean link needs no more");
        assert!(
            counts.played as Ticks >= seconds * 50 - 20 && counts.discarded == 0 && counts.restarts == 0,
            "{ppm}: {counts:?}"
        );
        // The way takes 30 ms, so nothing is there at first; then all of it is.
        assert!(counts.concealed <= 2 && counts.repaired == 0, "{ppm}: {counts:?}");
        let longest = waited.iter().max().expect("packets came");
        assert!(*longest <= Duration::from_millis(45), "{ppm}: {longest:?}");
        let hz = exact_hz(&samples[samples.len() - 40 * 48_000..]);
        assert!((hz - HZ * (1.0 + ppm * 1e-6)).abs() < 0.03, "{ppm}: {hz} Hz");
    }
}

#[test]
fn a_tenth_lost_in_bursts_and_a_clock_that_is_off_keep_the_buffer_within_its_bounds() {
    for (seed, ppm, seconds) in [(1, 200.0, 300), (2, -200.0, 60)] {
        let network = Network { loss: (0.1, 4.0), late: (20, millis(40)), ..Network::clean(seed) };
        let Played { seen, counts, waited, .. } = play(seconds, ppm, network, long_tone());
        let most = seen.iter().map(|seen| seen.lag.abs()).max().unwrap_or_default();
        assert!(most <= millis(30), "{seed}: {most} from where it is due");
        // The packets that wait, and the time that one did, are those of 120 ms at the most.
        assert!(seen.iter().all(|seen| seen.held <= 6), "{seed}");
        let longest = waited.into_iter().max().expect("packets came");
        assert!(longest <= ticks::duration(MAX_WAIT), "{seed}: {longest:?}");
        // 40 ms of jitter, and 20 until the next packet.
        let settled = &seen[seen.len() / 10..];
        assert!(settled.iter().all(|seen| (millis(50)..=millis(75)).contains(&seen.wait)), "{seed}");
        // What arrives is played, but for a few that come too late; the last one of each burst is in the packet after it.
        let sent = (seconds * 50) as u64;
        assert!(counts.played > sent * 87 / 100 && counts.discarded < sent / 100, "{seed}: {counts:?}");
        assert!(counts.repaired > sent * 2 / 100, "{seed}: {counts:?}");
        assert_eq!(counts.restarts, 0, "{seed}");
    }
}

#[test]
fn jitter_is_waited_for_and_then_not_any_more() {
    let rough = Network { late: (30, millis(70)), ..Network::clean(4) };
    let Played { seen, counts, .. } = play(60, 0.0, rough, long_tone());
    let waits = seen[seen.len() / 2..].iter().map(|seen| seen.wait);
    assert!(waits.clone().all(|wait| (millis(60)..=millis(95)).contains(&wait)), "{:?}", waits.max());
    assert!(counts.discarded < 60, "{counts:?}");
}

/// Packets that are lost alone, one of 25, and that sound like no other.
fn stands_alone(packet: Ticks) -> bool {
    packet % 25 == 24
}

#[test]
fn a_packet_that_is_lost_alone_is_heard_from_the_next_one() {
    let network = Network { loses: stands_alone, ..Network::clean(6) };
    let payload = notes(|packet| if stands_alone(packet) { 2.0 * HZ } else { HZ });
    let Played { counts, samples, .. } = play(30, 0.0, network, payload);
    let power = |hz: f64, block: &[f32]| {
        let turn = |n: usize| TAU * hz * n as f64 / 48_000.0;
        let sum =
            |part: fn(f64) -> f64| block.iter().enumerate().map(|(n, s)| f64::from(*s) * part(turn(n))).sum::<f64>();
        sum(f64::sin).powi(2) + sum(f64::cos).powi(2)
    };
    let is_lost_note = |block: &[f32]| power(2.0 * HZ, block) > power(HZ, block) + 100.0;
    let blocks: Vec<bool> = samples.chunks(480).map(is_lost_note).collect();
    let heard = blocks.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    // One each half second; the first ones teach that packets should wait for the next one.
    assert!(heard >= 52, "{heard} of 60 lost notes were heard: {counts:?}");
    assert!(counts.repaired >= 55 && counts.concealed <= 10, "{counts:?}");
}

/// How long the tone was there each time, and how long it was not, in steps of 5 ms.
fn words_and_pauses(samples: &[f32]) -> (Vec<usize>, Vec<usize>) {
    let is_loud = |block: &[f32]| block.iter().map(|s| s * s).sum::<f32>() / 240.0 > 1e-3;
    let blocks: Vec<bool> = samples.chunks_exact(240).map(is_loud).collect();
    let runs: Vec<&[bool]> = blocks.chunk_by(|a, b| a == b).collect();
    // The first and the last are cut off.
    let whole = &runs[1..runs.len() - 1];
    let of = |loud: bool| whole.iter().filter(|run| run[0] == loud).map(|run| run.len() * 5).collect();
    (of(true), of(false))
}

/// After 20 s the way is smooth, and packets have to wait less and less.
fn smooth_after_20_s() -> Network {
    Network { late: (30, millis(70)), calm_from: 1_000, ..Network::clean(7) }
}

#[test]
fn who_lags_catches_up_in_pauses_between_words_and_nothing_else_is_left_out() {
    // Words of 400 ms, pauses of 200 ms.
    let words = notes(|packet| if packet % 30 < 20 { HZ } else { 0.0 });
    let Played { seen, samples, .. } = play(60, 0.0, smooth_after_20_s(), words);
    let most = seen[seen.len() / 3..].iter().map(|seen| seen.lag).max().unwrap_or_default();
    assert!(most <= millis(25), "lags by {most}");
    let (words, pauses) = words_and_pauses(&samples[20 * 48_000..]);
    assert!(words.len() > 60 && words.iter().all(|word| (390..=410).contains(word)), "{words:?}");
    // Of a pause a packet is left out, or none.
    let cut = pauses.iter().filter(|pause| (170..=180).contains(*pause)).count();
    assert!(cut >= 2 && pauses.iter().all(|pause| (170..=205).contains(pause)), "{pauses:?}");

    // Who makes no pause catches up by talking a little faster, which takes its time.
    let Played { seen, counts, .. } = play(60, 0.0, smooth_after_20_s(), long_tone());
    let most = seen[seen.len() / 3..].iter().map(|seen| seen.lag).max().unwrap_or_default();
    assert!(most > millis(40), "{most}");
    assert!(counts.played + counts.discarded >= 2_990, "{counts:?}");
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
    notes(move |_| hz)
}

/// A note for each packet, 0 Hz for none.
fn notes(hz: impl Fn(Ticks) -> f64) -> impl FnMut(Ticks) -> Bytes {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).expect("libopus encodes");
    encoder.set_inband_fec(true).expect("it can");
    encoder.set_packet_loss_perc(10).expect("it can");
    move |packet| {
        let hz = hz(packet);
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
        assert!(gap <= 5, "{loss}: a gap of {gap} ms");
        assert!((hz - HZ).abs() < HZ / 100.0, "{loss}: {hz} Hz");
        took.sort();
        let p95 = took[took.len() * 95 / 100];
        assert!(p95 <= Duration::from_millis(50), "{loss}: {p95:?}");
    }
}

#[test]
fn what_became_of_packets_is_counted_of_those_who_have_gone_too() {
    let talkers = Arc::new(Talkers::default());
    let mut mixer = Mixer::new(Arc::clone(&talkers), 4);
    let mut counted = |seconds: Ticks, seed| {
        let voice = talkers.join();
        let mut sender = Sender::new(0.0, Network { loses: stands_alone, ..Network::clean(seed) }, long_tone());
        for n in 0..seconds * 100 {
            let now = START + n * millis(10);
            sender.arrived(now).into_iter().for_each(|packet| voice.say(packet));
            mixer.mix(&mut [0; SPEAKER_PERIOD], moment(now), |_| {}).expect("a decoder");
        }
        mixer.counts()
    };
    let (one, two) = (counted(8, 1), counted(8, 2));
    let lost = 400 / 25;
    for counts in [one, Counts { played: two.played - one.played, repaired: two.repaired - one.repaired, ..two }] {
        assert!(counts.played > 360 && counts.played <= 400 - lost, "{one:?} {two:?}");
        assert!((lost / 2..=lost).contains(&counts.repaired), "{one:?} {two:?}");
    }
    assert_eq!(two.by_name()[2], ("repaired", two.repaired));
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
