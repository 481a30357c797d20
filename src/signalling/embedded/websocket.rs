//! Accepting browsers: an upgrade that one slow or hostile connection cannot hold up for the others.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mqtt5::broker::MqttBroker;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::config::BrokerConfig;
use mqtt5::broker::transport::BrokerTransport;
use mqtt5::broker::websocket_server::WebSocketStreamWrapper;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tracing::{debug, warn};

use super::refused::Refused;
use crate::signalling::config::WebOrigin;
use crate::signalling::{Crowd, Door, DoorStream, Seat};

/// The listener's own task; the connections end by themselves when told to stop.
pub(super) struct Acceptor {
    accept: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Acceptor {
    /// Hands every upgraded connection to `broker`.
    pub(super) fn start(
        listener: TcpListener,
        origins: Origins,
        broker: &MqttBroker,
        limits: BrokerConfig,
        refused: Arc<Refused>,
    ) -> Self {
        let (stop, _) = broadcast::channel(1);
        let shared = Arc::new(Shared {
            origins,
            limits: Arc::new(limits),
            router: broker.router(),
            auth: broker.auth_provider(),
            storage: broker.storage(),
            stats: broker.stats(),
            monitor: broker.resource_monitor(),
            crowd: Crowd::new(MAX_CONNECTIONS),
            refused,
            stop,
        });
        Self { accept: tokio::spawn(accept(listener, Arc::clone(&shared))), shared }
    }

    /// For a server that accepts WebSockets itself.
    pub(super) fn door(&self) -> Arc<dyn Door> {
        Arc::<Shared>::clone(&self.shared)
    }

    /// Takes no more connections and ends those there are.
    pub(super) fn stop(&self) {
        self.accept.abort();
        // No receiver: nobody is connected.
        let _ = self.shared.stop.send(());
    }

    /// Waits after [`Acceptor::stop`] until the listener is closed.
    pub(super) async fn ended(&mut self) {
        // It was aborted: that is how it ends.
        let _ = (&mut self.accept).await;
    }
}

/// Which pages may connect: a browser tells the page's origin, and no page can lie about it.
///
/// Without this, any web site that someone on this machine visits could talk to a broker on loopback. A page of the
/// same host as the broker's (whatever its port) always may, if no stranger can make a name of that kind point here
/// (DNS rebinding); any other must be listed. A client without an origin is no browser.
#[derive(Debug)]
pub(super) struct Origins(Vec<WebOrigin>);

impl Origins {
    pub(super) fn new(listed: Vec<WebOrigin>) -> Self {
        Self(listed)
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        if self.0.iter().any(|listed| listed.allows(origin)) {
            return true;
        }
        let page = origin.split_once("://").map(|(_, authority)| host(authority));
        let ours = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(host);
        match (page, ours) {
            (Some(page), Some(ours)) => page.eq_ignore_ascii_case(ours) && is_local_name(ours),
            _ => false,
        }
    }
}

struct Shared {
    origins: Origins,
    limits: Arc<BrokerConfig>,
    router: Arc<mqtt5::broker::router::MessageRouter>,
    auth: Arc<dyn mqtt5::broker::AuthProvider>,
    storage: Option<Arc<mqtt5::broker::DynamicStorage>>,
    stats: Arc<mqtt5::broker::sys_topics::BrokerStats>,
    monitor: Arc<mqtt5::broker::ResourceMonitor>,
    /// Of this listener and of the [`Door`].
    crowd: Crowd,
    refused: Arc<Refused>,
    stop: broadcast::Sender<()>,
}

impl Shared {
    /// Why this client may not connect, if it may not; strange pages are counted.
    fn refuses(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let refusal = refusal(&self.origins, headers);
        if let Some((StatusCode::FORBIDDEN, _)) = refusal {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            self.refused.count("a page of an origin that is not in embedded_origins", origin.unwrap_or_default());
        }
        refusal
    }

    /// Speaks MQTT until the client goes, is told to, or must make room.
    async fn run<S: DoorStream>(
        &self,
        websocket: WebSocketStream<S>,
        address: SocketAddr,
        mut seat: Seat,
        stop: broadcast::Receiver<()>,
    ) -> io::Result<()> {
        let handler = ClientHandler::new(
            BrokerTransport::websocket(WebSocketStreamWrapper::new(websocket)),
            address,
            Arc::clone(&self.limits),
            Arc::clone(&self.router),
            Arc::clone(&self.auth),
            self.storage.clone(),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            stop,
        );
        tokio::select! {
            ended = handler.run() => ended.map_err(io::Error::other),
            () = seat.evicted() => Err(io::Error::other("made room for another")),
        }
    }
}

#[async_trait]
impl Door for Shared {
    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        self.refuses(headers)
    }

    async fn serve(&self, stream: Box<dyn DoorStream>, from: SocketAddr) {
        let stop = self.stop.subscribe();
        let seat = self.crowd.enter(from.ip());
        let websocket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(websocket_limits())).await;
        if let Err(error) = self.run(websocket, from, seat, stop).await {
            debug!(address = %from, %error, "websocket client of the page's port ended");
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let shared = Arc::clone(&shared);
                let seat = shared.crowd.enter(address.ip());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, address, seat, &shared).await {
                        debug!(%address, %error, "websocket client ended");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors: closing connections will free some.
                warn!(%error, "embedded broker cannot accept a websocket client");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, mut seat: Seat, shared: &Shared) -> io::Result<()> {
    // Subscribed before the handshake, so that a stop in its midst is not missed.
    let mut stopped = shared.stop.subscribe();
    let stop = shared.stop.subscribe();
    stream.set_nodelay(true)?;
    #[expect(clippy::result_large_err, reason = "the callback's type is given by tungstenite")]
    let upgrade = accept_hdr_async_with_config(
        stream,
        |request: &Request, response| check(shared, request, response),
        Some(websocket_limits()),
    );
    let websocket = tokio::select! {
        upgraded = timeout(HANDSHAKE_WITHIN, upgrade) => {
            upgraded.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)?
        }
        _ = stopped.recv() => return Ok(()),
        () = seat.evicted() => return Ok(()),
    };
    shared.run(websocket, address, seat, stop).await
}

fn websocket_limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .max_write_buffer_size(4 * MAX_MESSAGE_BYTES)
}

#[expect(clippy::result_large_err, reason = "the callback's type is given by tungstenite")]
fn check(shared: &Shared, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if let Some((status, words)) = shared.refuses(request.headers()) {
        let mut refused = ErrorResponse::new(Some(words.to_owned()));
        *refused.status_mut() = status;
        return Err(refused);
    }
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    Ok(response)
}

fn refusal(origins: &Origins, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    if !origins.allow(headers) {
        return Some((StatusCode::FORBIDDEN, "this page's origin is not in the broker's embedded_origins"));
    }
    // MQTT 3.1.1, section 6: the client must offer it, the server must name it.
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut names = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !names.any(|name| name.trim() == "mqtt") {
        return Some((StatusCode::BAD_REQUEST, "the websocket subprotocol must be mqtt"));
    }
    None
}

/// The host of `host:port`, `host`, `[v6]:port`.
fn host(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// A host that no stranger's DNS can answer for: an address, a name without a dot, or one of the local domains.
fn is_local_name(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.parse::<IpAddr>().is_ok() || !host.contains('.') || LOCAL_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// mDNS (RFC 6762), loopback (RFC 6761), home networks (RFC 8375), private use (ICANN 2024), and the customary one.
const LOCAL_DOMAINS: [&str; 5] = [".local", ".localhost", ".home.arpa", ".internal", ".lan"];
/// As many as the broker has clients, and some that are being refused; of the listener and of the page's port together.
const MAX_CONNECTIONS: usize = 600;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// A packet of the largest size, and its frame.
const MAX_MESSAGE_BYTES: usize = 260 * 1024;
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listed: &[&str], origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a header"));
        }
        Origins::new(
            listed.iter().map(|origin| WebOrigin::try_from((*origin).to_owned()).expect("an origin")).collect(),
        )
        .allow(&headers)
    }

    #[test]
    fn a_page_of_the_same_host_may_connect_and_a_strange_one_may_not() {
        assert!(allows(&[], Some("http://127.0.0.1:8080"), "127.0.0.1:9001"));
        assert!(allows(&[], Some("http://[::1]:8080"), "[::1]:9001"));
        assert!(allows(&[], Some("http://localhost:8080"), "localhost:9001"));
        assert!(allows(&[], Some("https://Cam.local"), "cam.local:9001"));
        assert!(allows(&[], None, "127.0.0.1:9001"), "no browser");
        assert!(!allows(&[], Some("https://evil.example"), "127.0.0.1:9001"));
        assert!(!allows(&[], Some("http://evil.example"), "evil.example:9001"), "DNS rebinding");
        assert!(!allows(&[], Some("null"), "127.0.0.1:9001"));
        assert!(allows(&["https://dash.example.org"], Some("https://dash.example.org"), "127.0.0.1:9001"));
        assert!(allows(&["*"], Some("null"), "127.0.0.1:9001"));
    }
}
