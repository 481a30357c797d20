//! The composition root: builds the parts from the config, watches over them, and stops them in order.

mod access;
mod camera;
mod clock;
mod demand;
mod desk;
mod encoding;
mod feeds;
mod metrics;
pub(crate) mod network;
mod picture;
mod report;
mod sound;
mod state;
mod thread;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::http::{self, HttpServer, PageBroker};
use crate::peer::{Connector, media_addresses};
use crate::session::node::{self as core, Input, NodeSetup};
use crate::session::{Boot, Event, Outgoing, Topics};
use crate::signalling::{BrokerUrl, Endpoint, Link, LinkSetup, LoopbackBroker, MqttLink, Publish};
use crate::sys;

use self::camera::Camera;
use self::desk::Desk;
use self::feeds::Cameras;
use self::metrics::Metrics;
use self::report::Report;
use self::state::Board;

pub use self::access::{AccessFiles, read_key};
pub use self::state::{Condition, State};

/// Time for the device threads to end, after the viewers have been told, which takes 1.7 s at most.
const THREADS_LIMIT: Duration = Duration::from_millis(1_200);
/// Time for the page and the embedded broker to end, beside the threads.
const SERVERS_LIMIT: Duration = Duration::from_millis(1_100);

/// Steps of sessions kept for whoever follows them slowly.
const EVENTS_KEPT: usize = 256;

/// A running node.
pub struct Node {
    board: Arc<Board>,
    page: Option<SocketAddr>,
    broker: Brokers,
    http: Option<HttpServer>,
    cameras: Cameras,
    network: JoinHandle<()>,
    desk: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    events: broadcast::Sender<Event>,
}

/// Where the broker is, seen from this machine.
struct Brokers {
    url: String,
    websocket_url: Option<String>,
    page: Option<PageBroker>,
    #[cfg(feature = "embedded-broker")]
    embedded: Option<crate::signalling::embedded::EmbeddedBroker>,
}

impl Node {
    /// Starts everything that `config` describes. A broker or a camera that is away is no error: they are waited for.
    ///
    /// # Errors
    /// What waiting cannot cure: an address in use, a password file that cannot be read, no encoder for this size.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let id = config.node.id();
        let (access, guard) = AccessFiles::open(&config.access, &id)?;
        let (broker, endpoint) = open_broker(&config, &id).await?;
        let board = Arc::new(Board::default());
        let metrics = Metrics::default();

        let mut cameras = BTreeMap::new();
        for camera in &config.camera {
            let running = Camera::start(camera, &board, &metrics)
                .with_context(|| format!("camera {} cannot be started", camera.name))?;
            cameras.insert(camera.name.clone(), Arc::new(running));
        }
        let cameras = Cameras(Arc::new(cameras));
        let connector = Arc::new(Connector::new(&config.ice)?);
        if let Err(error) = media_addresses(&config.ice) {
            tracing::warn!(%error, "no viewer can be served: `camera-node check` says more");
        }
        let ice_servers = config.ice.read_servers()?;

        let topics = Topics::new(&config.broker.prefix, &id);
        let mut core = core::Node::new(NodeSetup {
            topics: topics.clone(),
            boot: Boot::from_random(sys::random_bits()),
            name: config.node.name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: config.limits.clone(),
            retain_status: config.broker.retain,
            guard,
            entropy: Box::new(sys::random_bits),
        });
        core.handle(Input::IceServers(ice_servers, None), Duration::ZERO);
        let will = core.will();
        board.note("broker", State::Starting, "");
        let setup = LinkSetup {
            client_id: id.to_string(),
            subscriptions: topics.node_subscriptions(),
            will: Some(Box::new(move |conn| {
                let Outgoing { topic, payload, retain } = will.of_connection(conn);
                Publish { topic, payload, retain }
            })),
        };
        let (network_changes, network_news) = watch::channel(0);
        let (link, network): (Box<dyn Link>, _) = match endpoint {
            Some(endpoint) => {
                let link = MqttLink::start(endpoint, setup, sys::random_bits());
                let network = tokio::spawn(network::watch(link.network_reports(), network_changes));
                (Box::new(link), network)
            }
            // `loopback:`, where nobody else is.
            None => (Box::new(LoopbackBroker::new().link(setup)), tokio::spawn(std::future::ready(()))),
        };

        let http = if config.http.enabled {
            let report = Report {
                node: id.clone(),
                prefix: config.broker.prefix.to_string(),
                broker: broker.page.clone(),
                board: Arc::clone(&board),
                metrics: metrics.clone(),
                cameras: cameras.clone(),
            };
            Some(http::serve(&config.http, Arc::new(report)).await?)
        } else {
            None
        };

        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (stop, stopped) = oneshot::channel();
        let desk = Desk {
            core,
            link,
            connector,
            cameras: cameras.clone(),
            config: Arc::new(config),
            board: Arc::clone(&board),
            metrics,
            access,
            network: network_news,
            events: events.clone(),
        };
        Ok(Self {
            board,
            page: http.as_ref().map(HttpServer::addr),
            broker,
            http,
            cameras,
            network,
            desk: tokio::spawn(desk.run(stopped)),
            stop,
            events,
        })
    }

    /// Where the page is served, if it is.
    pub fn page(&self) -> Option<SocketAddr> {
        self.page
    }

    /// The broker's URL for MQTT clients on this machine.
    pub fn broker_url(&self) -> &str {
        &self.broker.url
    }

    /// The broker's WebSocket URL for pages, if it is known.
    pub fn broker_websocket_url(&self) -> Option<&str> {
        self.broker.websocket_url.as_deref()
    }

    /// What every part is doing now, by the part's name (`camera:main`, `microphone:main`, `encoder:main`, `broker`).
    pub fn conditions(&self) -> BTreeMap<String, Condition> {
        self.board.conditions()
    }

    /// Viewers that are being sent a picture or sound.
    pub fn viewers(&self) -> usize {
        self.cameras.0.values().map(|camera| camera.viewers()).sum()
    }

    /// Follows the steps of all sessions from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Waits until the node ends by itself, which only a defect makes it do.
    pub async fn ended(&mut self) {
        // A panic in the desk is an end too.
        let _ = (&mut self.desk).await;
    }

    /// Says `leave` to every viewer and `offline` to all, then ends everything in order; within 3 s.
    ///
    /// # Errors
    /// A device thread is stuck in its driver and was left behind: the process should end with an error.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.network.abort();
        // The desk may have ended by itself; then there is nobody left to tell.
        let _ = self.stop.send(());
        if !self.desk.is_finished() {
            let _ = self.desk.await;
        }
        let cameras = self.cameras;
        let ended = tokio::task::spawn_blocking(move || {
            let results: Vec<_> = cameras.0.values().map(|camera| camera.stop(THREADS_LIMIT)).collect();
            results.into_iter().collect::<Result<(), _>>()
        });
        let page = async {
            if let Some(http) = self.http {
                http.stop().await;
            }
        };
        let broker = async {
            #[cfg(feature = "embedded-broker")]
            if let Some(embedded) = self.broker.embedded {
                embedded.stop().await;
            }
        };
        // Whoever is left connected has been told; what does not end in time is cut off.
        let servers = async { tokio::join!(page, broker) };
        if tokio::time::timeout(SERVERS_LIMIT, servers).await.is_err() {
            tracing::debug!("page and broker cut off with connections open");
        }
        ended.await??;
        Ok(())
    }
}

/// The broker of the config: one elsewhere, or the embedded one, started here.
#[cfg(feature = "embedded-broker")]
async fn open_broker(config: &Config, id: &crate::session::NodeId) -> anyhow::Result<(Brokers, Option<Endpoint>)> {
    use crate::signalling::Login;
    use crate::signalling::embedded::{EmbeddedBroker, EmbeddedConfig};

    if !config.broker.embedded {
        return elsewhere(config);
    }
    // Nobody else can pass for this node: its client id needs a password that only this process knows.
    let login =
        Login { username: id.to_string(), password: format!("{:016x}{:016x}", sys::random_bits(), sys::random_bits()) };
    let setup = EmbeddedConfig { reserved: vec![login.clone()], ..EmbeddedConfig::from_config(&config.broker) };
    let embedded = EmbeddedBroker::start(setup).await?;
    let endpoint = embedded.endpoint(Some(login));
    let brokers = Brokers {
        url: format!("mqtt://{}", embedded.tcp_addr()),
        websocket_url: Some(embedded.ws_url()),
        page: Some(PageBroker::listening_on(embedded.ws_addr())),
        embedded: Some(embedded),
    };
    Ok((brokers, Some(endpoint)))
}

/// The broker of the config.
#[cfg(not(feature = "embedded-broker"))]
async fn open_broker(config: &Config, _: &crate::session::NodeId) -> anyhow::Result<(Brokers, Option<Endpoint>)> {
    anyhow::ensure!(
        !config.broker.embedded,
        "broker.embedded is true, but this build has no embedded broker: build it with the feature embedded-broker"
    );
    elsewhere(config)
}

fn elsewhere(config: &Config) -> anyhow::Result<(Brokers, Option<Endpoint>)> {
    let endpoint = match config.broker.url {
        BrokerUrl::Mqtt { .. } => Some(Endpoint::from_config(&config.broker)?),
        BrokerUrl::Loopback => None,
    };
    let websocket_url = config.broker.websocket_url.as_ref().map(|url| url.as_str().to_owned());
    let brokers = Brokers {
        url: config.broker.url.to_string(),
        page: websocket_url.clone().map(PageBroker::At),
        websocket_url,
        #[cfg(feature = "embedded-broker")]
        embedded: None,
    };
    Ok((brokers, endpoint))
}
