//! Data channels: the seam between a connection and whoever serves its channels.
//!
//! A [`Channel`] is what a service sees of one: messages in, messages out, both through bounded queues, and its end. The
//! node fills in who serves what ([`ChannelServices`]); nothing here knows a label's meaning. A viewer without a screen has
//! its channels in the same way.
//!
//! * A viewer that reads slowly fills the crate's buffer up to a limit, then the queue; then [`Outgoing::send`] waits, and
//!   [`Outgoing::offer`] says no. One that reads nothing at all for half a minute loses the channel.
//! * A service that reads slowly fills its queue; then the viewer's sending slows down by SCTP's own window. That window
//!   is one for all channels of a connection, so a service that takes nothing for five seconds loses the channel.
//! * A message of more than [`MAX_MESSAGE_BYTES`] ends its channel, and a viewer has [`MAX_CHANNELS`] at most.

mod pump;
mod switchboard;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::stats::PeerStats;

pub(super) use pump::SEND_BUFFER;
pub(super) use switchboard::Switchboard;

/// The longest message either side may send. All browsers carry it in one piece, and it keeps the channels of one
/// connection from waiting long for each other.
pub const MAX_MESSAGE_BYTES: usize = 16_384;

/// Channels that one viewer may have at the same time, those that the node opens counted.
pub const MAX_CHANNELS: usize = 16;

/// Messages that wait for the service or for the viewer; with the longest ones, half a megabyte a channel.
const QUEUE: usize = 16;

/// One message of a data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// It was sent as text, and is to be UTF-8; else it is bytes.
    pub text: bool,
    /// What it says.
    pub data: Bytes,
}

impl Message {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: true, data: Bytes::from(text.into()) }
    }

    /// Bytes.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self { text: false, data: data.into() }
    }
}

/// How a channel that the node opens delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All of it, in order.
    Reliable,
    /// What comes late is worth nothing: unordered, never sent again.
    Fleeting,
}

/// Who opened a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// This side.
    Us,
    /// The other side.
    Them,
}

/// Why a channel ended, when it was not by its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The viewer closed it, or its connection is over.
    Closed,
    /// The viewer sent a message of more than [`MAX_MESSAGE_BYTES`].
    TooLong,
    /// Its service has taken no message for too long.
    NotServed,
    /// The viewer has read no message for too long.
    NotRead,
}

/// Why a channel that a viewer has opened is closed again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are [`MAX_CHANNELS`] already.
    TooMany,
    /// Its label is no plain text of 1 to 64 characters.
    BadLabel,
}

/// Serves the data channels of one connection: the node's of a viewer, a viewer's of its node. Called on the tasks of the
/// network's thread, where nothing may wait.
pub trait ChannelServices: Send + Sync {
    /// How the channel of this label delivers, which the viewer wants the node to open; `None` for one that the node does
    /// not open.
    fn opens(&self, label: &str) -> Option<Delivery>;

    /// A channel is open. Who does not serve it drops it, which closes it.
    fn serve(&self, channel: Channel);

    /// A channel of the other side's was closed before it could be served.
    fn refused(&self, label: &str, why: Refused);
}

/// A data channel, as whoever serves it has it. It closes when this and all its [`Outgoing`]s are dropped, once what was
/// given to them has gone out.
pub struct Channel {
    label: String,
    opener: Opener,
    incoming: mpsc::Receiver<Message>,
    outgoing: Outgoing,
    end: Arc<OnceLock<ChannelEnd>>,
    stats: watch::Receiver<PeerStats>,
}

impl Channel {
    /// Its label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Who opened it.
    pub fn opener(&self) -> Opener {
        self.opener
    }

    /// The viewer's next message, or why there will be none. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// The channel is over.
    pub async fn next(&mut self) -> Result<Message, ChannelEnd> {
        match self.incoming.recv().await {
            Some(message) => Ok(message),
            None => Err(self.end.get().copied().unwrap_or(ChannelEnd::Closed)),
        }
    }

    /// The way to the viewer.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The numbers of the viewer's connection, twice a second.
    pub fn stats(&self) -> &watch::Receiver<PeerStats> {
        &self.stats
    }
}

/// The way of messages to the viewer. A message over [`MAX_MESSAGE_BYTES`] is a defect of the service, and is not sent.
#[derive(Debug, Clone)]
pub struct Outgoing(mpsc::Sender<Outward>);

/// What lies in that way.
#[derive(Debug)]
enum Outward {
    Say(Message),
    /// All before it is with the viewer.
    Tell(oneshot::Sender<()>),
}

/// The channel is over: nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data channel is closed")]
pub struct Closed;

impl Outgoing {
    /// Sends as soon as there is room.
    ///
    /// # Errors
    /// The channel is over.
    pub async fn send(&self, message: Message) -> Result<(), Closed> {
        self.0.send(Outward::Say(message)).await.map_err(|_| Closed)
    }

    /// Sends if there is room now; says whether there was.
    ///
    /// # Errors
    /// The channel is over.
    pub fn offer(&self, message: Message) -> Result<bool, Closed> {
        match self.0.try_send(Outward::Say(message)) {
            Ok(()) => Ok(true),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
        }
    }

    /// Waits until the viewer has all that was sent before, for two seconds at most, or until the channel is over.
    pub async fn flushed(&self) {
        let (tell, told) = oneshot::channel();
        if self.0.send(Outward::Tell(tell)).await.is_ok() {
            let _ = told.await;
        }
    }

    /// Waits until the channel is over.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// The connection's side of a [`Channel`].
struct Ends {
    to_service: mpsc::Sender<Message>,
    from_service: mpsc::Receiver<Outward>,
    end: Arc<OnceLock<ChannelEnd>>,
}

/// Both sides of one.
fn channel(label: String, opener: Opener, stats: watch::Receiver<PeerStats>) -> (Channel, Ends) {
    let (to_service, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_service) = mpsc::channel(QUEUE);
    let end = Arc::new(OnceLock::new());
    let ends = Ends { to_service, from_service, end: Arc::clone(&end) };
    (Channel { label, opener, incoming, outgoing: Outgoing(outgoing), end, stats }, ends)
}

/// Hears what is said on any channel, and makes nothing of it.
pub struct Deaf;

impl ChannelServices for Deaf {
    fn opens(&self, label: &str) -> Option<Delivery> {
        matches!(label, "control" | "telemetry").then_some(Delivery::Reliable)
    }

    fn serve(&self, mut channel: Channel) {
        tokio::spawn(async move { while channel.next().await.is_ok() {} });
    }

    fn refused(&self, _label: &str, _why: Refused) {}
}
