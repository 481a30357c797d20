//! Checks against the kernel's own test devices, `vivid` and `snd-aloop`, in the virtual machine of `tests/vm`.
//!
//! They take the devices away in mid-stream and need root, so they are ignored elsewhere; one thread at a time:
//! `<test binary> on_device --ignored --test-threads=1`.

use std::fs;
use std::time::Duration;

use super::config::{Audio, AudioSourceKind, FormatPreference, Video, VideoSourceKind};
use super::*;
use crate::media::{Bounded, MediaTime, PixelFormat, SAMPLES_PER_PERIOD};
use crate::sys;

const LIMIT: Duration = Duration::from_secs(3);

fn now() -> MediaTime {
    MediaTime::from_nanos(sys::monotonic_nanos())
}

/// `unbind` or `bind`: the nearest thing to a plug.
fn plug(driver: &str, device: &str, what: &str) {
    fs::write(format!("/sys/bus/platform/drivers/{driver}/{what}"), device).expect("root, and the driver is loaded");
}

mod v4l2 {
    use v4l::control::{Control, Value};

    use super::super::v4l2::BUFFERS;
    use super::*;

    /// vivid's webcam input: 25 frames a second at this size.
    fn webcam() -> Video {
        Video {
            source: VideoSourceKind::V4l2,
            width: const { Bounded::new(640) },
            height: const { Bounded::new(360) },
            fps: const { Bounded::new(25) },
            ..Video::default()
        }
    }

    fn open() -> Box<dyn VideoSource> {
        open_video(&webcam()).expect("vivid is there")
    }

    /// Presses one of vivid's buttons, as `v4l2-ctl -c` would.
    fn press(name: &str) {
        let path = locate_camera(&webcam()).expect("vivid is there");
        let device = sys::open_video_device(&path).expect("opens");
        let control = sys::controls(&device).into_iter().find(|c| c.name.contains(name)).expect("vivid has it");
        device.set_control(Control { id: control.id, value: Value::None }).expect("accepted");
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn frames_are_whole_and_stamped_with_the_monotonic_clock() {
        for format in [FormatPreference::Auto, FormatPreference::Yuyv, FormatPreference::Uyvy, FormatPreference::Nv12] {
            let mut source = open_video(&Video { format, ..webcam() }).expect("vivid has all of them");
            let (shape, interval) = source.format();
            assert_eq!((shape.width, shape.height), (640, 360));
            let mut last: Option<Frame> = None;
            let mut first = None;
            for _ in 0..25 {
                let frame = source.next(LIMIT).expect("a frame");
                let whole = match shape.pixel {
                    PixelFormat::I420 | PixelFormat::Nv12 => shape.stride as usize * 360 * 3 / 2,
                    _ => shape.stride as usize * 360,
                };
                assert!(frame.data.len() >= whole, "{} of {whole} bytes", frame.data.len());
                let age = now().since(frame.captured);
                assert!(age < Duration::from_millis(500) && frame.captured <= now(), "{age:?} old");
                first.get_or_insert((frame.captured, frame.sequence));
                if let Some(last) = last.replace(frame.clone()) {
                    assert!(frame.captured > last.captured && frame.sequence > last.sequence);
                }
            }
            // By the driver's own count, as a guest on a busy host misses frames.
            let ((begun, from), last) = (first.expect("25 frames"), last.expect("25 frames"));
            let each = last.captured.since(begun) / (last.sequence - from);
            assert!(each > interval * 3 / 4 && each < interval * 5 / 4, "{each:?} instead of {interval:?}");
        }
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn controls_are_listed_and_set_while_the_camera_streams() {
        let mut source = open();
        source.next(LIMIT).expect("a frame");
        let video = webcam();
        let named = |name: &str| {
            let all = controls(&video).expect("vivid has some");
            all.into_iter().find(|control| control.name == name).unwrap_or_else(|| panic!("vivid has {name}"))
        };
        let brightness = named("Brightness");
        assert_eq!((brightness.kind, brightness.read_only), (sys::ControlKind::Integer, false));
        let other = if brightness.value == Some(100) { 101 } else { 100 };
        set_control(&video, brightness.id, other).expect("in its range");
        assert_eq!(named("Brightness").value, Some(i64::from(other)));
        let default = i32::try_from(brightness.default).expect("a byte");
        set_control(&video, brightness.id, default).expect("in its range");
        let menu = named("Test Pattern");
        assert_eq!(menu.kind, sys::ControlKind::Menu);
        assert!(menu.items.len() > 2, "{:?}", menu.items);
        let beyond = i32::try_from(menu.maximum + 1).expect("a few items");
        assert!(matches!(set_control(&video, menu.id, beyond), Err(CaptureError::Io { .. })));
        assert!(sizes(&video).expect("listed").contains(&(640, 360)));
        source.next(LIMIT).expect("the stream went on");
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn held_frames_keep_their_bytes_and_their_return_lets_the_stream_go_on() {
        let mut source = open();
        let held: Vec<Frame> = (0..BUFFERS).map(|_| source.next(LIMIT).expect("a frame")).collect();
        let copies: Vec<Vec<u8>> = held.iter().map(|frame| frame.data.to_vec()).collect();
        let starved = source.next(Duration::from_millis(300)).map(|_| ());
        assert!(matches!(starved, Err(CaptureError::Stalled { .. })), "{starved:?}");
        assert!(held.iter().zip(&copies).all(|(frame, copy)| frame.data == copy));
        let last = held.last().expect("some").sequence;
        let kept = held.into_iter().next().expect("some");
        // Only now do the others go back.
        let frame = source.next(LIMIT).expect("frames again");
        assert!(frame.sequence > last + 1, "what came meanwhile is lost, and shows");
        assert_eq!(kept.data, copies[0]);
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn a_frame_outlives_its_closed_source_and_does_not_keep_the_camera_busy() {
        let mut source = open();
        let frame = source.next(LIMIT).expect("a frame");
        let copy = frame.data.to_vec();
        let busy = open_video(&webcam()).map(|_| ());
        assert!(matches!(busy, Err(CaptureError::Busy { .. })), "{busy:?}");
        drop(source);
        let mut second = open();
        second.next(LIMIT).expect("a frame");
        assert_eq!(frame.data, copy);
        drop(frame);
        second.next(LIMIT).expect("a frame");
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn an_unplugged_camera_is_gone_and_its_frames_stay_readable_and_it_comes_back() {
        let resolved = resolve_video(&Video { source: VideoSourceKind::Auto, ..webcam() });
        assert_eq!(resolved.source, VideoSourceKind::V4l2);
        for _ in 0..3 {
            let mut source = open_video(&resolved).expect("vivid is there");
            let held = [source.next(LIMIT).expect("a frame"), source.next(LIMIT).expect("a frame")];
            let copy = held[0].data.to_vec();
            let puller = std::thread::spawn(|| plug("vivid", "vivid.0", "unbind"));
            let gone = std::iter::repeat_with(|| source.next(LIMIT)).take(500).find_map(Result::err).expect("it ends");
            assert!(matches!(gone, CaptureError::Gone { .. }), "{gone}");
            puller.join().expect("unbound");
            assert_eq!(held[0].data, copy);
            drop(source);
            assert_eq!(held[0].data, copy);
            let away = open_video(&resolved).map(|_| ()).expect_err("unplugged");
            assert!(matches!(away, CaptureError::NotFound { .. }), "{away}");
            assert_eq!(resolve_video(&resolved), resolved, "a named camera is waited for");
            plug("vivid", "vivid.0", "bind");
            drop(held);
            open_video(&resolved).expect("back again").next(LIMIT).expect("a frame");
        }
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn injected_failures_end_the_stream_with_an_error_and_never_with_a_panic() {
        for (button, gone) in [("Fatal Streaming Error", false), ("Disconnect", true)] {
            let mut source = open();
            let held = source.next(LIMIT).expect("a frame");
            press(button);
            let error = std::iter::repeat_with(|| source.next(LIMIT)).take(500).find_map(Result::err).expect("it ends");
            assert_eq!(matches!(error, CaptureError::Gone { .. }), gone, "{button}: {error}");
            drop(source);
            drop(held);
            open().next(LIMIT).expect("a frame after the failure");
        }
    }

    #[test]
    #[ignore = "needs vivid: `tests/run vm` runs it in a guest that has one"]
    fn it_is_listed_with_formats_rates_and_controls() {
        let listed = devices::cameras();
        let vivid = listed.iter().find(|camera| camera.driver == "vivid").expect("listed");
        let yuyv = vivid.formats.iter().find(|format| format.fourcc == "YUYV").expect("vivid has it");
        assert!(yuyv.usable && yuyv.sizes.iter().any(|size| size.rates.iter().any(|rate| rate.fps >= 25.0)));
        assert!(vivid.controls.iter().any(|control| control.name == "Brightness" && control.maximum == 255));
        assert!(vivid.controls.iter().any(|control| control.kind == "menu" && !control.items.is_empty()));
        let named = Video { device: vivid.id.clone(), ..webcam() };
        assert_eq!(locate_camera(&named).ok().as_ref(), Some(&vivid.path));
        assert!(!vivid.delivers_h264);
    }
}

mod alsa {
    use std::io::Write as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn microphone() -> Audio {
        let device = "plughw:CARD=Loopback,DEV=1".to_owned();
        Audio { source: AudioSourceKind::Alsa, device, ..Audio::default() }
    }

    fn open() -> Box<dyn AudioSource> {
        open_audio(&microphone()).expect("snd-aloop is there").expect("not silent")
    }

    /// Plays 440 Hz into the loop until it is dropped. (`speaker-test` pauses now and then.)
    struct Player(Child);

    impl Player {
        fn start() -> Self {
            let arguments =
                ["-q", "-D", "plughw:CARD=Loopback,DEV=0", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "1"];
            let player = Command::new("aplay").args(arguments).stdin(Stdio::piped()).spawn();
            let mut player = Self(player.expect("alsa-utils"));
            let mut input = player.0.stdin.take().expect("piped");
            let sine = |n: u32| (f64::from(n) * 440.0 / 48_000.0 * std::f64::consts::TAU).sin() * 8_000.0;
            let second: Vec<u8> = (0..48_000).flat_map(|n| (sine(n) as i16).to_le_bytes()).collect();
            // Ends when the player does.
            std::thread::spawn(move || while input.write_all(&second).is_ok() {});
            // The loop takes its parameters from whoever opens it first; two at once refuse each other.
            let runs = || {
                let status = fs::read_to_string("/proc/asound/Loopback/pcm0p/sub0/status").unwrap_or_default();
                status.contains("RUNNING")
            };
            let limit = now().plus(Duration::from_secs(20));
            while !runs() {
                assert!(now() < limit, "the player does not begin");
                sys::sleep_until_nanos(sys::monotonic_nanos() + 20_000_000);
            }
            player
        }
    }

    impl Drop for Player {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    #[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
    fn sound_comes_in_whole_periods_in_step_with_the_monotonic_clock() {
        let _player = Player::start();
        let mut source = open();
        // The player needs a while to begin.
        let loud = |pcm: &Pcm| pcm.samples.iter().any(|&sample| sample.unsigned_abs() > 1_000);
        let mut first = source.next(LIMIT).expect("sound");
        for _ in 0..500 {
            if loud(&first) {
                break;
            }
            first = source.next(LIMIT).expect("sound");
        }
        assert!(loud(&first));
        let mut last = first.captured;
        let (mut crossings, mut even, mut before) = ([0; 3], 0, 0);
        for period in 0..150 {
            let pcm = source.next(LIMIT).expect("sound");
            assert_eq!(pcm.samples.len(), SAMPLES_PER_PERIOD);
            let step = pcm.captured.since(last);
            assert!(step > Duration::from_millis(10), "{step:?}");
            assert!(now().since(pcm.captured) < Duration::from_secs(1));
            even += usize::from(step < Duration::from_millis(30));
            for &sample in pcm.samples.iter() {
                crossings[period / 50] += usize::from(before < 0 && sample >= 0);
                before = sample;
            }
            last = pcm.captured;
        }
        // A guest on a busy host is held up now and then for longer than the card's buffer lasts.
        assert!(even >= 140, "{even} of 150 steps are even");
        // Nor does the player always keep up.
        assert!(crossings.iter().any(|hertz| (438..=442).contains(hertz)), "{crossings:?} Hz in three seconds");
    }

    #[test]
    #[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
    fn an_overrun_is_mended_and_time_jumps_over_what_was_lost() {
        let mut source = open();
        let before = source.next(LIMIT).expect("sound");
        sys::sleep_until_nanos(sys::monotonic_nanos() + 1_000_000_000);
        // Up to the card's buffer of old sound, then the jump.
        let after: Vec<Pcm> = (0..20).map(|_| source.next(LIMIT).expect("sound")).collect();
        let spanned = after[19].captured.since(before.captured);
        assert!(spanned > Duration::from_millis(1_300), "{spanned:?}");
        assert!(after.windows(2).all(|pair| pair[1].captured > pair[0].captured));
    }

    #[test]
    #[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
    fn an_unplugged_card_is_gone_and_comes_back() {
        for _ in 0..2 {
            let mut source = open();
            source.next(LIMIT).expect("sound");
            let puller = std::thread::spawn(|| plug("snd_aloop", "snd_aloop.0", "unbind"));
            let gone = std::iter::repeat_with(|| source.next(LIMIT)).take(500).find_map(Result::err).expect("it ends");
            assert!(matches!(gone, CaptureError::Gone { .. }), "{gone}");
            drop(source);
            puller.join().expect("unbound");
            let away = open_audio(&microphone()).map(|_| ()).expect_err("unplugged");
            assert!(matches!(away, CaptureError::NotFound { .. }), "{away}");
            plug("snd_aloop", "snd_aloop.0", "bind");
            open().next(LIMIT).expect("sound again");
        }
    }

    #[test]
    #[ignore = "needs snd-aloop: `tests/run vm` runs it in a guest that has one"]
    fn it_is_listed_in_both_directions_by_its_cards_id() {
        let listed = devices::sound_devices();
        for kind in [devices::DeviceKind::AudioInput, devices::DeviceKind::AudioOutput] {
            assert!(listed.iter().any(|d| d.kind == kind && d.id == "plughw:CARD=Loopback,DEV=1"), "{listed:?}");
        }
        let resolved = resolve_audio(&Audio::default());
        assert_eq!((resolved.source, resolved.device.as_str()), (AudioSourceKind::Alsa, "plughw:CARD=Loopback,DEV=0"));
    }
}
