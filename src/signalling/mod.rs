//! Seam: carries session messages between node and peers, understands none.

mod backoff;
mod budget;
pub mod config;
mod crowd;
mod door;
#[cfg(feature = "embedded-broker")]
pub mod embedded;
#[cfg(test)]
mod link_tests;
mod loopback;
mod mqtt;
mod outbox;
mod profile;
#[cfg(any(feature = "embedded-broker", test, fuzzing))]
pub(crate) mod rights;
mod rivalry;
mod url;

#[cfg(test)]
pub(crate) use budget::Budget;
pub use crowd::{Crowd, Seat};
pub use door::{Door, DoorStream};
#[cfg(feature = "embedded-broker")]
pub use embedded::{EmbeddedBroker, EmbeddedConfig, EmbeddedError};
pub use loopback::{LoopbackBroker, LoopbackLink};
pub use mqtt::{Endpoint, EndpointError, Login, MqttLink, NetworkReports, TlsError};
#[cfg(test)]
pub(crate) use outbox::Outbox;
pub use profile::Profile;
pub use url::{BadBrokerUrl, BrokerUrl, Scheme};

use async_trait::async_trait;
use bytes::Bytes;

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Full topic.
    pub topic: String,
    /// At most [`MAX_PAYLOAD_BYTES`].
    pub payload: Bytes,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// The largest payload any broker we support carries (AWS IoT Core: 128 KB).
pub const MAX_PAYLOAD_BYTES: usize = 128 * 1024;

/// What a connection is set up with. A link is one MQTT client: the node, or a headless viewer.
#[derive(Default)]
pub struct LinkSetup {
    /// MQTT client id.
    pub client_id: String,
    /// Topic filters, subscribed anew on every connection; [`LinkEvent::Up`] comes after their SUBACK.
    pub subscriptions: Vec<String>,
    /// Topic filters that the link is up without, where the broker refuses them: it is asked again from time to time.
    pub wishes: Vec<String>,
    /// The last will for the broker connection with this number (1 for the first); it carries that number.
    pub will: Option<Box<dyn Fn(u32) -> Publish + Send + Sync>>,
}

/// What a link reports, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected and subscribed: publish your state again. `conn` counts connections of this link from 1.
    Up {
        /// Number of this broker connection.
        conn: u32,
    },
    /// The connection is lost; it is being made anew with a back-off. Published messages not yet sent are lost.
    Down {
        /// For the log and the page: what a person can do something about.
        reason: String,
    },
    /// Those of [`LinkSetup::wishes`] that the broker refuses: told when they are others than before. Of a new connection
    /// it comes ahead of [`LinkEvent::Up`].
    Refused(Vec<String>),
    /// Whether another client seems to use our client id, so that the broker throws the two off in turn; in words if so.
    Contested(Option<String>),
    /// A message came in.
    Message {
        /// Full topic.
        topic: String,
        /// As it was sent.
        payload: Bytes,
        /// It was kept by the broker, and sent before we subscribed.
        retained: bool,
    },
}

/// What may have cut off a link without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkChange {
    /// This machine has lost an address.
    AddressGone(std::net::IpAddr),
    /// Something else: a new address, a route, a network going up or down.
    Other,
}

/// A running link to other peers.
#[async_trait]
pub trait Link: Send {
    /// Queues a message at QoS 1, unless the same waits already; never waits.
    ///
    /// # Errors
    /// [`PublishError`]: too large, not connected, or the queue is full. The session's own retransmission covers the
    /// loss.
    fn publish(&self, message: Publish) -> Result<(), PublishError>;

    /// The next event; `None` after [`Link::close`]. Cancel-safe.
    async fn next(&mut self) -> Option<LinkEvent>;

    /// Sends `last`, disconnects in good order (no will is published) and ends, all within a second.
    async fn close(&mut self, last: Vec<Publish>);
}

/// Why a message was not queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Over [`MAX_PAYLOAD_BYTES`].
    #[error("{topic}: {bytes} bytes are more than a broker carries")]
    TooLarge {
        /// Where it was to go.
        topic: String,
        /// Its size.
        bytes: usize,
    },
    /// Not connected now; [`LinkEvent::Up`] tells when to publish again.
    #[error("{topic}: not connected")]
    Away {
        /// Where it was to go.
        topic: String,
    },
    /// Connected, but the broker does not keep up.
    #[error("{topic}: the queue is full")]
    Full {
        /// Where it was to go.
        topic: String,
    },
}
