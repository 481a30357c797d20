//! Checks against the kernel's own test device, `snd-aloop`, in the virtual machine of `tests/vm`: what is played into one
//! end of it is recorded at the other.
//!
//! They take the card away in mid-stream and need root, so they are ignored elsewhere; one thread at a time:
//! `<test binary> on_device --ignored --test-threads=1`.

use std::f64::consts::TAU;
use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::opus::{Application, Channels, Encoder};

use super::config::{SinkKind, Speaker};
use super::*;
use crate::media::SpokenPacket;
use crate::sys;

const LIMIT: Duration = Duration::from_secs(3);
const HZ: f64 = 440.0;
const SPEAKER: &str = "plughw:CARD=Loopback,DEV=0,SUBDEV=0";

fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

/// `unbind` or `bind`: the nearest thing to a plug.
fn plug(what: &str) {
    fs::write(format!("/sys/bus/platform/drivers/snd_aloop/{what}"), "snd_aloop.0").expect("root, and the driver");
}

fn speaker() -> Speaker {
    Speaker { sink: SinkKind::Alsa, device: SPEAKER.to_owned(), ..Speaker::default() }
}

fn opened() -> Box<dyn Sink> {
    open(&speaker()).expect("snd-aloop is there").expect("not none")
}

fn play(sink: &mut dyn Sink, periods: usize) -> Result<(), PlaybackError> {
    for _ in 0..periods {
        sink.room(LIMIT)?;
        sink.play(&[1_000; SPEAKER_PERIOD])?;
    }
    Ok(())
}

/// Records what comes out of the loop.
struct Recorder(Child);

impl Recorder {
    fn start() -> Self {
        let arguments =
            ["-q", "-D", "plughw:CARD=Loopback,DEV=1,SUBDEV=0", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "1"];
        Self(Command::new("arecord").args(arguments).stdout(Stdio::piped()).spawn().expect("alsa-utils"))
    }

    /// Reads this many samples.
    fn samples(&mut self, count: usize) -> Vec<i16> {
        let mut bytes = vec![0; count * 2];
        self.0.stdout.as_mut().expect("piped").read_exact(&mut bytes).expect("it records");
        bytes.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
#[expect(clippy::print_stderr, reason = "a number for whoever runs it by hand")]
fn a_talkers_tone_comes_out_of_the_card_at_its_pitch() {
    let talkers = Arc::new(Talkers::default());
    let (voice, end) = (talkers.join(), now().plus(Duration::from_secs(20)));
    let packets = two_seconds_of_packets();
    let talker = std::thread::spawn(move || {
        let mut at = now();
        for (packet, payload) in (0_u32..).zip(packets.iter().cycle()) {
            let (sequence, rtp_time) = (packet as u16, packet.wrapping_mul(960));
            voice.say(SpokenPacket { ssrc: 1, sequence, rtp_time, payload: payload.clone(), arrived: now() });
            at = at.plus(Duration::from_millis(20));
            if at > end {
                return;
            }
            sys::sleep_until_nanos(at.as_nanos());
        }
    });
    let mut sink = opened();
    let mut mixer = Mixer::new(Arc::clone(&talkers), 4);
    let (mut period, mut took) = ([0; SPEAKER_PERIOD], Vec::new());
    let latency = sink.latency();
    let mut play = |count: usize, goes_on: &dyn Fn() -> bool| {
        for _ in (0..count).take_while(|_| goes_on()) {
            let heard_at = sink.room(LIMIT).expect("it plays");
            mixer.mix(&mut period, heard_at.minus(latency), |waited| took.push(waited + latency)).expect("a decoder");
            sink.play(&period).expect("it plays");
        }
    };
    // The loop takes its parameters from whoever opens it first; two at once refuse each other.
    play(50, &|| true);
    let listener = std::thread::spawn(|| {
        let mut recorder = Recorder::start();
        while !recorder.samples(480).iter().any(|sample| sample.unsigned_abs() > 4_000) {}
        recorder.samples(5 * 48_000)
    });
    play(2_000, &|| !listener.is_finished());
    let heard = listener.join().expect("it is recorded");
    drop(talkers);
    talker.join().expect("it ends");
    took.sort();
    let (hertz, seconds) = pitch(&heard);
    let (p50, p95) = (took[took.len() / 2], took[took.len() * 95 / 100]);
    eprintln!("{hertz:.1} Hz for {seconds:.1} of 5 s; packet to card p50 {p50:?}, p95 {p95:?}");
    // Gaps of 60 ms and more, with what is not counted around them, would leave less.
    assert!((hertz - HZ).abs() < HZ / 100.0 && seconds > 4.9, "{hertz} Hz for {seconds} s");
    assert!(p95 <= Duration::from_millis(80), "packet to card {p95:?}");
}

/// A whole number of cycles, so that they can be repeated.
fn two_seconds_of_packets() -> Vec<bytes::Bytes> {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).expect("libopus encodes");
    let mut packet = |packet: u32| {
        let sample = |n: u32| ((TAU * HZ * f64::from(packet * 960 + n) / 48_000.0).sin() * 8_000.0) as i16;
        let samples: Vec<i16> = (0..960).map(sample).collect();
        encoder.encode_vec(&samples, 1_275).expect("20 ms").into()
    };
    (0..100).map(&mut packet).collect()
}

/// The frequency where it is loud for three blocks on end, and for how many seconds it is.
fn pitch(samples: &[i16]) -> (f64, f64) {
    const BLOCK: usize = 480;
    let is_loud = |block: &&[i16]| block.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / BLOCK as f64 > 9e6;
    let blocks: Vec<&[i16]> = samples.chunks_exact(BLOCK).collect();
    let (mut crossings, mut counted) = (0, 0);
    for three in blocks.windows(3).filter(|three| three.iter().all(is_loud)) {
        // With the next block's first sample: a tone may cross on the border each time.
        let block = three[1].iter().chain(&three[2][..1]);
        crossings += block.clone().zip(block.skip(1)).filter(|(one, next)| **one < 0 && **next >= 0).count();
        counted += BLOCK;
    }
    (crossings as f64 * 48_000.0 / counted.max(1) as f64, counted as f64 / 48_000.0)
}

#[test]
#[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
fn an_underrun_is_mended_and_a_card_that_is_held_is_busy() {
    let mut sink = opened();
    play(&mut *sink, 20).expect("it plays");
    sys::sleep_until_nanos(sys::monotonic_nanos() + 500_000_000);
    play(&mut *sink, 50).expect("it plays on");
    let before = now();
    play(&mut *sink, 100).expect("it plays on");
    let took = now().since(before);
    assert!(took > Duration::from_millis(800), "a second is played in {took:?}");
    let refused = open(&speaker()).map(|_| ()).expect_err("it is held");
    assert!(matches!(refused, PlaybackError::Busy { .. }), "{refused}");
}

#[test]
#[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
fn an_unplugged_speaker_is_gone_and_comes_back() {
    for _ in 0..2 {
        let mut sink = opened();
        play(&mut *sink, 20).expect("it plays");
        let puller = std::thread::spawn(|| plug("unbind"));
        let gone = std::iter::repeat_with(|| play(&mut *sink, 1)).take(1_000).find_map(Result::err).expect("it ends");
        assert!(matches!(gone, PlaybackError::Gone { .. }), "{gone}");
        drop(sink);
        puller.join().expect("unbound");
        let away = open(&speaker()).map(|_| ()).expect_err("unplugged");
        assert!(matches!(away, PlaybackError::NotFound { .. }), "{away}");
        plug("bind");
        play(&mut *opened(), 20).expect("it plays again");
    }
}
