//! The cameras as connections see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::media::{CameraName, Feedback};
use crate::peer::{AudioFeed, Ear, FeedbackSink, Feeds, VideoFeed};

use super::camera::Camera;

/// All cameras of the node, by name.
#[derive(Clone, Default)]
pub struct Cameras(pub Arc<BTreeMap<CameraName, Arc<Camera>>>);

impl Feeds for Cameras {
    fn video(&self, camera: &CameraName) -> Option<VideoFeed> {
        let camera = self.0.get(camera)?;
        camera.touch();
        Some(VideoFeed {
            profile_level: camera.profile_level(),
            packets: Arc::clone(camera.packets()),
            feedback: sink(camera),
            latency: Arc::clone(camera.latency()),
        })
    }

    fn audio(&self, camera: &CameraName) -> Option<AudioFeed> {
        let camera = self.0.get(camera)?;
        camera.touch();
        Some(AudioFeed { packets: Arc::clone(camera.sound()?), feedback: sink(camera) })
    }

    fn ear(&self, camera: &CameraName) -> Option<Ear> {
        let voice = self.0.get(camera)?.voice()?;
        Some(Arc::new(move |packet| voice.say(packet)))
    }
}

fn sink(camera: &Arc<Camera>) -> FeedbackSink {
    // Weak: a connection that lingers must not keep a camera's threads alive.
    let camera = Arc::downgrade(camera);
    Arc::new(move |feedback: Feedback| {
        if let Some(camera) = camera.upgrade() {
            camera.feedback(feedback);
        }
    })
}
