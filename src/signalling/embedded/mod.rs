//! An MQTT broker inside the process, for `demo` and for a LAN without any other server.
//!
//! `mqtt5` routes the messages; accepting browsers, who may do what, and every limit are ours.

mod access;
mod refused;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use super::config::{Broker, WebOrigin};
use super::rights::TopicRules;
use super::{Door, Endpoint, Login};
use crate::session::TopicPrefix;
use access::Gate;
use refused::Refused;
use websocket::{Acceptor, Origins};

/// What the embedded broker is started with.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// Where it listens for MQTT over TCP; port 0 takes any free one.
    pub tcp: SocketAddr,
    /// Where it listens for MQTT over WebSocket; port 0 takes any free one.
    pub websocket: SocketAddr,
    /// Only topics below this prefix exist.
    pub prefix: TopicPrefix,
    /// The nodes: this process's own. The user name of a login is the client id. If there is one, no other client can be
    /// a node here; if there is none, any can.
    pub reserved: Vec<Login>,
    /// What all other clients must know, with their client id as user name; `None` lets them in without.
    pub password: Option<String>,
    /// Web origins besides those of the same host; `"*"` for any.
    pub origins: Vec<WebOrigin>,
}

impl EmbeddedConfig {
    /// The embedded broker that the config describes, with no reserved client ids and no password.
    pub fn from_config(broker: &Broker) -> Self {
        Self {
            tcp: broker.embedded_bind,
            websocket: broker.embedded_websocket_bind,
            prefix: broker.prefix.clone(),
            reserved: Vec::new(),
            password: None,
            origins: broker.embedded_origins.clone(),
        }
    }
}

/// Why the embedded broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A listener's address is taken or not ours.
    #[error("{key}: cannot listen on {address} (`camera-node check` says who does): {source}")]
    Listen {
        /// The config's key.
        key: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// `mqtt5` refused.
    #[error("embedded broker on {address}: {message}")]
    Start {
        /// Its TCP address.
        address: SocketAddr,
        /// In the crate's words.
        message: String,
    },
}

/// A running broker. Dropped without [`EmbeddedBroker::stop`], it is cut off.
pub struct EmbeddedBroker {
    tcp: SocketAddr,
    websocket: SocketAddr,
    shutdown: BrokerShutdownHandle,
    run: JoinHandle<()>,
    /// Tells of clients that were turned away, for ever.
    journal: JoinHandle<()>,
    acceptor: Acceptor,
}

impl EmbeddedBroker {
    /// Starts it; it takes clients when this returns.
    ///
    /// # Errors
    /// [`EmbeddedError`]: mostly an address that is in use.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        // Asked first by ourselves: the crate's own message names neither the address nor the cause in a usable way.
        drop(TcpListener::bind(config.tcp).await.map_err(|source| EmbeddedError::Listen {
            key: "broker.embedded_bind",
            address: config.tcp,
            source,
        })?);
        let listen_error =
            |source| EmbeddedError::Listen { key: "broker.embedded_websocket_bind", address: config.websocket, source };
        let listener = TcpListener::bind(config.websocket).await.map_err(listen_error)?;
        let websocket = listener.local_addr().map_err(listen_error)?;

        let start_error = |message: String| EmbeddedError::Start { address: config.tcp, message };
        let limits = limits(config.tcp);
        let rules = TopicRules::new(config.prefix.clone(), config.reserved.clone(), config.password.clone());
        let refused = Arc::new(Refused::default());
        let mut broker = MqttBroker::with_config(limits.clone())
            .await
            .map_err(|error| start_error(error.to_string()))?
            .with_auth_provider(Arc::new(Gate { rules, refused: Arc::clone(&refused) }));
        let tcp = broker.local_addr().ok_or_else(|| start_error("no address".to_owned()))?;
        let origins = Origins::new(config.origins.clone());
        let acceptor = Acceptor::start(listener, origins, &broker, limits, Arc::clone(&refused));
        let shutdown = broker.shutdown_handle();
        let mut ready = broker.ready_receiver();
        let run = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                // Someone has to act: nobody can join from now on.
                tracing::warn!(%error, "embedded broker failed");
            }
        });
        let broker = Self { tcp, websocket, shutdown, run, journal: tokio::spawn(tell(refused)), acceptor };
        match timeout(READY_WITHIN, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(start_error("did not become ready".to_owned())),
        }
        info!(%tcp, websocket = %broker.ws_url(), "embedded broker up");
        Ok(broker)
    }

    /// Where MQTT clients connect.
    pub fn tcp_addr(&self) -> SocketAddr {
        self.tcp
    }

    /// Where browsers connect.
    pub fn ws_addr(&self) -> SocketAddr {
        self.websocket
    }

    /// Where browsers connect, as a URL with the listener's own address.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/mqtt", self.websocket)
    }

    /// For the page's server, which then carries MQTT over WebSocket too.
    pub fn door(&self) -> Arc<dyn Door> {
        self.acceptor.door()
    }

    /// For a [`super::MqttLink`] of this process.
    pub fn endpoint(&self, login: Option<Login>) -> Endpoint {
        let ip = match self.tcp.ip() {
            ip if !ip.is_unspecified() => ip.to_string(),
            // A wildcard is no destination.
            std::net::IpAddr::V4(_) => "127.0.0.1".to_owned(),
            std::net::IpAddr::V6(_) => "::1".to_owned(),
        };
        Endpoint::plain(ip, self.tcp.port()).with_login(login).with_keep_alive(KEEP_ALIVE)
    }

    /// Closes all connections and ends, within two seconds; the addresses are free when it returns.
    pub async fn stop(mut self) {
        self.acceptor.stop();
        self.shutdown.shutdown();
        // Half-open sockets hold the crate's own shutdown for up to 5 s.
        if timeout(STOP_WITHIN, &mut self.run).await.is_err() {
            debug!("embedded broker cut off with connections open");
            self.run.abort();
            // Ends at once, by being cut off.
            let _ = (&mut self.run).await;
        }
        self.acceptor.ended().await;
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.journal.abort();
        self.acceptor.stop();
        self.shutdown.shutdown();
        self.run.abort();
    }
}

/// Says how many were turned away, once in a while.
async fn tell(refused: Arc<Refused>) {
    let mut often = tokio::time::interval(TELL_EVERY);
    loop {
        often.tick().await;
        if let Some(refused::Sum { text, last }) = refused.sum() {
            info!(?last, "embedded broker turned clients away: {text}");
        }
    }
}

/// The crate's defaults keep files in the working directory and take packets of 256 MB.
fn limits(tcp: SocketAddr) -> BrokerConfig {
    let mut config = BrokerConfig::new()
        .with_bind_addresses(vec![tcp])
        .with_max_clients(MAX_CLIENTS)
        .with_max_packet_size(MAX_PACKET_BYTES)
        .with_maximum_qos(1)
        .with_max_subscriptions_per_client(8)
        .with_max_retained_messages(MAX_CLIENTS)
        .with_max_retained_message_size(16 * 1024)
        .with_client_channel_capacity(256)
        .with_sys_topics_enabled(false)
        .with_session_expiry(SESSION_EXPIRY)
        .with_storage(
            // Memory all the same: without "persistence" will delays are ignored.
            StorageConfig::new()
                .with_backend(StorageBackend::Memory)
                .with_persistence(true)
                // Something of every client that ever came stays until then; the crate's own interval is an hour.
                .with_cleanup_interval(SESSION_EXPIRY)
                .with_max_queued_messages_per_client(256)
                .with_max_queued_bytes_per_client(4 * 1024 * 1024),
        );
    config.shared_subscription_available = false;
    config.topic_alias_maximum = 0;
    // A few dozen signalling messages make a session; a flood is a mistake or an attack.
    config.max_message_rate_per_client = 500;
    config
}

/// Viewers at a time, with room for those that left and were not noticed yet.
const MAX_CLIENTS: usize = 512;
/// As much as a link takes; a session message is at most 64 KB.
const MAX_PACKET_BYTES: usize = 256 * 1024;
/// Loopback connections fail at once or not at all; the probe is for a wedged process.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client's session outlives its connection: all of ours begin anew.
const SESSION_EXPIRY: Duration = Duration::from_secs(60);
/// A client that tries again and again, as a page does with a password of before, is a line each time at most.
const TELL_EVERY: Duration = Duration::from_secs(1);
const READY_WITHIN: Duration = Duration::from_secs(5);
const STOP_WITHIN: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use mqtt5::broker::storage::StorageBackend as _;

    use super::*;
    use crate::signalling::{Link as _, LinkEvent, LinkSetup, MqttLink};

    /// On a machine that does other things too.
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn of_a_client_that_has_left_nothing_outlasts_the_next_sweep() {
        let mut config = limits(([127, 0, 0, 1], 0).into());
        let sweep_every = &mut config.storage_config.cleanup_interval;
        assert!(*sweep_every <= Duration::from_secs(60), "a viewer has a new id each time that it comes");
        *sweep_every = Duration::from_millis(20);
        let mut broker = MqttBroker::with_config(config).await.expect("loopback has free ports");
        let address = broker.local_addr().expect("it listens");
        let storage = broker.storage().expect("it has one, in memory");
        let run = tokio::spawn(async move { broker.run().await });

        let client_id = "tab-1".to_owned();
        let subscriptions = vec!["camera-node/v1/cam/out/tab-1".to_owned()];
        let setup = LinkSetup { client_id: client_id.clone(), subscriptions, ..LinkSetup::default() };
        let mut link = MqttLink::start(Endpoint::plain(address.ip().to_string(), address.port()), setup, 1);
        let up = timeout(SOON, link.next()).await.expect("in time");
        assert!(matches!(up, Some(LinkEvent::Up { .. })), "{up:?}");
        let kept = Arc::downgrade(&storage.queue_handle(&client_id));
        assert!(kept.strong_count() >= 2, "the client's own is the one looked at");
        link.close(Vec::new()).await;
        let freed = async {
            while kept.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(SOON, freed).await.is_ok(), "what was kept of it is still there");
        run.abort();
    }
}
