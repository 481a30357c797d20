//! One broker connection: CONNECT, SUBSCRIBE, then messages both ways until it is lost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet, QoS,
    SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{debug, trace};

use super::reason;
use super::{Endpoint, now};
use crate::signalling::{LinkEvent, LinkSetup, MAX_PAYLOAD_BYTES, Publish};

/// A connection that is being made, or is made.
pub(super) struct Connection {
    client: AsyncClient,
    polled: mpsc::Receiver<Polled>,
    pump: JoinHandle<()>,
    address: String,
    retain: bool,
    /// Filters not yet given a packet id, in the order in which they were asked for.
    asked: VecDeque<String>,
    /// Filters that wait for their SUBACK, by packet id.
    subscribing: HashMap<u16, String>,
    /// Published and not acknowledged.
    in_flight: usize,
    /// When the broker must have said something.
    deadline: Option<Instant>,
}

type Polled = Result<Event, ConnectionError>;

/// What happened on a connection.
pub(super) enum Occurrence {
    /// CONNACK: the broker holds the will now.
    Accepted,
    /// The last SUBACK.
    Ready,
    /// A PUBLISH.
    Message(LinkEvent),
    /// A PUBACK.
    Acknowledged,
    /// The end; do not ask again.
    Lost {
        /// For a person.
        reason: String,
        /// Before CONNACK only: the broker may hold the will all the same.
        maybe_accepted: bool,
    },
}

impl Connection {
    /// Begins to connect; `number` goes into the will.
    pub(super) fn open(endpoint: &Endpoint, setup: &LinkSetup, number: u32) -> Self {
        let (client, mut eventloop) = AsyncClient::new(options(endpoint, setup, number), REQUESTS);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_WITHIN.as_secs());
        eventloop.set_network_options(network);
        let (sender, polled) = mpsc::channel(POLLED);
        Self {
            client,
            polled,
            pump: tokio::spawn(pump(eventloop, sender)),
            address: format!("{}:{}", endpoint.host, endpoint.port),
            retain: endpoint.retain,
            asked: setup.subscriptions.iter().cloned().collect(),
            subscribing: HashMap::new(),
            in_flight: 0,
            deadline: None,
        }
    }

    /// Whether one more message may be published: far fewer than the 100 packet ids that `rumqttc` goes round in, so
    /// that none is used twice at a time.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight < WINDOW
    }

    /// No SUBSCRIBE is still to be sent or acknowledged.
    pub(super) fn is_subscribed(&self) -> bool {
        self.asked.is_empty() && self.subscribing.is_empty()
    }

    /// Everything published was acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Publishes at QoS 1. Only when [`Self::has_room`].
    pub(super) fn publish(&mut self, message: Publish) {
        trace!(topic = %message.topic, bytes = message.payload.len(), "publish");
        let retain = message.retain && self.retain;
        // Fails for a topic with a wildcard in it, or when the pump has ended, which `next` reports.
        match self.client.try_publish(message.topic, QoS::AtLeastOnce, retain, message.payload) {
            Ok(()) => {
                self.in_flight += 1;
                self.deadline.get_or_insert_with(|| now() + ANSWER_WITHIN);
            }
            Err(_) => debug!("publish refused by the client"),
        }
    }

    /// What happens next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Occurrence {
        loop {
            let polled = match self.deadline {
                None => self.polled.recv().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, self.polled.recv()).await {
                    Ok(polled) => polled,
                    Err(_) => return self.lost(format!("{} stopped answering", self.address)),
                },
            };
            let event = match polled {
                Some(Ok(event)) => event,
                Some(Err(error)) => {
                    debug!(%error, "broker connection ended");
                    let maybe_accepted = reason::may_have_been_accepted(&error);
                    return Occurrence::Lost { reason: reason::in_words(&self.address, &error), maybe_accepted };
                }
                None => return self.lost("the mqtt client failed".to_owned()),
            };
            if let Some(occurrence) = self.take(event) {
                return occurrence;
            }
        }
    }

    /// DISCONNECT, then waits for the broker to close: closing first could throw away what it has not read.
    pub(super) async fn disconnect(mut self) {
        if self.client.try_disconnect().is_ok() {
            let closed = async { while let Some(Ok(_)) = self.polled.recv().await {} };
            if timeout(DISCONNECT_WITHIN, closed).await.is_err() {
                debug!("broker kept the connection open after disconnect");
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<Occurrence> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.deadline = (!self.asked.is_empty()).then(|| now() + ANSWER_WITHIN);
                for filter in &self.asked {
                    // One filter a SUBSCRIBE: AWS takes at most eight, and a refusal then names its filter.
                    if self.client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                        return Some(self.lost(format!("{filter} is not a topic filter")));
                    }
                }
                Some(Occurrence::Accepted)
            }
            Event::Outgoing(Outgoing::Subscribe(id)) => {
                if let Some(filter) = self.asked.pop_front() {
                    self.subscribing.insert(id, filter);
                }
                None
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                let filter = self.subscribing.remove(&ack.pkid)?;
                if !matches!(ack.return_codes.first(), Some(SubscribeReasonCode::Success(_))) {
                    let reason = format!("{} does not let this client subscribe to {filter}", self.address);
                    return Some(self.lost(reason));
                }
                self.is_subscribed().then(|| {
                    self.deadline = None;
                    Occurrence::Ready
                })
            }
            Event::Incoming(Packet::Publish(publish)) => Some(Occurrence::Message(LinkEvent::Message {
                topic: publish.topic,
                payload: publish.payload,
                retained: publish.retain,
            })),
            Event::Incoming(Packet::PubAck(_)) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.deadline = (self.in_flight > 0).then(|| now() + ANSWER_WITHIN);
                Some(Occurrence::Acknowledged)
            }
            _ => None,
        }
    }

    fn lost(&self, reason: String) -> Occurrence {
        Occurrence::Lost { reason, maybe_accepted: true }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// `poll` is not cancel-safe, so it gets a task to itself.
async fn pump(mut eventloop: EventLoop, polled: mpsc::Sender<Polled>) {
    loop {
        match eventloop.poll().await {
            Ok(event) => {
                if polled.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // What was read in one go with the end is still there.
                for event in std::mem::take(&mut eventloop.state.events) {
                    let _ = polled.send(Ok(event)).await;
                }
                let _ = polled.send(Err(error)).await;
                return;
            }
        }
    }
}

fn options(endpoint: &Endpoint, setup: &LinkSetup, number: u32) -> MqttOptions {
    // `rumqttc` joins host and port with a colon.
    let host = if endpoint.host.contains(':') { format!("[{}]", endpoint.host) } else { endpoint.host.clone() };
    let mut options = MqttOptions::new(&setup.client_id, host, endpoint.port);
    options
        .set_clean_session(true)
        .set_keep_alive(endpoint.keep_alive.max(Duration::from_secs(1)))
        .set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    if let Some(login) = &endpoint.login {
        options.set_credentials(&login.username, &login.password);
    }
    if let Some(will) = &setup.will {
        let will = will(number);
        let retain = will.retain && endpoint.retain;
        options.set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, retain));
    }
    options
}

/// Twice the payload limit: a larger packet would cost the connection, so sizes are checked before.
const MAX_PACKET_BYTES: usize = 2 * MAX_PAYLOAD_BYTES;
/// Messages without a PUBACK.
const WINDOW: usize = 16;
/// Room in the client for a window, the subscriptions and a DISCONNECT.
const REQUESTS: usize = 64;
/// Events on their way from the pump.
const POLLED: usize = 16;
/// Name resolution, TCP and CONNACK together.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// SUBACK, and progress in PUBACKs. A broker that takes longer has dropped something (AWS does when throttling), and
/// a packet id that is never acknowledged blocks the client in the end.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The broker closes at once; if it does not, the DISCONNECT is written all the same.
const DISCONNECT_WITHIN: Duration = Duration::from_millis(200);
