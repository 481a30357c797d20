//! Who serves which data channel of a viewer. `src/session/PROTOCOL.md`, section 9, is what they all speak.

mod announcer;
mod apps;
mod board;
mod camera;
mod files;
mod recent;
mod requests;
mod settings;
mod snapshots;
mod telemetry;
mod viewer;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::access::Scopes;
use crate::control::config::{self, App};
use crate::peer::ChannelServices;
use crate::session::SessionKey;

use super::feeds::Cameras;
use super::shutter::Shutters;
use super::state::Board;
use super::state_folder::StateFolder;
use files::Files;
use telemetry::Sampler;
use viewer::ViewerServices;

/// What the channels of all viewers are served with.
pub struct Services {
    cameras: Cameras,
    shutters: Arc<Shutters>,
    board: Arc<Board>,
    apps: Mutex<Vec<App>>,
    files: Files,
    sampler: Sampler,
    wishes: Wishes,
    /// One at a time opens a camera's device beside its stream, or closes it for good.
    device: tokio::sync::Mutex<()>,
    tasks: Handle,
}

/// What is wished for that only others can do.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The process is to be started anew.
    pub restart: Arc<Notify>,
    /// Viewers were offered another stream than the one that comes now.
    pub stream_changed: Arc<Notify>,
}

impl Services {
    /// Serves channels on the runtime of whoever calls this.
    pub fn new(
        cameras: &Cameras,
        shutters: Arc<Shutters>,
        board: &Arc<Board>,
        folder: &StateFolder,
        wishes: Wishes,
    ) -> Arc<Self> {
        Arc::new(Self {
            cameras: cameras.clone(),
            shutters,
            board: Arc::clone(board),
            apps: Mutex::default(),
            files: Files::default(),
            sampler: Sampler::new(cameras.clone(), folder.path().to_owned()),
            wishes,
            device: tokio::sync::Mutex::default(),
            tasks: Handle::current(),
        })
    }

    /// The channels of one viewer, who may do what `scopes` say.
    pub fn of(self: &Arc<Self>, key: &SessionKey, scopes: watch::Receiver<Scopes>) -> Arc<dyn ChannelServices> {
        Arc::new(ViewerServices::new(Arc::clone(self), key.clone(), scopes))
    }

    /// The programs beside the node from now on; channels that are open stay.
    pub fn set_apps(&self, apps: &[App]) {
        *self.apps() = apps.to_vec();
    }

    /// The folder that viewers see into from now on.
    pub fn set_files(&self, files: &config::Files) {
        self.files.set_folder(files.folder.as_deref());
    }

    fn apps(&self) -> std::sync::MutexGuard<'_, Vec<App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::control::app::SILENT_AFTER;
    use crate::control::{MAX_IN_FLIGHT, MAX_REPLY_BYTES};
    use crate::peer::{MAX_CHANNELS, MAX_MESSAGE_BYTES};

    #[test]
    fn the_reference_has_the_limits_of_the_code() {
        assert_eq!(MAX_REPLY_BYTES, MAX_MESSAGE_BYTES, "an answer fits into a message");
        assert_eq!(MAX_MESSAGE_BYTES, 16_384);
        let reference = include_str!("../../session/PROTOCOL.md");
        for row in [
            format!("| data channels: message, channels a peer | 16,384 bytes, {MAX_CHANNELS} |"),
            format!("| requests that wait for their answers, an answer | {MAX_IN_FLIGHT}, 10 s |"),
            format!("| `app:*`: a peer is silent after | {} ms |", SILENT_AFTER.as_millis()),
        ] {
            assert!(reference.contains(&row), "PROTOCOL.md does not say: {row}");
        }
    }
}
