//! The TCP connections of one socket of the crate's, each a path that datagrams take.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument;
use webrtc::runtime::Transmit;

use super::Paths;
use super::framing::{FRAMING, Unframer};
use crate::peer::stream::{Desk, Inbox, READ_BYTES, connect};

/// Connections open at a time: one for each network of a browser's, and one that it has not noticed to be gone. One more
/// takes the place of the oldest, of those that nothing but checks came by if there is one.
const MAX_OPEN: usize = 4;
/// Somebody who takes longer to let us in is of no use.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// Who came in, and what was read of it.
pub(super) struct Arrival {
    /// The local address that it came to.
    pub to: IpAddr,
    /// Its own.
    pub from: SocketAddr,
    /// Its first datagram.
    pub first: Bytes,
    /// With what was read behind that.
    pub unframer: Unframer,
    /// Whose guest it is, for the log.
    pub span: tracing::Span,
}

/// The TCP connections of one socket, by what the crate takes for the other end's address.
#[derive(Debug)]
pub(in crate::peer) struct Flows {
    local: IpAddr,
    inbox: Arc<Inbox>,
    paths: Arc<Paths>,
    open: Mutex<HashMap<SocketAddr, Flow>>,
    /// Whether there ever was one: most sockets never have any.
    used: AtomicBool,
}

/// One connection. It stays, broken, when the stream ends: what would go there must not go out as UDP.
#[derive(Debug)]
struct Flow {
    desk: Arc<Desk>,
    task: AbortHandle,
    /// Whether anything but checks has come by it.
    in_use: Arc<AtomicBool>,
    /// Counts up, the youngest has the most.
    number: usize,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Flows {
    pub(super) fn new(local: IpAddr, inbox: Arc<Inbox>, paths: Arc<Paths>) -> Self {
        Self { local, inbox, paths, open: Mutex::default(), used: AtomicBool::new(false) }
    }

    pub(super) fn local(&self) -> IpAddr {
        self.local
    }

    /// Sends, or loses, what goes over TCP; whether it does.
    pub(in crate::peer) fn carry(&self, transmit: &Transmit<'_>) -> bool {
        let to = transmit.destination;
        let target = self.paths.target(to);
        if target.is_none() && !self.used.load(Ordering::Relaxed) {
            return false;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(target), false) = (target, open.contains_key(&to)) {
            let (inbox, desk, local) = (Arc::clone(&self.inbox), Arc::new(Desk::new(FRAMING)), self.local);
            let theirs = Arc::clone(&desk);
            let dialled = async move {
                match timeout(DIAL_LIMIT, connect(target, Some(local))).await {
                    Ok(Ok(stream)) => {
                        let push = |datagram| inbox.push(to, datagram);
                        run(stream, Unframer::default(), &theirs, target, push).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%target, %error, "cannot be reached by ice over tcp"),
                    Err(_) => tracing::debug!(%target, "does not answer to ice over tcp"),
                }
                theirs.close();
            };
            self.add(&mut open, to, desk, tokio::spawn(dialled.in_current_span()).abort_handle(), Arc::default());
        }
        let Some(flow) = open.get(&to) else { return false };
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(size) {
            // One that is gone says no more: ICE will notice.
            let _ = flow.desk.send(datagram);
        }
        true
    }

    /// Takes somebody in who has proved whose guest it is.
    pub(super) fn enter(&self, arrival: Arrival, stream: TcpStream) {
        let Arrival { from, first, unframer, span, .. } = arrival;
        let (inbox, desk, paths) = (Arc::clone(&self.inbox), Arc::new(Desk::new(FRAMING)), Arc::clone(&self.paths));
        let (theirs, in_use) = (Arc::clone(&desk), Arc::<AtomicBool>::default());
        let is_used = Arc::clone(&in_use);
        let entered = async move {
            tracing::debug!(%from, "came in by ice over tcp");
            // Checks are repeated, so those that come too early are not kept.
            let push = |datagram: Bytes| {
                is_used.fetch_or((FRAMING.carries_data)(&datagram), Ordering::Relaxed);
                if paths.is_open() {
                    inbox.push(from, datagram);
                }
            };
            push(first);
            run(stream, unframer, &theirs, from, push).await;
            theirs.close();
        };
        let task = tokio::spawn(entered.instrument(span)).abort_handle();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.add(&mut open, from, desk, task, in_use);
    }

    fn add(
        &self,
        open: &mut HashMap<SocketAddr, Flow>,
        to: SocketAddr,
        desk: Arc<Desk>,
        task: AbortHandle,
        in_use: Arc<AtomicBool>,
    ) {
        let alive = || open.values().filter(|flow| !flow.desk.is_broken());
        let dispensable = alive().min_by_key(|flow| (flow.in_use.load(Ordering::Relaxed), flow.number));
        if let Some(flow) = dispensable.filter(|_| alive().count() >= MAX_OPEN) {
            flow.task.abort();
            flow.desk.close();
        }
        let number = open.values().map(|flow| flow.number + 1).max().unwrap_or(0);
        open.insert(to, Flow { desk, task, in_use, number });
        self.used.store(true, Ordering::Relaxed);
    }
}

/// Carries datagrams both ways until the stream ends.
async fn run(stream: TcpStream, unframer: Unframer, desk: &Desk, with: SocketAddr, push: impl Fn(Bytes)) {
    let (reading, writing) = stream.into_split();
    let ended = tokio::select! {
        ended = read(reading, unframer, push) => ended,
        error = desk.write_to(writing) => error.to_string(),
    };
    tracing::debug!(%with, ended, "ice over tcp ended");
}

/// Hands on what comes in until there is no more; why.
async fn read(mut stream: impl AsyncRead + Unpin, mut unframer: Unframer, push: impl Fn(Bytes)) -> String {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        loop {
            match unframer.next_datagram() {
                Ok(Some(datagram)) => push(datagram),
                Ok(None) => break,
                Err(error) => return error.to_string(),
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) => return "closed by the other side".to_owned(),
            Ok(read) => unframer.extend(&buffer[..read]),
            Err(error) => return error.to_string(),
        }
    }
}
