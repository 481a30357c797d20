//! Makes connections, and holds what they share.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use super::addresses::BindPlan;
use super::channels::SEND_BUFFER;
use super::config::{Ice, IcePolicy};
use super::description::Addressing;
use super::handle::Desk;
use super::link::{Failure, Link};
use super::local_names::LocalNames;
use super::names::Names;
use super::notice::Forward;
use super::runtime::WatchedRuntime;
use super::tcp::{Entrance, Paths, Tcp};
use super::thread::MediaThread;
use super::troubles::{Sheet, Troubles};
use super::turn::{Authorities, Carriage, Office};
use super::watch::Watch;
use crate::session::{FailedStep, IceServer};
use crate::trust::{self, TrustError};

/// Not heard for this long: silent.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(3);
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

/// How often a relay is renewed, at the least. The crate asks once, at half of the relay's life, and gives up if the server
/// has a new nonce meanwhile; so it is to ask more often.
const RELAY_REFRESH: Duration = Duration::from_secs(60);

/// Makes connections, and holds what they share: addresses and ports, resolved names, the certificate, and the thread.
///
/// Each connection holds the connector, so that the thread outlives them all.
pub struct Connector {
    ice: Arc<Ice>,
    plan: BindPlan,
    office: Arc<Office>,
    entrance: Option<Arc<Entrance>>,
    local_names: Option<Arc<LocalNames>>,
    certificate: RTCCertificate,
    troubles: Sheet,
    thread: MediaThread,
}

/// Why no connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The crate's cryptography cannot be used, which no machine is known to do.
    #[error("no certificate for dtls: {0}")]
    Certificate(String),
    /// The system has none to give.
    #[error("no thread for connections")]
    Thread(#[from] io::Error),
    /// `ice.ca_file` cannot be used.
    #[error("ice.{0}")]
    Trust(#[from] TrustError),
}

impl Connector {
    /// Makes the certificate that all its connections use, and starts the thread they live on.
    ///
    /// # Errors
    /// Each [`ConnectorError`].
    pub fn new(ice: &Ice) -> Result<Self, ConnectorError> {
        if ice.ca_file.is_some() {
            // Now, and not when the first viewer needs a relay.
            trust::client(ice.ca_file.as_deref())?;
        }
        let refused = ConnectorError::Certificate;
        let provider = rtc::crypto::default_provider().map_err(|error| refused(error.to_string()))?;
        let parameters = CertificateParams::new(Vec::new()).map_err(|error| refused(error.to_string()))?;
        let scheme = rtc::crypto::SignatureScheme::EcdsaP256Sha256;
        let certificate = RTCCertificate::generate(provider.crypto(), scheme, parameters);
        let troubles = Sheet::default();
        let ice = Arc::new(ice.clone());
        let authorities = Authorities::new(ice.ca_file.clone());
        let plan = BindPlan::new(Arc::clone(&ice), fastrand::u16(..));
        // Who goes through relays alone is not to be reached otherwise.
        let lets_in = ice.tcp && ice.policy != IcePolicy::Relay;
        let entrance = lets_in.then(|| Arc::new(Entrance::new(ice.tcp_port, Arc::clone(&provider), troubles.clone())));
        let thread = MediaThread::start()?;
        if let Some(entrance) = &entrance {
            // So that it is seen from the start what listens, or why nothing does.
            let (entrance, plan) = (Arc::clone(entrance), plan.clone());
            thread.tasks().spawn(async move { entrance.listen(&plan.addresses()) });
        }
        Ok(Self {
            entrance,
            local_names: ice.mdns.then(Arc::default),
            plan,
            ice,
            office: Arc::new(Office::new(authorities, Names::default(), &troubles)),
            certificate: certificate.map_err(|error| refused(error.to_string()))?,
            troubles,
            thread,
        })
    }

    /// Calls `beat` once a second from the thread that all connections live on, as long as that goes on.
    pub fn on_each_second(&self, beat: impl Fn() + Send + 'static) {
        self.thread.tasks().spawn(async move {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                beat();
            }
        });
    }

    /// What of its `[ice]` was tried and does not work, now and from now on.
    pub fn troubles(&self) -> watch::Receiver<Troubles> {
        self.troubles.read()
    }

    /// Where connections' tasks are started.
    pub(super) fn tasks(&self) -> &Handle {
        self.thread.tasks()
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
        let carriage = Arc::new(Carriage::new(Arc::clone(&self.office)));
        let paths = Arc::new(Paths::default());
        let runtime = WatchedRuntime::new(Arc::clone(&watch), Arc::clone(&carriage), Arc::clone(&paths));
        let configuration = self.configuration(servers, &carriage);
        let configuration = configuration.with_certificates(vec![self.certificate.clone()]).build();
        let pc = PeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_media_engine(engine)
            .with_setting_engine(self.settings())
            .with_interceptor_registry(interceptors)
            .with_runtime(Arc::new(runtime))
            .with_handler(Arc::new(Forward(forward)))
            .with_udp_addrs(vec![self.plan.clone()])
            .with_data_channel_send_buffer_limit(SEND_BUFFER)
            .build()
            .await
            .map_err(Failure::at(FailedStep::Internal))?;
        let pc: Arc<dyn PeerConnection> = Arc::new(pc);
        desk.keep(Arc::clone(&pc), Arc::clone(&watch));
        let addressing =
            Addressing { public: self.ice.public_address.ip(), relay_only: self.ice.policy == IcePolicy::Relay };
        let tcp = Tcp::new(paths, self.entrance.clone());
        let mut link = Link::new(pc, watch, self.plan.clone(), notices, addressing, carriage, tcp);
        link.local_names.clone_from(&self.local_names);
        Ok(link)
    }

    /// Uses these servers, with these logins, from the next ICE restart on.
    pub(super) fn reconfigure(&self, link: &mut Link, servers: &[IceServer]) {
        // The certificate is left out: the crate takes it for another than the one it has.
        link.after_restart = Some(self.configuration(servers, &link.carriage).build());
    }

    fn configuration(&self, servers: &[IceServer], carriage: &Carriage) -> RTCConfigurationBuilder {
        let servers = servers.iter().map(|server| RTCIceServer {
            urls: server.urls.iter().filter_map(|url| carriage.url_for_crate(url)).collect(),
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default(),
        });
        let policy = match self.ice.policy {
            IcePolicy::All => RTCIceTransportPolicy::All,
            IcePolicy::Relay => RTCIceTransportPolicy::Relay,
        };
        RTCConfigurationBuilder::default().with_ice_servers(servers.collect()).with_ice_transport_policy(policy)
    }

    fn settings(&self) -> SettingEngine {
        let relay_wait = if self.ice.policy == IcePolicy::Relay { Duration::ZERO } else { RELAY_WAIT };
        SettingEngineBuilder::new()
            .with_ice_timeouts(Some(SILENT_AFTER), Some(LOST_AFTER), Some(KEEPALIVE))
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
            // A browser's address is hidden behind a name we do not resolve, so it is "peer-reflexive" to us: the
            // default would let it wait a second.
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_srflx_acceptance_min_wait(Some(CHECK_INTERVAL))
            .with_relay_acceptance_min_wait(Some(relay_wait))
            // Names are resolved before the crate hears of them.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_discard_local_candidates_during_ice_restart(true)
            .with_turn_allocation_refresh_interval_cap(RELAY_REFRESH)
            .build()
    }
}
