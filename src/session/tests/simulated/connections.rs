//! The WebRTC connections of both sides, as far as the cores can see them: generations of ICE credentials, offers that
//! wait, and paths that are whole while both sides know each other's latest generation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{Thing, Who, World};
use crate::session::*;

/// How long a path may be broken before a side calls it silence.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// One side's connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// The generation of our credentials, from 1.
    ours: u32,
    /// That of theirs, once they are described.
    theirs: Option<u32>,
    /// An offer of ours waits for its answer.
    offered: bool,
    /// The cores count it as live.
    live: bool,
    /// The address of this generation is gone.
    stranded: bool,
}

impl Connection {
    fn restart(&mut self) {
        self.ours += 1;
        self.stranded = false;
    }
}

/// The connections there are, by session and side.
#[derive(Default)]
pub(super) struct Connections {
    pub(super) at_node: BTreeMap<SessionKey, Connection>,
    pub(super) at_viewer: BTreeMap<SessionKey, Connection>,
    /// Sessions whose packets do not arrive any more, whatever is tried.
    pub(super) cut: BTreeSet<SessionKey>,
    /// Since when paths are broken.
    broken: BTreeMap<SessionKey, Duration>,
    /// Restarts that were asked for, by session.
    pub(super) restarts: BTreeMap<SessionKey, usize>,
    /// One offer of so many, of those that follow the first, is without new credentials; 0 for none.
    pub(super) plain_one_of: u32,
    /// Offers that were taken back for one of the other side.
    pub(super) rolled_back: usize,
}

impl Connections {
    fn of(&mut self, who: Who) -> &mut BTreeMap<SessionKey, Connection> {
        match who {
            Who::Node => &mut self.at_node,
            Who::Viewer(_) => &mut self.at_viewer,
        }
    }

    /// Whether packets pass both ways.
    pub(super) fn is_whole(&self, key: &SessionKey) -> bool {
        let (Some(node), Some(viewer)) = (self.at_node.get(key), self.at_viewer.get(key)) else { return false };
        let known = node.theirs == Some(viewer.ours) && viewer.theirs == Some(node.ours);
        known && !node.stranded && !viewer.stranded && !self.cut.contains(key)
    }
}

fn letter(who: Who) -> char {
    if who == Who::Node { 'n' } else { 'v' }
}

fn sdp(who: Who, generation: u32) -> String {
    format!("v=0\r\na=ice-ufrag:{}{generation}\r\n", letter(who))
}

fn generation(of: Who, sdp: &str) -> u32 {
    let line = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("credentials");
    line.strip_prefix(letter(of)).expect("of the other side").parse().expect("a generation")
}

fn other_side(who: Who, key: &SessionKey) -> Who {
    match who {
        Who::Node => Who::Viewer(key.peer.as_str()[4..].parse().expect("a number")),
        Who::Viewer(_) => Who::Node,
    }
}

impl World {
    pub(super) fn command(&mut self, who: Who, key: SessionKey, command: PeerCommand) {
        let delay = self.random.u64(2..30);
        match command {
            PeerCommand::Offer { wants, .. } => {
                assert_eq!(wants.video.len(), 1);
                let connection = Connection { ours: 1, offered: true, ..Connection::default() };
                assert!(self.connections.at_node.insert(key.clone(), connection).is_none(), "opened twice");
                self.offered(delay, who, key, 1);
            }
            PeerCommand::UseIceServers { .. } => {}
            PeerCommand::RestartIce => {
                let plain_one_of = self.connections.plain_one_of;
                let is_plain = plain_one_of > 0 && self.random.u32(..plain_one_of) == 0;
                *self.connections.restarts.entry(key.clone()).or_default() += 1;
                let connection = self.connections.of(who).get_mut(&key).expect("a connection");
                if !is_plain {
                    connection.restart();
                }
                connection.offered = true;
                let ours = connection.ours;
                self.offered(delay, who, key.clone(), ours);
                self.may_have_changed(key);
            }
            PeerCommand::Answer { sdp: offer, .. } => {
                let theirs = generation(other_side(who, &key), &offer);
                let connection = self.connections.of(who).entry(key.clone()).or_default();
                let was_offered = std::mem::take(&mut connection.offered);
                if connection.theirs != Some(theirs) {
                    connection.restart();
                }
                connection.theirs = Some(theirs);
                let ours = connection.ours;
                self.connections.rolled_back += usize::from(was_offered);
                self.at(delay, who, Thing::Peer(key.clone(), PeerEvent::Answered { sdp: sdp(who, ours) }));
                self.at(delay + 20, who, Thing::Peer(key.clone(), found(who, ours)));
                self.may_have_changed(key);
            }
            PeerCommand::AcceptAnswer { sdp } => {
                let theirs = generation(other_side(who, &key), &sdp);
                let connection = self.connections.of(who).get_mut(&key).expect("a connection");
                assert!(std::mem::take(&mut connection.offered), "an answer to no offer");
                connection.theirs = Some(theirs);
                self.may_have_changed(key);
            }
            PeerCommand::AddCandidates { candidates, .. } => {
                let connection = self.connections.of(who).get(&key);
                let theirs =
                    connection.and_then(|connection| connection.theirs).expect("described before its candidates");
                let of_now = format!("{}{theirs}", letter(other_side(who, &key)));
                for candidate in candidates {
                    assert_eq!(
                        candidate.username_fragment.as_ref(),
                        Some(&of_now),
                        "a candidate of another generation"
                    );
                }
            }
            PeerCommand::NetworkChanged => {}
            PeerCommand::Close => {
                let other = other_side(who, &key);
                let was_described = self.connections.at_node.get(&key).is_some_and(|node| node.theirs.is_some());
                let was_there = self.connections.of(who).remove(&key).is_some();
                let open = was_there && self.connections.of(other).contains_key(&key);
                // DTLS' goodbye is a single datagram.
                if open && was_described && !self.connections.cut.contains(&key) && self.random.bool() {
                    self.at(delay, other, Thing::Peer(key, PeerEvent::ClosedByPeer));
                }
            }
        }
    }

    fn offered(&mut self, delay: u64, who: Who, key: SessionKey, ours: u32) {
        let offered = PeerEvent::Offered { sdp: sdp(who, ours), mids: Mids::new() };
        self.at(delay, who, Thing::Peer(key.clone(), offered));
        self.at(delay + 20, who, Thing::Peer(key, found(who, ours)));
    }

    /// A path that has become whole is noticed soon, one that is broken after a while.
    fn may_have_changed(&mut self, key: SessionKey) {
        let after = if self.connections.is_whole(&key) {
            self.connections.broken.remove(&key);
            self.random.u64(10..40)
        } else {
            self.connections.broken.entry(key.clone()).or_insert(self.now);
            SILENT_AFTER.as_millis() as u64
        };
        for who in [Who::Node, other_side(Who::Node, &key)] {
            self.at(after, who, Thing::Look(key.clone()));
        }
    }

    /// This side's packets do not arrive any more, or do again.
    pub(super) fn cut(&mut self, key: &SessionKey, is_cut: bool) {
        if is_cut {
            self.connections.cut.insert(key.clone());
        } else {
            self.connections.cut.remove(key);
        }
        self.may_have_changed(key.clone());
    }

    /// The address that this side was reached at is gone.
    pub(super) fn lose_address(&mut self, who: Who, key: &SessionKey) -> Option<PeerEvent> {
        let connection = self.connections.of(who).get_mut(key)?;
        connection.stranded = true;
        connection.live = false;
        self.may_have_changed(key.clone());
        Some(PeerEvent::AddressLost)
    }

    pub(super) fn viewer_of(key: &SessionKey) -> Who {
        other_side(Who::Node, key)
    }

    /// What the connection tells after a look at its path.
    pub(super) fn look(&mut self, who: Who, key: &SessionKey) -> Option<PeerEvent> {
        let broken = self.connections.broken.get(key).copied();
        let is_silent = broken.is_some_and(|since| since + SILENT_AFTER <= self.now);
        let is_whole = self.connections.is_whole(key);
        let connection = self.connections.of(who).get_mut(key)?;
        match connection.live {
            false if is_whole => {
                connection.live = true;
                Some(PeerEvent::Recovered)
            }
            true if is_silent => {
                connection.live = false;
                Some(PeerEvent::Silent)
            }
            _ => None,
        }
    }
}

fn found(who: Who, generation: u32) -> PeerEvent {
    let candidate = Candidate {
        candidate: "candidate:1".to_owned(),
        sdp_mid: None,
        sdp_m_line_index: None,
        username_fragment: Some(format!("{}{generation}", letter(who))),
    };
    PeerEvent::Candidates { candidates: vec![candidate], complete: true }
}
