//! A TCP proxy before a broker that writes down every MQTT packet that passes.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use rumqttc::Packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// One packet.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Instant,
    /// Counts TCP connections.
    pub connection: usize,
    pub from_client: bool,
    pub packet: Packet,
}

/// The proxy and what it has seen.
pub struct Recorder {
    pub port: u16,
    seen: Arc<Mutex<Vec<Entry>>>,
    cut: Arc<tokio::sync::Notify>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub async fn start(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let cut = Arc::new(tokio::sync::Notify::new());
        let (entries, cutting) = (Arc::clone(&seen), Arc::clone(&cut));
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", broker)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (entries, cutting) = (Arc::clone(&entries), Arc::clone(&cutting));
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(from_client, to_server, (connection, true), &entries) => {}
                        () = pass(from_server, to_client, (connection, false), &entries) => {}
                        () = cutting.notified() => {}
                    }
                });
            }
        });
        Self { port, seen, cut, accepting }
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    pub fn seen(&self) -> Vec<Entry> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (connection, from_client): (usize, bool),
    entries: &Mutex<Vec<Entry>>,
) {
    let mut unread = BytesMut::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        unread.extend_from_slice(&buffer[..length]);
        loop {
            match Packet::read(&mut unread, 1 << 20) {
                Ok(packet) => {
                    let entry = Entry { at: now(), connection, from_client, packet };
                    entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                }
                Err(rumqttc::Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("not MQTT 3.1.1: {error}"),
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "when a packet passed is what is recorded")]
fn now() -> Instant {
    Instant::now()
}
