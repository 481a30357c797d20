//! A hundred viewers who join within a second at a broker that takes a hundred messages a second: the cores of both sides,
//! the outbox and the budget, in virtual time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::access::Guard;
use crate::media::{Bounded, CameraName};
use crate::session::node::{self, Camera, Node, NodeSetup};
use crate::session::viewer::{self, Viewer, ViewerSetup};
use crate::session::{
    Body, Boot, CameraChoice, CameraDetail, CameraInfo, CameraState, ErrorCode, Limits, Message, Mids, PeerCommand,
    PeerEvent, SessionKey, TopicPrefix, Topics, WantsRequest,
};
use crate::signalling::{Budget, Outbox, Profile, Publish};

const VIEWERS: usize = 100;
/// From one end of the broker to the other.
const ON_THE_WAY: Duration = Duration::from_millis(5);
/// For an offer to be made.
const OFFERED_AFTER: Duration = Duration::from_millis(3);

enum Thing {
    ToNode(String, Bytes),
    ToViewer(usize, String, Bytes),
    Connects(usize),
    Offered(SessionKey),
}

/// What a viewer hears first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Offer,
    Busy,
}

struct Storm {
    epoch: Instant,
    now: Duration,
    node: Node,
    viewers: Vec<Viewer>,
    outbox: Outbox,
    budget: Budget,
    coming: BTreeMap<(Duration, usize), Thing>,
    number: usize,
    status: Bytes,
    answers: BTreeMap<usize, (Duration, Answer)>,
    /// Through the node's connection, and whether the node has sent it.
    traffic: Vec<(Duration, bool)>,
}

fn topics() -> Topics {
    Topics::new(&TopicPrefix::default(), &"porch".parse().expect("a node id"))
}

fn node() -> Node {
    let mut random = fastrand::Rng::with_seed(1);
    let mut node = Node::new(NodeSetup {
        topics: topics(),
        boot: Boot::from_random(1),
        name: "Porch".to_owned(),
        version: "0.1.0".to_owned(),
        // Whoever has a place keeps it until the end.
        limits: Limits { answer_timeout_s: const { Bounded::new(120) }, ..Limits::default() },
        retain_status: true,
        guard: Guard::open(),
        entropy: Box::new(move || random.u64(..)),
    });
    let name = CameraName::try_from("front".to_owned()).expect("a name");
    let info = CameraInfo { name, width: 1280, height: 720, fps: 30 };
    let detail = CameraDetail { state: CameraState::Running, fault: None, message: None };
    node.handle(node::Input::Cameras(vec![Camera { info, detail }]), Duration::ZERO);
    node
}

fn viewer(n: usize) -> Viewer {
    let mut random = fastrand::Rng::with_seed(n as u64);
    Viewer::new(ViewerSetup {
        topics: topics(),
        peer: format!("tab-{n}").parse().expect("a peer id"),
        wants: WantsRequest { video: CameraChoice::All, audio: CameraChoice::All, ..WantsRequest::default() },
        token: None,
        entropy: Box::new(move || random.u64(..)),
    })
}

impl Storm {
    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
    fn new() -> Self {
        let mut storm = Self {
            epoch: Instant::now(),
            now: Duration::ZERO,
            node: node(),
            viewers: (0..VIEWERS).map(viewer).collect(),
            outbox: Outbox::default(),
            budget: Budget::new(Profile::AwsIot.rate().expect("it has one")),
            coming: BTreeMap::new(),
            number: 0,
            status: Bytes::new(),
            answers: BTreeMap::new(),
            traffic: Vec::new(),
        };
        storm.node.handle(node::Input::LinkUp { conn: 1 }, storm.now);
        storm.drain_node();
        storm
    }

    fn at(&mut self, after: Duration, thing: Thing) {
        self.number += 1;
        self.coming.insert((self.now + after, self.number), thing);
    }

    fn clock(&self) -> Instant {
        self.epoch + self.now
    }

    fn drain_node(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                node::Output::Publish(out) => {
                    if out.retain {
                        self.status = out.payload.clone();
                    }
                    let message = Publish { topic: out.topic, payload: out.payload, retain: out.retain };
                    self.outbox.put(message, self.clock()).expect("there is room for all that is to be said");
                }
                node::Output::Peer(key, PeerCommand::Offer { .. }) => self.at(OFFERED_AFTER, Thing::Offered(key)),
                _ => {}
            }
        }
        while !self.outbox.is_empty() && self.budget.next(self.clock()) <= self.clock() {
            let Some(message) = self.outbox.take(self.clock()) else { return };
            self.budget.sent(self.clock(), message.topic.len() + message.payload.len());
            self.traffic.push((self.now, true));
            let peer = message.topic.rsplit_once("/out/tab-").map(|(_, n)| n.parse().expect("a number"));
            if let Some(n) = peer {
                self.at(ON_THE_WAY, Thing::ToViewer(n, message.topic, message.payload));
            }
        }
    }

    fn drain_viewer(&mut self, n: usize) {
        while let Some(output) = self.viewers[n].poll_output() {
            match output {
                viewer::Output::Publish(out) => self.at(ON_THE_WAY, Thing::ToNode(out.topic, out.payload)),
                viewer::Output::Peer(_, PeerCommand::Answer { .. }) => {
                    self.answers.entry(n).or_insert((self.now, Answer::Offer));
                }
                _ => {}
            }
        }
    }

    fn happen(&mut self, thing: Thing) {
        match thing {
            Thing::ToNode(topic, payload) => {
                self.traffic.push((self.now, false));
                self.budget.received(self.clock(), topic.len() + payload.len());
                self.node.handle(node::Input::Message { topic, payload, retained: false }, self.now);
            }
            Thing::Offered(key) => {
                let offered = PeerEvent::Offered { sdp: "v=0\r\n".repeat(500), mids: Mids::default() };
                self.node.handle(node::Input::Peer(key, offered), self.now);
            }
            Thing::Connects(n) => {
                self.viewers[n].handle(viewer::Input::LinkUp, self.now);
                self.drain_viewer(n);
                let (topic, payload) = (topics().status(), self.status.clone());
                self.viewers[n].handle(viewer::Input::Message { topic, payload, retained: true }, self.now);
                self.drain_viewer(n);
            }
            Thing::ToViewer(n, topic, payload) => {
                if let Body::Error(failure) = Message::read(&payload).expect("a message").body {
                    assert!(failure.code == ErrorCode::Busy.number() && failure.retry_after > Some(0), "{failure:?}");
                    self.answers.entry(n).or_insert((self.now, Answer::Busy));
                }
                self.viewers[n].handle(viewer::Input::Message { topic, payload, retained: false }, self.now);
                self.drain_viewer(n);
            }
        }
    }

    /// Until everybody has an answer; gives up after a minute.
    fn run(&mut self) {
        for n in 0..VIEWERS {
            self.at(joins_at(n), Thing::Connects(n));
        }
        while self.answers.len() < VIEWERS && self.now < Duration::from_secs(60) {
            let timers = self.viewers.iter().map(Viewer::poll_timeout).enumerate();
            let viewer = timers.filter_map(|(n, at)| Some((at?, n))).min();
            let sending = (!self.outbox.is_empty()).then(|| self.budget.next(self.clock()) - self.epoch);
            let coming = self.coming.keys().next().map(|(at, _)| *at);
            let due = [coming, viewer.map(|(at, _)| at), self.node.poll_timeout(), sending];
            self.now = due.into_iter().flatten().min().expect("something is to come").max(self.now);
            while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let thing = entry.remove();
                self.happen(thing);
            }
            if let Some((_, n)) = viewer.filter(|(at, _)| *at <= self.now) {
                self.viewers[n].handle_timeout(self.now);
                self.drain_viewer(n);
            }
            self.node.handle_timeout(self.now);
            self.drain_node();
        }
    }

    /// Sent and received within a second, for each second in which AWS would drop something by our doing.
    fn seconds_over(&self) -> Vec<(usize, usize)> {
        let within = |from: Duration| {
            let second = self.traffic.iter().filter(|(at, _)| (from..from + Duration::from_secs(1)).contains(at));
            let (sent, received): (Vec<bool>, Vec<bool>) =
                second.map(|(_, is_sent)| *is_sent).partition(|is_sent| *is_sent);
            (sent.len(), received.len())
        };
        let fits = |(sent, received): &(usize, usize)| *sent <= 60 && (sent + received <= 100 || *sent <= 22);
        self.traffic.iter().map(|(at, _)| within(*at)).filter(|counts| !fits(counts)).collect()
    }
}

fn joins_at(n: usize) -> Duration {
    Duration::from_millis(100) + Duration::from_millis(10) * u32::try_from(n).expect("a few")
}

#[test]
fn a_hundred_joins_in_a_second_are_answered_in_seconds_within_the_budget() {
    let mut storm = Storm::new();
    storm.run();
    let count = |wanted| storm.answers.values().filter(|(_, answer)| *answer == wanted).count();
    assert_eq!((count(Answer::Offer), count(Answer::Busy)), (16, 84));
    assert_eq!(storm.seconds_over(), [], "(sent, received)");
    let mut waits: Vec<Duration> = storm.answers.iter().map(|(n, (at, _))| *at - joins_at(*n)).collect();
    waits.sort();
    let sent = storm.traffic.iter().filter(|(_, is_sent)| *is_sent).count();
    let told = format!(
        "half within {:?}, the slowest {:?}, {sent} sent, {} received",
        waits[VIEWERS / 2],
        waits[VIEWERS - 1],
        storm.traffic.len() - sent
    );
    assert!(waits[VIEWERS - 1] <= Duration::from_millis(3_500), "{told}");
    assert!(sent <= 180, "none is told twice what waits already: {told}");
}
