//! One camera with its microphone, as viewers and the rest of the node see it. The threads that make its media are a
//! pipeline, which a reload may exchange for another while viewers stay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::capture;
use crate::config;
use crate::encode::{Still, StillWish, Turn};
use crate::fanout::Fanout;
use crate::media::{CameraName, EncodedAudio, Feedback, VideoPackets};
use crate::peer::SendLatency;
use crate::playback::Voice;

use super::clock::now;
use super::demand::Demand;
use super::metrics::Metrics;
use super::picture::Settled;
use super::pipeline::{Outlets, Pipeline, Prepared, is_same_stream};
use super::shutter::Shutter;
use super::state::Board;
use super::stills::{NoStill, Sitting};
use super::thread::Wedged;

/// A viewer that lags by this much has lost the picture and goes on at the next key frame.
const VIDEO_LAG: Duration = Duration::from_secs(1);
/// One second at 30 fps; more frames than that only at rates where the time limit is reached first.
const VIDEO_ITEMS: usize = 60;
/// Sound that is older than this is not worth sending.
const AUDIO_LAG: Duration = Duration::from_millis(400);
const AUDIO_ITEMS: usize = 20;

/// A running camera.
pub struct Camera {
    outlets: Outlets,
    has_sound: AtomicBool,
    has_speaker: AtomicBool,
    touched: watch::Sender<u32>,
    latency: Arc<SendLatency>,
    works: Mutex<Option<Works>>,
    /// One exchange at a time.
    exchanging: Mutex<()>,
}

/// What makes its media now.
struct Works {
    pipeline: Pipeline,
    follower: JoinHandle<()>,
}

/// What an exchange of pipelines means for viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanged {
    /// They go on with the next key frame.
    Same,
    /// What they were offered is not true any more: they must join anew.
    Other,
}

impl Camera {
    /// Starts the threads of the camera `config` describes; the devices open when somebody wants them. `stream_changed` is told when
    /// viewers were offered another stream than the one that comes.
    ///
    /// # Errors
    /// No encoder can be made for the size asked, or the system has no threads to give. A missing camera is no error.
    pub fn start(
        config: &config::Camera,
        shutter: Arc<Shutter>,
        stream_changed: &Arc<Notify>,
        board: &Arc<Board>,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let prepared = Prepared::new(config, None)?;
        let outlets = Outlets {
            name: config.name.clone(),
            packets: Arc::new(Fanout::new(VIDEO_ITEMS, VIDEO_LAG)),
            sound: Arc::new(Fanout::new(AUDIO_ITEMS, AUDIO_LAG)),
            profile_level: Arc::new(Mutex::new(prepared.profile_level())),
            stream_changed: Arc::clone(stream_changed),
            gate: Arc::default(),
            loss: Arc::default(),
            shutter,
            talkers: Arc::default(),
            stills: Arc::default(),
            settled: Arc::default(),
            board: Arc::clone(board),
            metrics: metrics.clone(),
        };
        // Touched once at the start: whether the camera works is known, and said, before anybody watches.
        let touched = watch::Sender::new(1);
        let camera = Self {
            outlets,
            has_sound: AtomicBool::new(false),
            has_speaker: AtomicBool::new(false),
            touched,
            latency: Arc::default(),
            works: Mutex::new(None),
            exchanging: Mutex::default(),
        };
        camera.begin(prepared)?;
        Ok(camera)
    }

    /// What another config would need, without touching what is at work.
    ///
    /// # Errors
    /// As [`Camera::start`].
    pub fn prepare(&self, config: &config::Camera) -> anyhow::Result<Prepared> {
        Prepared::new(config, self.works().as_ref().map(|works| &works.pipeline))
    }

    /// Ends the pipeline there is and begins another, for the same viewers; blocks for at most `limit`. A thread that takes
    /// longer to let go of its device is waited for by the new one, which finds it busy.
    ///
    /// # Errors
    /// The system has no threads to give.
    pub fn exchange(&self, prepared: Prepared, limit: Duration) -> std::io::Result<Exchanged> {
        let _one = self.exchanging.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.profile_level();
        let mut after = prepared.profile_level();
        if let Some(works) = self.works().take() {
            // A camera's own stream goes on as it is, and one of larger pictures too; what it is, no new encoder can tell.
            if works.pipeline.passes_through(before) && prepared.reads_the_same(&works.pipeline) {
                after = before;
            }
            works.follower.abort();
            if let Err(wedged) = works.pipeline.end(limit) {
                tracing::warn!(%wedged, "the camera's device may stay busy for a while");
            }
        }
        *self.outlets.profile_level.lock().unwrap_or_else(PoisonError::into_inner) = after;
        self.begin(prepared)?;
        Ok(if is_same_stream(before, after) { Exchanged::Same } else { Exchanged::Other })
    }

    fn begin(&self, prepared: Prepared) -> std::io::Result<()> {
        self.has_sound.store(prepared.has_sound(), Ordering::Relaxed);
        self.has_speaker.store(prepared.has_speaker(), Ordering::Relaxed);
        let name = &self.outlets.name;
        if !prepared.has_sound() {
            self.outlets.board.forget(&format!("microphone:{name}"));
        }
        if !prepared.has_speaker() {
            self.outlets.board.forget(&format!("speaker:{name}"));
        }
        let pipeline = prepared.begin(&self.outlets)?;
        let config = pipeline.config();
        let follower = Follower {
            on_demand: config.on_demand,
            linger: Duration::from_secs(config.linger_s.value().into()),
            viewers: [self.outlets.packets.watch_subscribers(), self.outlets.sound.watch_subscribers()],
            touched: self.touched.subscribe(),
            talkers: self.outlets.talkers.count(),
            asking: self.outlets.stills.asking(),
            demands: pipeline.demands().to_vec(),
            picture: Arc::clone(pipeline.picture()),
            speaker: Arc::clone(pipeline.speaker()),
            gauge: self.outlets.metrics.viewers.with_label_values(&[name.as_str()]),
        };
        let mut works = self.works();
        *works = Some(Works { pipeline, follower: tokio::spawn(follower.run()) });
        // It may have been shut while this was made.
        self.apply_shutter(&works);
        Ok(())
    }

    /// Shuts it, so that its devices are closed, or opens it again.
    pub fn set_private(&self, private: bool) {
        self.outlets.shutter.set_private(private);
        if private {
            self.outlets.stills.shut();
        }
        self.apply_shutter(&self.works());
    }

    fn apply_shutter(&self, works: &Option<Works>) {
        let demands = works.iter().flat_map(|works| works.pipeline.demands());
        demands.for_each(|demand| demand.shut(self.outlets.shutter.is_private()));
    }

    /// Whether a person has shut it, or muted its microphone.
    pub fn shutter(&self) -> &Arc<Shutter> {
        &self.outlets.shutter
    }

    /// What its pipeline was made from, and where its pictures come from; `None` once it has stopped.
    pub fn config(&self) -> Option<(config::Camera, capture::config::Video)> {
        self.works().as_ref().map(|works| (works.pipeline.config().clone(), works.pipeline.video()))
    }

    /// Its name.
    pub fn name(&self) -> &CameraName {
        &self.outlets.name
    }

    /// Pictures, packetized.
    pub fn packets(&self) -> &Arc<Fanout<Arc<VideoPackets>>> {
        &self.outlets.packets
    }

    /// Sound; `None` when the config has none.
    pub fn sound(&self) -> Option<&Arc<Fanout<EncodedAudio>>> {
        self.has_sound.load(Ordering::Relaxed).then_some(&self.outlets.sound)
    }

    /// One more viewer who may talk; `None` when the config has no speaker.
    pub fn voice(&self) -> Option<Voice> {
        self.has_speaker.load(Ordering::Relaxed).then(|| self.outlets.talkers.join())
    }

    /// `profile_idc`, constraint flags and `level_idc` of the stream, for the SDP.
    pub fn profile_level(&self) -> [u8; 3] {
        *self.outlets.profile_level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Viewers that are being sent its picture or sound.
    pub fn viewers(&self) -> usize {
        self.outlets.packets.subscribers().max(self.outlets.sound.subscribers())
    }

    /// What it delivers, once it has.
    pub fn settled(&self) -> Option<Settled> {
        *self.outlets.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long pictures take to the wire.
    pub fn latency(&self) -> &Arc<SendLatency> {
        &self.latency
    }

    /// Somebody is about to watch: opens the camera now rather than when the connection stands.
    pub fn touch(&self) {
        self.touched.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// A still picture: opens the camera for it, and leaves it open for the linger, as the next one is often asked for soon.
    ///
    /// # Errors
    /// [`NoStill`]; nobody gets a picture of a camera that a person has shut.
    pub async fn still(&self, wish: StillWish) -> Result<Still, NoStill> {
        let stopping = || NoStill::Failed("the node is stopping".to_owned());
        if self.outlets.shutter.is_private() {
            return Err(NoStill::Shut(self.name().clone()));
        }
        let (config, video) = self.config().ok_or_else(stopping)?;
        let glimpse = self.outlets.stills.glimpse();
        let sitting = Sitting {
            camera: self.name(),
            shutter: &self.outlets.shutter,
            board: &self.outlets.board,
            turn: Turn { rotation: video.rotate, flip: video.flip },
        };
        let taken = self.outlets.stills.take(sitting, wish).await;
        let linger = Duration::from_secs(config.linger_s.value().into());
        tokio::spawn(async move {
            tokio::time::sleep(linger).await;
            drop(glimpse);
        });
        taken
    }

    /// What a viewer reports or asks.
    pub fn feedback(&self, feedback: Feedback) {
        match feedback {
            Feedback::KeyFrameWanted | Feedback::ViewerJoined => {
                if feedback == Feedback::KeyFrameWanted {
                    self.outlets.metrics.key_frames_asked.with_label_values(&[self.name().as_str()]).inc();
                }
                self.outlets.gate.lock().unwrap_or_else(PoisonError::into_inner).handle(feedback, now());
            }
            // Opus hides up to a tenth of loss well; a single bad reading must not double everybody's sound, so it moves
            // a quarter of the way.
            Feedback::LossRate(share) => {
                let mut loss = self.outlets.loss.lock().unwrap_or_else(PoisonError::into_inner);
                *loss += (share.clamp(0.0, 1.0) - *loss) / 4.0;
            }
            Feedback::BitrateLimit(_) => {}
        }
    }

    /// Ends the threads, waiting at most `limit` for all of them together.
    ///
    /// # Errors
    /// A thread is stuck in its driver and was abandoned.
    pub fn stop(&self, limit: Duration) -> Result<(), Wedged> {
        self.outlets.packets.close();
        self.outlets.sound.close();
        let Some(works) = self.works().take() else { return Ok(()) };
        works.follower.abort();
        works.pipeline.end(limit)
    }

    fn works(&self) -> MutexGuard<'_, Option<Works>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns the number of viewers into the wish to capture: at once on the first, after a linger on the last one's leaving.
struct Follower {
    on_demand: bool,
    linger: Duration,
    viewers: [watch::Receiver<usize>; 2],
    touched: watch::Receiver<u32>,
    talkers: watch::Receiver<usize>,
    asking: watch::Receiver<usize>,
    demands: Vec<Arc<Demand>>,
    picture: Arc<Demand>,
    speaker: Arc<Demand>,
    gauge: prometheus::IntGauge,
}

impl Follower {
    async fn run(mut self) {
        loop {
            self.want(true);
            // Wanted as long as somebody watches, and for the linger after that or after a touch.
            while !self.on_demand || self.watched() {
                if !self.change().await {
                    return;
                }
            }
            match tokio::time::timeout(self.linger, self.change()).await {
                Ok(true) => continue,
                Ok(false) => return,
                Err(_) => {}
            }
            self.want(false);
            if !self.change().await {
                return;
            }
        }
    }

    fn want(&self, wanted: bool) {
        for demand in &self.demands {
            demand.want(wanted);
        }
    }

    /// Somebody watches or listens.
    fn watched(&mut self) -> bool {
        let counts = self.viewers.each_mut().map(|viewers| *viewers.borrow_and_update());
        self.gauge.set(i64::try_from(counts[0].max(counts[1])).unwrap_or(i64::MAX));
        counts.iter().any(|n| *n > 0)
    }

    /// Waits for a viewer to come or go, or a touch; false when the camera is being stopped.
    async fn change(&mut self) -> bool {
        let talked_to = *self.talkers.borrow_and_update() > 0;
        self.speaker.want(talked_to);
        let [pictures, sound] = &mut self.viewers;
        loop {
            // A still picture is no viewer: the microphone stays closed.
            let asked = *self.asking.borrow_and_update() > 0;
            self.picture.glimpse(asked);
            return tokio::select! {
                alive = pictures.changed() => alive.is_ok(),
                alive = sound.changed() => alive.is_ok(),
                touch = self.touched.changed() => touch.is_ok(),
                talker = self.talkers.changed() => talker.is_ok(),
                asking = self.asking.changed() => match asking {
                    Ok(()) => continue,
                    Err(_) => false,
                },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::config::VideoSourceKind;
    use crate::media::Bounded;

    #[tokio::test]
    async fn what_a_person_has_shut_no_other_settings_open() {
        const LIMIT: Duration = Duration::from_secs(30);
        let mut config = config::Camera::default();
        config.video.source = VideoSourceKind::TestPattern;
        (config.video.width, config.video.height) = (const { Bounded::new(64) }, const { Bounded::new(64) });
        let shutter = Arc::<Shutter>::default();
        shutter.set_private(true);
        let metrics = Metrics::default();
        let camera = Camera::start(&config, shutter, &Arc::default(), &Arc::default(), &metrics)
            .expect("a pattern is always there");
        let is_shut = || {
            let works = camera.works();
            let shut: Vec<bool> =
                works.iter().flat_map(|works| works.pipeline.demands()).map(|demand| demand.wish().shut).collect();
            assert!(!shut.is_empty() && shut.iter().all(|one| *one == shut[0]), "{shut:?}");
            shut[0]
        };
        assert!(is_shut(), "as it was left");
        config.video.fps = const { Bounded::new(10) };
        let exchange = |config| camera.exchange(camera.prepare(config).expect("a small picture"), LIMIT);
        exchange(&config).expect("the system has threads");
        assert_eq!(camera.config().map(|(config, _)| config.video.fps.value()), Some(10));
        assert!(is_shut(), "with other settings");
        camera.set_private(false);
        exchange(&config).expect("the system has threads");
        assert!(!is_shut(), "it was opened again");
        camera.stop(LIMIT).expect("no thread is stuck");
    }
}
