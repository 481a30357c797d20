//! Still pictures over the broker: who may have one, and how many at a time. No session is needed, so that who is rung can
//! see who stands at the door before anything is accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{
    AccessMode, Base64, Body, ErrorCode, Failure, MAX_PICTURE_BYTES, Message, PeerId, Picture, Snapshot, Token,
};
use super::admission::seconds_up;
use super::{Node, Output};
use crate::access::{Grant, Scope};
use crate::media::CameraName;

/// Pictures that are being taken at the same time, one a peer.
const MAX_WAITING: usize = 8;
/// One that has not come for so long will not come: whoever takes it gives up before.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(12);

/// Names a picture that is being taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(u64);

/// A picture to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotWish {
    /// Given back with the picture.
    pub id: SnapshotId,
    /// Whose.
    pub camera: CameraName,
    /// Pixels a line at most.
    pub width: Option<u32>,
    /// Bytes at most.
    pub max_bytes: usize,
}

/// A picture that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// JPEG.
    pub jpeg: bytes::Bytes,
    /// Pixels a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// Who waits for a picture.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    waiting: BTreeMap<SnapshotId, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    seq: Option<u32>,
    camera: CameraName,
    grant: Grant,
    until: Duration,
}

#[cfg(any(test, fuzzing))]
impl Snapshots {
    /// Pictures that are being taken, for tests.
    pub(super) fn held(&self) -> usize {
        self.waiting.len()
    }
}

impl Node {
    /// A peer wants a picture.
    pub(super) fn snapshot(&mut self, peer: &PeerId, message: &Message, snapshot: &Snapshot, now: Duration) {
        self.snapshots.waiting.retain(|_, waiting| now < waiting.until);
        let is_repeated = |waiting: &Waiting| waiting.peer == *peer && waiting.seq == message.seq;
        if self.snapshots.waiting.values().any(is_repeated) {
            return;
        }
        match self.admit_snapshot(peer, snapshot, now) {
            Ok((camera, grant)) => {
                let id = SnapshotId(self.snapshots.next);
                self.snapshots.next += 1;
                let until = now + FORGOTTEN_AFTER;
                let waiting = Waiting { peer: peer.clone(), seq: message.seq, camera: camera.clone(), grant, until };
                self.snapshots.waiting.insert(id, waiting);
                let width = snapshot.width.map(|width| width.value());
                let max_bytes = snapshot.max_bytes.map_or(MAX_PICTURE_BYTES, |bytes| bytes.value() as usize);
                self.out.push_back(Output::Snapshot(SnapshotWish { id, camera, width, max_bytes }));
            }
            Err(failure) => self.reply_error(peer, message, failure, now),
        }
    }

    fn admit_snapshot(
        &mut self,
        peer: &PeerId,
        snapshot: &Snapshot,
        now: Duration,
    ) -> Result<(CameraName, Grant), Failure> {
        if self.shutting_down {
            return Err(Failure::new(ErrorCode::Busy).after(5));
        }
        let grant = self.door.admit(peer, snapshot.token.as_ref(), std::iter::once(Scope::View).collect(), now)?;
        let camera = match &snapshot.camera {
            Some(named) => self.cameras.iter().find(|camera| camera.info.name == *named),
            None => self.cameras.first(),
        };
        let camera =
            camera.map(|camera| camera.info.name.clone()).ok_or_else(|| Failure::new(ErrorCode::NoSuchCamera))?;
        let is_waiting = self.snapshots.waiting.values().any(|waiting| waiting.peer == *peer);
        if is_waiting || self.snapshots.waiting.len() >= MAX_WAITING {
            return Err(Failure::new(ErrorCode::RateLimited).after(1));
        }
        let budget = self.budgets.take_snapshot(peer, now);
        budget.map_err(|wait| Failure::new(ErrorCode::RateLimited).after(seconds_up(wait)))?;
        Ok((camera, grant))
    }

    /// Whether who has this token, and no place at the broker, may have a picture now: its `peer` has to cover `http`. All of
    /// them share what one peer may have.
    ///
    /// Says whether that took a token.
    ///
    /// # Errors
    /// As a `snapshot` would be refused.
    pub fn may_see(&mut self, token: Option<&str>, now: Duration) -> Result<AccessMode, Failure> {
        if self.shutting_down {
            return Err(Failure::new(ErrorCode::Busy));
        }
        let peer: PeerId = "http".parse().expect("four letters");
        // One that is too long to be a token is none.
        let token = token.map(Token::try_from).transpose().map_err(|_| Failure::new(ErrorCode::NotAllowed))?;
        self.door.admit(&peer, token.as_ref(), std::iter::once(Scope::View).collect(), now)?;
        let budget = self.budgets.take_snapshot(&peer, now);
        budget.map_err(|wait| Failure::new(ErrorCode::RateLimited).after(seconds_up(wait)))?;
        Ok(self.door.mode())
    }

    /// A picture was taken, or could not be.
    pub(super) fn snapshot_taken(&mut self, id: SnapshotId, taken: Result<SnapshotTaken, Failure>, now: Duration) {
        let Some(Waiting { peer, seq, camera, grant, .. }) = self.snapshots.waiting.remove(&id) else { return };
        // Whoever asked has lost its broker as we have, and asks again.
        if self.announcer.conn().is_none() {
            return;
        }
        let has_ended = self.door.ends_at(&grant).is_some_and(|at| at <= now);
        let taken = match taken {
            _ if has_ended => Err(Failure::new(ErrorCode::TokenExpired)),
            _ if !self.door.upholds(&grant) => Err(Failure::new(ErrorCode::NotAllowed)),
            taken => taken.and_then(|taken| picture(camera, &taken)),
        };
        let body = taken.map_or_else(Body::Error, Body::Picture);
        self.publish(&peer, &Message::plain(body, None, seq));
    }
}

fn picture(camera: CameraName, taken: &SnapshotTaken) -> Result<Picture, Failure> {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    let jpeg = Base64::of(&taken.jpeg).map_err(|_| Failure::new(ErrorCode::Internal))?;
    Ok(Picture { camera, width: side(taken.width), height: side(taken.height), jpeg })
}
