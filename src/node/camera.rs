//! One camera with its microphone: the four threads that make its media, and what viewers may ask of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::capture::{self, config::AudioSourceKind};
use crate::config;
use crate::encode::{self, Turn};
use crate::fanout::{Fanout, Latest};
use crate::media::{CameraName, EncodedAudio, Feedback, FrameFormat, PixelFormat, VideoPackets};
use crate::peer::SendLatency;
use crate::rate::KeyFrameGate;

use super::clock::now;
use super::demand::Demand;
use super::encoding::Encoding;
use super::metrics::Metrics;
use super::picture::{Picture, Settled};
use super::sound::{self, Sound, SoundEncoding};
use super::state::Board;
use super::thread::{self, Priority, Thread, Wedged};

/// A viewer that lags by this much has lost the picture and goes on at the next key frame.
const VIDEO_LAG: Duration = Duration::from_secs(1);
/// One second at 30 fps; more frames than that only at rates where the time limit is reached first.
const VIDEO_ITEMS: usize = 60;
/// Sound that is older than this is not worth sending.
const AUDIO_LAG: Duration = Duration::from_millis(400);
const AUDIO_ITEMS: usize = 20;

/// A running camera.
pub struct Camera {
    name: CameraName,
    /// Pictures, packetized.
    pub packets: Arc<Fanout<Arc<VideoPackets>>>,
    /// Sound; `None` when the config has none.
    pub sound: Option<Arc<Fanout<EncodedAudio>>>,
    profile_level: Arc<Mutex<[u8; 3]>>,
    gate: Arc<Mutex<KeyFrameGate>>,
    loss: Arc<Mutex<f32>>,
    metrics: Metrics,
    frames: Arc<Latest<crate::media::Frame>>,
    demands: Vec<Arc<Demand>>,
    touched: watch::Sender<u32>,
    threads: Mutex<Vec<Thread>>,
    latency: Arc<SendLatency>,
    settled: Arc<Mutex<Option<Settled>>>,
    follower: tokio::task::JoinHandle<()>,
}

impl Camera {
    /// Starts the threads of the camera `config` describes; the devices open when somebody wants them.
    ///
    /// # Errors
    /// No encoder can be made for the size asked, or the system has no threads to give. A missing camera is no error.
    pub fn start(config: &config::Camera, board: &Arc<Board>, metrics: &Metrics) -> anyhow::Result<Self> {
        let name = config.name.clone();
        let video = capture::resolve_video(&config.video);
        let audio = capture::resolve_audio(&config.audio);
        let fps = video.fps.value();

        // Made before the first offer, so that the offer can tell the truth about profile and level.
        let turn = Turn { rotation: video.rotate, flip: video.flip };
        let format = FrameFormat {
            pixel: PixelFormat::I420,
            width: video.width.value(),
            height: video.height.value(),
            stride: video.width.value(),
            full_range: false,
        };
        let warm = encode::open_video(&config.h264, format, fps, turn)?;
        let profile_level = Arc::new(Mutex::new(warm.profile_level()));

        let frames = Arc::new(Latest::new());
        let packets = Arc::new(Fanout::new(VIDEO_ITEMS, VIDEO_LAG));
        let gate = Arc::new(Mutex::new(KeyFrameGate::default()));
        let loss = Arc::new(Mutex::new(0.0));
        let settled = Arc::default();
        let demand = Arc::new(Demand::default());
        let mut demands = vec![Arc::clone(&demand)];
        let mut threads = Vec::new();

        let encoding = Encoding {
            camera: name.clone(),
            config: config.h264.clone(),
            size: (video.width.value(), video.height.value()),
            turn,
            fps,
            warm: Some(warm),
            profile_level: Arc::clone(&profile_level),
            frames: Arc::clone(&frames),
            packets: Arc::clone(&packets),
            gate: Arc::clone(&gate),
            board: Arc::clone(board),
            metrics: metrics.clone(),
        };
        threads.push(thread::start(format!("encode-{name}"), Priority::Picture, move || encoding.run())?);
        let picture = Picture {
            camera: name.clone(),
            config: video,
            frames: Arc::clone(&frames),
            settled: Arc::clone(&settled),
            demand: Arc::clone(&demand),
            board: Arc::clone(board),
            metrics: metrics.clone(),
        };
        threads.push(thread::start(format!("capture-{name}"), Priority::Picture, move || picture.run())?);

        let sound = if audio.source == AudioSourceKind::None {
            None
        } else {
            let sound_demand = Arc::new(Demand::default());
            demands.push(Arc::clone(&sound_demand));
            let fanout = Arc::new(Fanout::new(AUDIO_ITEMS, AUDIO_LAG));
            let (periods_in, periods_out) = sound::periods();
            let encoding = SoundEncoding {
                camera: name.clone(),
                config: config.opus.clone(),
                periods: periods_out,
                packets: Arc::clone(&fanout),
                loss: Arc::clone(&loss),
                board: Arc::clone(board),
            };
            threads.push(thread::start(format!("opus-{name}"), Priority::Sound, move || encoding.run())?);
            let sound = Sound {
                camera: name.clone(),
                config: audio,
                periods: periods_in,
                demand: sound_demand,
                board: Arc::clone(board),
            };
            threads.push(thread::start(format!("sound-{name}"), Priority::Sound, move || sound.run())?);
            Some(fanout)
        };

        // Touched once at the start: whether the camera works is known, and said, before anybody watches.
        let touched = watch::Sender::new(1);
        let follower = tokio::spawn(
            Follower {
                on_demand: config.on_demand,
                linger: Duration::from_secs(config.linger_s.value().into()),
                viewers: [Some(packets.watch_subscribers()), sound.as_ref().map(|s| s.watch_subscribers())],
                touched: touched.subscribe(),
                demands: demands.clone(),
                gauge: metrics.viewers.with_label_values(&[name.as_str()]),
            }
            .run(),
        );

        Ok(Self {
            name,
            packets,
            sound,
            profile_level,
            gate,
            loss,
            metrics: metrics.clone(),
            frames,
            demands,
            touched,
            threads: Mutex::new(threads),
            latency: Arc::default(),
            settled,
            follower,
        })
    }

    /// Its name.
    pub fn name(&self) -> &CameraName {
        &self.name
    }

    /// `profile_idc`, constraint flags and `level_idc` of the stream, for the SDP.
    pub fn profile_level(&self) -> [u8; 3] {
        *self.profile_level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Viewers that are being sent its picture or sound.
    pub fn viewers(&self) -> usize {
        let listeners = self.sound.as_ref().map_or(0, |sound| sound.subscribers());
        self.packets.subscribers().max(listeners)
    }

    /// What it delivers, once it has.
    pub fn settled(&self) -> Option<Settled> {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long pictures take to the wire.
    pub fn latency(&self) -> &Arc<SendLatency> {
        &self.latency
    }

    /// Somebody is about to watch: opens the camera now rather than when the connection stands.
    pub fn touch(&self) {
        self.touched.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// What a viewer reports or asks.
    pub fn feedback(&self, feedback: Feedback) {
        match feedback {
            Feedback::KeyFrameWanted | Feedback::ViewerJoined => {
                if feedback == Feedback::KeyFrameWanted {
                    self.metrics.key_frames_asked.with_label_values(&[self.name.as_str()]).inc();
                }
                self.gate.lock().unwrap_or_else(PoisonError::into_inner).handle(feedback, now());
            }
            // Opus hides up to a tenth of loss well; a single bad reading must not double everybody's sound, so it moves
            // a quarter of the way.
            Feedback::LossRate(share) => {
                let mut loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.follower.abort();
        for demand in &self.demands {
            demand.stop();
        }
        self.frames.close();
        self.packets.close();
        if let Some(sound) = &self.sound {
            sound.close();
        }
        let end = now() + limit;
        let mut result = Ok(());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if let Err(wedged) = thread.join(end.saturating_duration_since(now())) {
                result = Err(wedged);
            }
        }
        result
    }
}

/// Turns the number of viewers into the wish to capture: at once on the first, after a linger on the last one's leaving.
struct Follower {
    on_demand: bool,
    linger: Duration,
    viewers: [Option<watch::Receiver<usize>>; 2],
    touched: watch::Receiver<u32>,
    demands: Vec<Arc<Demand>>,
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
        let counts = self.viewers.each_mut().map(|v| v.as_mut().map_or(0, |v| *v.borrow_and_update()));
        self.gauge.set(i64::try_from(counts[0].max(counts[1])).unwrap_or(i64::MAX));
        counts.iter().any(|n| *n > 0)
    }

    /// Waits for a viewer to come or go, or a touch; false when the camera is being stopped.
    async fn change(&mut self) -> bool {
        async fn changed(receiver: &mut Option<watch::Receiver<usize>>) -> bool {
            match receiver {
                Some(receiver) => receiver.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        }
        let [pictures, sound] = &mut self.viewers;
        tokio::select! {
            alive = changed(pictures) => alive,
            alive = changed(sound) => alive,
            touch = self.touched.changed() => touch.is_ok(),
        }
    }
}
