//! Who may join, and what the node tells about itself to whom it lets in and to everyone.

use std::time::Duration;

use super::super::{
    AccessMode, End, ErrorCode, Failure, IceServer, Join, LeaveReason, Message, NodeInfo, Nonce, PeerId, PeerInfo,
    Presence, SessionKey, StateDetail, Status, Step, Text, Token, VERSION, Wants, WantsRequest, WhenFull,
};
use super::doorkeeper::needs;
use super::{Camera, Node, NodeSetup};
use crate::access::{Grant, Scopes};
use crate::media::CameraName;

/// What a `join`, or a call that is taken, gets.
pub(super) struct Admission {
    /// What the session is to carry.
    pub(super) wants: Wants,
    /// The rights that this needs, also of every later token.
    pub(super) needs: Scopes,
    /// What the peer may do.
    pub(super) grant: Grant,
}

/// What a session begins with.
pub(super) struct Introduction {
    /// What the peer is told.
    pub(super) info: PeerInfo,
    /// The same servers with logins for our own end.
    pub(super) own_servers: Vec<IceServer>,
    /// When all logins are to be made anew.
    pub(super) renew_at: Option<Duration>,
}

impl Node {
    /// Whether this `join` opens a session, and what it is to carry.
    pub(super) fn admit_join(&mut self, key: &SessionKey, join: &Join, now: Duration) -> Result<Admission, Failure> {
        if let Err(wait) = self.budgets.take_join(&key.peer, now) {
            return Err(Failure::new(ErrorCode::RateLimited).after(seconds_up(wait)));
        }
        self.admit(key, &join.wants, join.token.as_ref(), now)
    }

    /// Whether this peer may have what it wants, and which cameras that is.
    pub(super) fn admit(
        &self,
        key: &SessionKey,
        wants: &WantsRequest,
        token: Option<&Token>,
        now: Duration,
    ) -> Result<Admission, Failure> {
        if self.shutting_down {
            return Err(Failure::new(ErrorCode::Busy).after(5));
        }
        // Before anything is told about cameras, places and servers.
        let needs = needs(wants);
        let grant = self.door.admit(&key.peer, token, needs, now)?;
        let replaces = self.sessions.contains_key(&key.peer);
        if !replaces && self.is_full() && self.setup.limits.when_full == WhenFull::Refuse {
            return Err(Failure::new(ErrorCode::Busy).after(10));
        }
        let names: Vec<CameraName> = self.cameras.iter().map(|camera| camera.info.name.clone()).collect();
        let wants = wants.resolve(&names).map_err(|name| {
            Failure::with_message(
                ErrorCode::NoSuchCamera,
                &format!("There is no camera {name:?} here.", name = name.as_str()),
            )
        })?;
        Ok(Admission { wants, needs, grant })
    }

    /// Whether all places are taken.
    fn is_full(&self) -> bool {
        self.sessions.len() >= self.setup.limits.max_viewers.value() as usize
    }

    /// Frees a place for one who has been admitted, if it takes that.
    pub(super) fn make_room(&mut self, now: Duration) {
        while self.is_full() {
            let oldest =
                self.sessions.iter().min_by_key(|(_, session)| session.opened_at).map(|(peer, _)| peer.clone());
            let Some(session) = oldest.and_then(|peer| self.sessions.remove(&peer)) else { return };
            self.leave(session, LeaveReason::Limit, now);
        }
    }

    /// What lets a viewer in, with logins that are made now.
    pub(super) fn introduction(&mut self, peer: &PeerId, now: Duration) -> Introduction {
        let nonce = self.nonce();
        let unix_s = self.door.unix_s(now);
        let ice_servers = self.relays.servers(peer.as_str(), unix_s);
        let version = Text::try_from(self.setup.version.as_str()).ok();
        let info = PeerInfo {
            ice_servers,
            node: NodeInfo {
                name: Text::clipped(&self.setup.name),
                boot: self.setup.boot.clone(),
                version: version.unwrap_or_else(|| Text::try_from("unknown").expect("seven characters")),
                key: None,
            },
            nonce,
            expires: self.relays.lifetime_s(),
        };
        // A relay of our own is told from the viewer's in the server's log.
        let own_servers = self.relays.servers(&format!("{peer}.node"), unix_s);
        Introduction { info, own_servers, renew_at: self.relays.renew_after().map(|after| now + after) }
    }

    /// Random text of ours.
    pub(super) fn nonce(&mut self) -> Nonce {
        let nonce = format!("{:016x}{:016x}", (self.setup.entropy)(), (self.setup.entropy)());
        Nonce::try_from(nonce).expect("32 characters")
    }

    /// Says why a `join` opens no session.
    pub(super) fn refuse_join(&mut self, key: SessionKey, join: &Message, failure: Failure, now: Duration) {
        self.log(&key, Step::Join);
        self.log(&key, Step::Ended(End::Refused(failure.code)));
        if failure.known() == Some(ErrorCode::RateLimited) {
            // Not remembered: a repetition a little later may be let in.
            return self.reply_error(&key.peer, join, failure, now);
        }
        self.ended.refused(key.clone(), join.seq, failure, now);
        if let Some(answer) = self.ended.answer(&key, join, now) {
            self.publish(&key.peer, &answer);
        }
    }
}

/// Rounded up, or the peer comes back a moment too early.
pub(super) fn seconds_up(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}

/// The node's presence on broker connection `conn`.
pub(super) fn status(
    setup: &NodeSetup,
    access: AccessMode,
    (cameras, warnings): (&[Camera], &[Text<0, 256>]),
    viewers: usize,
    conn: u32,
) -> Status {
    let details = cameras.iter().map(|camera| (camera.info.name.clone(), camera.detail.clone()));
    Status {
        versions: vec![VERSION],
        state: Presence::Online,
        boot: setup.boot.clone(),
        conn,
        name: Some(Text::clipped(&setup.name)),
        cameras: Some(cameras.iter().map(|camera| camera.info.clone()).collect()),
        access: Some(access),
        viewers: setup.limits.announce_viewers.then(|| u32::try_from(viewers).unwrap_or(u32::MAX)),
        state_detail: Some(StateDetail { cameras: details.collect(), warnings: warnings.to_vec() }),
    }
}
