//! One broker connection: the way there, CONNECT, SUBSCRIBE, then messages both ways until it is lost.
//!
//! The packets are `rumqttc`'s, the rest is not: its event loop cannot be given a TLS server name of its own or a
//! WebSocket on our TLS, and keeps what a lost connection leaves behind.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::SinkExt;
use rumqttc::{Connect, ConnectReturnCode, LastWill, Packet, PubAck, QoS, Subscribe, SubscribeReasonCode};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, trace};

use super::dial::{Dialled, Ends, dial};
use super::driver::now;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::subscriptions::{Answer, Subscriptions};
use super::wire::{Incoming, Wire, turn, wire_on};
use crate::signalling::backoff::Retry;
use crate::signalling::{LinkEvent, LinkSetup, NetworkChange, Publish};

/// A connection that is being made, or is made.
pub(super) struct Connection {
    stage: Stage,
    address: String,
    retain: bool,
    keep_alive: Duration,
    has_certificate: bool,
    /// Sent when the way is open.
    connect: Option<Connect>,
    /// Asked for after CONNACK.
    subscriptions: Subscriptions,
    /// Published and not acknowledged.
    in_flight: BTreeSet<u16>,
    last_id: u16,
    /// When the broker must have said something.
    deadline: Instant,
    /// When it is asked whether it is still there.
    ping_at: Instant,
    ping_unanswered: bool,
}

enum Stage {
    Dialling(Dialling),
    Open { wire: Wire, ends: Ends, is_accepted: bool },
    Lost,
}

type Dialling = Pin<Box<dyn Future<Output = Result<Dialled, Failure>> + Send>>;

/// What happened on a connection.
pub(super) enum Occurrence {
    /// The way is open, and CONNECT on its way.
    Introduced,
    /// CONNACK: the broker holds the will now.
    Accepted,
    /// The last SUBACK: of the first ones, or of wishes that were asked for again.
    Ready,
    /// A PUBLISH.
    Message(LinkEvent),
    /// A PUBLISH over the limit, which is passed over.
    TooLarge {
        /// Whom it was for.
        topic: String,
        /// The broker keeps it, and sends it at each connection.
        retained: bool,
        /// Of the whole packet.
        bytes: usize,
    },
    /// A PUBACK.
    Acknowledged,
    /// The end; do not ask again.
    Lost {
        /// For a person.
        reason: String,
        /// When to try again.
        retry: Retry,
        /// Before CONNACK only: the broker may hold the will all the same.
        maybe_accepted: bool,
        /// The broker closed it without a word.
        closed: bool,
    },
}

impl Connection {
    /// Begins to connect; `number` goes into the will.
    pub(super) fn open(endpoint: &Endpoint, setup: &LinkSetup, number: u32) -> Self {
        let within = if endpoint.transport.tls.is_some() { CONNECT_OVER_TLS_WITHIN } else { CONNECT_WITHIN };
        Self {
            stage: Stage::Dialling(Box::pin(dial(endpoint.clone()))),
            address: endpoint.address(),
            retain: endpoint.retain,
            keep_alive: endpoint.keep_alive.max(Duration::from_secs(1)),
            has_certificate: endpoint.transport.tls.as_ref().is_some_and(|tls| tls.has_certificate),
            connect: Some(connect(endpoint, setup, number)),
            subscriptions: Subscriptions::of(setup),
            in_flight: BTreeSet::new(),
            last_id: 0,
            deadline: now() + within,
            ping_at: now() + within,
            ping_unanswered: false,
        }
    }

    /// Whether one more message may be published.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < WINDOW
    }

    /// No SUBSCRIBE is still to be sent or acknowledged.
    pub(super) fn is_subscribed(&self) -> bool {
        self.subscriptions.is_settled()
    }

    /// Wishes that the broker does not grant.
    pub(super) fn refused(&self) -> &[String] {
        self.subscriptions.refused()
    }

    /// Everything published was acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Publishes at QoS 1. Only when [`Self::has_room`].
    pub(super) fn publish(&mut self, message: Publish) {
        trace!(topic = %message.topic, bytes = message.payload.len(), "publish");
        if !rumqttc::valid_topic(&message.topic) {
            debug!(topic = %message.topic, "not a topic to publish to");
            return;
        }
        let id = self.next_id();
        let mut publish = rumqttc::Publish::from_bytes(message.topic, QoS::AtLeastOnce, message.payload);
        publish.pkid = id;
        publish.retain = message.retain && self.retain;
        if self.send(Packet::Publish(publish)) {
            if self.in_flight.is_empty() {
                self.expect_answer();
            }
            self.in_flight.insert(id);
        }
    }

    /// What happens next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Occurrence {
        loop {
            let step = match &mut self.stage {
                Stage::Dialling(dialling) => tokio::select! {
                    dialled = dialling => Step::Dialled(dialled),
                    () = sleep_until(self.deadline) => Step::Silence,
                },
                Stage::Open { wire, is_accepted, .. } => {
                    let waits = !self.in_flight.is_empty() || self.subscriptions.is_waiting() || self.ping_unanswered;
                    let deadline = (waits || !*is_accepted).then_some(self.deadline);
                    let ping_at = is_accepted.then_some(self.ping_at);
                    let ask_again_at = self.subscriptions.ask_again_at();
                    tokio::select! {
                        packet = turn(wire) => Step::Packet(packet),
                        () = until(deadline) => Step::Silence,
                        () = until(ping_at) => Step::Ping,
                        () = until(ask_again_at) => Step::AskAgain,
                    }
                }
                Stage::Lost => return self.lost(&Failure::Closed),
            };
            match self.take(step) {
                Ok(None) => {}
                Ok(Some(occurrence)) => return occurrence,
                Err(failure) => return self.lost(&failure),
            }
        }
    }

    /// Whether a change of the network has cut this connection off, so that nobody will say so.
    pub(super) fn is_cut_by(&self, change: NetworkChange) -> bool {
        match &self.stage {
            // Whether that was the address it was to begin at is not known yet; to begin again costs nothing.
            Stage::Dialling(_) => matches!(change, NetworkChange::AddressGone(_)),
            Stage::Open { ends, .. } => ends.are_cut_by(change),
            Stage::Lost => false,
        }
    }

    /// DISCONNECT, then waits for the broker to close: closing first could throw away what it has not read. The goodbyes
    /// of WebSocket and TLS come last, but come: one that is missing stays in OpenSSL's queue of errors, and Mosquitto
    /// 2.0.11 then throws out whoever it reads from next.
    pub(super) async fn disconnect(mut self) {
        self.send(Packet::Disconnect);
        if let Stage::Open { wire, .. } = &mut self.stage {
            let closed = async { while let Ok(Some(_)) = turn(wire).await {} };
            if timeout(DISCONNECT_WITHIN, closed).await.is_err() {
                debug!("broker kept the connection open after disconnect");
            }
            let _ = timeout(GOODBYE_WITHIN, wire.close()).await;
        }
    }

    fn take(&mut self, step: Step) -> Result<Option<Occurrence>, Failure> {
        match step {
            Step::Dialled(dialled) => {
                let Dialled { stream, ends } = dialled?;
                self.stage = Stage::Open { wire: wire_on(stream), ends, is_accepted: false };
                if let Some(connect) = self.connect.clone() {
                    self.send(Packet::Connect(connect));
                }
                Ok(Some(Occurrence::Introduced))
            }
            Step::Silence if self.is_accepted() => Err(Failure::Said(format!("{} stopped answering", self.address))),
            Step::Silence => Err(Failure::Timeout),
            Step::Ping => {
                self.ping_at = now() + self.keep_alive;
                if self.is_idle() && !self.ping_unanswered {
                    self.expect_answer();
                }
                self.ping_unanswered = true;
                self.send(Packet::PingReq);
                Ok(None)
            }
            Step::AskAgain => {
                if self.is_idle() && !self.ping_unanswered {
                    self.expect_answer();
                }
                self.subscriptions.ask_again();
                self.subscribe()?;
                Ok(None)
            }
            Step::Packet(Ok(Some(Incoming::Packet(packet)))) if self.is_accepted() => self.packet(packet),
            Step::Packet(Ok(Some(Incoming::TooLarge(publish, bytes)))) if self.is_accepted() => {
                self.acknowledge(&publish);
                Ok(Some(Occurrence::TooLarge { topic: publish.topic, retained: publish.retain, bytes }))
            }
            Step::Packet(Ok(Some(Incoming::Packet(Packet::ConnAck(ack))))) => self.accepted(ack.code),
            Step::Packet(Ok(Some(_))) => Err(Failure::NotConnAck),
            Step::Packet(Ok(None)) if !self.is_accepted() && self.has_certificate => Err(Failure::ClosedOnCertificate),
            Step::Packet(Ok(None)) => Err(Failure::Closed),
            Step::Packet(Err(error)) => Err(match Failure::of_packet(error) {
                Failure::Packet(_) if !self.is_accepted() => Failure::NotConnAck,
                failure => failure,
            }),
        }
    }

    fn accepted(&mut self, code: ConnectReturnCode) -> Result<Option<Occurrence>, Failure> {
        if code != ConnectReturnCode::Success {
            return Err(Failure::Refused(code));
        }
        if let Stage::Open { is_accepted, .. } = &mut self.stage {
            *is_accepted = true;
        }
        self.connect = None;
        self.ping_at = now() + self.keep_alive;
        self.expect_answer();
        self.subscribe()?;
        Ok(Some(Occurrence::Accepted))
    }

    fn subscribe(&mut self) -> Result<(), Failure> {
        // One filter a SUBSCRIBE: AWS takes at most eight, and a refusal then names its filter.
        while let Some(filter) = self.subscriptions.next() {
            if !rumqttc::valid_filter(&filter.text) {
                return Err(Failure::Said(format!("{} is not a topic filter", filter.text)));
            }
            let id = self.next_id();
            let mut subscribe = Subscribe::new(&filter.text, QoS::AtLeastOnce);
            subscribe.pkid = id;
            self.send(Packet::Subscribe(subscribe));
            self.subscriptions.asked(id, filter);
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet) -> Result<Option<Occurrence>, Failure> {
        Ok(match packet {
            Packet::SubAck(ack) => {
                let is_granted = matches!(ack.return_codes.first(), Some(SubscribeReasonCode::Success(_)));
                match self.subscriptions.answered(ack.pkid, is_granted, now()) {
                    Answer::Pending => None,
                    Answer::Settled => Some(Occurrence::Ready),
                    Answer::Useless(filter) => {
                        let words = format!("{} does not let this client subscribe to {filter}", self.address);
                        return Err(Failure::Said(words));
                    }
                }
            }
            Packet::Publish(publish) => {
                self.acknowledge(&publish);
                Some(Occurrence::Message(LinkEvent::Message {
                    topic: publish.topic,
                    payload: publish.payload,
                    retained: publish.retain,
                }))
            }
            Packet::PubAck(ack) => self.in_flight.remove(&ack.pkid).then(|| {
                self.expect_answer();
                Occurrence::Acknowledged
            }),
            Packet::PingResp => {
                self.ping_unanswered = false;
                None
            }
            // No broker has this word in 3.1.1; `mqtt5` says it all the same to whom it throws off.
            Packet::Disconnect => return Err(Failure::Closed),
            other => return Err(Failure::Said(format!("{} broke the protocol with {other:?}", self.address))),
        })
    }

    fn acknowledge(&mut self, publish: &rumqttc::Publish) {
        if publish.qos == QoS::AtLeastOnce {
            self.send(Packet::PubAck(PubAck::new(publish.pkid)));
        }
    }

    /// Into the buffer; written by [`Self::next`]. False for what the codec refuses.
    fn send(&mut self, packet: Packet) -> bool {
        let Stage::Open { wire, .. } = &mut self.stage else { return false };
        match wire.start_send_unpin(packet) {
            Ok(()) => true,
            Err(error) => {
                debug!(%error, "a packet cannot be written");
                false
            }
        }
    }

    /// Anything that waits for an answer waits from now on.
    fn expect_answer(&mut self) {
        self.deadline = now() + ANSWER_WITHIN;
    }

    fn is_accepted(&self) -> bool {
        matches!(self.stage, Stage::Open { is_accepted: true, .. })
    }

    /// 1 to 65,535 and round again: with a window of a few, none is used twice at a time.
    fn next_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    fn lost(&mut self, failure: &Failure) -> Occurrence {
        let was_introduced = matches!(self.stage, Stage::Open { .. });
        let was_refused = matches!(failure, Failure::Refused(_) | Failure::NotConnAck);
        self.stage = Stage::Lost;
        let (reason, retry) = (failure.in_words(&self.address), failure.retry());
        let closed = failure.is_close();
        Occurrence::Lost { reason, retry, maybe_accepted: was_introduced && !was_refused, closed }
    }
}

/// What `next` has waited for.
enum Step {
    Dialled(Result<Dialled, Failure>),
    Packet(Result<Option<Incoming>, rumqttc::Error>),
    Silence,
    Ping,
    AskAgain,
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn connect(endpoint: &Endpoint, setup: &LinkSetup, number: u32) -> Connect {
    let mut connect = Connect::new(&setup.client_id);
    connect.clean_session = true;
    connect.keep_alive = endpoint.keep_alive.as_secs().clamp(1, u16::MAX.into()) as u16;
    if let Some(login) = &endpoint.login {
        connect.set_login(&login.username, &login.password);
    }
    connect.last_will = setup.will.as_ref().map(|will| {
        let will = will(number);
        LastWill {
            topic: will.topic,
            message: will.payload,
            qos: QoS::AtLeastOnce,
            retain: will.retain && endpoint.retain,
        }
    });
    connect
}

/// Messages without a PUBACK; AWS IoT Core takes 100.
const WINDOW: usize = 16;
/// Name resolution, TCP and CONNACK together.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The same with a TLS handshake in between: a small board's share of it is most of a second, a distant broker's three
/// round trips more.
const CONNECT_OVER_TLS_WITHIN: Duration = Duration::from_secs(10);
/// SUBACK, PINGRESP, and progress in PUBACKs. A broker that takes longer has dropped something (AWS does when
/// throttling).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The broker closes at once; if it does not, the DISCONNECT is written all the same.
const DISCONNECT_WITHIN: Duration = Duration::from_millis(200);
/// Into the socket's buffer, mostly.
const GOODBYE_WITHIN: Duration = Duration::from_millis(50);
