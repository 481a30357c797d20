//! [`Link`] over an MQTT 3.1.1 broker: the one place that knows MQTT.
//!
//! `endpoint` says how to get there, `dial` goes there (by `race` where a name has several addresses, through `tls` and
//! `websocket`), `connection` is one broker connection (`wire` its packets, `subscriptions` what it hears), `driver` makes
//! one after the other, `failure` says why one ended.

mod connection;
mod dial;
mod driver;
mod endpoint;
mod failure;
mod queue;
mod race;
mod subscriptions;
mod tls;
mod websocket;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument, debug};

use super::backoff::Backoff;
use super::budget::Budget;
use super::rivalry::Rivalry;
use super::{Link, LinkEvent, LinkSetup, MAX_PAYLOAD_BYTES, NetworkChange, Publish, PublishError};
use driver::{CLOSE_WITHIN, Driver};
use queue::Queue;

pub use endpoint::{Endpoint, EndpointError, Login};
pub use tls::TlsError;

/// A link over MQTT. Dropped without [`Link::close`], it vanishes like a killed process: the broker publishes its will.
pub struct MqttLink {
    outbox: Arc<Queue>,
    events: mpsc::Receiver<LinkEvent>,
    up: Arc<AtomicBool>,
    close: Option<oneshot::Sender<Vec<Publish>>>,
    network: NetworkReports,
    driver: tokio::task::JoinHandle<()>,
}

/// Where a link hears of changes of the machine's network, so that it needs not wait for its keep-alive.
#[derive(Debug, Clone)]
pub struct NetworkReports(mpsc::Sender<NetworkChange>);

impl NetworkReports {
    /// Never waits; false once the link has ended.
    pub fn tell(&self, change: NetworkChange) -> bool {
        // When there is no room, the link has enough to look at: it looks at the network as it is then.
        !matches!(self.0.try_send(change), Err(mpsc::error::TrySendError::Closed(_)))
    }
}

impl MqttLink {
    /// For who knows of changes of the network.
    pub fn network_reports(&self) -> NetworkReports {
        self.network.clone()
    }

    /// Begins to connect. The jitter of the back-off is drawn from `seed`. Must be called inside a tokio runtime.
    pub fn start(endpoint: Endpoint, setup: LinkSetup, seed: u64) -> Self {
        let outbox = Arc::new(Queue::default());
        let (reports, events) = mpsc::channel(EVENTS);
        let (close, closing) = oneshot::channel();
        let (network, changes) = mpsc::channel(CHANGES);
        let up = Arc::new(AtomicBool::new(false));
        let span = tracing::info_span!("mqtt", broker = %endpoint.address(), client = %setup.client_id);
        let driver = Driver {
            budget: endpoint.profile.rate().map(Budget::new),
            endpoint,
            setup,
            outbox: Arc::clone(&outbox),
            events: reports,
            closing,
            changes,
            up: Arc::clone(&up),
            backoff: Backoff::new(seed),
            rivalry: Rivalry::new(seed),
            conn: 0,
            told: None,
            refused: Vec::new(),
            passed_over: None,
        };
        let driver = tokio::spawn(driver.run().instrument(span));
        Self { outbox, events, up, close: Some(close), network: NetworkReports(network), driver }
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
        self.outbox.put(message)
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

/// Room for what comes in while the node is busy for a moment.
const EVENTS: usize = 64;
/// AWS IoT Core's limit.
const MAX_TOPIC_BYTES: usize = 256;
/// A network that comes up says a dozen things at once.
const CHANGES: usize = 32;
