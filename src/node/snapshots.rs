//! Still pictures for whom the session core has let in: taken beside the desk, which goes on meanwhile.

use tokio::sync::mpsc;

use crate::encode::StillWish;
use crate::session::node::{SnapshotId, SnapshotTaken, SnapshotWish};
use crate::session::{ErrorCode, Failure};

use super::feeds::Cameras;
use super::stills::NoStill;

/// Of a picture that goes over a broker: fewer bytes matter more there than the last leaf.
const QUALITY: u32 = 75;

/// What has come of a wish.
pub type Taken = (SnapshotId, Result<SnapshotTaken, Failure>);

/// Begins to take the picture; `taken` is told.
pub fn begin(cameras: &Cameras, wish: SnapshotWish, taken: mpsc::UnboundedSender<Taken>) {
    let camera = cameras.0.get(&wish.camera).cloned();
    tokio::spawn(async move {
        let SnapshotWish { id, width, max_bytes, .. } = wish;
        let still = match camera {
            Some(camera) => {
                camera.still(StillWish { width, quality: QUALITY, max_bytes }).await.map_err(|why| failure(&why))
            }
            None => Err(Failure::new(ErrorCode::NoSuchCamera)),
        };
        let still = still.map(|still| SnapshotTaken { jpeg: still.jpeg, width: still.width, height: still.height });
        // The desk may be gone.
        let _ = taken.send((id, still));
    });
}

fn failure(why: &NoStill) -> Failure {
    let (code, _) = why.codes();
    Failure::with_message(code, &why.to_string())
}
