//! The link's own task: connects, reports, connects again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::connection::{Connection, Occurrence};
use super::endpoint::Endpoint;
use super::queue::Queue;
use crate::signalling::backoff::{Backoff, Retry};
use crate::signalling::budget::Budget;
use crate::signalling::rivalry::Rivalry;
use crate::signalling::{LinkEvent, LinkSetup, MAX_PAYLOAD_BYTES, NetworkChange, Publish};

/// The link's own task: one broker connection after the other.
pub(super) struct Driver {
    pub(super) endpoint: Endpoint,
    pub(super) setup: LinkSetup,
    pub(super) outbox: Arc<Queue>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) closing: oneshot::Receiver<Vec<Publish>>,
    /// Open as long as the link is there.
    pub(super) changes: mpsc::Receiver<NetworkChange>,
    pub(super) up: Arc<AtomicBool>,
    pub(super) backoff: Backoff,
    pub(super) rivalry: Rivalry,
    /// Messages a second, where the broker limits them; one for all its connections.
    pub(super) budget: Option<Budget>,
    /// Number of the latest connection that a broker may have accepted.
    pub(super) conn: u32,
    /// The reason last reported, while it stays the same.
    pub(super) told: Option<String>,
    /// The refused wishes last reported.
    pub(super) refused: Vec<String>,
    /// When it was last said that a message was too large.
    pub(super) passed_over: Option<Instant>,
}

/// How a broker connection ended.
enum Ended {
    /// To be made anew.
    Lost { reason: String, retry: Retry, closed: bool },
    /// The same, at once: this machine's network has changed, and the connection leads nowhere.
    Cut,
    /// [`Link::close`](crate::signalling::Link::close), or the link was dropped.
    Closed,
}

impl Driver {
    pub(super) async fn run(mut self) {
        loop {
            self.backoff.connecting(now().into_std());
            self.endpoint.refresh();
            let ended = self.run_once().await;
            self.up.store(false, Ordering::Release);
            let (reason, mut next) = match ended {
                Ended::Lost { reason, retry, closed } => {
                    let next = self.backoff.lost(now().into_std(), retry);
                    let stays_away = self.contest(closed).await;
                    (reason, stays_away.map_or(next, |until| until.max(next)))
                }
                Ended::Cut => ("the network changed".to_owned(), self.backoff.network_changed(now().into_std())),
                Ended::Closed => return,
            };
            debug!(%reason, "connecting again");
            if self.told.as_deref() != Some(&reason) {
                info!(%reason, "broker connection down");
                self.told = Some(reason.clone());
                self.report(LinkEvent::Down { reason }).await;
            }
            loop {
                tokio::select! {
                    () = sleep_until(Instant::from_std(next)) => break,
                    Some(_) = self.changes.recv() => next = next.min(self.backoff.network_changed(now().into_std())),
                    _ = &mut self.closing => return,
                }
            }
        }
    }

    /// A connection has ended: until when to leave the place to another client of our id, if there seems to be one.
    async fn contest(&mut self, closed: bool) -> Option<std::time::Instant> {
        let was_suspected = self.rivalry.is_suspected();
        let until = self.rivalry.lost(now().into_std(), closed);
        if self.rivalry.is_suspected() && !was_suspected {
            let id = &self.setup.client_id;
            let words = format!(
                "another client uses this id: the broker lets {id} in and soon closes its connection, again and again; give \
                 each node a `node.id` of its own"
            );
            // Somebody has to act: of two nodes with one id, one cannot be reached at any time.
            warn!("{words}");
            self.report(LinkEvent::Contested(Some(words))).await;
        }
        until
    }

    /// One connection, from CONNECT to its end.
    async fn run_once(&mut self) -> Ended {
        let number = self.conn.saturating_add(1);
        let mut connection = Connection::open(&self.endpoint, &self.setup, number);
        // What came before the last SUBACK: a broker may send retained messages ahead of it (MQTT 3.1.1, 3.8.4).
        let mut early = Vec::new();
        loop {
            tokio::select! {
                occurrence = connection.next() => match occurrence {
                    Occurrence::Introduced => self.backoff.introduced(now().into_std()),
                    Occurrence::Accepted => {
                        self.conn = number;
                        if connection.is_subscribed() {
                            break;
                        }
                    }
                    Occurrence::Ready => break,
                    Occurrence::Message(message) => {
                        self.count(&message);
                        if early.len() < EARLY_MESSAGES {
                            early.push(message);
                        }
                    }
                    Occurrence::TooLarge { topic, retained, bytes } => self.pass_over(&topic, retained, bytes),
                    Occurrence::Acknowledged => {}
                    Occurrence::Lost { reason, retry, maybe_accepted, closed } => {
                        if maybe_accepted {
                            self.conn = number;
                        }
                        return Ended::Lost { reason, retry, closed };
                    }
                },
                Some(change) = self.changes.recv() => if connection.is_cut_by(change) {
                    return Ended::Cut;
                },
                _ = &mut self.closing => return Ended::Closed,
            }
        }
        self.backoff.up(now().into_std());
        self.rivalry.up(now().into_std());
        self.told = None;
        // Older than this connection: the sessions that sent it have repeated it or given up.
        self.outbox.clear();
        self.up.store(true, Ordering::Release);
        info!(conn = number, "broker connection up");
        self.tell_refused(connection.refused().to_vec()).await;
        self.report(LinkEvent::Up { conn: number }).await;
        for message in early {
            self.report(message).await;
        }
        loop {
            let may_publish = self.may_publish_at();
            let has_budget = may_publish.is_none_or(|at| at <= now());
            let uncontested = self.rivalry.ends_at();
            tokio::select! {
                occurrence = connection.next() => match occurrence {
                    Occurrence::Message(message) => {
                        self.count(&message);
                        self.report(message).await;
                    }
                    Occurrence::Lost { reason, retry, closed, .. } => return Ended::Lost { reason, retry, closed },
                    Occurrence::TooLarge { topic, retained, bytes } => self.pass_over(&topic, retained, bytes),
                    Occurrence::Ready => self.tell_refused(connection.refused().to_vec()).await,
                    Occurrence::Introduced | Occurrence::Accepted | Occurrence::Acknowledged => {}
                },
                message = self.outbox.next(), if has_budget && connection.has_room() => {
                    self.spend(&message);
                    connection.publish(message);
                }
                Some(change) = self.changes.recv() => if connection.is_cut_by(change) {
                    return Ended::Cut;
                },
                () = sleep_until(may_publish.unwrap_or_else(now)), if !has_budget => {}
                () = sleep_until(uncontested.map_or_else(now, Instant::from_std)), if uncontested.is_some() => {
                    self.rivalry.end();
                    info!("no other client uses this id any more");
                    self.report(LinkEvent::Contested(None)).await;
                }
                last = &mut self.closing => {
                    if let Ok(last) = last {
                        self.say_goodbye(connection, last).await;
                    }
                    return Ended::Closed;
                }
            }
        }
    }

    /// A message that nobody here sends: who did is no reason to leave the broker. Said now and then.
    fn pass_over(&mut self, topic: &str, retained: bool, bytes: usize) {
        if self.passed_over.is_some_and(|at| now() - at < PASSED_OVER_EVERY) {
            return;
        }
        self.passed_over = Some(now());
        if retained {
            warn!(
                "the broker keeps a message of {bytes} bytes on {topic}, more than is read here; `mosquitto_pub -r -n -t '{topic}'` \
                 takes it away"
            );
        } else {
            warn!("a message of {bytes} bytes on {topic} is not read: that is more than any of this protocol");
        }
    }

    /// Which wishes the broker refuses, if that is news.
    async fn tell_refused(&mut self, refused: Vec<String>) {
        if self.refused != refused {
            self.refused = refused;
            self.report(LinkEvent::Refused(self.refused.clone())).await;
        }
    }

    /// A message goes out.
    fn spend(&mut self, message: &Publish) {
        if let Some(budget) = &mut self.budget {
            budget.sent(now().into_std(), message.topic.len() + message.payload.len());
        }
    }

    /// A message came in.
    fn count(&mut self, event: &LinkEvent) {
        if let (Some(budget), LinkEvent::Message { topic, payload, .. }) = (&mut self.budget, event) {
            budget.received(now().into_std(), topic.len() + payload.len());
        }
    }

    /// When the broker takes the next message; `None` where it does not limit them.
    fn may_publish_at(&self) -> Option<Instant> {
        self.budget.as_ref().map(|budget| Instant::from_std(budget.next(now().into_std())))
    }

    /// Sends what is queued, then `last`, waits for their PUBACKs within limits, then DISCONNECT: so no will.
    async fn say_goodbye(&mut self, mut connection: Connection, last: Vec<Publish>) {
        let mut rest: VecDeque<Publish> = std::iter::from_fn(|| self.outbox.take()).chain(last).collect();
        rest.retain(|message| message.payload.len() <= MAX_PAYLOAD_BYTES);
        let all_acknowledged = async {
            loop {
                if let Some(due) = self.may_publish_at() {
                    sleep_until(due).await;
                }
                if connection.has_room()
                    && let Some(message) = rest.pop_front()
                {
                    self.spend(&message);
                    connection.publish(message);
                    continue;
                }
                if connection.is_idle() {
                    return;
                }
                if let Occurrence::Lost { .. } = connection.next().await {
                    return;
                }
            }
        };
        if timeout(ACKNOWLEDGE_WITHIN, all_acknowledged).await.is_err() {
            debug!(unsent = rest.len(), "broker did not acknowledge the last messages in time");
        }
        connection.disconnect().await;
    }

    /// Waits for room: a node that does not keep up makes the broker hold its messages back. Nobody listens after
    /// [`Link::close`](crate::signalling::Link::close).
    async fn report(&self, event: LinkEvent) {
        let _ = self.events.send(event).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell that tells the back-off and the deadlines what time it is")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Retained messages between SUBSCRIBE and SUBACK; a node asks for one.
const EARLY_MESSAGES: usize = 64;

/// Between two words about messages that are too large.
const PASSED_OVER_EVERY: Duration = Duration::from_secs(60);
/// [`Link::close`](crate::signalling::Link::close) as a whole.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_millis(1000);
/// The part of [`CLOSE_WITHIN`] in which the last messages must be acknowledged; the rest is for DISCONNECT.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(750);
