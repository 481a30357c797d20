//! The composition root: builds the parts from the config, watches over them, and stops them in order.

mod access;
mod brokers;
mod camera;
mod certificates;
mod clock;
mod demand;
mod desk;
mod doorbell;
mod encoding;
mod feeds;
mod https;
mod journal;
mod lan;
mod metrics;
pub(crate) mod network;
mod output_watch;
mod picture;
mod pulse;
mod report;
mod ringing;
pub mod service;
mod sound;
mod standing;
mod state;
mod state_folder;
mod surroundings;
mod thread;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;

use crate::access::TurnSecret;
use crate::config::Config;
use crate::http::{self, Announcement, Bound, Extras, HttpServer};
use crate::peer::config::{Login as IceLogin, ReadServer};
use crate::peer::{Connector, media_addresses};
use crate::session::node::{self as core, IceSource, Input, NodeSetup};
use crate::session::{Boot, Event, IceServer, Outgoing, Topics};
use crate::signalling::{Link, LinkSetup, LoopbackBroker, MqttLink, Publish};
use crate::sys;

use self::brokers::Brokers;
use self::camera::Camera;
use self::desk::Desk;
use self::doorbell::Doorbell;
use self::feeds::Cameras;
use self::https::Https;
use self::metrics::Metrics;
use self::report::Report;
use self::state::Board;
use self::view::About;

pub use self::access::{AccessFiles, read_key};
pub use self::certificates::{GivenCertificate, given as given_certificates};
pub use self::doorbell::{read_secret as read_ring_secret, webhook};
pub use self::https::CERTIFICATE;
pub use self::lan::{known_password, pages};
pub use self::state::{Condition, State};
pub use self::state_folder::StateFolder;
pub use self::view::View;

/// Time for the device threads to end, after the viewers have been told, which takes 1.7 s at most.
const THREADS_LIMIT: Duration = Duration::from_millis(1_200);
/// Time for the page and the embedded broker to end, beside the threads.
const SERVERS_LIMIT: Duration = Duration::from_millis(1_100);

/// Steps of sessions kept for whoever follows them slowly.
const EVENTS_KEPT: usize = 256;

/// A running node.
pub struct Node {
    view: View,
    page: Option<SocketAddr>,
    broker: Brokers,
    http: Option<HttpServer>,
    announcement: Option<Announcement>,
    keepers: Vec<JoinHandle<()>>,
    network: JoinHandle<()>,
    desk: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    events: broadcast::Sender<Event>,
    doorbell: Doorbell,
    registered: Arc<AtomicUsize>,
}

impl Node {
    /// Starts everything that `config` describes. A broker or a camera that is away is no error: they are waited for.
    ///
    /// # Errors
    /// What waiting cannot cure: an address in use, a password file that cannot be read, no encoder for this size.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let id = config.node.id();
        let (access, guard) = AccessFiles::open(&config.access, &id)?;
        let folder = StateFolder::of(&config.node);
        let https = Https::open(&config, &folder)?;
        let (broker, endpoint) = Brokers::open(&config, &folder).await?;
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
        let pulse = board.pulses.begin("net-media");
        connector.on_each_second(move || pulse.beat());
        if let Err(error) = media_addresses(&config.ice) {
            tracing::warn!(%error, "no viewer can be served: `camera-node check` says more");
        }
        let ice_servers = config.ice.read_servers()?.into_iter().map(ice_source).collect();

        let (doorbell, mut bells) = Doorbell::start(&config.ring, &id).await?;
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
        core.handle(Input::IceServers(ice_servers), Duration::ZERO);
        let will = core.will();
        board.note("broker", State::Starting, "");
        let setup = LinkSetup {
            client_id: id.to_string(),
            subscriptions: topics.node_subscriptions(),
            wishes: bells.topic.iter().cloned().collect(),
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
                bell: doorbell.behind_http(&config.ring)?,
            };
            let certificate = https.as_ref().map(|https| Arc::clone(&https.certificate));
            let extras = Extras { door: broker.door(), certificate };
            Some(http::serve(&config.http, Arc::new(report), extras).await?)
        } else {
            None
        };

        let announcement = http.as_ref().and_then(|http| lan::announce(&config, http));
        let bound = http.as_ref().map(|http| Bound { plain: Some(http.addr()), tls: http.tls_addr() });
        let pages = lan::pages(&config, &bound.unwrap_or_default());
        let page = http.as_ref().map(HttpServer::addr);
        bells.webhook = doorbell::webhook(&config, page)?;
        let registered = Arc::clone(&bells.registered);
        let about = Arc::new(Mutex::new(About { name: config.node.name(), pages }));
        let view = View { board: Arc::clone(&board), cameras: cameras.clone(), about };

        let config = Arc::new(config);
        let watch = certificates::watch(Arc::clone(&config), Arc::clone(&board), AccessFiles::is_clock_set);
        let mut keepers = vec![tokio::spawn(watch)];
        keepers.extend(https.map(|https| tokio::spawn(https.keep_fresh())));

        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (stop, stopped) = oneshot::channel();
        let desk = Desk {
            core,
            link,
            connector,
            cameras,
            config,
            board,
            metrics,
            access,
            network: network_news,
            bells,
            events: events.clone(),
        };
        Ok(Self {
            view,
            page,
            broker,
            http,
            announcement,
            keepers,
            network,
            desk: tokio::spawn(desk.run(stopped)),
            stop,
            events,
            doorbell,
            registered,
        })
    }

    /// Where the page is served, if it is.
    pub fn page(&self) -> Option<SocketAddr> {
        self.page
    }

    /// Where browsers find the page, the best address first.
    pub fn pages(&self) -> Vec<String> {
        self.view.pages()
    }

    /// For whoever watches over it.
    pub fn view(&self) -> View {
        self.view.clone()
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
        self.view.conditions()
    }

    /// Viewers that are being sent a picture or sound.
    pub fn viewers(&self) -> usize {
        self.view.viewers()
    }

    /// Viewers that have registered and can be rung.
    pub fn registered(&self) -> usize {
        self.registered.load(Ordering::Relaxed)
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
        self.keepers.iter().for_each(JoinHandle::abort);
        drop(self.announcement);
        // Nobody rings any more.
        drop(self.doorbell);
        // The desk may have ended by itself; then there is nobody left to tell.
        let _ = self.stop.send(());
        if !self.desk.is_finished() {
            let _ = self.desk.await;
        }
        let cameras = self.view.cameras;
        let ended = tokio::task::spawn_blocking(move || {
            let results: Vec<_> = cameras.0.values().map(|camera| camera.stop(THREADS_LIMIT)).collect();
            results.into_iter().collect::<Result<(), _>>()
        });
        let page = async {
            if let Some(http) = self.http {
                http.stop().await;
            }
        };
        // Whoever is left connected has been told; what does not end in time is cut off.
        let servers = async { tokio::join!(page, self.broker.stop()) };
        if tokio::time::timeout(SERVERS_LIMIT, servers).await.is_err() {
            tracing::debug!("page and broker cut off with connections open");
        }
        ended.await??;
        Ok(())
    }
}

fn ice_source(server: ReadServer) -> IceSource {
    let fixed = |urls, username, credential| IceSource::Fixed(IceServer { urls, username, credential });
    match server.login {
        IceLogin::None => fixed(server.urls, None, None),
        IceLogin::Fixed { username, credential } => fixed(server.urls, Some(username), Some(credential)),
        IceLogin::PerSession { secret, lifetime_s } => {
            IceSource::PerSession { urls: server.urls, secret: TurnSecret::new(&secret), lifetime_s }
        }
    }
}
