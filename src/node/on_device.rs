//! Checks against the kernel's own sound card, `snd-aloop`, in the virtual machine of `tests/vm`: the threads of a speaker and of a
//! microphone that stand in one room.
//!
//! ```text
//!  talker ─▶ speaker's thread ─▶ loop ═▶ room ═▶ loop ─▶ microphone's thread (canceller) ─▶ what viewers are sent
//! ```
//!
//! Ignored elsewhere; one thread at a time: `<test binary> on_device --ignored --test-threads=1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use super::clock::media_now as now;
use super::demand::Demand;
use super::metrics::Metrics;
use super::sound::{self, Sound};
use super::speaker::Playing;
use super::state::{Board, State};
use crate::capture::{self, Chosen, config::Audio, config::AudioSourceKind};
use crate::encode;
use crate::media::{Bounded, CameraName, MediaTime, Pcm, SAMPLES_PER_PERIOD, SpokenPacket};
use crate::playback::hearing::{SECOND, change_db, reduction_db, speech, worst_db};
use crate::playback::{self, Echoes, SPEAKER_PERIOD, Talkers, config::Echo, config::SinkKind, config::Speaker};
use crate::sys;

const LIMIT: Duration = Duration::from_secs(20);
/// For so long the talker is alone.
const ALONE_S: usize = 8;
/// Then somebody speaks at the camera as well.
const BOTH_S: usize = 5;
/// A canceller learns the room meanwhile.
const LEARNS_S: usize = 3;
/// Full scale is 32768.
const CLAP: i16 = 20_000;
/// Louder than the room's noise.
const AUDIBLE: f32 = 60.0;
/// By how many samples what the room sends back is late, and how much of it comes: -8 dB, 5 ms after the speaker, and its walls.
const ROOM: [(usize, f32); 8] = [
    (240, 0.4),
    (530, -0.14),
    (910, 0.1),
    (1_370, -0.08),
    (1_990, 0.05),
    (2_780, 0.035),
    (3_710, -0.02),
    (4_790, 0.012),
];

/// One end of a loop's pair: what is played into `DEV=0` comes out of `DEV=1`. The first two pairs are other tests'.
fn end(device: u8, pair: u8) -> String {
    format!("plughw:CARD=Loopback,DEV={device},SUBDEV={pair}")
}

fn microphone(pair: u8) -> Audio {
    Audio { source: AudioSourceKind::Alsa, device: end(1, pair), ..Audio::default() }
}

fn speaker(pair: u8) -> Speaker {
    let buffer_ms = const { Bounded::new(60) };
    Speaker { sink: SinkKind::Alsa, device: end(0, pair), buffer_ms, echo: Echo::Cancel, ..Speaker::default() }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = now().plus(LIMIT);
    while !is_so() {
        assert!(now() < limit, "{what}: not within {LIMIT:?}");
        sys::sleep_until_nanos(now().as_nanos() + 10_000_000);
    }
}

/// What was to be heard in the room, sample by sample.
#[derive(Default)]
struct Heard {
    echo: Vec<f32>,
    near: Vec<f32>,
    all: Vec<f32>,
}

impl Heard {
    fn drop_until(&mut self, first: usize) {
        for samples in [&mut self.echo, &mut self.near, &mut self.all] {
            samples.drain(..first);
        }
    }
}

/// Claps when it is told to, and ends when `near` was said: that begins with the first of the talker's sound.
fn room(clap: &AtomicBool, near: &[f32]) -> Heard {
    let mut ear = capture::open_audio(&microphone(2)).expect("snd-aloop is there").expect("not silent");
    let mut mouth = playback::open(&speaker(3)).expect("snd-aloop is there").expect("not none");
    let mut random = fastrand::Rng::with_seed(77);
    let (mut played, mut heard, mut begun) = (Vec::new(), Heard::default(), None);
    loop {
        let claps = clap.swap(false, Ordering::Relaxed);
        let mut period = Vec::with_capacity(SAMPLES_PER_PERIOD);
        for sample in ear.next(LIMIT).expect("the speaker plays").samples.iter() {
            let n = played.len();
            played.push(f32::from(*sample));
            let echo: f32 =
                ROOM.iter().map(|(late, gain)| n.checked_sub(*late).map_or(0.0, |n| played[n] * gain)).sum();
            if echo > AUDIBLE {
                begun.get_or_insert(n);
            }
            let near = begun.and_then(|begun| near.get(n - begun)).copied().unwrap_or(0.0);
            let noise = (random.f32() - 0.5) * 40.0;
            let all = if claps && period.len() < 48 { CLAP } else { (echo + near + noise) as i16 };
            period.push(all);
            heard.echo.push(echo);
            heard.near.push(near);
            heard.all.push(f32::from(all));
        }
        for half in period.as_chunks::<SPEAKER_PERIOD>().0 {
            mouth.room(LIMIT).expect("the microphone hears");
            mouth.play(half).expect("the microphone hears");
        }
        if begun.is_some_and(|begun| played.len() >= begun + near.len()) {
            return heard;
        }
    }
}

/// What a browser would send of it, in packets of 20 ms.
fn packets_of(said: &[f32]) -> Vec<Bytes> {
    let mut encoder = encode::open_audio(&encode::config::Opus::default()).expect("libopus encodes");
    let mut packet = |samples: &[f32]| {
        let samples = samples.iter().map(|sample| *sample as i16).collect();
        encoder.encode(&Pcm { samples, captured: MediaTime::default() }).expect("20 ms").data
    };
    said.chunks_exact(SAMPLES_PER_PERIOD).map(&mut packet).collect()
}

/// Somebody says this.
fn talk(talkers: &Talkers, packets: Vec<Bytes>) {
    let (voice, mut at) = (talkers.join(), now());
    for (sequence, payload) in (0_u16..).zip(packets) {
        let rtp_time = u32::from(sequence) * SAMPLES_PER_PERIOD as u32;
        voice.say(SpokenPacket { ssrc: 1, sequence, rtp_time, payload, arrived: now() });
        at = at.plus(Duration::from_millis(20));
        sys::sleep_until_nanos(at.as_nanos());
    }
}

/// The two threads of a camera's sound that an echo goes through, and what viewers would be sent.
struct Camera {
    board: Arc<Board>,
    talkers: Arc<Talkers>,
    speaks: Arc<Demand>,
    listens: Arc<Demand>,
    sent: Arc<Mutex<Vec<Pcm>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Camera {
    /// One that does nothing yet.
    fn begin(speaker: Speaker, microphone: Audio) -> Self {
        let camera = CameraName::try_from("main".to_owned()).expect("letters");
        let (board, talkers, echoes) = (Arc::new(Board::default()), Arc::<Talkers>::default(), Echoes::default());
        let (speaks, listens) = (Arc::new(Demand::default()), Arc::new(Demand::default()));
        let (periods, delivered) = sound::periods();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let playing = Playing {
            camera: camera.clone(),
            config: speaker.clone(),
            talkers: Arc::clone(&talkers),
            echoes: echoes.clone(),
            demand: Arc::clone(&speaks),
            board: Arc::clone(&board),
            metrics: Metrics::default(),
        };
        let sound = Sound {
            camera,
            chosen: Arc::new(Chosen::settled(microphone)),
            periods,
            speaker,
            echoes,
            demand: Arc::clone(&listens),
            shutter: Arc::default(),
            board: Arc::clone(&board),
        };
        let collected = Arc::clone(&sent);
        let collect = move || delivered.iter().for_each(|pcm| lock(&collected).push(pcm));
        let threads = vec![thread::spawn(|| playing.run()), thread::spawn(|| sound.run()), thread::spawn(collect)];
        Self { board, talkers, speaks, listens, sent, threads }
    }

    fn waits_for(&self, part: &str) {
        let is_live = || self.board.conditions().get(part).is_some_and(|condition| condition.state == State::Live);
        until(part, is_live);
    }

    /// All that was sent, without a gap.
    fn end(self) -> Vec<f32> {
        self.speaks.stop();
        self.listens.stop();
        self.threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        let sent = lock(&self.sent);
        let longest = sent.windows(2).map(|pair| pair[1].captured.since(pair[0].captured)).max().expect("it heard");
        assert!(longest < Duration::from_millis(40), "sound was lost: {longest:?} between two periods of 20 ms");
        all(&sent)
    }
}

#[test]
#[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
#[expect(clippy::print_stderr, reason = "numbers for whoever runs it by hand")]
fn a_talkers_echo_is_taken_out_and_who_speaks_at_the_camera_meanwhile_is_sent() {
    let mut near = vec![0.0; ALONE_S * SECOND];
    near.extend(speech(2, BOTH_S).iter().map(|sample| sample * 0.7));
    let far = packets_of(&speech(1, ALONE_S + BOTH_S + 1));
    let camera = Camera::begin(speaker(2), microphone(3));

    // A loop takes its parameters from whoever opens it first; two at once refuse each other.
    camera.speaks.want(true);
    camera.waits_for("speaker:main");
    let clap = Arc::new(AtomicBool::new(false));
    let claps = Arc::clone(&clap);
    let room = thread::spawn(move || room(&claps, &near));
    until("the room can be heard", || is_played(3));
    camera.listens.want(true);
    camera.waits_for("microphone:main");
    clap.store(true, Ordering::Relaxed);
    until("the clap is heard", || first_clap(&all(&lock(&camera.sent))).is_some());
    talk(&camera.talkers, far);
    let mut heard = room.join().expect("it hears the talker");
    let mut left = camera.end();

    // While nothing is played the microphone is left alone, so the clap is where it was.
    heard.drop_until(first_clap(&heard.all).expect("it has clapped"));
    left.drain(..first_clap(&left).expect("seen above"));
    let begun = heard.echo.iter().position(|sample| *sample > AUDIBLE).expect("the talker was heard");
    let part = |from: usize, to: usize| begun + from * SECOND..begun + to * SECOND;
    let alone = part(LEARNS_S, ALONE_S);
    let enhancement_db = reduction_db(&heard.all[alone.clone()], &left[alone]);
    // The last second may have been under way at the end.
    let both = part(ALONE_S + 1, ALONE_S + BOTH_S - 1);
    let (change_db, worst_db) = (change_db(&heard.near, &left, both.clone()), worst_db(&heard.near, &left, both));
    eprintln!(
        "the echo is {enhancement_db:.1} dB lower, who speaks at the camera changed by {change_db:.1} dB, {worst_db:.1} dB \
         at worst"
    );
    assert!(enhancement_db >= 15.0, "echo return loss enhancement of {enhancement_db} dB");
    assert!(change_db.abs() <= 3.0, "the voice is changed by {change_db} dB");
    assert!(worst_db >= -10.0, "a quarter of a second of the voice is changed by {worst_db} dB");
}

fn all(sent: &[Pcm]) -> Vec<f32> {
    sent.iter().flat_map(|pcm| pcm.samples.iter().map(|sample| f32::from(*sample))).collect()
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn first_clap(samples: &[f32]) -> Option<usize> {
    samples.iter().position(|sample| *sample >= f32::from(CLAP))
}

fn is_played(pair: u8) -> bool {
    let status = std::fs::read_to_string(format!("/proc/asound/Loopback/pcm0p/sub{pair}/status"));
    status.is_ok_and(|status| status.contains("RUNNING"))
}
