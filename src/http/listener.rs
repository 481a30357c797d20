//! Connections: accepted, encrypted if asked for, and ended. Each has limits in time and size, so that none outlives a
//! shutdown, and there are only so many, so that none starves the others.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::websocket::Asker;
use crate::signalling::{Crowd, Seat};

/// What a listener does with its connections.
#[derive(Clone)]
pub(super) struct Hall {
    pub router: Router<()>,
    /// Shared by all listeners.
    pub crowd: Crowd,
    pub tls: Option<TlsAcceptor>,
}

/// As many as one server takes at a time: a page load takes six; the rest is for scrapers and more pages.
pub(super) fn crowd() -> Crowd {
    Crowd::new(MAX_CONNECTIONS)
}

/// Serves until `stopped`.
pub(super) async fn accept(listener: TcpListener, hall: Hall, stopped: watch::Receiver<bool>) {
    let mut end = stopped.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let seat = hall.crowd.enter(address.ip());
                    let (hall, stopped) = (hall.clone(), stopped.clone());
                    connections.spawn(async move {
                        if let Err(error) = serve(stream, address, hall, seat, stopped).await {
                            debug!(%address, %error, "http connection ended");
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors: closing connections will free some.
                    warn!(%error, "http cannot accept a connection");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = told(&mut end) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    hall: Hall,
    mut seat: Seat,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "http connection without nodelay");
    }
    let Hall { router, tls, .. } = hall;
    let router = router.layer(Extension(Asker(address)));
    let Some(tls) = tls else { return talk(stream, router, seat, stopped).await };
    let secured = tokio::select! {
        secured = timeout(IDLE_FOR, tls.accept(stream)) => secured.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
        () = seat.evicted() => return Ok(()),
        () = told(&mut stopped) => return Ok(()),
    };
    talk(secured, router, seat, stopped).await
}

async fn talk<S>(stream: S, router: Router<()>, mut seat: Seat, mut stopped: watch::Receiver<bool>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let seat_of_requests = Arc::new(tokio::sync::Notify::new());
    let asked = Arc::clone(&seat_of_requests);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        asked.notify_one();
        router.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_FOR)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let mut life = pin!(sleep(LIFETIME));
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            () = seat_of_requests.notified() => seat.stir(),
            () = seat.evicted() => return Ok(()),
            () = told(&mut stopped) => break,
            () = life.as_mut() => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    timeout(FINISH_WITHIN, connection).await.unwrap_or(Ok(())).map_err(io::Error::other)
}

/// Waits for the stop; a server that is gone says the same.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Of all listeners together.
pub(super) const MAX_CONNECTIONS: usize = 128;
/// For a TLS handshake, a request's head, and between two requests.
const IDLE_FOR: Duration = Duration::from_secs(5);
/// A request line and headers; bodies are never read.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// A client that reads slowly, or never, holds its place no longer.
const LIFETIME: Duration = Duration::from_secs(300);
/// For the answer under way when a connection must end.
const FINISH_WITHIN: Duration = Duration::from_millis(500);
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);
