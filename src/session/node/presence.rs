//! The node's own `status`: published when it changes, and again when the broker shows something else.

use std::time::Duration;

use super::super::{Body, Boot, Message, Outgoing, Presence, Status, Topics};

/// A burst of changes is one message a second.
const SPACING: Duration = Duration::from_secs(1);
/// What we see first after a reconnect is the will of the connection before; our own word follows within this time.
const PATIENCE: Duration = Duration::from_millis(250);

/// Two nodes of one name would contradict each other for ever: more slowly then.
const PATIENCE_WITH_A_RIVAL: Duration = Duration::from_secs(60);
/// A rival that has not been heard for so long is gone.
const RIVAL_GONE_AFTER: Duration = Duration::from_secs(20 * 60);

/// What the broker publishes for the node when a connection is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    topic: String,
    boot: Boot,
    retain: bool,
}

impl Will {
    /// The will of `boot` on the status topic.
    pub(super) fn new(topics: &Topics, boot: Boot, retain: bool) -> Self {
        Self { topic: topics.status(), boot, retain }
    }

    /// The will of broker connection `conn` (1 for the first), to be handed over when connecting.
    pub fn of_connection(&self, conn: u32) -> Outgoing {
        self.publish(Status::offline(self.boot.clone(), conn))
    }

    fn publish(&self, status: Status) -> Outgoing {
        let payload = Message::plain(Body::Status(Box::new(status)), None, None).to_bytes();
        Outgoing { topic: self.topic.clone(), payload, retain: self.retain }
    }
}

/// When to publish `status`.
#[derive(Debug)]
pub(super) struct Announcer {
    will: Will,
    conn: Option<u32>,
    published: Option<Status>,
    last: Option<Duration>,
    /// Look whether something has changed.
    look_at: Option<Duration>,
    /// Publish even what has not changed.
    again_at: Option<Duration>,
    /// The connection on which the broker first showed our own word: what it shows later is no older than that.
    confirmed: Option<u32>,
    /// Another node of our name, and when it was heard last.
    rival: Option<(Boot, Duration)>,
    /// What is still to be told of it.
    rival_news: Option<Option<Boot>>,
}

impl Announcer {
    pub(super) fn new(will: Will) -> Self {
        Self {
            will,
            conn: None,
            published: None,
            last: None,
            look_at: None,
            again_at: None,
            confirmed: None,
            rival: None,
            rival_news: None,
        }
    }

    /// The number of the broker connection, while there is one.
    pub(super) fn conn(&self) -> Option<u32> {
        self.conn
    }

    pub(super) fn link_up(&mut self, conn: u32, now: Duration) {
        self.conn = Some(conn);
        self.again_at = Some(now);
    }

    pub(super) fn link_down(&mut self) {
        self.conn = None;
    }

    /// Something that `status` tells may have changed.
    pub(super) fn changed(&mut self, now: Duration) {
        self.look_at = Some(self.last.map_or(now, |last| now.max(last + SPACING)));
    }

    /// The broker shows this as our status; `retained` if it was kept for us.
    pub(super) fn seen(&mut self, payload: &[u8], retained: bool, now: Duration) {
        let Some(published) = &self.published else { return };
        let shown = Message::read_status(payload).ok();
        if shown.as_ref() == Some(published) {
            self.again_at = None;
            self.confirmed = self.confirmed.or(self.conn);
            return;
        }
        if let Some(shown) = &shown {
            self.look_for_rival(shown, retained, now);
        }
        if self.again_at.is_none() {
            let earliest = self.last.map_or(now, |last| last + SPACING);
            let patience = if self.rival.is_some() { PATIENCE_WITH_A_RIVAL } else { PATIENCE };
            self.again_at = Some(earliest.max(now + patience));
        }
    }

    /// Whether somebody else has said this in our name, and not an earlier run of ours.
    fn look_for_rival(&mut self, shown: &Status, retained: bool, now: Duration) {
        let is_foreign = shown.boot != self.will.boot;
        // An earlier run's will may come late, but nobody else can be online now; and after our own word nothing of an
        // earlier run is kept any more, so on a later connection whatever is foreign is a rival's.
        let is_later = self.confirmed.is_some_and(|confirmed| self.conn.is_some_and(|conn| conn > confirmed));
        let is_online_now = self.confirmed.is_some() && shown.state == Presence::Online && !retained;
        if is_foreign && (is_later || is_online_now) {
            if self.rival.is_none() {
                self.rival_news = Some(Some(shown.boot.clone()));
            }
            self.rival = Some((shown.boot.clone(), now));
        }
    }

    /// What is new of a rival: its boot, or that it is gone.
    pub(super) fn poll_rival(&mut self, now: Duration) -> Option<Option<Boot>> {
        if self.rival.as_ref().is_some_and(|(_, heard)| *heard + RIVAL_GONE_AFTER <= now) {
            self.rival = None;
            self.rival_news = Some(None);
        }
        self.rival_news.take()
    }

    /// What to publish now; `build` tells the present state on connection `conn`.
    pub(super) fn poll(&mut self, now: Duration, build: impl FnOnce(u32) -> Status) -> Option<Outgoing> {
        let conn = self.conn?;
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let again = due(self.again_at);
        if !again && !due(self.look_at) {
            return None;
        }
        self.look_at = None;
        let status = build(conn);
        if !again && self.published.as_ref() == Some(&status) {
            return None;
        }
        self.again_at = None;
        self.last = Some(now);
        self.published = Some(status.clone());
        Some(self.will.publish(status))
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let rival = self.rival.as_ref().map(|(_, heard)| *heard + RIVAL_GONE_AFTER);
        let word = self.conn.and_then(|_| self.look_at.into_iter().chain(self.again_at).min());
        word.into_iter().chain(rival).min()
    }

    /// The last word before an orderly end; nothing is published after it.
    pub(super) fn farewell(&mut self) -> Option<Outgoing> {
        let conn = self.conn.take()?;
        Some(self.will.of_connection(conn))
    }
}
