//! Where peers come in over TCP: the listeners of all connections.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rtc::crypto::RTCCryptoProvider;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Paths;
use super::flow::Arrival;
use super::framing::Unframer;
use super::knock::Knock;
use crate::peer::stream::prepare;
use crate::peer::troubles::{Sheet, Trouble};

/// A browser sends its first check when the connection stands.
const KNOCK_LIMIT: Duration = Duration::from_secs(5);
/// Connections that have not said yet whose guests they are; one more takes the place of the oldest, which has had its time.
const MAX_WAITING: usize = 64;
/// A check has about a hundred bytes.
const KNOCK_BYTES: usize = 1_024;
/// Until somebody else has given back a descriptor.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// The listeners, on the media thread. Dropping it closes them; who is in stays.
pub(in crate::peer) struct Entrance {
    port: u16,
    doorway: Arc<Doorway>,
    listeners: Mutex<HashMap<IpAddr, Listener>>,
    troubles: Sheet,
}

/// What all listeners share.
struct Doorway {
    provider: Arc<dyn RTCCryptoProvider>,
    guests: Mutex<HashMap<String, Guest>>,
    waiting: Mutex<VecDeque<AbortHandle>>,
}

/// A connection that peers may come in to.
struct Guest {
    password: String,
    paths: Weak<Paths>,
    span: tracing::Span,
}

struct Listener {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets peers in to one connection as long as it lives.
pub(in crate::peer) struct Admission {
    ufrag: String,
    doorway: Arc<Doorway>,
}

impl Admission {
    /// The ICE user name fragment of ours that peers come in with.
    pub(in crate::peer) fn ufrag(&self) -> &str {
        &self.ufrag
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.doorway.guests.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ufrag);
    }
}

impl Entrance {
    /// One that listens on this port of each address, or on any that is free if it is 0; notes it on the sheet if it cannot.
    pub(in crate::peer) fn new(port: u16, provider: Arc<dyn RTCCryptoProvider>, troubles: Sheet) -> Self {
        let doorway = Doorway { provider, guests: Mutex::default(), waiting: Mutex::default() };
        Self { port, doorway: Arc::new(doorway), listeners: Mutex::default(), troubles }
    }

    /// Listens on these addresses, if it does not yet; where it does. What cannot be had is said once.
    pub(in crate::peer) fn listen(&self, ips: &[IpAddr]) -> Vec<SocketAddr> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        // Another connection may still be on the network of before; an address that is gone is of use to nobody.
        listeners.retain(|ip, _| ips.contains(ip) || UdpSocket::bind((*ip, 0)).is_ok());
        let mut complaints = Vec::new();
        for ip in ips.iter().filter(|ip| !listeners.contains_key(ip)).collect::<Vec<_>>() {
            match bind((*ip, self.port).into()) {
                Ok((listener, address)) => {
                    let task = tokio::spawn(accept(listener, Arc::clone(&self.doorway))).abort_handle();
                    listeners.insert(*ip, Listener { address, task });
                    tracing::debug!(%address, "listens for ice over tcp");
                }
                Err(error) => complaints.push(format!("{}: {error}", SocketAddr::from((*ip, self.port)))),
            }
        }
        self.complain((!complaints.is_empty()).then(|| complaints.join("; ")));
        let mut addresses: Vec<_> = ips.iter().filter_map(|ip| listeners.get(ip)).map(|one| one.address).collect();
        addresses.dedup();
        addresses
    }

    fn complain(&self, why: Option<String>) {
        let Some(why) = why else {
            self.troubles.strike(&Trouble::Entrance);
            return;
        };
        if self.troubles.note(Trouble::Entrance, &why) {
            tracing::warn!(why, "no ice over tcp there: set [ice] tcp_port to a port that is free");
        }
    }

    /// From now on whoever has these ICE credentials comes in to `paths`.
    pub(in crate::peer) fn admit(&self, ufrag: &str, password: &str, paths: &Arc<Paths>) -> Admission {
        let guest =
            Guest { password: password.to_owned(), paths: Arc::downgrade(paths), span: tracing::Span::current() };
        self.doorway.guests.lock().unwrap_or_else(PoisonError::into_inner).insert(ufrag.to_owned(), guest);
        Admission { ufrag: ufrag.to_owned(), doorway: Arc::clone(&self.doorway) }
    }
}

/// # Errors
/// The system's refusal.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
}

async fn accept(listener: TcpListener, doorway: Arc<Doorway>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => doorway.ask(stream, from),
            Err(error) => {
                tracing::debug!(%error, "a connection for ice over tcp was not accepted");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

impl Doorway {
    fn ask(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let doorway = Arc::clone(self);
        let asked = async move {
            let knocked = timeout(KNOCK_LIMIT, doorway.hear(stream, from)).await;
            if !knocked.unwrap_or(false) {
                tracing::debug!(%from, "no guest: sent away from ice over tcp");
            }
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|asked| !asked.is_finished());
        if waiting.len() >= MAX_WAITING
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.abort();
        }
        waiting.push_back(tokio::spawn(asked).abort_handle());
    }

    /// Waits for the first datagram; whether it let in.
    async fn hear(&self, mut stream: TcpStream, from: SocketAddr) -> bool {
        let Ok(to) = stream.local_addr() else { return false };
        let mut unframer = Unframer::default();
        let mut buffer = [0; KNOCK_BYTES];
        let first = loop {
            match unframer.next_datagram() {
                Ok(Some(first)) => break first,
                Ok(None) => {}
                Err(_) => return false,
            }
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(read) => unframer.extend(&buffer[..read]),
            }
        };
        let Some(mut knock) = Knock::read(&first) else { return false };
        let Some(ufrag) = knock.ufrag() else { return false };
        let (paths, span) = {
            let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(guest) = guests.get(&ufrag) else { return false };
            if !knock.is_signed_with(&guest.password, self.provider.crypto()) {
                return false;
            }
            (guest.paths.upgrade(), guest.span.clone())
        };
        let Some(paths) = paths else { return false };
        let arrival = Arrival { to: to.ip(), from, first, unframer, span };
        prepare(&stream).is_ok() && paths.enter(arrival, stream)
    }
}
