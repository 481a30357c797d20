//! Still pictures of one camera: the next raw frame as JPEG, made beside its stream.
//!
//! The thread that captures gives a frame away only when somebody waits for one, and the JPEG is made on a thread of its own,
//! one at a time, so that neither capture nor encoding waits for it. Who asks for the same within a tenth of a second gets the
//! same picture. A camera that a person has shut gives none, whatever was taken before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::encode::{self, EncodeError, Still, StillWish, Turn};
use crate::media::{CameraName, Frame};
use crate::{control, session};

use super::clock::now;
use super::shutter::Shutter;
use super::state::{Board, Condition, State};

/// So old a picture may be for the next one who asks for it.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// How long a picture is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A camera that is opened for it may need so long to say whether it works; what is said of it before may be of another
    /// time.
    starting: Duration,
    /// A picture is there within this time, or there will be none: a camera that is opened takes two seconds, a busy board more.
    in_all: Duration,
}

const PATIENCE: Patience = Patience { starting: Duration::from_secs(1), in_all: Duration::from_secs(8) };

/// Where the pictures of one camera are taken.
#[derive(Debug)]
pub struct Stills {
    /// Who waits for one: for them the camera is open.
    asking: watch::Sender<usize>,
    slot: Mutex<Slot>,
    filled: Notify,
    /// One at a time; what was taken last.
    latest: tokio::sync::Mutex<Option<Taken>>,
    patience: Patience,
}

#[derive(Debug, Default)]
struct Slot {
    wanted: bool,
    frame: Option<Frame>,
    /// How often the camera was shut: what was taken before the last time is nobody's any more.
    shuttings: u64,
}

#[derive(Debug, Clone)]
struct Taken {
    wish: StillWish,
    at: Instant,
    shuttings: u64,
    still: Still,
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStill {
    /// A person has shut the camera.
    #[error("the camera {0} is shut: it shows nobody anything until privacy is off")]
    Shut(CameraName),
    /// It is unplugged.
    #[error("{0}")]
    Away(String),
    /// It is there and gives no picture.
    #[error("{0}")]
    Failed(String),
    /// What it gives can be made no such picture of.
    #[error("{0}")]
    Unsupported(String),
    /// It has given none in time.
    #[error("the camera has given no picture for {} s", PATIENCE.in_all.as_secs())]
    TimedOut,
}

impl NoStill {
    /// What it is to who asks over the broker, and over a channel: the two have one number.
    pub fn codes(&self) -> (session::ErrorCode, control::ErrorCode) {
        match self {
            Self::Shut(_) => (session::ErrorCode::CameraShut, control::ErrorCode::CameraShut),
            Self::Away(_) => (session::ErrorCode::CameraAway, control::ErrorCode::CameraAway),
            Self::Failed(_) => (session::ErrorCode::CameraFailed, control::ErrorCode::CameraFailed),
            Self::Unsupported(_) => (session::ErrorCode::Unsupported, control::ErrorCode::Unsupported),
            Self::TimedOut => (session::ErrorCode::TimedOut, control::ErrorCode::TimedOut),
        }
    }
}

impl Default for Stills {
    fn default() -> Self {
        Self {
            asking: watch::Sender::new(0),
            slot: Mutex::default(),
            filled: Notify::new(),
            latest: tokio::sync::Mutex::default(),
            patience: PATIENCE,
        }
    }
}

/// Somebody wants the camera open for a picture, for as long as this lives.
#[derive(Debug)]
pub struct Glimpse(Arc<Stills>);

impl Drop for Glimpse {
    fn drop(&mut self) {
        self.0.asking.send_modify(|asking| *asking = asking.saturating_sub(1));
    }
}

/// What a picture is taken by.
pub struct Sitting<'a> {
    /// The camera.
    pub camera: &'a CameraName,
    /// Whether it is shut.
    pub shutter: &'a Shutter,
    /// Where it says how it is.
    pub board: &'a Board,
    /// How its picture is turned.
    pub turn: Turn,
}

impl Stills {
    /// Opens the camera, if it is not open.
    pub fn glimpse(self: &Arc<Self>) -> Glimpse {
        self.asking.send_modify(|asking| *asking = asking.saturating_add(1));
        Glimpse(Arc::clone(self))
    }

    /// How many want it open.
    pub fn asking(&self) -> watch::Receiver<usize> {
        self.asking.subscribe()
    }

    /// A frame of the camera's own, never a card. Waits for nobody.
    pub fn offer(&self, frame: &Frame) {
        let mut slot = self.slot();
        if std::mem::take(&mut slot.wanted) {
            slot.frame = Some(frame.clone());
            drop(slot);
            self.filled.notify_one();
        }
    }

    /// The camera is being shut: of what was taken nobody gets anything any more.
    pub fn shut(&self) {
        let mut slot = self.slot();
        slot.shuttings += 1;
        slot.frame = None;
    }

    /// Takes a picture, or hands out the one that was just taken. The camera has to be open, or about to be
    /// ([`Stills::glimpse`]).
    ///
    /// # Errors
    /// [`NoStill`]
    pub async fn take(&self, sitting: Sitting<'_>, wish: StillWish) -> Result<Still, NoStill> {
        let shut = || NoStill::Shut(sitting.camera.clone());
        let taking = async {
            let mut latest = self.latest.lock().await;
            let shuttings = self.slot().shuttings;
            if sitting.shutter.is_private() {
                return Err(shut());
            }
            if let Some(taken) = latest.as_ref().filter(|taken| taken.is_for(wish, shuttings, now())) {
                return Ok((taken.still.clone(), shuttings));
            }
            let frame = self.frame(&sitting).await?;
            let (at, turn) = (now(), sitting.turn);
            let made = tokio::task::spawn_blocking(move || encode::still(&frame, turn, wish)).await;
            let still =
                made.map_err(|_| NoStill::Failed("this is a defect, please report it with the log".to_owned()))?;
            let still = still.map_err(|error| of_encoding(&error))?;
            *latest = Some(Taken { wish, at, shuttings, still: still.clone() });
            Ok((still, shuttings))
        };
        let (still, shuttings) =
            tokio::time::timeout(self.patience.in_all, taking).await.map_err(|_| NoStill::TimedOut)??;
        // It may have been shut while the picture was made.
        if sitting.shutter.is_private() || self.slot().shuttings != shuttings {
            return Err(shut());
        }
        Ok(still)
    }

    /// The next frame, or why there will be none.
    async fn frame(&self, sitting: &Sitting<'_>) -> Result<Frame, NoStill> {
        let part = format!("camera:{}", sitting.camera);
        let mut news = sitting.board.watch();
        let _wanted = Wanted::begin(self);
        let starting = tokio::time::sleep(self.patience.starting);
        tokio::pin!(starting);
        let mut has_started = false;
        loop {
            if let Some(frame) = self.slot().frame.take() {
                return Ok(frame);
            }
            if sitting.shutter.is_private() {
                return Err(NoStill::Shut(sitting.camera.clone()));
            }
            if has_started && let Some(why) = sitting.board.conditions().get(&part).and_then(of_condition) {
                return Err(why);
            }
            tokio::select! {
                () = self.filled.notified() => {}
                _ = news.changed() => {}
                () = &mut starting, if !has_started => has_started = true,
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wants a frame, and keeps no driver's buffer when nobody does any more.
struct Wanted<'a>(&'a Stills);

impl<'a> Wanted<'a> {
    fn begin(stills: &'a Stills) -> Self {
        let mut slot = stills.slot();
        (slot.wanted, slot.frame) = (true, None);
        Self(stills)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut slot = self.0.slot();
        (slot.wanted, slot.frame) = (false, None);
    }
}

impl Taken {
    fn is_for(&self, wish: StillWish, shuttings: u64, at: Instant) -> bool {
        self.wish == wish && self.shuttings == shuttings && at.saturating_duration_since(self.at) < SHARED_FOR
    }
}

/// What a camera's trouble means for who wants its picture.
fn of_condition(Condition { state, detail }: &Condition) -> Option<NoStill> {
    match state {
        State::Away => Some(NoStill::Away(detail.clone())),
        State::Busy | State::Denied | State::Stalled | State::Unsupported | State::Failed => {
            Some(NoStill::Failed(detail.clone()))
        }
        _ => None,
    }
}

fn of_encoding(error: &EncodeError) -> NoStill {
    match error {
        EncodeError::Unsupported(_) => NoStill::Unsupported(error.to_string()),
        other => NoStill::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{FrameFormat, MediaTime, PixelFormat};

    const WISH: StillWish = StillWish { width: None, quality: 80, max_bytes: usize::MAX };

    struct Studio {
        camera: CameraName,
        shutter: Shutter,
        board: Board,
        stills: Arc<Stills>,
    }

    impl Studio {
        fn new() -> Self {
            let camera = "main".to_owned().try_into().expect("letters only");
            Self { camera, shutter: Shutter::default(), board: Board::default(), stills: Arc::default() }
        }

        async fn take(&self, wish: StillWish) -> Result<Still, NoStill> {
            let sitting =
                Sitting { camera: &self.camera, shutter: &self.shutter, board: &self.board, turn: Turn::default() };
            self.stills.take(sitting, wish).await
        }

        /// Delivers frames of this grey until `done`.
        async fn show<T>(&self, grey: u8, done: impl Future<Output = T>) -> T {
            let frames = async {
                loop {
                    self.stills.offer(&frame(grey));
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                done = done => done,
                never = frames => never,
            }
        }

        fn shut(&self, private: bool) {
            self.shutter.set_private(private);
            if private {
                self.stills.shut();
            }
        }
    }

    fn frame(grey: u8) -> Frame {
        let format = FrameFormat { pixel: PixelFormat::I420, width: 32, height: 16, stride: 32, full_range: true };
        let mut data = vec![grey; 32 * 16];
        data.resize(32 * 16 * 3 / 2, 128);
        Frame { format, data: Bytes::from(data), captured: MediaTime::from_nanos(0), sequence: 0 }
    }

    fn grey_of(still: &Still) -> u8 {
        turbojpeg::decompress(&still.jpeg, turbojpeg::PixelFormat::GRAY).expect("a JPEG").pixels[0]
    }

    #[test]
    fn why_there_is_no_picture_has_one_number_by_whichever_way_it_was_asked_for() {
        let why = || "why".to_owned();
        let camera = "main".to_owned().try_into().expect("letters only");
        for (no, number) in [
            (NoStill::Shut(camera), 33),
            (NoStill::Away(why()), 31),
            (NoStill::Failed(why()), 32),
            (NoStill::Unsupported(why()), 12),
            (NoStill::TimedOut, 51),
        ] {
            let (over_broker, over_channel) = no.codes();
            assert_eq!((over_broker.number(), over_channel.words().0), (number, number), "{no}");
        }
    }

    #[tokio::test]
    async fn it_is_the_next_frame_and_no_frame_is_kept_for_nobody() {
        let studio = Studio::new();
        studio.stills.offer(&frame(10));
        let still = studio.show(200, studio.take(WISH)).await.expect("a picture");
        assert!(grey_of(&still).abs_diff(200) < 4, "the one from before was nobody's");
        assert!(studio.stills.slot().frame.is_none() && !studio.stills.slot().wanted);
        let unheard = studio.take(StillWish { quality: 50, ..WISH });
        assert!(tokio::time::timeout(Duration::from_millis(20), unheard).await.is_err());
        studio.stills.offer(&frame(10));
        assert!(studio.stills.slot().frame.is_none(), "who asked has gone");
    }

    #[tokio::test]
    async fn who_asks_for_the_same_at_once_gets_the_same() {
        let studio = Studio::new();
        let three = futures_util::future::join3(
            studio.take(WISH),
            studio.take(WISH),
            studio.take(StillWish { width: Some(16), ..WISH }),
        );
        let (one, two, other) = studio.show(100, three).await;
        let (one, two, other) = (one.expect("a picture"), two.expect("a picture"), other.expect("a picture"));
        assert_eq!((one.width, other.width), (32, 16));
        // The other may have come between them; what is shared has the same bytes in the same place.
        assert!(one.jpeg.as_ptr() == two.jpeg.as_ptr() || one == two);
    }

    #[tokio::test]
    async fn a_shut_camera_gives_no_picture_not_even_one_of_before() {
        let studio = Studio::new();
        studio.show(100, studio.take(WISH)).await.expect("a picture");
        studio.shut(true);
        assert!(matches!(studio.show(100, studio.take(WISH)).await, Err(NoStill::Shut(_))), "though one is there");
        studio.shut(false);
        let still = studio.show(30, studio.take(WISH)).await.expect("a picture");
        assert!(grey_of(&still).abs_diff(30) < 4, "not the one of before");
    }

    #[tokio::test]
    async fn who_waits_while_it_is_shut_gets_none_and_neither_does_who_has_a_frame_already() {
        let studio = Studio::new();
        let waiting = async {
            tokio::task::yield_now().await;
            studio.shut(true);
            studio.board.note("camera:main", State::Private, "");
            std::future::pending::<()>().await;
        };
        let taken = tokio::select! {
            taken = studio.take(WISH) => taken,
            () = waiting => unreachable!("it waits for ever"),
        };
        assert!(matches!(taken, Err(NoStill::Shut(_))));

        // Shut and opened again while the picture was made.
        studio.shut(false);
        let made = async {
            while !studio.stills.slot().wanted {
                tokio::task::yield_now().await;
            }
            studio.stills.offer(&frame(100));
            // The one who waits has it in its hands once the slot is empty.
            while studio.stills.slot().frame.is_some() {
                tokio::task::yield_now().await;
            }
            studio.shut(true);
            studio.shut(false);
        };
        // In this order each time, or a quick encoder is done before it is shut.
        let (taken, ()) = tokio::join!(biased; studio.take(WISH), made);
        assert!(matches!(taken, Err(NoStill::Shut(_))), "{taken:?}");
    }

    #[tokio::test]
    async fn a_camera_in_trouble_says_which_and_a_silent_one_is_not_waited_for_for_ever() {
        let patient = |starting, in_all| Stills { patience: Patience { starting, in_all }, ..Stills::default() };
        let mut studio = Studio::new();
        studio.stills = Arc::new(patient(Duration::ZERO, Duration::from_secs(60)));
        for (state, why) in [
            (State::Away, NoStill::Away("gone".to_owned())),
            (State::Busy, NoStill::Failed("gone".to_owned())),
            (State::Denied, NoStill::Failed("gone".to_owned())),
        ] {
            studio.board.note("camera:main", state, "gone");
            assert_eq!(studio.take(WISH).await, Err(why));
        }
        studio.board.note("camera:main", State::Starting, "");
        studio.stills = Arc::new(patient(Duration::ZERO, Duration::from_millis(20)));
        assert_eq!(studio.take(WISH).await, Err(NoStill::TimedOut));
    }
}
