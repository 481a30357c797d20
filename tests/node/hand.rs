//! A viewer that uses its data channels: the program's own core and connection, with hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camera_node::peer::config::Ice;
use camera_node::peer::{
    Channel, ChannelServices, Connector, Delivery, Message, PeerHandle, ReceivedPacket, Refused, Reports,
};
use camera_node::session::viewer::{Input, Output, Viewer, ViewerSetup};
use camera_node::session::{
    CameraChoice, Outgoing, PeerCommand, PeerId, SessionKey, Text, Token, TopicPrefix, Topics, TrackKind, WantsRequest,
};
use camera_node::signalling::config::Broker;
use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep_until, timeout};

/// Nothing awaited here takes a second when it works; a loaded machine may need more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A viewer of the node `stage`. Dropped, it is silent from then on.
pub struct Hand {
    channels: mpsc::UnboundedReceiver<Channel>,
    received: mpsc::Receiver<ReceivedPacket>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

enum Order {
    Open(String),
    Renew(Token),
    Leave,
}

struct Hands(mpsc::UnboundedSender<Channel>);

impl ChannelServices for Hands {
    fn opens(&self, _label: &str) -> Option<Delivery> {
        None
    }

    fn serve(&self, channel: Channel) {
        let _ = self.0.send(channel);
    }

    fn refused(&self, label: &str, why: Refused) {
        panic!("the node opened {label}: {why:?}");
    }
}

impl Hand {
    /// Joins for these channels, and for pictures and sound if `sees`.
    pub async fn join(broker: &str, peer: &str, (sees, labels): (bool, &[&str]), token: Option<&str>) -> Self {
        let topics = Topics::new(&TopicPrefix::default(), &"stage".parse().expect("a node id"));
        let id: PeerId = peer.parse().expect("a peer id");
        let url = broker.parse().expect("a URL");
        let endpoint = Endpoint::from_config(&Broker { url, ..Broker::default() }).expect("no files are needed");
        let setup = LinkSetup {
            client_id: id.to_string(),
            subscriptions: topics.peer_subscriptions(&id),
            ..LinkSetup::default()
        };
        let link = MqttLink::start(endpoint, setup, 1);
        let wants = WantsRequest {
            video: if sees { CameraChoice::All } else { CameraChoice::default() },
            audio: if sees { CameraChoice::All } else { CameraChoice::default() },
            channels: labels.iter().map(|label| Text::try_from(*label).expect("a label")).collect(),
            ..WantsRequest::default()
        };
        // Who comes again needs another session: the node remembers those that have ended.
        static HANDS: AtomicU32 = AtomicU32::new(0);
        let seed = u64::from(std::process::id()) << 32 | u64::from(HANDS.fetch_add(1, Ordering::Relaxed));
        let mut bits = peer.bytes().fold(seed, |bits, byte| bits.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let entropy = Box::new(move || {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bits ^ (bits >> 29)
        });
        let token = token.map(|token| Token::try_from(token).expect("a token"));
        let core = Viewer::new(ViewerSetup { topics, peer: id, wants, token, entropy });
        let ice = Ice { include_loopback: true, ..Ice::default() };
        let connector = Arc::new(Connector::new(&ice).expect("cryptography works"));
        let (tell, channels) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let (packets, arriving) = mpsc::channel(64);
        let (taps, received) = mpsc::channel(64);
        let (reports, reported) = mpsc::unbounded_channel();
        let shell = Shell {
            core,
            link,
            connector,
            peer: None,
            reports,
            packets,
            taps,
            services: Arc::new(Hands(tell)),
            begun: now(),
        };
        Self { channels, received, orders, task: tokio::spawn(shell.run(ordered, reported, arriving)) }
    }

    /// Waits until what it hears is loud, or silent, for a fifth of a second.
    pub async fn hears(&mut self, loud: bool) {
        let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).expect("libopus decodes");
        let comes = async {
            let mut on_end = 0;
            while on_end < 10 {
                let packet = self.received.recv().await.expect("it lives");
                if packet.kind != TrackKind::Audio {
                    continue;
                }
                let mut samples = [0; 5_760];
                let count = decoder.decode(&packet.payload, &mut samples, false).expect("Opus");
                let peak = samples[..count].iter().map(|sample: &i16| sample.unsigned_abs()).max().unwrap_or_default();
                // The pattern's hum has 800.
                let is_so = if loud { peak > 300 } else { peak < 10 };
                on_end = if is_so { on_end + 1 } else { 0 };
            }
        };
        assert!(
            timeout(PATIENCE, comes).await.is_ok(),
            "what it hears does not become {}",
            if loud { "loud" } else { "silent" }
        );
    }

    /// Kilobits a second of its pictures, by their own clock: over two seconds that begin two seconds from now.
    pub async fn picture_kbps(&mut self) -> usize {
        while self.received.try_recv().is_ok() {}
        let measured = async {
            let (mut begun, mut bytes) = (None, 0);
            loop {
                let packet = self.received.recv().await.expect("it lives");
                if packet.kind != TrackKind::Video {
                    continue;
                }
                match packet.rtp_time.wrapping_sub(*begun.get_or_insert(packet.rtp_time)) / 90_000 {
                    2 | 3 => bytes += packet.payload.len(),
                    4..60 => return bytes,
                    // The first, and one that comes later than it should.
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, measured).await.expect("pictures come") * 8 / 2 / 1_000
    }

    /// The next channel, which has this label.
    pub async fn channel(&mut self, label: &str) -> Channel {
        let channel = timeout(PATIENCE, self.channels.recv()).await.expect("a channel in time").expect("it lives");
        assert_eq!(channel.label(), label);
        channel
    }

    /// The next two, which the node opens in any order.
    pub async fn both(&mut self, one: &str, other: &str) -> (Channel, Channel) {
        let mut next = async || timeout(PATIENCE, self.channels.recv()).await.expect("in time").expect("it lives");
        let (first, second) = (next().await, next().await);
        let pair = if first.label() == one { (first, second) } else { (second, first) };
        assert_eq!((pair.0.label(), pair.1.label()), (one, other));
        pair
    }

    /// Opens one of its own; it must be past its first channel of the node's.
    pub async fn open(&mut self, label: &str) -> Channel {
        let _ = self.orders.send(Order::Open(label.to_owned()));
        self.channel(label).await
    }

    /// Opens one in place of one that the node has just closed. The crate answers the answer to a stream's reset by one more
    /// reset, and that takes with it what has the stream by then: such a channel never comes, and is opened again. Browsers keep a
    /// stream's number until both sides have reset it (`tests/browser/apps.test.mjs` opens one twenty times).
    pub async fn reopen(&mut self, label: &str) -> Channel {
        let mut again = interval(Duration::from_secs(1));
        let comes = async {
            loop {
                tokio::select! {
                    channel = self.channels.recv() => return channel.expect("it lives"),
                    _ = again.tick() => drop(self.orders.send(Order::Open(label.to_owned()))),
                }
            }
        };
        let channel = timeout(PATIENCE, comes).await.expect("a channel in time");
        assert_eq!(channel.label(), label);
        channel
    }

    /// Goes on by this token.
    pub fn renew(&self, token: &str) {
        let _ = self.orders.send(Order::Renew(Token::try_from(token).expect("a token")));
    }

    /// Says `leave`, and waits until it is heard.
    pub async fn leave(self) {
        let _ = self.orders.send(Order::Leave);
        timeout(PATIENCE, self.task).await.expect("in time").expect("no panic");
    }
}

/// What the node says next.
pub async fn next(channel: &mut Channel) -> Message {
    timeout(PATIENCE, channel.next()).await.expect("a message in time").expect("the channel is open")
}

/// What the node says next, in JSON.
pub async fn told(channel: &mut Channel) -> Value {
    serde_json::from_slice(&next(channel).await.data).expect("JSON")
}

/// Asks, and gives the answer; what comes in between is none.
pub async fn ask(control: &mut Channel, method: &str, params: Value) -> Value {
    let request = json!({"id": method, "method": method, "params": params});
    control.outgoing().send(Message::text(request.to_string())).await.expect("the channel is open");
    loop {
        let answer = told(control).await;
        if answer["id"] == method {
            return answer;
        }
    }
}

struct Shell {
    core: Viewer,
    link: MqttLink,
    connector: Arc<Connector>,
    peer: Option<(SessionKey, PeerHandle)>,
    reports: Reports,
    packets: mpsc::Sender<ReceivedPacket>,
    taps: mpsc::Sender<ReceivedPacket>,
    services: Arc<Hands>,
    begun: Instant,
}

impl Shell {
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut reported: mpsc::UnboundedReceiver<(SessionKey, camera_node::session::PeerEvent)>,
        mut packets: mpsc::Receiver<ReceivedPacket>,
    ) {
        let mut leaves = false;
        loop {
            self.perform();
            if leaves && self.core.is_settled() {
                break;
            }
            let due = self.core.poll_timeout().map_or(self.begun + PATIENCE * 10, |due| self.begun + due);
            let input = tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Open(label)) => {
                        self.peer.as_ref().expect("it is connected").1.open_channel(label);
                        continue;
                    }
                    Some(Order::Renew(token)) => Input::Token(token),
                    Some(Order::Leave) => {
                        leaves = true;
                        Input::Close
                    }
                    // Nobody holds it any more: it falls silent.
                    None => return,
                },
                event = self.link.next() => match event {
                    Some(LinkEvent::Up { .. }) => Input::LinkUp,
                    Some(LinkEvent::Message { topic, payload, retained }) => Input::Message { topic, payload, retained },
                    Some(LinkEvent::Down { .. }) => Input::LinkDown,
                    Some(_) => continue,
                    None => return,
                },
                Some((key, event)) = reported.recv() => Input::Peer(key, event),
                Some(packet) = packets.recv() => {
                    // Nobody may look or listen.
                    let _ = self.taps.try_send(packet);
                    continue;
                }
                () = sleep_until(due) => {
                    self.core.handle_timeout(self.begun.elapsed());
                    continue;
                }
            };
            self.core.handle(input, self.begun.elapsed());
        }
        if let Some((_, peer)) = self.peer.take() {
            peer.closed().await;
        }
        self.link.close(Vec::new()).await;
    }

    fn perform(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Publish(Outgoing { topic, payload, retain }) => {
                    let _ = self.link.publish(Publish { topic, payload, retain });
                }
                Output::Peer(_, PeerCommand::Close) => self.peer = None,
                Output::Peer(key, command) => {
                    if self.peer.as_ref().is_none_or(|(there, _)| *there != key) {
                        let services = Arc::clone(&self.services);
                        let (packets, reports) = (self.packets.clone(), self.reports.clone());
                        let handle = self.connector.viewer(key.clone(), packets, services, reports);
                        self.peer = Some((key, handle));
                    }
                    self.peer.as_ref().expect("just made").1.command(command);
                }
                Output::Event(_) | Output::State(_) | Output::Unreadable(_) => {}
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the core wants to know how much time has passed")]
fn now() -> Instant {
    Instant::now()
}
