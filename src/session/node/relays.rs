//! The STUN and TURN servers that sessions are told of, and when they are told again.

use std::time::Duration;

use super::super::IceServer;
use super::Node;
use super::viewer_session::ViewerSession;
use crate::access::TurnSecret;

/// A server, and how sessions get in there.
#[derive(Debug, Clone)]
pub enum IceSource {
    /// The same for all of them.
    Fixed(IceServer),
    /// With a login for each of them, which ends.
    PerSession {
        /// The server's URLs.
        urls: Vec<String>,
        /// What logins are made with.
        secret: TurnSecret,
        /// How long a login is good for.
        lifetime_s: u32,
    },
}

/// All servers.
#[derive(Debug, Default)]
pub(super) struct Relays(pub(super) Vec<IceSource>);

impl Relays {
    /// The servers with logins for `name`, made at `unix_s`.
    pub(super) fn servers(&self, name: &str, unix_s: u64) -> Vec<IceServer> {
        let server = |source: &IceSource| match source {
            IceSource::Fixed(server) => server.clone(),
            IceSource::PerSession { urls, secret, lifetime_s } => {
                let (username, credential) = secret.login(name, unix_s.saturating_add((*lifetime_s).into()));
                IceServer { urls: urls.clone(), username: Some(username), credential: Some(credential) }
            }
        };
        self.0.iter().map(server).collect()
    }

    /// Seconds until the first login ends that is made now; `None` for never.
    pub(super) fn lifetime_s(&self) -> Option<u32> {
        let lifetime = |source: &IceSource| match source {
            IceSource::Fixed(_) => None,
            IceSource::PerSession { lifetime_s, .. } => Some(*lifetime_s),
        };
        self.0.iter().filter_map(lifetime).min()
    }

    /// When to make new ones: early enough for messages that are sent again, and for an ICE restart just then.
    pub(super) fn renew_after(&self) -> Option<Duration> {
        self.lifetime_s().map(|lifetime_s| Duration::from_secs(lifetime_s.into()) * 2 / 3)
    }
}

impl Node {
    /// Gives new logins to the sessions whose logins will end soon.
    pub(super) fn renew_relays(&mut self, now: Duration) {
        let is_due = |session: &ViewerSession| session.renews_relays_at.is_some_and(|at| at <= now);
        let due = self.sessions.iter().filter(|(_, session)| is_due(session)).map(|(peer, _)| peer.clone());
        for peer in due.collect::<Vec<_>>() {
            let introduction = self.introduction(&peer, now);
            let Some(session) = self.sessions.get_mut(&peer) else { continue };
            let renewed = session.renew_relays(introduction, now, &mut self.out);
            self.settle(&peer, renewed, now);
        }
    }

    pub(super) fn renew_all_relays(&mut self, now: Duration) {
        self.sessions.values_mut().for_each(|session| session.renews_relays_at = Some(now));
    }
}
