//! One connection to a TURN server for one local socket: what the crate sends goes onto it, what comes in goes to the
//! crate.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, ReadHalf, split};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument;

use super::Office;
use super::dial::{DialError, Stream, dial};
use super::framing::{FRAMING, Unframer};
use super::url::ServerUrl;
use crate::peer::stream::{Desk, Inbox, READ_BYTES};

/// How long a server has to grant a relay over UDP before one is asked for over TCP: two round trips to the other side of
/// the earth. A relay over UDP is better in every way, and the crate takes whichever it has.
#[cfg(not(test))]
const UDP_FIRST: Duration = Duration::from_millis(300);
/// However slow the machine is.
#[cfg(test)]
const UDP_FIRST: Duration = Duration::from_secs(15);

/// Where a line leads, and on whose behalf.
pub(in crate::peer) struct Way {
    /// As it was configured.
    pub url: String,
    /// Read from that.
    pub server: ServerUrl,
    /// Its address.
    pub address: SocketAddr,
    /// The address that stands for it before the crate.
    pub alias: SocketAddr,
    /// The local socket's address.
    pub from: IpAddr,
    /// Whether there are TURN servers over UDP too.
    pub udp_first: bool,
    /// What all connections share.
    pub office: Arc<Office>,
}

/// The crate's end of a line. Dropping it cuts the line; the server then frees what it had allocated.
#[derive(Debug)]
pub(in crate::peer) struct Line {
    desk: Arc<Desk>,
    task: AbortHandle,
}

impl Line {
    /// Starts to dial. `granted` becomes true when the socket has got a relay over UDP.
    pub(in crate::peer) fn start(way: Way, inbox: Arc<Inbox>, granted: watch::Receiver<bool>) -> Self {
        let desk = Arc::new(Desk::new(FRAMING));
        let task = tokio::spawn(run(way, Arc::clone(&desk), inbox, granted).in_current_span());
        Self { desk, task: task.abort_handle() }
    }

    /// Sends a datagram, or loses it.
    ///
    /// # Errors
    /// There is no connection any more, or there never will be.
    pub(in crate::peer) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.desk.send(datagram)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(way: Way, desk: Arc<Desk>, inbox: Arc<Inbox>, mut granted: watch::Receiver<bool>) {
    if way.udp_first && timeout(UDP_FIRST, granted.wait_for(|granted| *granted)).await.is_ok() {
        tracing::debug!(url = way.url, "not dialled: there is a relay over UDP");
    } else {
        match dial(&way.server, way.address, Some(way.from), &way.office.authorities).await {
            Ok(stream) => {
                way.office.complaints.is_well(&way.url);
                tracing::debug!(url = way.url, from = %way.from, "connected to a turn server");
                let (reading, writing) = split(stream);
                let ended = tokio::select! {
                    ended = read(reading, &way, &inbox) => ended,
                    error = desk.write_to(writing) => Err(error),
                };
                tracing::debug!(url = way.url, ended = %ended.unwrap_or_else(|error| error.to_string()), "turn connection over");
            }
            Err(error) => way.office.complaints.failed(&way.url, &in_words(&way, &error)),
        }
    }
    desk.close();
}

async fn read(mut stream: ReadHalf<Box<dyn Stream>>, way: &Way, inbox: &Inbox) -> io::Result<String> {
    let mut unframer = Unframer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok("closed by the server".to_owned()),
            read => unframer.extend(&buffer[..read]),
        }
        loop {
            match unframer.next_message() {
                Ok(Some(message)) => inbox.push(way.alias, message),
                Ok(None) => break,
                Err(error) => {
                    way.office.complaints.failed(&way.url, &error.to_string());
                    return Ok(error.to_string());
                }
            }
        }
    }
}

fn in_words(way: &Way, error: &DialError) -> String {
    match error {
        DialError::Tcp(error) => match error.kind() {
            ErrorKind::TimedOut => format!("{} does not answer", way.server),
            ErrorKind::ConnectionRefused => format!("{} refused the connection: nothing listens there", way.server),
            _ => format!("{} cannot be reached from {}: {error}", way.server, way.from),
        },
        DialError::Tls(words) => words.clone(),
    }
}
