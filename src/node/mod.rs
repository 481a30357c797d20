//! The composition root: builds the parts from the config, watches over them, and stops them in order.

mod access;
mod brokers;
mod camera;
mod certificates;
mod channels;
mod clock;
mod demand;
mod desk;
mod doorbell;
mod encoding;
mod feeds;
mod https;
mod journal;
mod lan;
mod line;
mod metrics;
pub(crate) mod network;
mod notice;
#[cfg(all(test, feature = "echo-canceller"))]
mod on_device;
mod output_watch;
mod page;
mod photographer;
mod picture;
mod pipeline;
mod pulse;
mod readings;
mod reload;
mod renewal;
mod report;
mod ringing;
pub mod service;
mod shutter;
mod snapshots;
mod sound;
mod speaker;
mod standing;
mod state;
mod state_folder;
mod stills;
mod storage;
#[cfg(test)]
mod storm_tests;
mod story;
mod surroundings;
mod thread;
mod troubles;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::access::TurnSecret;
use crate::config::Config;
use crate::peer::Connector;
use crate::peer::config::{Login as IceLogin, ReadServer};
use crate::session::node::{self as core, IceSource, Input, NodeSetup};
use crate::session::{Boot, Event, IceServer, Topics};
use crate::sys;

use self::brokers::Brokers;
use self::camera::Camera;
use self::channels::{Services, Wishes};
use self::desk::Desk;
use self::doorbell::Doorbell;
use self::feeds::Cameras;
use self::https::Https;
use self::line::Caller;
use self::metrics::Metrics;
use self::page::Page;
use self::photographer::Questions;
use self::renewal::Renewal;
use self::shutter::Shutters;
use self::state::Board;

pub use self::access::{AccessFiles, read_key, wall_clock};
pub use self::certificates::{GivenCertificate, given as given_certificates};
pub use self::doorbell::{read_secret as read_ring_secret, webhook};
pub use self::https::{CERTIFICATE, try_files as try_https_files};
pub use self::lan::{known_password, pages};
pub use self::reload::Reloaded;
pub use self::state::{Condition, State};
pub use self::state_folder::StateFolder;
pub use self::story::whole_story;
pub use self::view::View;

/// Time for the device threads to end, after the viewers have been told, which takes 1.7 s at most.
const THREADS_LIMIT: Duration = Duration::from_millis(1_200);
/// Time for the page and the embedded broker to end, beside the threads.
const SERVERS_LIMIT: Duration = Duration::from_millis(1_100);

/// Steps of sessions kept for whoever follows them slowly.
const EVENTS_KEPT: usize = 256;

/// Reloads that wait for the desk: they come one at a time.
const RENEWALS: usize = 1;

/// A running node.
pub struct Node {
    config: Arc<Config>,
    folder: StateFolder,
    view: View,
    metrics: Metrics,
    broker: Brokers,
    page: Page,
    /// Looks at certificates and disk, for ever.
    keeper: JoinHandle<()>,
    /// The servers of `[ice]` with what their files held.
    servers: Vec<ReadServer>,
    desk: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    renewals: mpsc::Sender<Renewal>,
    events: broadcast::Sender<Event>,
    doorbell: Option<Doorbell>,
    registered: Arc<AtomicUsize>,
    /// Whether who asks over HTTP may see.
    questions: Questions,
    services: Arc<Services>,
    wishes: Wishes,
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

        let wishes = Wishes::default();
        let shutters = Arc::new(Shutters::open(&folder, config.camera.iter().map(|camera| camera.name.clone())));
        let mut cameras = BTreeMap::new();
        for camera in &config.camera {
            let running = Camera::start(camera, shutters.of(&camera.name), &wishes.stream_changed, &board, &metrics)
                .with_context(|| format!("camera {} cannot be started", camera.name))?;
            cameras.insert(camera.name.clone(), Arc::new(running));
        }
        let cameras = Cameras(Arc::new(cameras));
        let connector = connector(&config, &board)?;
        let servers = config.ice.read_servers()?;

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
        core.handle(Input::IceServers(servers.iter().cloned().map(ice_source).collect()), Duration::ZERO);
        board.note("broker", State::Starting, "");
        let (network_changes, network_news) = watch::channel(0);
        let caller = Caller { topics, will: core.will(), changes: network_changes };
        let line = caller.call(endpoint, bells.topic.clone(), 0);

        let services = Services::new(&cameras, shutters, &board, &folder, wishes.clone());
        services.set_apps(&config.app);
        services.set_files(&config.files);
        let config = Arc::new(config);
        let view = View { board: Arc::clone(&board), cameras: cameras.clone(), about: Arc::default() };
        let (stop, stopped) = oneshot::channel();
        let (renewals, renewed) = mpsc::channel(RENEWALS);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (questions, questioned) = photographer::questions();
        let page = Page::serve(&config, https, &broker, (&view, &metrics, &questions), Some(&doorbell)).await?;
        bells.webhook = doorbell::webhook(&config, page.address())?;
        let registered = Arc::clone(&bells.registered);
        let keeper = keeper(&config, &folder, &board);
        let desk = Desk {
            core,
            line,
            caller,
            connector,
            cameras,
            services: Arc::clone(&services),
            stream_changed: Arc::clone(&wishes.stream_changed),
            config: Arc::clone(&config),
            board,
            metrics: metrics.clone(),
            access,
            network: network_news,
            bells,
            renewals: renewed,
            questions: questioned,
            events: events.clone(),
        };
        Ok(Self {
            config,
            folder,
            view,
            metrics,
            broker,
            page,
            keeper,
            servers,
            desk: tokio::spawn(desk.run(stopped)),
            stop,
            renewals,
            events,
            doorbell: Some(doorbell),
            registered,
            questions,
            services,
            wishes,
        })
    }

    /// Where the page is served, if it is.
    pub fn page(&self) -> Option<SocketAddr> {
        self.page.address()
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

    /// Waits until a viewer that may do so asks for the process to be started anew.
    pub fn restart_wanted(&self) -> impl Future<Output = ()> + use<> {
        let wish = Arc::clone(&self.wishes.restart);
        async move { wish.notified().await }
    }

    /// Says `leave` to every viewer and `offline` to all, then ends everything in order; within 3 s.
    ///
    /// # Errors
    /// A device thread is stuck in its driver and was left behind: the process should end with an error.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.keeper.abort();
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
        // Whoever is left connected has been told; what does not end in time is cut off.
        let servers = async { tokio::join!(self.page.end(), self.broker.stop()) };
        if tokio::time::timeout(SERVERS_LIMIT, servers).await.is_err() {
            tracing::debug!("page and broker cut off with connections open");
        }
        ended.await??;
        Ok(())
    }
}

/// Looks at what `config` names and only time tells: certificates that end, a disk that fills up.
fn keeper(config: &Arc<Config>, folder: &StateFolder, board: &Arc<Board>) -> JoinHandle<()> {
    let certificates = certificates::watch(Arc::clone(config), Arc::clone(board), AccessFiles::is_clock_set);
    let storage = storage::watch(Arc::clone(config), folder.clone(), Arc::clone(board));
    tokio::spawn(async { _ = tokio::join!(certificates, storage) })
}

/// Makes connections by `[ice]`; its thread shows that it goes on.
fn connector(config: &Config, board: &Board) -> anyhow::Result<Arc<Connector>> {
    let connector = Connector::new(&config.ice)?;
    let pulse = board.pulses.begin("net-media");
    connector.on_each_second(move || pulse.beat());
    Ok(Arc::new(connector))
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
