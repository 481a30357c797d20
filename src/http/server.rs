//! The server: its listeners and routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use super::certificate::Certificate;
use super::config::Http;
use super::listener::{Hall, accept, crowd};
use super::websocket::mqtt;
use super::{PartState, Probe, bell, page, snapshot};
use crate::signalling::Door;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not ours.
    #[error("{key}: cannot listen on {address} (`camera-node check` says who does): {source}")]
    Listen {
        /// The config's key.
        key: &'static str,
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// What a server can do besides showing pages.
#[derive(Default)]
pub struct Extras {
    /// The embedded broker, for `/mqtt`.
    pub door: Option<Arc<dyn Door>>,
    /// The certificate of `[http.tls]`, if that is on.
    pub certificate: Option<Arc<Certificate>>,
}

/// A running server. Dropped without [`HttpServer::stop`], it is cut off.
pub struct HttpServer {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    accept: Vec<JoinHandle<()>>,
}

/// Listens, whatever [`Http::enabled`] says: that is the caller's question.
///
/// # Errors
/// [`HttpError::Listen`].
pub async fn serve(config: &Http, probe: Arc<dyn Probe>, extras: Extras) -> Result<HttpServer, HttpError> {
    let (listener, address) = listen("http.bind", config.bind).await?;
    let secured = match (config.tls_bind(), &extras.certificate) {
        (Some(bind), Some(certificate)) => Some((listen("http.tls.bind", bind).await?, certificate.acceptor())),
        _ => None,
    };
    let tls_address = secured.as_ref().map(|((_, address), _)| *address);
    let router = routes(Site { probe, tls_address, door: extras.door }, config);
    let (stop, stopped) = watch::channel(false);
    let hall = Hall { router, crowd: crowd(), tls: None };
    info!(%address, "http up");
    let mut tasks = vec![tokio::spawn(accept(listener, hall.clone(), stopped.clone()))];
    if let Some(((listener, address), acceptor)) = secured {
        info!(%address, "https up");
        tasks.push(tokio::spawn(accept(listener, Hall { tls: Some(acceptor), ..hall }, stopped)));
    }
    Ok(HttpServer { address, tls_address, stop, accept: tasks })
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), HttpError> {
    let failed = |source| HttpError::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl HttpServer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for https, if it does.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Takes no more requests, finishes those that are under way, and ends, within a second.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let ended = async {
            for task in &mut self.accept {
                // A panic is an end too.
                let _ = task.await;
            }
        };
        if timeout(STOP_WITHIN, ended).await.is_err() {
            debug!("http cut off with requests under way");
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Takes the connections with it: they are in the tasks' own sets.
        self.accept.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone)]
pub(super) struct Site {
    probe: Arc<dyn Probe>,
    tls_address: Option<SocketAddr>,
    pub door: Option<Arc<dyn Door>>,
}

fn routes(site: Site, config: &Http) -> Router {
    let ancestors: Vec<&str> = config.frame_ancestors.iter().map(|ancestor| ancestor.as_str()).collect();
    // An empty list means nobody, which the header spells so.
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    let policy = HeaderValue::try_from(page::content_security_policy(&ancestors))
        .expect("a frame ancestor has only characters that a header may have");
    let bell = bell::routes(site.probe.bell());
    let snapshot = snapshot::routes(site.probe.photographer());
    Router::new()
        .route("/config.json", get(config_json))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/mqtt", any(mqtt))
        .route("/", get(file))
        .route("/{*path}", get(file))
        .with_state(site)
        .merge(bell)
        .merge(snapshot)
        .layer(map_response(move |response| secured(response, policy.clone())))
}

async fn config_json(State(site): State<Site>, headers: HeaderMap) -> Response {
    page::config_json(&site.probe.page(), &headers, site.tls_address)
}

async fn healthz(State(site): State<Site>) -> Response {
    let health = site.probe.health();
    // Whoever asks restarts a node that is not well. That would bring back neither an unplugged camera nor a certificate, and
    // it would cost the viewers there are.
    let status = match health.state() {
        PartState::Ok | PartState::Degraded | PartState::Waiting => StatusCode::OK,
        PartState::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    let described = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, described, health.to_json().to_string()).into_response()
}

async fn metrics(State(site): State<Site>) -> Response {
    let described =
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (described, site.probe.metrics()).into_response()
}

async fn file(uri: Uri, headers: HeaderMap) -> Response {
    page::file(uri.path(), &headers)
}

async fn secured(mut response: Response, policy: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// [`HttpServer::stop`] as a whole.
const STOP_WITHIN: Duration = Duration::from_millis(1000);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::super::listener::{MAX_CONNECTIONS, MAX_HEAD_BYTES};
    use super::*;
    use crate::http::{Health, PageBroker, PageConfig};

    struct Fixed(Mutex<Health>);

    impl Probe for Fixed {
        fn health(&self) -> Health {
            self.0.lock().expect("not poisoned").clone()
        }

        fn metrics(&self) -> String {
            "frames_total 7\n".to_owned()
        }

        fn page(&self) -> PageConfig {
            let node = "cam".parse().expect("an id");
            let broker = Some(PageBroker::Here);
            PageConfig { node, prefix: "camera-node/v1".to_owned(), broker }
        }
    }

    async fn server() -> (HttpServer, Arc<Fixed>) {
        let config = Http { bind: SocketAddr::from(([127, 0, 0, 1], 0)), ..Http::default() };
        let probe = Arc::new(Fixed(Mutex::default()));
        let server = serve(&config, Arc::<Fixed>::clone(&probe), Extras::default()).await.expect("a free port");
        (server, probe)
    }

    /// Status, head in lower case, body.
    async fn ask(server: &HttpServer, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(server.addr()).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("in time").expect("read");
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn fetch(server: &HttpServer, path: &str, more: &str) -> (u16, String, String) {
        ask(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n{more}\r\n")).await
    }

    #[tokio::test]
    async fn the_page_comes_with_its_headers_and_is_not_sent_twice() {
        let (server, _) = server().await;
        let (status, head, body) = fetch(&server, "/", "").await;
        assert_eq!(status, 200);
        assert!(body.to_ascii_lowercase().contains("<!doctype html>"), "{body}");
        for line in [
            "content-type: text/html; charset=utf-8",
            "cache-control: no-cache",
            "x-content-type-options: nosniff",
            "connect-src 'self' ws: wss:;",
            "frame-ancestors *",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();
        let (status, _, body) = fetch(&server, "/index.html", &format!("If-None-Match: {tag}\r\n")).await;
        assert_eq!((status, body.as_str()), (304, ""));
        // The node's own config.json is told from the page's, which is for hosts that have none.
        for (path, file) in crate::http::page_files().filter(|(path, _)| path != "config.json") {
            let (status, head, _) = fetch(&server, &format!("/{path}"), "").await;
            assert_eq!(status, 200, "{path}");
            assert!(head.contains(&format!("content-length: {}", file.len())), "{path}: {head}");
            assert!(!head.contains("octet-stream"), "{path} has a type that nosniff lets a browser use");
            let (_, packed, body) = fetch(&server, &format!("/{path}"), "Accept-Encoding: gzip, br\r\n").await;
            assert!(packed.contains("content-encoding: gzip") && packed.contains("vary: accept-encoding"), "{packed}");
            assert!(body.starts_with('\u{1f}'), "{path} is not compressed");
            let tag = |head: &str| head.lines().find(|line| line.starts_with("etag: ")).map(str::to_owned);
            assert_ne!(tag(&head), tag(&packed), "{path}: two representations");
        }
    }

    #[tokio::test]
    async fn the_page_is_told_where_the_broker_is() {
        let (server, _) = server().await;
        let (status, _, body) = fetch(&server, "/config.json", "").await;
        assert_eq!(status, 200);
        let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let broker = "./mqtt";
        assert_eq!(told, serde_json::json!({ "node": "cam", "prefix": "camera-node/v1", "broker": broker }));
        assert_eq!(fetch(&server, "/mqtt", "").await.0, 404, "there is none here");
    }

    #[tokio::test]
    async fn connections_that_say_nothing_keep_nobody_waiting() {
        let (server, _) = server().await;
        let mut silent = Vec::new();
        // From another address of this machine than the watchdog's, and twice as many as there are places.
        for _ in 0..2 * MAX_CONNECTIONS + 1 {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::from(([127, 0, 0, 9], 0))).expect("loopback");
            let mut stream = socket.connect(server.addr()).await.expect("it listens");
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHo").await.expect("sent");
            silent.push(stream);
        }
        // Less than the five seconds after which a silent one is ended anyway.
        let asked = timeout(Duration::from_secs(4), fetch(&server, "/healthz", "")).await;
        assert_eq!(asked.expect("in time").0, 200);
    }

    #[tokio::test]
    async fn health_is_503_only_when_a_part_has_failed() {
        let (server, probe) = server().await;
        for (state, status) in
            [(PartState::Ok, 200), (PartState::Degraded, 200), (PartState::Waiting, 200), (PartState::Failed, 503)]
        {
            probe.0.lock().expect("not poisoned").set("broker", state, Some("why".to_owned()));
            let (answered, head, body) = fetch(&server, "/healthz", "").await;
            assert_eq!(answered, status);
            assert!(head.contains("cache-control: no-store"), "{head}");
            assert!(body.contains(r#""broker":{"detail":"why","#), "{body}");
        }
        let (status, head, body) = fetch(&server, "/metrics", "").await;
        assert_eq!((status, body.as_str()), (200, "frames_total 7\n"));
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_asked_right_is_refused() {
        let (server, _) = server().await;
        for (path, status) in [("/missing.js", 404), ("/../../etc/passwd", 404), ("/%2e%2e/Cargo.toml", 404)] {
            assert_eq!(fetch(&server, path, "").await.0, status, "{path}");
        }
        let post = "POST /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(ask(&server, post).await.0, 405);
        let huge = format!("X-Large: {}\r\n", "x".repeat(2 * MAX_HEAD_BYTES));
        assert_eq!(fetch(&server, "/", &huge).await.0, 431);
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
    async fn connections_that_stay_open_do_not_hold_up_the_end() {
        let (server, _) = server().await;
        let mut kept = TcpStream::connect(server.addr()).await.expect("it listens");
        kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("sent");
        let mut first = [0; 12];
        kept.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        let mut half = TcpStream::connect(server.addr()).await.expect("it listens");
        half.write_all(b"GET / HT").await.expect("sent");
        let _silent = TcpStream::connect(server.addr()).await.expect("it listens");
        let address = server.addr();
        let begun = Instant::now();
        server.stop().await;
        assert!(begun.elapsed() < Duration::from_millis(1100), "stopped in {:?}", begun.elapsed());
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let (first, _) = server().await;
        let config = Http { bind: first.addr(), ..Http::default() };
        let refused = serve(&config, Arc::new(Fixed(Mutex::default())), Extras::default())
            .await
            .err()
            .expect("in use")
            .to_string();
        assert!(refused.starts_with(&format!("http.bind: cannot listen on {} (", first.addr())), "{refused}");
    }
}
