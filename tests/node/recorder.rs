//! A TCP proxy before a broker that writes down every MQTT packet that passes: within TLS too, of which it has the keys of
//! both ends, and within a WebSocket.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BytesMut};
use rumqttc::Packet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

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

/// As what it lets clients in, and as what it goes to the broker.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    pub connector: TlsConnector,
    pub name: ServerName<'static>,
}

/// What MQTT is carried in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Tcp,
    WebSocket,
}

impl Recorder {
    pub async fn start(broker: u16) -> Self {
        Self::carried(broker, None, Carrier::Tcp).await
    }

    pub async fn within_tls(broker: u16, tls: Tls, carrier: Carrier) -> Self {
        Self::carried(broker, Some(tls), carrier).await
    }

    async fn carried(broker: u16, tls: Option<Tls>, carrier: Carrier) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let cut = Arc::new(tokio::sync::Notify::new());
        let (entries, cutting) = (Arc::clone(&seen), Arc::clone(&cut));
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                let (entries, cutting, tls) = (Arc::clone(&entries), Arc::clone(&cutting), tls.clone());
                tokio::spawn(async move {
                    // Whom one end does not let in, it has told; the other sees the end.
                    let Ok((client, server)) = let_in(client, broker, tls).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
                    tokio::select! {
                        () = pass(from_client, to_server, (connection, true, carrier), &entries) => {}
                        () = pass(from_server, to_client, (connection, false, carrier), &entries) => {}
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

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Both ends, in the clear.
async fn let_in(client: TcpStream, broker: u16, tls: Option<Tls>) -> io::Result<(Box<dyn Duplex>, Box<dyn Duplex>)> {
    let server = TcpStream::connect(("127.0.0.1", broker)).await?;
    let Some(Tls { acceptor, connector, name }) = tls else { return Ok((Box::new(client), Box::new(server))) };
    let client = acceptor.accept(client).await?;
    let server = connector.connect(name, server).await?;
    Ok((Box::new(client), Box::new(server)))
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (connection, from_client, carrier): (usize, bool, Carrier),
    entries: &Mutex<Vec<Entry>>,
) {
    let mut frames = (carrier == Carrier::WebSocket).then(Frames::default);
    let mut unread = BytesMut::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        match &mut frames {
            Some(frames) => frames.unpack(&buffer[..length], &mut unread),
            None => unread.extend_from_slice(&buffer[..length]),
        }
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
        // TLS keeps what it is given until it is told to let go.
        if to.write_all(&buffer[..length]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// One direction of a WebSocket (RFC 6455): an HTTP head, then frames.
#[derive(Default)]
struct Frames {
    unread: BytesMut,
    is_open: bool,
}

impl Frames {
    /// What the whole frames in `bytes`, and in what was left over before, carry.
    fn unpack(&mut self, bytes: &[u8], carried: &mut BytesMut) {
        const HEAD_END: &[u8] = b"\r\n\r\n";
        self.unread.extend_from_slice(bytes);
        if !self.is_open {
            let Some(end) = self.unread.windows(HEAD_END.len()).position(|four| four == HEAD_END) else { return };
            self.unread.advance(end + HEAD_END.len());
            self.is_open = true;
        }
        while let Some((opcode, payload)) = self.frame() {
            // Continuation and binary; all else is between the two ends.
            if matches!(opcode, 0 | 2) {
                carried.extend_from_slice(&payload);
            }
        }
    }

    fn frame(&mut self) -> Option<(u8, BytesMut)> {
        let (&first, &second) = (self.unread.first()?, self.unread.get(1)?);
        let (length, mask_at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(self.unread.get(2..4)?.try_into().ok()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(self.unread.get(2..10)?.try_into().ok()?)).ok()?, 10),
            short => (usize::from(short), 2),
        };
        let is_masked = second & 0x80 != 0;
        let begin = mask_at + if is_masked { 4 } else { 0 };
        if self.unread.len() < begin + length {
            return None;
        }
        let head = self.unread.split_to(begin);
        let mut payload = self.unread.split_to(length);
        if is_masked {
            payload.iter_mut().zip(head[mask_at..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        Some((first & 0x0f, payload))
    }
}

#[test]
fn frames_are_unpacked_wherever_the_stream_is_cut() {
    let long = [b'x'; 300];
    let mut stream = b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
    // Masked; a ping between; with two bytes of length.
    stream.extend([0x82, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, 0x89, 0x01, b'!', 0x82, 126, 1, 44]);
    stream.extend(long);
    for cut in 0..stream.len() {
        let (mut frames, mut carried) = (Frames::default(), BytesMut::new());
        frames.unpack(&stream[..cut], &mut carried);
        frames.unpack(&stream[cut..], &mut carried);
        assert_eq!(carried, [b"abc".as_slice(), &long].concat(), "cut at {cut}");
    }
}

#[expect(clippy::disallowed_methods, reason = "when a packet passed is what is recorded")]
fn now() -> Instant {
    Instant::now()
}
