//! The way to a TURN server over TCP, with or without TLS.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use super::url::{ServerUrl, Transport};
use crate::peer::stream::connect;
use crate::trust::{self, certificate_in_words};

/// A server that takes longer to let us in is of no use to a viewer who waits.
const LIMIT: Duration = Duration::from_secs(5);

/// What TURN is spoken on.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP.
    #[error(transparent)]
    Tcp(#[from] io::Error),
    /// TLS, in words that name the server.
    #[error("{0}")]
    Tls(String),
}

/// The authorities that TURN servers' certificates may come from; read when they are first needed, and then kept.
#[derive(Debug, Clone)]
pub struct Authorities {
    ca_file: Option<PathBuf>,
    client: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl Authorities {
    /// Those in a PEM file; without one, those the system trusts, or Mozilla's.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, client: Arc::default() }
    }

    async fn client(&self) -> Result<Arc<ClientConfig>, DialError> {
        let read = || async {
            let ca_file = self.ca_file.clone();
            let read = tokio::task::spawn_blocking(move || {
                trust::client(ca_file.as_deref()).map(|client| Arc::new(client.with_no_client_auth()))
            });
            match read.await {
                Ok(Ok(client)) => Ok(client),
                Ok(Err(error)) => Err(DialError::Tls(format!("ice.{error}"))),
                Err(error) => Err(DialError::Tls(error.to_string())),
            }
        };
        self.client.get_or_try_init(read).await.cloned()
    }
}

/// Opens a way to `server`, which has this `address`, from the local address `from` if it matters.
///
/// # Errors
/// Each [`DialError`]; a server that does not answer within 5 s is [`ErrorKind::TimedOut`].
pub async fn dial(
    server: &ServerUrl,
    address: SocketAddr,
    from: Option<IpAddr>,
    authorities: &Authorities,
) -> Result<Box<dyn Stream>, DialError> {
    let dialled = timeout(LIMIT, async {
        let tcp = connect(address, from).await?;
        if server.transport != Transport::Tls {
            return Ok(Box::new(tcp) as Box<dyn Stream>);
        }
        let client = authorities.client().await?;
        let name: ServerName<'static> = server.host.clone().try_into().map_err(|_| {
            DialError::Tls(format!("{} can be in no certificate: write the server's name in the URL", server.host))
        })?;
        let connected = TlsConnector::from(client).connect(name, tcp).await;
        Ok(Box::new(connected.map_err(|error| tls_error(server, error))?) as Box<dyn Stream>)
    });
    dialled.await.unwrap_or_else(|_| Err(DialError::Tcp(ErrorKind::TimedOut.into())))
}

fn tls_error(server: &ServerUrl, error: io::Error) -> DialError {
    let address = server.to_string();
    let words = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(problem)) => {
            certificate_in_words(&address, problem, "use that name in the URL")
        }
        Some(rustls::Error::InvalidMessage(_)) => format!("{address} does not speak TLS: is that its plain port?"),
        Some(error) => format!("TLS with {address} failed: {error}"),
        None if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            format!("{address} closed the connection in the TLS handshake: is that its TLS port?")
        }
        None => format!("TLS with {address} failed: {error}"),
    };
    DialError::Tls(words)
}
