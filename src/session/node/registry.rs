//! Peers that want to be called: one registration a peer, each name once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Body, Empty, ErrorCode, Failure, Message, PeerId, Register, Registration, Text};
use super::Node;
use crate::access::{Grant, Scope};
use crate::media::Bounded;

/// Registrations at the same time: every person of a house and every panel in it.
const MAX_REGISTERED: usize = 64;
/// All places are taken by live peers, whose registrations end at some time.
const FULL_AGAIN_S: u32 = 60;

/// Who may be called, by peer.
#[derive(Debug, Default)]
pub(super) struct Registry {
    peers: BTreeMap<PeerId, Registered>,
}

#[derive(Debug)]
struct Registered {
    name: Text<1, 64>,
    until: Duration,
    /// The right by which it came in.
    grant: Grant,
}

impl Registry {
    /// Registers `peer`, or renews or renames it.
    fn put(&mut self, peer: &PeerId, name: Text<1, 64>, until: Duration, grant: Grant) -> Result<(), ErrorCode> {
        if self.peers.iter().any(|(other, registered)| other != peer && registered.name == name) {
            return Err(ErrorCode::NameTaken);
        }
        if self.peers.len() >= MAX_REGISTERED && !self.peers.contains_key(peer) {
            return Err(ErrorCode::Busy);
        }
        self.peers.insert(peer.clone(), Registered { name, until, grant });
        Ok(())
    }

    /// Forgets whose time is over. There is no timer for it: their number is bounded anyway.
    pub(super) fn forget_old(&mut self, now: Duration) {
        self.peers.retain(|_, registered| now < registered.until);
    }

    /// Keeps those whose right still holds.
    pub(super) fn keep(&mut self, holds: impl Fn(&Grant) -> bool) {
        self.peers.retain(|_, registered| holds(&registered.grant));
    }

    /// Everyone there is.
    pub(super) fn all(&self) -> impl Iterator<Item = (&PeerId, &Text<1, 64>)> {
        self.peers.iter().map(|(peer, registered)| (peer, &registered.name))
    }
}

impl Node {
    /// A peer wants to be called.
    pub(super) fn register(&mut self, peer: &PeerId, message: &Message, register: &Register, now: Duration) {
        self.registry.forget_old(now);
        let is_new = self.registry.all().all(|(known, _)| known != peer);
        match self.try_register(peer, register, now) {
            Ok(registration) => {
                if self.budgets.take_reply(peer, now) {
                    self.publish(peer, &Message::plain(Body::Registered(registration), None, message.seq));
                }
                if is_new {
                    self.call_late_comer(peer, &register.name, now);
                }
            }
            Err(failure) => self.reply_error(peer, message, failure, now),
        }
    }

    fn try_register(&mut self, peer: &PeerId, register: &Register, now: Duration) -> Result<Registration, Failure> {
        if self.shutting_down {
            return Err(Failure::new(ErrorCode::Busy).after(5));
        }
        let needs = std::iter::once(Scope::View).collect();
        let grant = self.door.admit(peer, register.token.as_ref(), needs, now)?;
        let asked = Duration::from_secs(register.ttl.value().into());
        let left = self.door.ends_at(&grant).map_or(asked, |end| end.saturating_sub(now));
        let ttl = Bounded::try_from(i64::try_from(asked.min(left).as_secs()).unwrap_or(i64::MAX))
            .map_err(|_| Failure::new(ErrorCode::TokenExpired))?;
        let until = now + Duration::from_secs(ttl.value().into());
        self.registry.put(peer, register.name.clone(), until, grant).map_err(|code| {
            let failure = Failure::new(code);
            if code == ErrorCode::Busy { failure.after(FULL_AGAIN_S) } else { failure }
        })?;
        Ok(Registration { name: register.name.clone(), ttl })
    }

    /// A peer does not want to be called any more.
    pub(super) fn unregister(&mut self, peer: &PeerId, seq: Option<u32>, now: Duration) {
        self.registry.peers.remove(peer);
        self.stop_calling(peer, now);
        if self.budgets.take_reply(peer, now) {
            self.publish(peer, &Message::plain(Body::Unregistered(Empty {}), None, seq));
        }
    }
}
