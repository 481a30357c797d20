//! Tells a URL of every ring: what notifies a phone whose browser is closed.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use super::config::WebhookUrl;
use crate::session::NodeId;
use crate::trust::{self, TrustError, certificate_in_words};

/// One attempt; a phone that rings later than this rings for nobody.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Before the second and last attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where to tell, and what stays the same.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tls: Arc<ClientConfig>,
    url: WebhookUrl,
    node: NodeId,
    name: String,
    link: Option<String>,
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// When, since 1970.
    pub at: Duration,
    /// What was pressed.
    pub source: &'static str,
    /// Who is rung, by name.
    pub rung: Vec<String>,
}

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There are no authorities that could be trusted.
    #[error("ring.{0}")]
    Trust(#[from] TrustError),
    /// Somebody is there who is not believed to be the one, in words that name the server.
    #[error("ring.webhook: {0}")]
    Stranger(String),
    /// Nobody is there.
    #[error("ring.webhook: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("ring.webhook: no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
    /// Somebody is there and does not take it.
    #[error("ring.webhook: refused with {0}")]
    Refused(StatusCode),
}

impl WebhookError {
    /// Whether the same may go well a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Trust(_) | Self::Stranger(_) => false,
            Self::Lost(_) | Self::Late => true,
            Self::Refused(status) => status.is_server_error(),
        }
    }
}

/// What is posted.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    node: &'a NodeId,
    name: &'a str,
    time: String,
    source: &'static str,
    rung: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

impl Webhook {
    /// A webhook of this node; `link` leads to the page. Over https it believes the authorities in `ca_file`; without one,
    /// those the system trusts, or Mozilla's.
    ///
    /// # Errors
    /// [`WebhookError::Trust`].
    pub fn new(
        url: WebhookUrl,
        ca_file: Option<&Path>,
        node: NodeId,
        name: String,
        link: Option<String>,
    ) -> Result<Self, WebhookError> {
        let tls = trust::client(ca_file)?.with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, tls: Arc::new(tls), url, node, name, link })
    }

    /// Goes as far as a visit would without telling of one: the name, TCP, TLS. Gives the server's `host:port`.
    ///
    /// # Errors
    /// [`WebhookError::Lost`], [`WebhookError::Late`], [`WebhookError::Stranger`].
    pub async fn reach(&self) -> Result<String, WebhookError> {
        let (host, port, address) = (self.url.host(), self.url.port(), self.url.address());
        let reached = timeout(ANSWER_WITHIN, async {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            if self.url.is_https() {
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
            }
            Ok::<_, io::Error>(())
        });
        reached.await.map_err(|_| WebhookError::Late)?.map_err(|error| self.failed(&error))?;
        Ok(address)
    }

    /// Why there was no answer.
    fn failed(&self, error: &(dyn Error + 'static)) -> WebhookError {
        let address = self.url.address();
        let cause = cause(error);
        match cause.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(problem)) => {
                WebhookError::Stranger(certificate_in_words(&address, problem, "use that name in the URL"))
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                WebhookError::Stranger(format!("{address} does not speak TLS: is that its plain port (http://)?"))
            }
            Some(error) => WebhookError::Stranger(format!("TLS with {address} failed: {error}")),
            None => WebhookError::Lost(format!("{address}: {cause}")),
        }
    }

    /// Tells of a visit; tries twice, and gives up after some seconds.
    ///
    /// # Errors
    /// How the last attempt failed.
    pub async fn tell(&self, visit: &Visit) -> Result<(), WebhookError> {
        let body = self.body(visit);
        match self.attempt(body.clone()).await {
            Err(error) if error.may_pass() => {
                tracing::debug!(%error, "once more");
                sleep(AGAIN_AFTER).await;
                self.attempt(body).await
            }
            told => told,
        }
    }

    fn body(&self, visit: &Visit) -> Bytes {
        let told = Told {
            event: "ring",
            node: &self.node,
            name: &self.name,
            time: rfc3339(visit.at),
            source: visit.source,
            rung: &visit.rung,
            link: self.link.as_deref(),
        };
        serde_json::to_vec(&told).expect("plain data").into()
    }

    async fn attempt(&self, body: Bytes) -> Result<(), WebhookError> {
        let request = hyper::Request::builder()
            .method(Method::POST)
            .uri(self.url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("camera-node/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .expect("the URL has been read as one, the headers are ours");
        let answer = timeout(ANSWER_WITHIN, self.client.request(request)).await.map_err(|_| WebhookError::Late)?;
        let status = answer.map_err(|error| self.failed(&error))?.status();
        if status.is_success() { Ok(()) } else { Err(WebhookError::Refused(status)) }
    }
}

/// What lies at the bottom: hyper says "client error (Connect)" of everything.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source()) {
        Some(deeper) => cause(deeper),
        None => error,
    }
}

/// The time in words that programs read ([RFC 3339](https://www.rfc-editor.org/rfc/rfc3339)), in UTC, by the second.
fn rfc3339(since_epoch: Duration) -> String {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    // A clock past the year 9999 says nothing.
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).expect("a year of four digits")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::server::ServerConfig;

    use super::*;
    use crate::trust::certificates::{Authority, Pair};

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_264_496, "2026-11-21T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
    }

    /// Answers one request after the other with these; gives what was asked.
    async fn told_to(answers: &'static [&'static str]) -> (Result<(), WebhookError>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook?door=1", listener.local_addr().expect("bound"));
        let server = tokio::spawn(async move {
            let mut heard = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    stream.read_buf(&mut request).await.expect("more");
                }
                heard.push(String::from_utf8(request).expect("text"));
                let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await.expect("sent");
            }
            heard
        });
        let url = WebhookUrl::try_from(url).expect("a URL");
        let node = "porch".parse().expect("an id");
        let hook =
            Webhook::new(url, None, node, "Porch".to_owned(), Some("https://cam/".to_owned())).expect("authorities");
        let visit = Visit { at: Duration::from_secs(1_795_264_496), source: "gpio", rung: vec!["Kitchen".to_owned()] };
        let told = hook.tell(&visit).await;
        (told, server.await.expect("no panic"))
    }

    #[tokio::test]
    async fn it_is_told_who_rings_where_and_when() {
        let (told, heard) = told_to(&["204 No Content"]).await;
        told.expect("it was taken");
        assert!(heard[0].starts_with("POST /hook?door=1 HTTP/1.1\r\n"), "{heard:?}");
        let body = heard[0].split("\r\n\r\n").nth(1).expect("a body");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(body).expect("JSON"),
            serde_json::json!({
                "event": "ring", "node": "porch", "name": "Porch", "time": "2026-11-21T12:34:56Z",
                "source": "gpio", "rung": ["Kitchen"], "link": "https://cam/",
            })
        );
    }

    #[tokio::test]
    async fn a_failure_that_may_pass_is_tried_once_more_and_another_is_not() {
        let (told, heard) = told_to(&["503 Busy", "200 OK"]).await;
        assert!(told.is_ok() && heard.len() == 2, "{told:?} {heard:?}");
        let (told, heard) = told_to(&["404 Not Found"]).await;
        assert_eq!(told.expect_err("refused").to_string(), "ring.webhook: refused with 404 Not Found");
        assert_eq!(heard.len(), 1);
        let (told, _) = told_to(&["500 Broken", "500 Broken"]).await;
        assert!(matches!(told, Err(WebhookError::Refused(StatusCode::INTERNAL_SERVER_ERROR))), "{told:?}");
    }

    /// Takes everybody who comes over TLS, and what they say up to the end of a JSON object; `None` for who goes before.
    async fn tls_server(pair: &Pair) -> (u16, mpsc::UnboundedReceiver<Option<String>>) {
        let chain = trust::certificates("cert_file", &pair.cert_file).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&pair.key_file).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (hear, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut said = Vec::new();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    while !said.ends_with(b"}") && stream.read_buf(&mut said).await.is_ok_and(|read| read > 0) {}
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
                let said = Some(said).filter(|said| !said.is_empty());
                let _ = hear.send(said.map(|said| String::from_utf8_lossy(&said).into()));
            }
        });
        (port, heard)
    }

    fn hook(url: &str, ca_file: &Path) -> Webhook {
        let url = WebhookUrl::try_from(url.to_owned()).expect("a URL");
        let node = "porch".parse().expect("an id");
        Webhook::new(url, Some(ca_file), node, "Porch".to_owned(), None).expect("an authority")
    }

    fn visit() -> Visit {
        Visit { at: Duration::from_secs(1_795_264_496), source: "gpio", rung: Vec::new() }
    }

    #[tokio::test]
    async fn over_https_it_believes_the_authority_of_the_config() {
        let folder = tempfile::tempdir().expect("there is room");
        let ca = Authority::new(folder.path(), "ours");
        let (port, mut heard) = tls_server(&ca.sign("hook", &["localhost"])).await;
        let hook = hook(&format!("https://localhost:{port}/hook"), &ca.ca_file);
        assert_eq!(hook.reach().await.expect("it is there"), format!("localhost:{port}"));
        hook.tell(&visit()).await.expect("it was taken");
        assert_eq!(heard.recv().await, Some(None), "who only looks says nothing");
        let said = heard.recv().await.flatten().expect("a visit");
        assert!(said.contains("\"event\":\"ring\""), "{said}");
    }

    #[tokio::test]
    async fn a_stranger_is_told_nothing_and_is_said_to_be_one() {
        let folder = tempfile::tempdir().expect("there is room");
        let (ca, other) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "other"));
        for (pair, words) in [
            (
                other.sign("stranger", &["localhost"]),
                "comes from an authority that is not known here: set ca_file to its CA",
            ),
            (ca.sign("elsewhere", &["elsewhere.example"]), "is not for localhost but for"),
            (ca.sign_for("old", &["localhost"], (2020, 2021)), "expired on 2021-01-01"),
        ] {
            let (port, mut heard) = tls_server(&pair).await;
            let hook = hook(&format!("https://localhost:{port}/hook"), &ca.ca_file);
            let error = hook.tell(&visit()).await.expect_err("refused").to_string();
            assert!(error.starts_with(&format!("ring.webhook: the certificate of localhost:{port} ")), "{error}");
            assert!(error.contains(words), "{error}");
            assert!(matches!(hook.reach().await, Err(WebhookError::Stranger(said)) if said.contains(words)));
            assert_eq!((heard.recv().await, heard.recv().await), (Some(None), Some(None)));
            assert!(heard.try_recv().is_err(), "once each: a second try would find the same");
        }
    }

    #[tokio::test]
    async fn an_authority_that_cannot_be_read_and_a_port_without_tls_are_named() {
        let url = WebhookUrl::try_from("https://h/".to_owned()).expect("a URL");
        let node = "porch".parse().expect("an id");
        let error = Webhook::new(url, Some(Path::new("/nowhere/ca.pem")), node, String::new(), None).err();
        let error = error.expect("it is not there").to_string();
        assert!(error.starts_with("ring.ca_file /nowhere/ca.pem: "), "{error}");

        let plain = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = plain.local_addr().expect("bound").port();
        let folder = tempfile::tempdir().expect("there is room");
        let hook = hook(&format!("https://127.0.0.1:{port}/"), &Authority::new(folder.path(), "ours").ca_file);
        let answer = async {
            let (mut stream, _) = plain.accept().await.expect("a client");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
            // Until it has read that, and goes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (reached, ()) = tokio::join!(hook.reach(), answer);
        let error = reached.expect_err("no TLS").to_string();
        assert_eq!(
            error,
            format!("ring.webhook: 127.0.0.1:{port} does not speak TLS: is that its plain port (http://)?")
        );
    }
}
