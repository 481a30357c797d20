//! Where another server of this process hands over the WebSockets that it was asked for: the page's own port then
//! carries the signalling too, with the page's TLS.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::http::{HeaderMap, StatusCode};

/// What becomes a WebSocket.
pub trait DoorStream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> DoorStream for S {}

/// The embedded broker's way in for browsers.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// Why a request with these headers may not become a WebSocket here; `None` if it may.
    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)>;

    /// Serves a connection on which the handshake is over (RFC 6455 §4.2.2), with the subprotocol `mqtt`, until it ends.
    async fn serve(&self, stream: Box<dyn DoorStream>, from: SocketAddr);
}
