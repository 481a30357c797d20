//! [`Link`] over an MQTT 3.1.1 broker: the one place that knows MQTT.
//!
//! Every broker connection gets a client of its own, so nothing of a lost one can leak into the next: `rumqttc` keeps a
//! publish that collided and would wait for its PUBACK for ever (its issue #1056), and replays what nobody waits for.

mod connection;
mod reason;

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument, debug, info};

use super::backoff::Backoff;
use super::config::Broker;
use super::{BrokerUrl, Link, LinkEvent, LinkSetup, MAX_PAYLOAD_BYTES, Publish, PublishError};
use connection::{Connection, Occurrence};

/// Which broker, and how to introduce oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name and password, where the broker asks for them.
    pub login: Option<Login>,
    /// Silence after which the connection is probed; whole seconds, at least one.
    pub keep_alive: Duration,
    /// Whether messages and wills may be retained; when false the flag is never set, whatever a [`Publish`] says.
    pub retain: bool,
}

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// MQTT user name.
    pub username: String,
    /// MQTT password; never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why the configured broker cannot be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The password file cannot be read.
    #[error("broker password file {}: {source}", path.display())]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// MQTT 3.1.1 has no password without a user name (section 3.1.2.9).
    #[error("broker has a password_file but no username")]
    NoUsername,
    /// `loopback:` has no address.
    #[error("loopback: is not an MQTT broker")]
    Loopback,
}

impl Endpoint {
    /// The broker of the config; reads its password file.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn from_config(broker: &Broker) -> Result<Self, EndpointError> {
        let BrokerUrl::Mqtt { host, port } = &broker.url else { return Err(EndpointError::Loopback) };
        let password = match &broker.password_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| EndpointError::PasswordFile { path: path.clone(), source })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
        };
        let login = match (&broker.username, password) {
            (None, None) => None,
            (None, Some(_)) => return Err(EndpointError::NoUsername),
            (Some(username), password) => {
                Some(Login { username: username.clone(), password: password.unwrap_or_default() })
            }
        };
        Ok(Self {
            host: host.clone(),
            port: *port,
            login,
            keep_alive: Duration::from_secs(broker.keep_alive_s.value().into()),
            retain: broker.retain,
        })
    }
}

/// A link over MQTT. Dropped without [`Link::close`], it vanishes like a killed process: the broker publishes its will.
pub struct MqttLink {
    outbox: mpsc::Sender<Publish>,
    events: mpsc::Receiver<LinkEvent>,
    up: Arc<AtomicBool>,
    close: Option<oneshot::Sender<Vec<Publish>>>,
    driver: tokio::task::JoinHandle<()>,
}

impl MqttLink {
    /// Begins to connect. The jitter of the back-off is drawn from `seed`. Must be called inside a tokio runtime.
    pub fn start(endpoint: Endpoint, setup: LinkSetup, seed: u64) -> Self {
        let (outbox, queued) = mpsc::channel(OUTBOX_MESSAGES);
        let (reports, events) = mpsc::channel(EVENTS);
        let (close, closing) = oneshot::channel();
        let up = Arc::new(AtomicBool::new(false));
        let span = tracing::info_span!("mqtt", broker = %format_args!("{}:{}", endpoint.host, endpoint.port), client = %setup.client_id);
        let driver = Driver {
            endpoint,
            setup,
            outbox: queued,
            events: reports,
            closing,
            up: Arc::clone(&up),
            backoff: Backoff::new(seed),
            conn: 0,
            told: None,
        };
        let driver = tokio::spawn(driver.run().instrument(span));
        Self { outbox, events, up, close: Some(close), driver }
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[async_trait]
impl Link for MqttLink {
    fn publish(&self, message: Publish) -> Result<(), PublishError> {
        if message.payload.len() > MAX_PAYLOAD_BYTES || message.topic.len() > MAX_TOPIC_BYTES {
            return Err(PublishError::TooLarge { bytes: message.payload.len(), topic: message.topic });
        }
        if !self.up.load(Ordering::Acquire) {
            return Err(PublishError::Away { topic: message.topic });
        }
        self.outbox.try_send(message).map_err(|refused| PublishError::Full { topic: refused.into_inner().topic })
    }

    async fn next(&mut self) -> Option<LinkEvent> {
        // Closed: what was still on its way is not told any more.
        self.close.as_ref()?;
        self.events.recv().await
    }

    async fn close(&mut self, last: Vec<Publish>) {
        let Some(close) = self.close.take() else { return };
        // A driver that waits for room for an event must not wait any more.
        self.events.close();
        if close.send(last).is_ok() && timeout(CLOSE_WITHIN, &mut self.driver).await.is_err() {
            debug!("broker did not take the goodbye in time");
            self.driver.abort();
        }
    }
}

/// The link's own task: one broker connection after the other.
struct Driver {
    endpoint: Endpoint,
    setup: LinkSetup,
    outbox: mpsc::Receiver<Publish>,
    events: mpsc::Sender<LinkEvent>,
    closing: oneshot::Receiver<Vec<Publish>>,
    up: Arc<AtomicBool>,
    backoff: Backoff,
    /// Number of the latest connection that a broker may have accepted.
    conn: u32,
    /// The reason last reported, while it stays the same.
    told: Option<String>,
}

/// How a broker connection ended.
enum Ended {
    /// To be made anew.
    Lost { reason: String },
    /// [`Link::close`], or the link was dropped.
    Closed,
}

impl Driver {
    async fn run(mut self) {
        loop {
            self.backoff.connecting(now().into_std());
            let ended = self.run_once().await;
            self.up.store(false, Ordering::Release);
            let Ended::Lost { reason } = ended else { return };
            let next = Instant::from_std(self.backoff.lost(now().into_std()));
            debug!(%reason, wait_ms = (next - now()).as_millis(), "connecting again");
            if self.told.as_deref() != Some(&reason) {
                info!(%reason, "broker connection down");
                self.told = Some(reason.clone());
                self.report(LinkEvent::Down { reason }).await;
            }
            tokio::select! {
                () = sleep_until(next) => {}
                _ = &mut self.closing => return,
            }
        }
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
                    Occurrence::Accepted => {
                        self.conn = number;
                        if connection.is_subscribed() {
                            break;
                        }
                    }
                    Occurrence::Ready => break,
                    Occurrence::Message(message) => if early.len() < EARLY_MESSAGES { early.push(message) },
                    Occurrence::Acknowledged => {}
                    Occurrence::Lost { reason, maybe_accepted } => {
                        if maybe_accepted {
                            self.conn = number;
                        }
                        return Ended::Lost { reason };
                    }
                },
                _ = &mut self.closing => return Ended::Closed,
            }
        }
        self.backoff.up(now().into_std());
        self.told = None;
        // Older than this connection: the sessions that sent it have repeated it or given up.
        while self.outbox.try_recv().is_ok() {}
        self.up.store(true, Ordering::Release);
        info!(conn = number, "broker connection up");
        self.report(LinkEvent::Up { conn: number }).await;
        for message in early {
            self.report(message).await;
        }
        loop {
            tokio::select! {
                occurrence = connection.next() => match occurrence {
                    Occurrence::Message(message) => self.report(message).await,
                    Occurrence::Lost { reason, .. } => return Ended::Lost { reason },
                    Occurrence::Accepted | Occurrence::Ready | Occurrence::Acknowledged => {}
                },
                Some(message) = self.outbox.recv(), if connection.has_room() => connection.publish(message),
                last = &mut self.closing => {
                    if let Ok(last) = last {
                        self.say_goodbye(connection, last).await;
                    }
                    return Ended::Closed;
                }
            }
        }
    }

    /// Sends what is queued, then `last`, waits for their PUBACKs within limits, then DISCONNECT: so no will.
    async fn say_goodbye(&mut self, mut connection: Connection, last: Vec<Publish>) {
        let mut rest: VecDeque<Publish> = std::iter::from_fn(|| self.outbox.try_recv().ok()).chain(last).collect();
        rest.retain(|message| message.payload.len() <= MAX_PAYLOAD_BYTES);
        let all_acknowledged = async {
            loop {
                while connection.has_room()
                    && let Some(message) = rest.pop_front()
                {
                    connection.publish(message);
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
    /// [`Link::close`].
    async fn report(&self, event: LinkEvent) {
        let _ = self.events.send(event).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell that tells the back-off and the deadlines what time it is")]
fn now() -> Instant {
    Instant::now()
}

/// Room for a burst to all viewers at once; a link that needs more is stuck, and sessions repeat what was lost.
const OUTBOX_MESSAGES: usize = 256;
/// Room for what comes in while the node is busy for a moment.
const EVENTS: usize = 64;
/// Retained messages between SUBSCRIBE and SUBACK; a node asks for one.
const EARLY_MESSAGES: usize = 64;
/// [`Link::close`] as a whole.
const CLOSE_WITHIN: Duration = Duration::from_millis(1000);
/// The part of [`CLOSE_WITHIN`] in which the last messages must be acknowledged; the rest is for DISCONNECT.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(750);
/// AWS IoT Core's limit.
const MAX_TOPIC_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_its_file_without_the_newline_and_is_never_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "s3cret \n").expect("written");
        let mut broker = Broker { password_file: Some(path), ..Broker::default() };
        assert!(matches!(Endpoint::from_config(&broker), Err(EndpointError::NoUsername)));
        broker.username = Some("node".to_owned());
        let endpoint = Endpoint::from_config(&broker).expect("complete");
        assert_eq!(endpoint.login.as_ref().expect("a login").password, "s3cret ");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        broker.password_file = Some(folder.path().join("missing"));
        let missing = Endpoint::from_config(&broker).expect_err("no such file").to_string();
        assert!(missing.contains("missing") && missing.contains("No such file"), "{missing}");
    }
}
