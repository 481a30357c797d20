//! The threads that make a camera's media, begun and ended together.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::capture::{Chosen, config::Audio, config::AudioSourceKind, config::Video};
use crate::config;
use crate::encode::{self, Turn, VideoEncoder};
use crate::fanout::{Fanout, Latest};
use crate::media::{CameraName, EncodedAudio, Frame, FrameFormat, PixelFormat, ProfileLevelId, VideoPackets};
use crate::playback::{Echoes, Talkers, config::SinkKind};
use crate::rate::KeyFrameGate;

use super::clock::now;
use super::demand::Demand;
use super::encoding::Encoding;
use super::metrics::Metrics;
use super::output_watch::Patience;
use super::picture::{Picture, Settled};
use super::shutter::Shutter;
use super::sound::{self, Sound, SoundEncoding};
use super::speaker::Playing;
use super::state::Board;
use super::stills::Stills;
use super::thread::{self, Priority, Thread, Wedged};

/// What outlives a pipeline: where its media go, and what viewers ask of it.
#[derive(Clone)]
pub struct Outlets {
    /// Whose.
    pub name: CameraName,
    /// Pictures, packetized.
    pub packets: Arc<Fanout<Arc<VideoPackets>>>,
    /// Sound, if the pipeline makes any.
    pub sound: Arc<Fanout<EncodedAudio>>,
    /// `profile_idc`, constraint flags and `level_idc` of the stream.
    pub profile_level: Arc<Mutex<[u8; 3]>>,
    /// Told when viewers were offered another stream than the one that comes now.
    pub stream_changed: Arc<Notify>,
    /// When a key frame is due.
    pub gate: Arc<Mutex<KeyFrameGate>>,
    /// The loss that viewers report.
    pub loss: Arc<Mutex<f32>>,
    /// Whether a person has shut it.
    pub shutter: Arc<Shutter>,
    /// Who may talk at its speaker.
    pub talkers: Arc<Talkers>,
    /// Who wants a still picture.
    pub stills: Arc<Stills>,
    /// What the camera has settled on.
    pub settled: Arc<Mutex<Option<Settled>>>,
    /// Where to say what it does.
    pub board: Arc<Board>,
    /// Where to count.
    pub metrics: Metrics,
}

/// A pipeline that could be begun: its config is good, and its encoder exists.
pub struct Prepared {
    config: config::Camera,
    video: Arc<Chosen<Video>>,
    audio: Arc<Chosen<Audio>>,
    turn: Turn,
    warm: Box<dyn VideoEncoder>,
}

/// A pipeline at work.
pub struct Pipeline {
    config: config::Camera,
    video: Arc<Chosen<Video>>,
    audio: Arc<Chosen<Audio>>,
    frames: Arc<Latest<Frame>>,
    demands: Vec<Arc<Demand>>,
    /// The camera's, which is one of them: a still picture needs no microphone.
    picture: Arc<Demand>,
    /// The speaker's, which is another one: nobody talks to most cameras that are watched.
    speaker: Arc<Demand>,
    threads: Vec<Thread>,
    /// Of the encoder it began with.
    profile_level: [u8; 3],
}

impl Prepared {
    /// Decides what is left open (`auto`), as `before` did where the same is asked, and makes the encoder: before the first
    /// offer, so that the offer can tell the truth about profile and level.
    ///
    /// # Errors
    /// No encoder can be made for the size asked.
    pub fn new(config: &config::Camera, before: Option<&Pipeline>) -> anyhow::Result<Self> {
        let video = match before.map(|before| (before, before.video.now())) {
            // A camera that is unplugged just now is waited for, and not replaced; a stand-in is none that is worth keeping.
            Some((before, Video { source, device, .. }))
                if !before.video.is_stand_in() && asks_the_same(&config.video, &before.config.video) =>
            {
                Chosen::settled(Video { source, device, ..config.video.clone() })
            }
            _ => Chosen::video(&config.video),
        };
        let audio = match before {
            Some(before) if !before.audio.is_stand_in() && config.audio == before.config.audio => {
                Chosen::settled(before.audio.now())
            }
            _ => Chosen::audio(&config.audio),
        };
        let asked = &config.video;
        let turn = Turn { rotation: asked.rotate, flip: asked.flip };
        let format = FrameFormat {
            pixel: PixelFormat::I420,
            width: asked.width.value(),
            height: asked.height.value(),
            stride: asked.width.value(),
            full_range: false,
        };
        let warm = encode::open_video(&config.h264, format, asked.fps.value(), turn)?;
        Ok(Self { config: config.clone(), video: Arc::new(video), audio: Arc::new(audio), turn, warm })
    }

    /// Whether it makes sound.
    pub fn has_sound(&self) -> bool {
        self.audio.now().source != AudioSourceKind::None
    }

    /// Whether viewers can be heard.
    pub fn has_speaker(&self) -> bool {
        self.config.speaker.sink != SinkKind::None
    }

    /// `profile_idc`, constraint flags and `level_idc` of its stream, unless a camera's own is passed through.
    pub fn profile_level(&self) -> [u8; 3] {
        self.warm.profile_level()
    }

    /// Whether its pictures come from where those of `before` do.
    pub fn reads_the_same(&self, before: &Pipeline) -> bool {
        {
            let (video, before) = (self.video.now(), before.video.now());
            asks_the_same(&video, &before) && video.file == before.file
        }
    }

    /// Starts the threads; the devices open when somebody wants them.
    ///
    /// # Errors
    /// The system has no threads to give.
    pub fn begin(self, outlets: &Outlets) -> std::io::Result<Pipeline> {
        let mut pipeline = Pipeline {
            config: self.config.clone(),
            video: Arc::clone(&self.video),
            audio: Arc::clone(&self.audio),
            frames: Arc::default(),
            demands: Vec::new(),
            picture: Arc::default(),
            speaker: Arc::default(),
            threads: Vec::new(),
            profile_level: self.warm.profile_level(),
        };
        match self.fill(&mut pipeline, outlets.clone()) {
            Ok(()) => Ok(pipeline),
            Err(error) => {
                // What has begun ends by itself; it has opened nothing yet.
                let _ = pipeline.end(Duration::ZERO);
                Err(error)
            }
        }
    }

    fn fill(self, pipeline: &mut Pipeline, outlets: Outlets) -> std::io::Result<()> {
        let Self { config, video, audio, turn, warm } = self;
        let Outlets {
            name,
            packets,
            sound,
            profile_level,
            stream_changed,
            gate,
            loss,
            shutter,
            talkers,
            stills,
            settled,
            board,
            metrics,
        } = outlets;
        let useless = Arc::<AtomicBool>::default();
        let encoding = Encoding {
            camera: name.clone(),
            config: config.h264,
            size: (config.video.width.value(), config.video.height.value()),
            turn,
            fps: config.video.fps.value(),
            warm: Some(warm),
            profile_level,
            stream_changed,
            frames: Arc::clone(&pipeline.frames),
            packets,
            useless: Arc::clone(&useless),
            patience: Patience::default(),
            gate,
            board: Arc::clone(&board),
            metrics: metrics.clone(),
        };
        pipeline.add(format!("encode-{name}"), Priority::Picture, move || encoding.run())?;
        pipeline.picture.shut(shutter.is_private());
        pipeline.demands.push(Arc::clone(&pipeline.picture));
        let picture = Picture {
            camera: name.clone(),
            chosen: video,
            frames: Arc::clone(&pipeline.frames),
            stills,
            settled,
            useless,
            demand: Arc::clone(&pipeline.picture),
            board: Arc::clone(&board),
            metrics: metrics.clone(),
        };
        pipeline.add(format!("capture-{name}"), Priority::Picture, move || picture.run())?;
        let echoes = Echoes::default();
        if config.speaker.sink != SinkKind::None {
            let playing = Playing {
                camera: name.clone(),
                config: config.speaker.clone(),
                talkers,
                echoes: echoes.clone(),
                demand: Arc::clone(&pipeline.speaker),
                board: Arc::clone(&board),
                metrics,
            };
            pipeline.add(format!("speak-{name}"), Priority::Sound, move || playing.run())?;
        }
        if audio.now().source == AudioSourceKind::None {
            return Ok(());
        }
        let (periods_in, periods_out) = sound::periods();
        let encoding = SoundEncoding {
            camera: name.clone(),
            config: config.opus,
            periods: periods_out,
            packets: sound,
            loss,
            board: Arc::clone(&board),
        };
        pipeline.add(format!("opus-{name}"), Priority::Sound, move || encoding.run())?;
        let demand = pipeline.demand(&shutter);
        let speaker = config.speaker;
        let sound =
            Sound { camera: name.clone(), chosen: audio, periods: periods_in, speaker, echoes, demand, shutter, board };
        pipeline.add(format!("sound-{name}"), Priority::Sound, move || sound.run())
    }
}

/// Whether both name the same camera in the same words.
fn asks_the_same(a: &Video, b: &Video) -> bool {
    (a.source, &a.device, a.format) == (b.source, &b.device, b.format)
}

impl Pipeline {
    /// The wishes its devices wait for.
    pub fn demands(&self) -> &[Arc<Demand>] {
        &self.demands
    }

    /// The wish its camera waits for.
    pub fn picture(&self) -> &Arc<Demand> {
        &self.picture
    }

    /// The wish its speaker waits for.
    pub fn speaker(&self) -> &Arc<Demand> {
        &self.speaker
    }

    /// What it was made from.
    pub fn config(&self) -> &config::Camera {
        &self.config
    }

    /// Where its pictures come from, with what was left open decided.
    pub fn video(&self) -> Video {
        self.video.now()
    }

    /// Whether a stream of this profile and level is not what its encoder began with: the camera's own, or one of larger pictures than
    /// were asked for.
    pub fn passes_through(&self, profile_level: [u8; 3]) -> bool {
        profile_level != self.profile_level
    }

    /// Tells its threads to end, and waits at most `limit` for all of them together.
    ///
    /// # Errors
    /// A thread is stuck in its driver and was abandoned.
    pub fn end(self, limit: Duration) -> Result<(), Wedged> {
        for demand in &self.demands {
            demand.stop();
        }
        self.speaker.stop();
        self.frames.close();
        let end = now() + limit;
        let mut result = Ok(());
        for thread in self.threads {
            if let Err(wedged) = thread.join(end.saturating_duration_since(now())) {
                result = Err(wedged);
            }
        }
        result
    }

    fn demand(&mut self, shutter: &Shutter) -> Arc<Demand> {
        let demand = Arc::new(Demand::default());
        demand.shut(shutter.is_private());
        self.demands.push(Arc::clone(&demand));
        demand
    }

    fn add(&mut self, name: String, priority: Priority, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.threads.push(thread::start(name, priority, body)?);
        Ok(())
    }
}

/// Whether a viewer who was offered a stream like `before` can go on with one like `after`: the offer says the same.
pub fn is_same_stream(before: [u8; 3], after: [u8; 3]) -> bool {
    ProfileLevelId::of_sps(before) == ProfileLevelId::of_sps(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_when_its_offer_would_be() {
        assert!(is_same_stream([0x42, 0xc0, 0x0d], [0x42, 0xc0, 0x1f]), "every offer says level 3.1 at least");
        assert!(!is_same_stream([0x42, 0xc0, 0x1f], [0x42, 0xc0, 0x28]), "1080p needs a higher one");
        assert!(!is_same_stream([0x42, 0xc0, 0x1f], [0x64, 0x00, 0x1f]), "another profile");
    }

    #[test]
    fn what_auto_has_been_decided_for_stays_when_the_same_is_asked_again() {
        let config = config::Camera::default();
        let here = Prepared::new(&config, None).expect("an encoder");
        let pretended = Video { device: "usb-cam".to_owned(), ..here.video.now() };
        let before = Pipeline {
            config: config.clone(),
            video: Arc::new(Chosen::settled(pretended)),
            audio: Arc::clone(&here.audio),
            frames: Arc::default(),
            demands: Vec::new(),
            picture: Arc::default(),
            speaker: Arc::default(),
            threads: Vec::new(),
            profile_level: here.profile_level(),
        };
        let mut wider = config.clone();
        wider.video.width = const { crate::media::Bounded::new(640) };
        let again = Prepared::new(&wider, Some(&before)).expect("an encoder");
        let again = again.video.now();
        assert_eq!((again.device.as_str(), again.width.value()), ("usb-cam", 640));
        wider.video.device = "usb-other".to_owned();
        let other = Prepared::new(&wider, Some(&before)).expect("an encoder");
        assert_eq!(other.video.now().device, "usb-other");
    }
}
