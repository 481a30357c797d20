//! Makes connections, and holds what they share.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use super::Feeds;
use super::addresses::BindPlan;
use super::config::{Ice, IcePolicy};
use super::link::{Addressing, Failure, Link};
use super::notice::Forward;
use super::publisher::Publisher;
use super::runtime::{Names, Watch, WatchedRuntime};
use super::stats::{Counters, PeerStats};
use super::viewer::{ReceivedPacket, Viewer};
use crate::session::{FailedStep, IceServer, PeerCommand, PeerEvent, SessionKey};

/// Where a connection reports to.
pub type Reports = mpsc::UnboundedSender<(SessionKey, PeerEvent)>;

/// Not heard for this long: silent.
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// Silent for this long: lost. Until then an ICE restart may save it.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// How often we ask for a sign of life; three of them may be lost on the path before the other side counts as silent.
const KEEPALIVE: Duration = Duration::from_millis(750);
/// Pause between checks of a pair while connecting (RFC 8445's Ta), and how many are sent on each: for 10 s, since the
/// other side's user may be slower than its candidates.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
const CHECKS: u16 = 500;
/// A relay costs latency and money: the direct ways get this much of a start.
const RELAY_WAIT: Duration = Duration::from_millis(300);
/// Closing in good order takes the crate a tenth of a second at most.
const GOODBYE: Duration = Duration::from_millis(300);
/// A task that needs longer to end is abandoned.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Makes connections, and holds what they share: addresses and ports, resolved names, and the certificate.
pub struct Connector {
    ice: Arc<Ice>,
    plan: BindPlan,
    names: Names,
    certificate: RTCCertificate,
}

/// The crate's cryptography cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for dtls: {0}")]
pub struct NoCertificate(String);

impl Connector {
    /// Makes the certificate that all connections of this process use.
    ///
    /// # Errors
    /// [`NoCertificate`], which no machine is known to give.
    pub fn new(ice: &Ice) -> Result<Self, NoCertificate> {
        let refused = |error: String| NoCertificate(error);
        let provider = rtc::crypto::default_provider().map_err(|error| refused(error.to_string()))?;
        let parameters = CertificateParams::new(Vec::new()).map_err(|error| refused(error.to_string()))?;
        let scheme = rtc::crypto::SignatureScheme::EcdsaP256Sha256;
        let certificate = RTCCertificate::generate(provider.crypto(), scheme, parameters);
        let ice = Arc::new(ice.clone());
        Ok(Self {
            plan: BindPlan::new(Arc::clone(&ice), fastrand::u16(..)),
            ice,
            names: Names::default(),
            certificate: certificate.map_err(|error| refused(error.to_string()))?,
        })
    }

    /// A connection that offers what `feeds` has. It waits for [`PeerCommand::Offer`].
    pub fn publisher(self: &Arc<Self>, key: SessionKey, feeds: Arc<dyn Feeds>, reports: Reports) -> PeerHandle {
        let connector = Arc::clone(self);
        let span = tracing::info_span!("peer", %key);
        PeerHandle::spawn(key, reports, span, move |desk| Publisher::new(connector, feeds, desk).run())
    }

    /// A connection that answers, and hands the packets it receives to `media`; what finds no room there is dropped and
    /// counted. It waits for [`PeerCommand::Answer`].
    pub fn viewer(
        self: &Arc<Self>,
        key: SessionKey,
        media: mpsc::Sender<ReceivedPacket>,
        reports: Reports,
    ) -> PeerHandle {
        let connector = Arc::clone(self);
        let span = tracing::info_span!("viewer", %key);
        PeerHandle::spawn(key, reports, span, move |desk| Viewer::new(connector, media, desk).run())
    }

    /// Opens a connection of the crate: sockets are bound when it returns.
    pub(super) async fn open(
        &self,
        engine: MediaEngine,
        interceptors: Registry,
        servers: &[IceServer],
        desk: &Desk,
    ) -> Result<Link, Failure> {
        let watch = Arc::new(Watch::default());
        let (forward, notices) = mpsc::unbounded_channel();
        let runtime = WatchedRuntime { watch: Arc::clone(&watch), names: self.names.clone() };
        let pc = PeerConnectionBuilder::new()
            .with_configuration(self.configuration(servers))
            .with_media_engine(engine)
            .with_setting_engine(self.settings())
            .with_interceptor_registry(interceptors)
            .with_runtime(Arc::new(runtime))
            .with_handler(Arc::new(Forward(forward)))
            .with_udp_addrs(vec![self.plan.clone()])
            .build()
            .await
            .map_err(Failure::at(FailedStep::Internal))?;
        let pc: Arc<dyn PeerConnection> = Arc::new(pc);
        desk.keep(Arc::clone(&pc), Arc::clone(&watch));
        let addressing =
            Addressing { public: self.ice.public_address.ip(), relay_only: self.ice.policy == IcePolicy::Relay };
        Ok(Link::new(pc, watch, notices, addressing))
    }

    fn configuration(&self, servers: &[IceServer]) -> webrtc::peer_connection::RTCConfiguration {
        let servers = servers.iter().map(|server| RTCIceServer {
            urls: server.urls.clone(),
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default(),
        });
        let policy = match self.ice.policy {
            IcePolicy::All => RTCIceTransportPolicy::All,
            IcePolicy::Relay => RTCIceTransportPolicy::Relay,
        };
        RTCConfigurationBuilder::default()
            .with_ice_servers(servers.collect())
            .with_ice_transport_policy(policy)
            .with_certificates(vec![self.certificate.clone()])
            .build()
    }

    fn settings(&self) -> SettingEngine {
        let mdns = if self.ice.mdns { MulticastDnsMode::QueryOnly } else { MulticastDnsMode::Disabled };
        SettingEngineBuilder::new()
            .with_ice_timeouts(Some(SILENT_AFTER), Some(LOST_AFTER), Some(KEEPALIVE))
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
            // A browser's address is hidden behind a name we do not resolve, so it is "peer-reflexive" to us: the
            // default would let it wait a second.
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_srflx_acceptance_min_wait(Some(CHECK_INTERVAL))
            .with_relay_acceptance_min_wait(Some(RELAY_WAIT))
            .with_multicast_dns_mode(mdns)
            .with_discard_local_candidates_during_ice_restart(true)
            .build()
    }
}

/// What a connection's task is asked.
pub(super) enum Order {
    Command(PeerCommand),
    RequestKeyFrame,
}

/// A connection's side of its handle.
pub(super) struct Desk {
    pub key: SessionKey,
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub counters: Counters,
    reports: Reports,
    stats: watch::Sender<PeerStats>,
    open: Open,
}

/// The crate's connection, kept where it can be closed even if the task panics: one that is only dropped goes on.
type Open = Arc<Mutex<Option<(Arc<dyn PeerConnection>, Arc<Watch>)>>>;

impl Desk {
    pub(super) fn report(&self, event: PeerEvent) {
        // Whoever listened may have gone; then the handle goes too, and ends this task.
        let _ = self.reports.send((self.key.clone(), event));
    }

    pub(super) fn fail(&self, failure: Failure) {
        let Failure { step, message } = failure;
        tracing::info!(?step, message, "connection failed");
        self.report(PeerEvent::Failed { step, message });
    }

    pub(super) fn publish_stats(&self) {
        self.stats.send_replace(self.counters.snapshot());
    }

    fn keep(&self, pc: Arc<dyn PeerConnection>, watch: Arc<Watch>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((pc, watch));
    }
}

/// Says goodbye and frees sockets and tasks.
async fn close(pc: Arc<dyn PeerConnection>, watch: &Watch) {
    // The crate waits without limit for room in the driver's queue, which a driver that is stuck never makes.
    match tokio::time::timeout(GOODBYE, pc.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not close in good order"),
        Err(_) => tracing::warn!("a connection was stuck and is ended without a goodbye"),
    }
    watch.abort_driver();
}

/// A running connection. Dropping it closes the connection.
pub struct PeerHandle {
    orders: mpsc::UnboundedSender<Order>,
    stats: watch::Receiver<PeerStats>,
    task: JoinHandle<()>,
    #[cfg(test)]
    open: Open,
}

impl PeerHandle {
    fn spawn<F, R>(key: SessionKey, reports: Reports, span: tracing::Span, run: F) -> Self
    where
        F: FnOnce(Desk) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let (orders, orders_rx) = mpsc::unbounded_channel();
        let (stats_tx, stats) = watch::channel(PeerStats::default());
        let open = Open::default();
        #[cfg(test)]
        let seen = Arc::clone(&open);
        let last_words = (key.clone(), reports.clone());
        let desk = Desk {
            key,
            orders: orders_rx,
            counters: Counters::default(),
            reports,
            stats: stats_tx,
            open: Arc::clone(&open),
        };
        let task = tokio::spawn(
            async move {
                let ended = AssertUnwindSafe(async move { run(desk).await }).catch_unwind().await;
                let left = open.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((pc, watch)) = left {
                    close(pc, &watch).await;
                }
                if ended.is_err() {
                    tracing::error!("a connection's task panicked");
                    let (key, reports) = last_words;
                    let message = "internal error".to_owned();
                    let _ = reports.send((key, PeerEvent::Failed { step: FailedStep::Internal, message }));
                }
            }
            .instrument(span),
        );
        Self {
            orders,
            stats,
            task,
            #[cfg(test)]
            open: seen,
        }
    }

    /// What passes its sockets, once it has some.
    #[cfg(test)]
    pub(super) fn watch(&self) -> Option<Arc<Watch>> {
        self.open.lock().expect("not poisoned").as_ref().map(|(_, watch)| Arc::clone(watch))
    }

    /// Tells the connection; commands are carried out in order. One that has ended ignores them.
    pub fn command(&self, command: PeerCommand) {
        let _ = self.orders.send(Order::Command(command));
    }

    /// Viewer: asks the other side for a key frame (PLI).
    pub fn request_key_frame(&self) {
        let _ = self.orders.send(Order::RequestKeyFrame);
    }

    /// Its numbers, twice a second.
    pub fn stats(&self) -> watch::Receiver<PeerStats> {
        self.stats.clone()
    }

    /// Closes it and waits until its sockets and tasks are free, 2 s at most.
    pub async fn closed(self) {
        let Self { orders, mut task, .. } = self;
        drop(orders);
        if tokio::time::timeout(CLOSE_LIMIT, &mut task).await.is_err() {
            tracing::warn!("a connection did not close in time and is abandoned");
            task.abort();
        }
    }
}
