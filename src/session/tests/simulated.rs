//! A node and many viewers over a network that loses, repeats, delays and reorders, in virtual time, from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::media::{Bounded, CameraName};
use crate::session::node::{self, Camera, Node, NodeSetup};
use crate::session::viewer::{self, Viewer, ViewerSetup, ViewerState};
use crate::session::*;

#[derive(Clone, Copy)]
struct Weather {
    loss: f64,
    repeat: f64,
    delay_ms: (u64, u64),
}

const FAIR: Weather = Weather { loss: 0.0, repeat: 0.0, delay_ms: (5, 6) };

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Node,
    Viewer(usize),
}

enum Thing {
    Message { topic: String, payload: Bytes, retained: bool },
    Peer(SessionKey, PeerEvent),
    Link(bool),
}

/// The connections of both sides, as far as the cores can see them.
#[derive(Default)]
struct Connections {
    at_node: BTreeMap<SessionKey, u32>,
    at_viewer: BTreeMap<SessionKey, u32>,
    described_at_node: BTreeSet<SessionKey>,
}

struct World {
    random: fastrand::Rng,
    weather: Weather,
    now: Duration,
    node: Node,
    boots: u32,
    conn: u32,
    viewers: Vec<Viewer>,
    retained: Option<Bytes>,
    on_the_way: BTreeMap<(Duration, u64), (Who, Thing)>,
    sent: u64,
    connections: Connections,
    node_log: Vec<Event>,
    viewer_log: Vec<Event>,
    broker_up: bool,
}

fn topics() -> Topics {
    Topics::new(DEFAULT_PREFIX, &"porch".parse().expect("a node id")).expect("a prefix")
}

fn new_node(seed: u64, boot: u64) -> Node {
    let mut random = fastrand::Rng::with_seed(seed ^ boot);
    let mut node = Node::new(NodeSetup {
        topics: topics(),
        boot: Boot::from_random(boot),
        name: "Porch".to_owned(),
        version: "0.1.0".to_owned(),
        limits: Limits { max_viewers: const { Bounded::new(256) }, ..Limits::default() },
        retain_status: true,
        entropy: Box::new(move || random.u64(..)),
    });
    let name = CameraName::try_from("front".to_owned()).expect("a name");
    let info = CameraInfo { name, width: 1280, height: 720, fps: 30 };
    let detail = CameraDetail { state: CameraState::Running, message: None };
    node.handle(node::Input::Cameras(vec![Camera { info, detail }]), Duration::ZERO);
    node
}

impl World {
    fn new(seed: u64, viewers: usize, weather: Weather) -> Self {
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
            broker_up: true,
        };
        world.link_all(true);
        world
    }

    fn link_all(&mut self, up: bool) {
        self.broker_up = up;
        self.at(0, Who::Node, Thing::Link(up));
        for n in 0..self.viewers.len() {
            let delay = self.random.u64(10..500);
            self.at(delay, Who::Viewer(n), Thing::Link(up));
        }
    }

    fn at(&mut self, delay_ms: u64, who: Who, thing: Thing) {
        self.sent += 1;
        self.on_the_way.insert((self.now + Duration::from_millis(delay_ms), self.sent), (who, thing));
    }

    fn publish(&mut self, outgoing: &Outgoing) {
        if !self.broker_up {
            return;
        }
        if outgoing.retain {
            self.retained = Some(outgoing.payload.clone());
        }
        let receivers: Vec<Who> = match topics().parse(&outgoing.topic).expect("one of our topics") {
            Topic::Status => std::iter::once(Who::Node).chain((0..self.viewers.len()).map(Who::Viewer)).collect(),
            Topic::In(_) => vec![Who::Node],
            Topic::Out(peer) => vec![Who::Viewer(peer.as_str()[4..].parse().expect("a number"))],
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
                let delay = self.random.u64(self.weather.delay_ms.0..self.weather.delay_ms.1);
                let (topic, payload) = (outgoing.topic.clone(), outgoing.payload.clone());
                self.at(delay, who, Thing::Message { topic, payload, retained: false });
            }
        }
    }

    fn command(&mut self, who: Who, key: SessionKey, command: PeerCommand) {
        let owner = |key: &SessionKey| Who::Viewer(key.peer.as_str()[4..].parse().expect("a number"));
        let sdp = |side: &str, round: u32| format!("v=0\r\na=ice-ufrag:{side}{round}\r\n");
        let found = |side: &str, round: u32| PeerEvent::Candidates {
            candidates: vec![Candidate {
                candidate: "candidate:1".to_owned(),
                sdp_mid: None,
                sdp_m_line_index: None,
                username_fragment: Some(format!("{side}{round}")),
            }],
            complete: true,
        };
        let delay = self.random.u64(2..30);
        match command {
            PeerCommand::Offer { wants, .. } => {
                assert_eq!(wants.video.len(), 1);
                assert_eq!(self.connections.at_node.insert(key.clone(), 1), None, "opened twice");
                self.at(
                    delay,
                    who,
                    Thing::Peer(key.clone(), PeerEvent::Offered { sdp: sdp("n", 1), mids: Mids::new() }),
                );
                self.at(delay + 20, who, Thing::Peer(key, found("n", 1)));
            }
            PeerCommand::RestartIce => {
                let round = self.connections.at_node.get_mut(&key).expect("a connection");
                *round += 1;
                let sdp = sdp("n", *round);
                self.at(delay, who, Thing::Peer(key, PeerEvent::Offered { sdp, mids: Mids::new() }));
            }
            PeerCommand::Answer { sdp: offer, .. } => {
                assert!(offer.contains("ice-ufrag:n"));
                let round = self.connections.at_viewer.entry(key.clone()).or_insert(0);
                *round += 1;
                let round = *round;
                self.at(delay, who, Thing::Peer(key.clone(), PeerEvent::Answered { sdp: sdp("v", round) }));
                self.at(delay + 20, who, Thing::Peer(key, found("v", round)));
            }
            PeerCommand::AcceptAnswer { sdp } => {
                assert!(sdp.contains("ice-ufrag:v"));
                self.connections.described_at_node.insert(key.clone());
                if self.connections.at_viewer.contains_key(&key) {
                    self.at(delay + 10, Who::Node, Thing::Peer(key.clone(), PeerEvent::Connected));
                    self.at(delay, owner(&key), Thing::Peer(key, PeerEvent::Connected));
                }
            }
            PeerCommand::AddCandidates { .. } => {
                let described = match who {
                    Who::Node => self.connections.described_at_node.contains(&key),
                    Who::Viewer(_) => self.connections.at_viewer.contains_key(&key),
                };
                assert!(described, "candidates before the description");
            }
            PeerCommand::Close => {
                let (here, there, other) = match who {
                    Who::Node => (&mut self.connections.at_node, &self.connections.at_viewer, owner(&key)),
                    Who::Viewer(_) => (&mut self.connections.at_viewer, &self.connections.at_node, Who::Node),
                };
                let open = here.remove(&key).is_some() && there.contains_key(&key);
                // DTLS' goodbye is a single datagram.
                if open && self.connections.described_at_node.contains(&key) && self.random.bool() {
                    self.at(delay, other, Thing::Peer(key, PeerEvent::ClosedByPeer));
                }
            }
        }
    }

    fn drain(&mut self, who: Who) {
        loop {
            match who {
                Who::Node => match self.node.poll_output() {
                    Some(node::Output::Publish(outgoing)) => self.publish(&outgoing),
                    Some(node::Output::Peer(key, command)) => self.command(who, key, command),
                    Some(node::Output::Event(event)) => self.node_log.push(event),
                    Some(node::Output::Unreadable(peer, why)) => panic!("{peer}: {why}"),
                    None => return,
                },
                Who::Viewer(n) => match self.viewers[n].poll_output() {
                    Some(viewer::Output::Publish(outgoing)) => self.publish(&outgoing),
                    Some(viewer::Output::Peer(key, command)) => self.command(who, key, command),
                    Some(viewer::Output::Event(event)) => self.viewer_log.push(event),
                    Some(viewer::Output::State(_)) => {}
                    Some(viewer::Output::Unreadable(why)) => panic!("{why}"),
                    None => return,
                },
            }
        }
    }

    fn deliver(&mut self, who: Who, thing: Thing) {
        let now = self.now;
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
            // The connection is closed: no event follows.
            (_, Thing::Peer(..)) => {}
        }
        self.drain(who);
    }

    fn run_for(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
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

    fn count(&self, state: ViewerState) -> usize {
        self.viewers.iter().filter(|viewer| viewer.shown().state == state).count()
    }

    fn close_viewers(&mut self) {
        for n in 0..self.viewers.len() {
            self.viewers[n].handle(viewer::Input::Close, self.now);
            self.drain(Who::Viewer(n));
        }
    }

    fn reboot(&mut self) {
        self.boots += 1;
        self.node = new_node(9, u64::from(self.boots));
        self.connections.at_node.clear();
        self.conn = 1;
        self.at(100, Who::Node, Thing::Link(true));
    }

    /// Nothing is left over: no session, no timer, no connection.
    fn assert_all_is_over(&self) {
        assert_eq!(self.node.viewers(), 0);
        assert!(self.node.is_settled() && self.viewers.iter().all(Viewer::is_settled));
        assert_eq!(self.node.poll_timeout(), None);
        assert!(self.connections.at_node.is_empty() && self.connections.at_viewer.is_empty());
    }
}

fn names(log: &[Event], session: &SessionId) -> Vec<&'static str> {
    log.iter().filter(|event| event.session.session == *session).map(|event| event.step.name()).collect()
}

#[test]
fn both_sides_log_the_same_steps_in_the_same_order() {
    let mut world = World::new(1, 1, FAIR);
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Live), 1);
    world.close_viewers();
    world.run_for(2);
    let session = world.node_log[0].session.session.clone();
    let steps = names(&world.node_log, &session);
    assert_eq!(steps, ["join", "peer", "opening", "offer", "answer", "connected", "leave"]);
    assert_eq!(names(&world.viewer_log, &session), steps);
    world.run_for(20);
    world.assert_all_is_over();
}

#[test]
fn two_hundred_sessions_all_come_live_with_one_message_in_twenty_lost() {
    for seed in 0..2 {
        let weather = Weather { loss: 0.05, repeat: 0.1, delay_ms: (2, 300) };
        let mut world = World::new(seed, 200, weather);
        world.run_for(30);
        assert_eq!(world.count(ViewerState::Live), 200, "seed {seed}");
        assert_eq!(world.node.viewers(), 200, "seed {seed}");
        world.close_viewers();
        world.run_for(60);
        world.assert_all_is_over();
    }
}

#[test]
fn with_one_message_in_five_lost_nearly_all_come_live_and_none_is_stuck() {
    for seed in 10..12 {
        let weather = Weather { loss: 0.2, repeat: 0.2, delay_ms: (2, 1_500) };
        let mut world = World::new(seed, 200, weather);
        world.run_for(40);
        let live = world.count(ViewerState::Live);
        assert!(live >= 190, "seed {seed}: {live} live");
        world.run_for(120);
        let live = world.count(ViewerState::Live);
        assert_eq!(live, 200, "seed {seed}: who failed has tried again");
        world.close_viewers();
        world.run_for(100);
        world.assert_all_is_over();
    }
}

#[test]
fn a_node_that_starts_anew_is_joined_anew_spread_over_five_seconds() {
    let mut world = World::new(5, 50, FAIR);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Live), 50);
    let before = world.node_log.len();
    world.reboot();
    world.run_for(2);
    let early = world.count(ViewerState::Live);
    assert!((5..45).contains(&early), "{early} are back after two seconds");
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.node.viewers()), (50, 50));
    assert_eq!(world.node_log[before..].iter().filter(|event| event.step == Step::Join).count(), 50);
}

#[test]
fn a_broker_that_is_away_for_long_costs_no_live_session_and_new_ones_come_after() {
    let mut world = World::new(6, 20, FAIR);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Live), 20);
    let before = world.node_log.len();
    world.link_all(false);
    world.run_for(600);
    assert_eq!(world.count(ViewerState::Live), 20);
    world.link_all(true);
    world.run_for(10);
    assert_eq!(world.count(ViewerState::Live), 20);
    assert_eq!(world.node_log.len(), before, "nothing happened to any session");
}

#[test]
fn viewers_of_a_node_that_is_not_there_say_so_and_come_when_it_is() {
    let mut world = World::new(7, 3, FAIR);
    world.on_the_way.retain(|_, (who, _)| *who != Who::Node);
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Looking), 3);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Offline), 3);
    world.at(0, Who::Node, Thing::Link(true));
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Live), 3);
}

#[test]
fn a_shutdown_tells_every_viewer_and_they_wait_for_the_next_start() {
    let mut world = World::new(8, 10, FAIR);
    world.run_for(3);
    world.node.handle(node::Input::Shutdown, world.now);
    world.drain(Who::Node);
    world.run_for(60);
    assert!(world.node.is_settled());
    assert_eq!(world.count(ViewerState::Offline), 10);
    world.reboot();
    world.run_for(7);
    assert_eq!(world.count(ViewerState::Live), 10);
}

#[test]
fn a_path_that_falls_silent_and_comes_back_costs_nothing_and_one_that_does_not_is_joined_anew() {
    let mut world = World::new(9, 1, FAIR);
    world.run_for(2);
    let key = world.node_log[0].session.clone();
    let both = |world: &mut World, event: PeerEvent| {
        world.at(0, Who::Node, Thing::Peer(key.clone(), event.clone()));
        world.at(0, Who::Viewer(0), Thing::Peer(key.clone(), event));
    };
    both(&mut world, PeerEvent::Silent);
    world.run_for(1);
    assert_eq!(world.count(ViewerState::Silent), 1);
    both(&mut world, PeerEvent::Recovered);
    world.run_for(60);
    assert_eq!(world.count(ViewerState::Live), 1);
    // Connections are never heard of again; the ICE restart is answered and does not help.
    world.connections.described_at_node.clear();
    both(&mut world, PeerEvent::Silent);
    world.run_for(60);
    assert_eq!(world.count(ViewerState::Live), 1);
    let joins = world.node_log.iter().filter(|event| event.step == Step::Join).count();
    assert!(joins <= 2, "{joins} joins");
}

#[test]
fn a_refusal_that_time_may_mend_is_tried_again_and_another_is_not() {
    let mut world = World::new(11, 2, FAIR);
    world.viewers[1] = Viewer::new(ViewerSetup {
        topics: topics(),
        peer: "tab-1".parse().expect("a peer id"),
        wants: WantsRequest {
            video: CameraChoice::Named(vec![CameraName::try_from("cellar".to_owned()).expect("a name")]),
            ..WantsRequest::default()
        },
        token: None,
        entropy: Box::new(|| 4),
    });
    world.run_for(60);
    let shown = world.viewers[1].shown();
    assert_eq!(shown.state, ViewerState::Refused);
    assert_eq!(shown.detail.as_deref(), Some("There is no camera \"cellar\" here."));
    assert_eq!(world.viewers[1].poll_timeout(), None);

    let places = Limits { max_viewers: const { Bounded::new(1) }, ..Limits::default() };
    let mut world = World::new(12, 2, FAIR);
    world.node = Node::new(NodeSetup {
        topics: topics(),
        boot: Boot::from_random(3),
        name: String::new(),
        version: "1".to_owned(),
        limits: places,
        retain_status: true,
        entropy: Box::new(|| 4),
    });
    let name = CameraName::try_from("front".to_owned()).expect("a name");
    let info = CameraInfo { name, width: 1, height: 1, fps: 1 };
    let detail = CameraDetail { state: CameraState::Away, message: None };
    world.node.handle(node::Input::Cameras(vec![Camera { info, detail }]), Duration::ZERO);
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.count(ViewerState::Lost)), (1, 1));
    let live = (0..2).find(|n| world.viewers[*n].shown().state == ViewerState::Live).expect("one is live");
    world.viewers[live].handle(viewer::Input::Close, world.now);
    world.drain(Who::Viewer(live));
    world.run_for(60);
    assert_eq!(world.viewers[1 - live].shown().state, ViewerState::Live);
}
