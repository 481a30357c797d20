//! The channel `telemetry`: one sampler for all viewers, that works only while somebody listens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Services;
use super::announcer::error_of;
use super::recent::Recent;
use super::viewer::Ended;
use crate::control::{CameraFigures, Telemetry, ViewerFigures};
use crate::media::CameraName;
use crate::node::clock::now;
use crate::node::feeds::Cameras;
use crate::node::readings;
use crate::peer::{Channel, Message, PeerStats};

const EVERY: Duration = Duration::from_secs(1);

/// Takes what all viewers are told alike.
pub struct Sampler {
    shared: Arc<Shared>,
}

struct Shared {
    cameras: Cameras,
    folder: PathBuf,
    begun: Instant,
    latest: watch::Sender<Arc<Telemetry>>,
    /// Held while it is decided whether the task goes on.
    works: Mutex<bool>,
}

/// What cameras' latencies were, since capture and since the encoder.
type Past = BTreeMap<CameraName, [Recent; 2]>;

impl Sampler {
    /// One that sleeps. `folder` is where the free room is of interest.
    pub fn new(cameras: Cameras, folder: PathBuf) -> Self {
        let shared = Shared {
            cameras,
            folder,
            begun: now(),
            latest: watch::Sender::new(Arc::default()),
            works: Mutex::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What is sampled from now on.
    fn follow(&self) -> watch::Receiver<Arc<Telemetry>> {
        let mut works = self.shared.works.lock().unwrap_or_else(PoisonError::into_inner);
        let mut follower = self.shared.latest.subscribe();
        // What was known when somebody listened last is old.
        follower.mark_unchanged();
        if !std::mem::replace(&mut *works, true) {
            tokio::spawn(Arc::clone(&self.shared).run());
        }
        follower
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let mut past = Past::default();
        let mut seconds = tokio::time::interval(EVERY);
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            seconds.tick().await;
            {
                let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
                if self.latest.receiver_count() == 0 {
                    *works = false;
                    return;
                }
            }
            let this = Arc::clone(&self);
            let mut before = std::mem::take(&mut past);
            // Files of the kernel's, but a sensor's driver may take its time.
            let sampled = tokio::task::spawn_blocking(move || (this.sample(&mut before), before));
            if let Ok((sample, after)) = sampled.await {
                past = after;
                self.latest.send_replace(Arc::new(sample));
            }
        }
    }

    fn sample(&self, past: &mut Past) -> Telemetry {
        let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1_000.0);
        let cameras = self.cameras.0.values().map(|camera| {
            let [captured, encoded] = past.entry(camera.name().clone()).or_default();
            let captured = captured.after(camera.latency().since_capture());
            let encoded = encoded.after(camera.latency().since_encoded());
            let figures = CameraFigures {
                viewers: camera.viewers(),
                capture_to_wire_ms: ms(captured.quantile(0.5)),
                capture_to_wire_p95_ms: ms(captured.quantile(0.95)),
                encoded_to_wire_ms: ms(encoded.quantile(0.5)),
            };
            (camera.name().to_string(), figures)
        });
        Telemetry {
            uptime_s: now().saturating_duration_since(self.begun).as_secs(),
            cameras: cameras.collect(),
            ..readings::board(&self.folder)
        }
    }
}

/// Tells a viewer each second, with its own figures.
pub async fn serve(all: Arc<Services>, mut channel: Channel) -> Ended {
    let mut samples = all.sampler.follow();
    let stats = channel.stats().clone();
    let mut sent_before = stats.borrow().bytes_sent;
    loop {
        tokio::select! {
            // What a viewer says here is nothing to anybody.
            message = channel.next() => match message {
                Err(end) => return error_of(end),
                Ok(_) => continue,
            },
            changed = samples.changed() => if changed.is_err() {
                return None;
            },
        }
        let mut telemetry = Telemetry::clone(&samples.borrow_and_update());
        let now = *stats.borrow();
        telemetry.viewer = Some(figures(&now, std::mem::replace(&mut sent_before, now.bytes_sent)));
        let Ok(text) = serde_json::to_string(&telemetry) else { return None };
        if channel.outgoing().offer(Message::text(text)).is_err() {
            return None;
        }
    }
}

fn figures(stats: &PeerStats, sent_before: u64) -> ViewerFigures {
    ViewerFigures {
        rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
        loss: stats.loss,
        bitrate_bps: stats.bytes_sent.saturating_sub(sent_before).saturating_mul(8),
        frames_dropped: stats.frames_dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_samples_once_for_all_and_only_while_somebody_listens() {
        let folder = tempfile::tempdir().expect("there is room");
        let sampler = Sampler::new(Cameras::default(), folder.path().to_owned());
        let works = || *sampler.shared.works.lock().expect("not poisoned");
        assert!(!works());
        let (mut one, mut two) = (sampler.follow(), sampler.follow());
        one.changed().await.expect("it samples");
        two.changed().await.expect("it samples");
        assert!(Arc::ptr_eq(&one.borrow_and_update(), &two.borrow_and_update()), "the same sample");
        assert!(works() && one.borrow().memory_bytes.is_some());
        drop((one, two));
        while works() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut again = sampler.follow();
        again.changed().await.expect("it samples again");
    }

    #[test]
    fn a_viewers_bit_rate_is_that_of_the_last_second() {
        let stats = PeerStats { bytes_sent: 350_000, rtt: Some(Duration::from_millis(3)), ..PeerStats::default() };
        let figures = figures(&stats, 100_000);
        assert_eq!((figures.bitrate_bps, figures.rtt_ms), (2_000_000, Some(3.0)));
    }
}
