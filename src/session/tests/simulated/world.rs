//! The network, the clock and the two kinds of cores on it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::connections::Connections;
use super::transcripts::Transcript;

use crate::media::{Bounded, CameraName};
use crate::session::node::{self, Camera, Node, NodeSetup};
use crate::session::viewer::{self, Viewer, ViewerSetup, ViewerState};
use crate::session::*;

/// What becomes of messages: each kind of harm has a die of its own, and one message may suffer all of them.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) loss: f64,
    pub(super) repeat: f64,
    pub(super) delay_ms: (u64, u64),
    /// The share of messages that are overtaken by those right after them.
    pub(super) overtaken: f64,
    /// The share of messages that come seconds late.
    pub(super) late: f64,
}

pub(super) const FAIR: Weather = Weather { loss: 0.0, repeat: 0.0, delay_ms: (5, 6), overtaken: 0.0, late: 0.0 };
const OVERTAKEN_MS: std::ops::Range<u64> = 50..550;
const LATE_MS: std::ops::Range<u64> = 1_000..5_000;

impl Weather {
    /// So large a share is lost, as large a one comes twice, is overtaken, and comes late.
    pub(super) const fn bad(share: f64) -> Self {
        Self { loss: share, repeat: share, delay_ms: (5, 50), overtaken: share, late: share }
    }

    /// How long this copy takes.
    fn way_ms(&self, random: &mut fastrand::Rng) -> u64 {
        let mut ms = random.u64(self.delay_ms.0..self.delay_ms.1);
        for (share, more) in [(self.overtaken, OVERTAKEN_MS), (self.late, LATE_MS)] {
            if random.f64() < share {
                ms += random.u64(more);
            }
        }
        ms
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Node,
    Viewer(usize),
}

pub(super) enum Thing {
    Message {
        topic: String,
        payload: Bytes,
        retained: bool,
    },
    Peer(SessionKey, PeerEvent),
    /// The connection looks whether its path is whole.
    Look(SessionKey),
    /// The address that the connection was reached at is gone.
    LoseAddress(SessionKey),
    /// Nothing passes any more between the two, or does again.
    Cut(SessionKey, bool),
    Link(bool),
    Person(viewer::Input),
}

pub(super) struct World {
    pub(super) random: fastrand::Rng,
    pub(super) weather: Weather,
    pub(super) now: Duration,
    pub(super) node: Node,
    pub(super) boots: u32,
    pub(super) conn: u32,
    pub(super) viewers: Vec<Viewer>,
    pub(super) retained: Option<Bytes>,
    pub(super) on_the_way: BTreeMap<(Duration, u64), (Who, Thing)>,
    pub(super) sent: u64,
    pub(super) connections: Connections,
    pub(super) node_log: Vec<Event>,
    pub(super) viewer_log: Vec<Event>,
    /// When each session said `join`, and when it was connected, at the viewer's.
    pub(super) times: BTreeMap<SessionKey, (Duration, Option<Duration>)>,
    /// Messages published, `status` left out.
    pub(super) published: usize,
    pub(super) broker_up: bool,
    /// How the node's rings ended.
    pub(super) rings: Vec<node::RingOutcome>,
    /// What each viewer's person does when it rings, and after so many ms.
    pub(super) people: BTreeMap<usize, (u64, viewer::Input)>,
    /// Of the first viewer, where one is taken.
    pub(super) transcript: Option<Transcript>,
}

pub(super) fn topics() -> Topics {
    Topics::new(&TopicPrefix::default(), &"porch".parse().expect("a node id"))
}

pub(super) fn new_node(seed: u64, boot: u64) -> Node {
    let mut random = fastrand::Rng::with_seed(seed ^ boot);
    let mut node = Node::new(NodeSetup {
        topics: topics(),
        boot: Boot::from_random(boot),
        name: "Porch".to_owned(),
        version: "0.1.0".to_owned(),
        limits: Limits { max_viewers: const { Bounded::new(256) }, ..Limits::default() },
        retain_status: true,
        guard: crate::access::Guard::open(),
        entropy: Box::new(move || random.u64(..)),
    });
    let name = CameraName::try_from("front".to_owned()).expect("a name");
    let info = CameraInfo { name, width: 1280, height: 720, fps: 30 };
    let detail = CameraDetail { state: CameraState::Running, fault: None, message: None };
    node.handle(node::Input::Cameras(vec![Camera { info, detail }]), Duration::ZERO);
    node
}

impl World {
    pub(super) fn new(seed: u64, viewers: usize, weather: Weather) -> Self {
        let new_viewer = |n: usize| {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(n as u64));
            Viewer::new(ViewerSetup {
                topics: topics(),
                peer: format!("tab-{n}").parse().expect("a peer id"),
                wants: WantsRequest { video: CameraChoice::All, ..WantsRequest::default() },
                token: None,
                entropy: Box::new(move || random.u64(..)),
            })
        };
        let mut world = Self {
            random: fastrand::Rng::with_seed(seed),
            weather,
            now: Duration::ZERO,
            node: new_node(seed, 1),
            boots: 1,
            conn: 1,
            viewers: (0..viewers).map(new_viewer).collect(),
            retained: None,
            on_the_way: BTreeMap::new(),
            sent: 0,
            connections: Connections::default(),
            node_log: Vec::new(),
            viewer_log: Vec::new(),
            times: BTreeMap::new(),
            published: 0,
            broker_up: true,
            rings: Vec::new(),
            people: BTreeMap::new(),
            transcript: None,
        };
        world.link_all(true);
        world
    }

    /// The same with other viewers.
    pub(super) fn with_viewers(mut self, change: impl FnMut(Viewer) -> Viewer) -> Self {
        self.viewers = std::mem::take(&mut self.viewers).into_iter().map(change).collect();
        self
    }

    pub(super) fn link_all(&mut self, up: bool) {
        self.broker_up = up;
        self.at(0, Who::Node, Thing::Link(up));
        for n in 0..self.viewers.len() {
            let delay = self.random.u64(10..500);
            self.at(delay, Who::Viewer(n), Thing::Link(up));
        }
    }

    pub(super) fn at(&mut self, delay_ms: u64, who: Who, thing: Thing) {
        self.sent += 1;
        self.on_the_way.insert((self.now + Duration::from_millis(delay_ms), self.sent), (who, thing));
    }

    pub(super) fn publish(&mut self, outgoing: &Outgoing) {
        if !self.broker_up {
            return;
        }
        if outgoing.retain {
            self.retained = Some(outgoing.payload.clone());
        }
        let receivers: Vec<Who> = match topics().parse(&outgoing.topic).expect("one of our topics") {
            Topic::In(_) => {
                self.published += 1;
                vec![Who::Node]
            }
            Topic::Out(peer) => {
                self.published += 1;
                vec![Who::Viewer(peer.as_str()[4..].parse().expect("a number"))]
            }
            Topic::Status => std::iter::once(Who::Node).chain((0..self.viewers.len()).map(Who::Viewer)).collect(),
        };
        for who in receivers {
            let copies = if self.random.f64() < self.weather.loss {
                0
            } else if self.random.f64() < self.weather.repeat {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let delay = self.weather.way_ms(&mut self.random);
                let (topic, payload) = (outgoing.topic.clone(), outgoing.payload.clone());
                self.at(delay, who, Thing::Message { topic, payload, retained: false });
            }
        }
    }

    pub(super) fn drain(&mut self, who: Who) {
        loop {
            match who {
                Who::Node => match self.node.poll_output() {
                    Some(node::Output::Publish(outgoing)) => self.publish(&outgoing),
                    Some(node::Output::Peer(key, command)) => self.command(who, key, command),
                    Some(node::Output::Event(event)) => self.node_log.push(event),
                    Some(node::Output::Ring(outcome)) => self.rings.push(outcome),
                    Some(node::Output::Allowed(..)) => {}
                    Some(node::Output::Rival(_)) => panic!("there is one node"),
                    Some(node::Output::Unreadable(peer, why)) => panic!("{peer}: {why}"),
                    // Too many at once for the node's limits: they come again.
                    Some(node::Output::Unread(_)) => {}
                    // Nobody here asks for one.
                    Some(node::Output::Snapshot(_)) => {}
                    None => return,
                },
                Who::Viewer(n) => match self.viewers[n].poll_output() {
                    Some(viewer::Output::Publish(outgoing)) => {
                        if let (0, Some(transcript)) = (n, &mut self.transcript) {
                            transcript.says(&outgoing.payload, self.now);
                        }
                        self.publish(&outgoing);
                    }
                    Some(viewer::Output::Peer(key, command)) => self.command(who, key, command),
                    Some(viewer::Output::Event(event)) => {
                        if let (0, Some(transcript)) = (n, &mut self.transcript) {
                            transcript.logs(&event, self.now);
                        }
                        let (_, connected) = self.times.entry(event.session.clone()).or_insert((self.now, None));
                        if event.step == Step::Connected {
                            connected.get_or_insert(self.now);
                        }
                        self.viewer_log.push(event);
                    }
                    Some(viewer::Output::State(shown)) => {
                        if shown.state == ViewerState::Ringing
                            && let Some((after, input)) = self.people.get(&n).cloned()
                        {
                            self.at(after, who, Thing::Person(input));
                        }
                    }
                    Some(viewer::Output::Unreadable(why)) => panic!("{why}"),
                    None => return,
                },
            }
        }
    }

    pub(super) fn deliver(&mut self, who: Who, thing: Thing) {
        let now = self.now;
        if let (Who::Viewer(0), Some(transcript)) = (who, &mut self.transcript) {
            transcript.told(&thing, now);
        }
        match (who, thing) {
            (Who::Node, Thing::Message { topic, payload, retained }) => {
                self.node.handle(node::Input::Message { topic, payload, retained }, now);
            }
            (Who::Node, Thing::Peer(key, event)) if self.connections.at_node.contains_key(&key) => {
                self.node.handle(node::Input::Peer(key, event), now);
            }
            (Who::Node, Thing::Link(true)) => {
                self.node.handle(node::Input::LinkUp { conn: self.conn }, now);
                self.conn += 1;
            }
            (Who::Node, Thing::Link(false)) => self.node.handle(node::Input::LinkDown, now),
            (Who::Viewer(n), Thing::Message { topic, payload, retained }) => {
                self.viewers[n].handle(viewer::Input::Message { topic, payload, retained }, now);
            }
            (Who::Viewer(n), Thing::Peer(key, event)) if self.connections.at_viewer.contains_key(&key) => {
                self.viewers[n].handle(viewer::Input::Peer(key, event), now);
            }
            (Who::Viewer(n), Thing::Link(true)) => {
                self.viewers[n].handle(viewer::Input::LinkUp, now);
                if let Some(payload) = self.retained.clone() {
                    self.at(5, who, Thing::Message { topic: topics().status(), payload, retained: true });
                }
            }
            (Who::Viewer(n), Thing::Link(false)) => self.viewers[n].handle(viewer::Input::LinkDown, now),
            (Who::Viewer(n), Thing::Person(input)) => self.viewers[n].handle(input, now),
            (Who::Node, Thing::Person(_)) => panic!("a camera has no person"),
            (_, Thing::LoseAddress(key)) => {
                if let Some(event) = self.lose_address(who, &key) {
                    self.deliver(who, Thing::Peer(key, event));
                }
            }
            (_, Thing::Cut(key, is_cut)) => self.cut(&key, is_cut),
            (_, Thing::Look(key)) => {
                if let Some(event) = self.look(who, &key) {
                    self.deliver(who, Thing::Peer(key, event));
                }
            }
            // The connection is closed: no event follows.
            (_, Thing::Peer(..)) => {}
        }
        self.drain(who);
    }

    pub(super) fn run_for(&mut self, seconds: u64) {
        self.run_in_ms(seconds * 1_000);
    }

    pub(super) fn run_in_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        let mut same_moment = 0;
        loop {
            let timers = self.viewers.iter().map(Viewer::poll_timeout).enumerate();
            let timer = timers
                .filter_map(|(n, at)| at.map(|at| (at, Who::Viewer(n))))
                .chain(self.node.poll_timeout().map(|at| (at, Who::Node)))
                .min();
            let message = self.on_the_way.keys().next().copied();
            let next = timer.map(|(at, _)| at).into_iter().chain(message.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            same_moment = if next > self.now { 0 } else { same_moment + 1 };
            assert!(same_moment < 100_000, "time stands still at {:?}: {timer:?}", self.now);
            self.now = self.now.max(next);
            if let Some((key, (who, thing))) = message
                .filter(|(at, _)| *at <= self.now)
                .and_then(|key| self.on_the_way.remove(&key).map(|entry| (key, entry)))
            {
                debug_assert!(key.0 <= self.now);
                self.deliver(who, thing);
            } else if let Some((_, who)) = timer {
                match who {
                    Who::Node => self.node.handle_timeout(self.now),
                    Who::Viewer(n) => self.viewers[n].handle_timeout(self.now),
                }
                self.drain(who);
            }
        }
        self.now = until;
    }

    pub(super) fn count(&self, state: ViewerState) -> usize {
        self.viewers.iter().filter(|viewer| viewer.shown().state == state).count()
    }

    pub(super) fn close_viewers(&mut self) {
        for n in 0..self.viewers.len() {
            self.viewers[n].handle(viewer::Input::Close, self.now);
            self.drain(Who::Viewer(n));
        }
    }

    pub(super) fn reboot(&mut self) {
        self.boots += 1;
        self.node = new_node(9, u64::from(self.boots));
        self.connections.at_node.clear();
        self.conn = 1;
        self.at(100, Who::Node, Thing::Link(true));
    }

    /// Nothing is left over: no session, no timer, no connection.
    pub(super) fn assert_all_is_over(&self) {
        assert_eq!(self.node.viewers(), 0);
        assert!(self.node.is_settled() && self.viewers.iter().all(Viewer::is_settled));
        assert_eq!(self.node.poll_timeout(), None);
        assert!(self.connections.at_node.is_empty() && self.connections.at_viewer.is_empty());
    }
}
