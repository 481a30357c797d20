//! The thread that reads a camera: open, deliver, heal. While there is no camera it delivers a card that says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::capture::{self, CaptureError, Card, Chosen, VideoSource, config::Video};
use crate::fanout::Latest;
use crate::media::{CameraName, Frame, PixelFormat};

use super::clock::media_now;
use super::demand::Demand;
use super::metrics::Metrics;
use super::pulse::{Pulse, ROUND};
use super::state::{Board, State};
use super::stills::Stills;

/// How long a camera may be silent before it is opened anew. A long exposure is under a second; vivid's slowest rate and
/// UVC's start-up are under two.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);

/// Of a camera's own H.264 so many pictures may wait behind each other, a quarter of a second at 30 fps: one that is left
/// out costs all up to the next key frame.
const ENCODED_WAITING: usize = 7;

/// A camera that has just been opened finds its exposure first: what it gives before that is no picture to keep.
const EXPOSES_WITHIN: Duration = Duration::from_millis(300);

/// How long a read may block: so much later at most the thread hears that it is to stop.
const READ_LIMIT: Duration = Duration::from_millis(500);

/// The card is repeated this often: often enough for a viewer who joins, cheap for the encoder.
const CARD_INTERVAL: Duration = Duration::from_millis(200);

/// The headline of the card of a camera that a person has shut.
const SHUT: &str = "privacy";

/// What is said of the test pattern that `auto` has come to.
const MISSING: &str = "none was found: the test pattern is shown until one is plugged in";

/// Pause between attempts to open a camera: short at first, as a replugged one is there within a second.
const RETRY_PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];

/// A camera that is away, or not ours yet, is looked for at least this often: its picture is to be back two seconds after
/// the plug, of which udev and the driver want their share, and a look costs little.
const LOOK_FOR_EVERY: Duration = Duration::from_millis(500);

/// What a camera delivers, which need not be what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames a second, rounded.
    pub fps: u32,
}

impl Settled {
    fn of(source: &dyn VideoSource) -> Self {
        let (format, interval) = source.format();
        Self { width: format.width, height: format.height, fps: frames_a_second(interval).round() as u32 }
    }
}

fn frames_a_second(interval: Duration) -> f64 {
    if interval.is_zero() { 0.0 } else { 1.0 / interval.as_secs_f64() }
}

/// What the capture thread works with.
pub struct Picture {
    /// Whose.
    pub camera: CameraName,
    /// How to open it.
    pub chosen: Arc<Chosen<Video>>,
    /// Where the newest frame goes.
    pub frames: Arc<Latest<Frame>>,
    /// Who wants one of them as a still picture.
    pub stills: Arc<Stills>,
    /// What the camera has settled on: size and frames a second, as captured. Absent until it has delivered.
    pub settled: Arc<Mutex<Option<Settled>>>,
    /// Somebody has found that nothing it gives is of any use.
    pub useless: Arc<AtomicBool>,
    /// Whether frames are wanted.
    pub demand: Arc<Demand>,
    /// Where to say what it does.
    pub board: Arc<Board>,
    /// Where to count.
    pub metrics: Metrics,
}

impl Picture {
    /// Runs until the demand stops it.
    pub fn run(self) {
        let part = format!("camera:{}", self.camera);
        let pulse = self.board.pulses.begin(format!("capture-{}", self.camera));
        let mut failures = 0;
        let mut trouble = None;
        loop {
            pulse.beat();
            if !self.demand.wish().wanted {
                // One that is unplugged is so also while nobody asks for it.
                if trouble != Some(State::Away) || capture::is_there(&self.chosen.now()) {
                    trouble = None;
                }
                if self.demand.wish().shut {
                    self.board.note(&part, State::Private, "");
                } else if trouble.is_none() {
                    self.note_well(&part, State::Idle, "");
                }
            }
            let wish = self.demand.wait_until_wanted(ROUND);
            if wish.stop {
                break;
            }
            if !wish.shut {
                self.looks_for_camera();
            }
            if !wish.wanted {
                continue;
            }
            if wish.shut {
                (failures, trouble) = (0, None);
                self.show_shutter(&part, &pulse);
                continue;
            }
            if failures == 0 {
                self.note_well(&part, State::Starting, "");
            }
            let mut delivered = false;
            if let Err(error) = self.run_once(&part, &pulse, &mut delivered) {
                let state = State::after(&error);
                // Another trouble than before may be a step on the way to none.
                failures = if delivered || trouble != Some(state) { 1 } else { failures + 1 };
                trouble = Some(state);
                self.board.note(&part, state, error.to_string());
                let pause = RETRY_PAUSES[(failures - 1).min(RETRY_PAUSES.len() - 1)];
                let pause = if is_at_the_plug(state) { pause.min(LOOK_FOR_EVERY) } else { pause };
                self.show_card(state, &error, pause, &pulse);
            } else {
                failures = 0;
                trouble = None;
            }
        }
        self.frames.close();
    }

    /// Opens the camera and delivers until nobody wants it, or it is to be opened anew or another one (`Ok`), or it fails.
    fn run_once(&self, part: &str, pulse: &Pulse, delivered: &mut bool) -> Result<(), CaptureError> {
        let mut source = capture::open_video_by_steps(&self.chosen.now(), &|| pulse.beat())?;
        let mut last_sequence = None;
        let mut first = None;
        let mut silent = Duration::ZERO;
        self.useless.store(false, Ordering::Relaxed);
        while self.wanted() && !self.looks_for_camera() {
            if self.useless.load(Ordering::Relaxed) {
                tracing::info!(part, "opened anew, as nothing of what it gives can be shown");
                return Ok(());
            }
            pulse.beat();
            let frame = match source.next(READ_LIMIT) {
                Err(CaptureError::Stalled { .. }) if silent + READ_LIMIT < SILENCE_LIMIT => {
                    silent += READ_LIMIT;
                    continue;
                }
                Err(CaptureError::Stalled { device, .. }) => {
                    return Err(CaptureError::Stalled { device, waited: SILENCE_LIMIT });
                }
                other => other?,
            };
            silent = Duration::ZERO;
            if !*delivered {
                *delivered = true;
                *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(Settled::of(source.as_ref()));
                self.note_well(part, State::Live, &describe(source.as_ref()));
            }
            let camera = [self.camera.as_str()];
            self.metrics.captured.with_label_values(&camera).inc();
            if let Some(last) = last_sequence.replace(frame.sequence) {
                let gap = frame.sequence.wrapping_sub(last).saturating_sub(1);
                // A counter that starts anew is not a gap of billions.
                if gap > 0 && gap < 1_000 {
                    self.metrics.dropped.with_label_values(&[self.camera.as_str(), "driver"]).inc_by(gap.into());
                }
            }
            if frame.captured.since(*first.get_or_insert(frame.captured)) >= EXPOSES_WITHIN {
                self.stills.offer(&frame);
            }
            let waiting = if frame.format.pixel == PixelFormat::H264 { ENCODED_WAITING } else { 0 };
            let dropped = self.frames.put_behind(frame, waiting);
            self.metrics.dropped.with_label_values(&[self.camera.as_str(), "raw"]).inc_by(dropped as u64);
        }
        Ok(())
    }

    /// Whether the camera has come in whose place a stand-in is.
    fn looks_for_camera(&self) -> bool {
        let has_come = self.chosen.look(media_now());
        if has_come {
            let device = self.chosen.now().device;
            tracing::info!(camera = %self.camera, device, "plugged in: it takes the place of the test pattern");
        }
        has_come
    }

    /// Nothing is wrong with what delivers; if that is a stand-in, something is.
    fn note_well(&self, part: &str, state: State, detail: &str) {
        if self.chosen.is_stand_in() {
            self.board.note(part, State::Missing, MISSING);
        } else {
            self.board.note(part, state, detail);
        }
    }

    fn wanted(&self) -> bool {
        let wish = self.demand.wish();
        wish.wanted && !wish.stop && !wish.shut
    }

    /// What was asked for, for cards.
    fn size(&self) -> (u32, u32) {
        let video = self.chosen.now();
        (video.width.value(), video.height.value())
    }

    /// Delivers the card of a camera that a person has shut, for as long as it is. The device is closed.
    fn show_shutter(&self, part: &str, pulse: &Pulse) {
        let (width, height) = self.size();
        let card = Card::new(width, height, SHUT, "somebody has switched this camera off");
        let mut sequence = 0;
        loop {
            // First the card, so that no picture of before waits anywhere when it is said that there is none.
            self.frames.put(card.frame(media_now(), sequence));
            self.board.note(part, State::Private, "");
            pulse.beat();
            sequence += 1;
            let wish = self.demand.pause(CARD_INTERVAL);
            if !wish.shut || !wish.wanted || wish.stop {
                return;
            }
        }
    }

    /// Delivers the card that tells viewers what is wrong, for as long as `pause`.
    fn show_card(&self, state: State, error: &CaptureError, pause: Duration, pulse: &Pulse) {
        let (width, height) = self.size();
        let card = Card::new(width, height, headline(state), &error.to_string());
        let mut sequence = 0;
        let mut left = pause;
        while !left.is_zero() && self.wanted() {
            pulse.beat();
            self.frames.put(card.frame(media_now(), sequence));
            sequence += 1;
            let step = left.min(CARD_INTERVAL);
            self.demand.pause(step);
            left -= step;
        }
    }
}

/// What the card says in large letters.
const fn headline(state: State) -> &'static str {
    match state {
        State::Away => "camera away",
        State::Busy => "camera in use",
        State::Denied => "no right to the camera",
        State::Stalled => "camera silent",
        State::Unsupported => "camera not usable",
        _ => "camera failed",
    }
}

/// Whether it is a matter of being plugged in, which may be over at any moment.
fn is_at_the_plug(state: State) -> bool {
    matches!(state, State::Away | State::Denied)
}

fn describe(source: &dyn VideoSource) -> String {
    let (format, interval) = source.format();
    let fps = frames_a_second(interval);
    format!("{}x{} {:?} at {fps:.1} fps", format.width, format.height, format.pixel)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::capture::config::VideoSourceKind;
    use crate::node::clock::now;

    const LIMIT: Duration = Duration::from_secs(60);

    /// The test pattern, until there is a film of this name in the folder.
    fn stand_in_for(film: &Path) -> Chosen<Video> {
        let pattern = Video {
            source: VideoSourceKind::TestPattern,
            width: const { crate::media::Bounded::new(320) },
            height: const { crate::media::Bounded::new(180) },
            ..Video::default()
        };
        let camera = Video { source: VideoSourceKind::File, file: film.to_owned(), ..pattern.clone() };
        let find = move || camera.file.exists().then(|| camera.clone());
        Chosen::new(pattern, true, (film.parent().expect("a folder"), "camera"), find)
    }

    #[test]
    fn each_card_stands_in_the_table_of_faults_beside_its_state() {
        let table = include_str!("../../deploy/faults.md");
        for state in [State::Away, State::Busy, State::Denied, State::Stalled, State::Unsupported, State::Failed] {
            let (part, card) =
                (format!("`camera:NAME` `{}`", state.word()), format!("the card \"{}\"", headline(state)));
            let is_there = table.lines().any(|line| line.contains(&part) && line.contains(&card));
            assert!(is_there, "{part} with {card}");
        }
        let encoder = table.lines().find(|line| line.contains("`encoder:NAME` `failed`")).expect("a row");
        assert!(encoder.contains(&format!("the card \"{}\"", crate::node::notice::HEADLINE)), "{encoder}");
        assert!(table.contains(&format!("the card \"{SHUT}\"")));
    }

    #[test]
    fn a_camera_that_is_plugged_in_after_the_start_takes_the_place_of_the_test_pattern() {
        let folder = tempfile::tempdir().expect("there is room");
        let film = folder.path().join("camera.y4m");
        let (board, demand, frames) =
            (Arc::<Board>::default(), Arc::<Demand>::default(), Arc::<Latest<Frame>>::default());
        let picture = Picture {
            camera: CameraName::try_from("main".to_owned()).expect("letters"),
            chosen: Arc::new(stand_in_for(&film)),
            frames: Arc::clone(&frames),
            stills: Arc::default(),
            settled: Arc::default(),
            useless: Arc::default(),
            demand: Arc::clone(&demand),
            board: Arc::clone(&board),
            metrics: Metrics::default(),
        };
        let (settled, useless) = (Arc::clone(&picture.settled), Arc::clone(&picture.useless));
        let thread = thread::spawn(move || picture.run());
        let end = now() + LIMIT;
        let until_frame = |width: u32, state: State| loop {
            assert!(now() < end, "no picture {width} wide, {}: {:?}", state.word(), board.conditions());
            let frame = frames.take(Duration::from_secs(1));
            let condition = board.conditions().remove("camera:main");
            let is_so = condition.as_ref().is_some_and(|condition| condition.state == state);
            if is_so && frame.is_none_or(|frame| frame.format.width == width) {
                return condition.expect("seen above").detail;
            }
        };
        // Nobody has asked for it yet.
        assert_eq!(until_frame(0, State::Missing), MISSING);
        demand.want(true);
        assert_eq!(until_frame(320, State::Missing), MISSING);
        let plug = |width: usize, height: usize| {
            let header = format!("YUV4MPEG2 W{width} H{height} F15:1\nFRAME\n");
            let beside = folder.path().join("new.y4m");
            std::fs::write(&beside, [header.as_bytes(), &vec![0x80; width * height * 3 / 2]].concat())
                .expect("there is room");
            std::fs::rename(&beside, &film).expect("the same folder");
        };
        plug(64, 48);
        assert_eq!(until_frame(64, State::Live), "64x48 I420 at 15.0 fps");
        let told = settled.lock().unwrap_or_else(PoisonError::into_inner).map(|settled| settled.width);
        assert_eq!(told, Some(64), "and status tells its size");

        // What is open is what was there before.
        plug(96, 64);
        assert_eq!(until_frame(64, State::Live), "64x48 I420 at 15.0 fps");
        useless.store(true, Ordering::Relaxed);
        assert_eq!(
            until_frame(96, State::Live),
            "96x64 I420 at 15.0 fps",
            "opened anew, as nothing of it can be shown"
        );
        demand.stop();
        thread.join().expect("it ends");
    }
}
