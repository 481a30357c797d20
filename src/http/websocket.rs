//! `/mqtt`: the embedded broker's WebSocket on the page's own port, so that one https port does all.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use super::server::Site;

/// Who asks; put into each request by its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(pub SocketAddr);

/// Upgrades the connection and hands it to the broker.
pub(super) async fn mqtt(State(site): State<Site>, mut request: Request) -> Response {
    let Some(door) = site.door else {
        return (StatusCode::NOT_FOUND, "the broker is elsewhere: see config.json\n").into_response();
    };
    let Some(accept) = accept_key(request.method(), request.headers()) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], "this is for MQTT over WebSocket\n")
            .into_response();
    };
    if let Some(refused) = door.refusal(request.headers()) {
        return refused.into_response();
    }
    let Some(Asker(from)) = request.extensions().get().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    // Ends by itself: when the client goes, or the broker is stopped.
    tokio::spawn(async move {
        match timeout(UPGRADE_WITHIN, upgrade).await {
            Ok(Ok(upgraded)) => door.serve(Box::new(Exclusive(Mutex::new(TokioIo::new(upgraded)))), from).await,
            Ok(Err(error)) => debug!(%from, %error, "no websocket came of it"),
            Err(_) => debug!(%from, "no websocket came of it in time"),
        }
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The answer to a request for a WebSocket (RFC 6455 §4.2.1); `None` for any other request.
fn accept_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let says = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let is_upgrade = method == Method::GET
        && says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
        && says(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_upgrade)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// Makes what one owner uses at a time also shareable, which the broker's types ask for and nobody does: the lock is
/// never taken, as `&mut` is proof enough.
struct Exclusive<S>(Mutex<S>);

impl<S: Unpin> Exclusive<S> {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Exclusive<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Exclusive<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

/// The answer is a few hundred bytes.
const UPGRADE_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_whole_request_for_a_websocket_is_one() {
        // RFC 6455 §1.3 has the key and its answer.
        let whole = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let key = accept_key(&Method::GET, &headers(&whole));
        assert_eq!(key.expect("whole"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(accept_key(&Method::POST, &headers(&whole)).is_none());
        for missing in 0..whole.len() {
            let rest: Vec<_> = (0..whole.len()).filter(|n| *n != missing).map(|n| whole[n]).collect();
            assert!(accept_key(&Method::GET, &headers(&rest)).is_none(), "without {}", whole[missing].0);
        }
    }
}
