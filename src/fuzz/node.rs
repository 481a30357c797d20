//! The node's core against peers that say anything, at any time.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Script;
use super::messages::assert_can_be_heard;
use crate::access::config::UnsetClock;
use crate::access::{Algorithm, Audience, Claims, Guard, Key, KeyId, Seconds, SigningKey, WallClock};
use crate::media::{Bounded, CameraName};
use crate::session::node::{Camera, IceSource, Input, Node, NodeSetup, Output, SnapshotId, SnapshotTaken};
use crate::session::{
    Boot, CameraDetail, CameraInfo, CameraState, Candidate, FailedStep, IceServer, Limits, MAX_MESSAGE_BYTES,
    MAX_PICTURE_BYTES, Message, Mids, PeerCommand, PeerEvent, PeerId, SessionId, SessionKey, Topic, Topics, WhenFull,
};

const PEERS: [&str; 5] = ["a", "b", "c", "d", "e"];
const MAX_VIEWERS: usize = 3;
/// One input is answered by at most this: every session says all it has to say, and so do those that part.
const MAX_OUTPUTS: usize = 4_096;

/// Whatever is said: there are never more sessions than allowed, nor any of who may not join; what the node says is a valid
/// message; a connection is opened once, asked only while it is open, and closed; what is held is bounded; time that passes is
/// not spent in a loop; and a node that shuts down comes to an end.
pub fn node(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut bench = Bench::new(script.byte());
    while !script.is_over() {
        bench.step(&mut script);
    }
    bench.conn += 1;
    bench.handle(Input::LinkUp { conn: bench.conn });
    bench.handle(Input::Shutdown);
    bench.pass(Duration::from_secs(60));
    assert!(bench.node.is_settled() && bench.open.is_empty());
}

struct Bench {
    node: Node,
    topics: Topics,
    now: Duration,
    conn: u32,
    link_up: bool,
    open: BTreeSet<SessionKey>,
    /// Pictures that were asked for.
    wished: Vec<SnapshotId>,
    /// Who has shown a token, and whether none is needed.
    entitled: BTreeSet<PeerId>,
    is_open_to_all: bool,
    token: String,
    guard: Guard,
}

impl Bench {
    fn new(kind: u8) -> Self {
        let topics = Topics::new(&"cn".parse().expect("a prefix"), &"node".parse().expect("a node id"));
        let (token, guard) = token_and_guard();
        let is_open_to_all = kind & 1 == 0;
        let mut count = 0;
        let entropy = Box::new(move || {
            count += 1;
            count
        });
        let limits = Limits {
            max_viewers: const { Bounded::new(MAX_VIEWERS as u32) },
            when_full: if kind & 2 == 0 { WhenFull::Refuse } else { WhenFull::DropOldest },
            announce_viewers: kind & 4 != 0,
            ..Limits::default()
        };
        let node = Node::new(NodeSetup {
            topics: topics.clone(),
            boot: Boot::from_random(7),
            name: "Porch".to_owned(),
            version: "0.1.0".to_owned(),
            limits,
            retain_status: true,
            guard: if is_open_to_all { Guard::open() } else { guard.clone() },
            entropy,
        });
        let mut bench = Self {
            node,
            topics,
            now: Duration::ZERO,
            conn: 1,
            link_up: true,
            open: BTreeSet::new(),
            wished: Vec::new(),
            entitled: BTreeSet::new(),
            is_open_to_all,
            token,
            guard,
        };
        bench.handle(Input::WallClock(WallClock::Set { unix_s: 1_800_000_000 }));
        bench.handle(Input::Cameras(vec![camera("front"), camera("garden")]));
        bench.handle(Input::LinkUp { conn: 1 });
        bench
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=7 => {
                let peer = script.pick(&PEERS);
                let payload = self.message(peer, script).to_string();
                self.say(peer, payload.into());
            }
            8 => {
                let peer = script.pick(&PEERS);
                let payload = Bytes::copy_from_slice(script.bytes());
                self.say(peer, payload);
            }
            9..=11 => {
                let key = SessionKey { peer: id(script.pick(&PEERS)), session: session(script) };
                let event = event(script);
                self.handle(Input::Peer(key, event));
            }
            12 | 13 => {
                let time = script.time();
                self.pass(time);
            }
            14 => self.change_link(script.flag()),
            _ => self.change_setup(script),
        }
    }

    /// Only a link that is up brings messages.
    fn say(&mut self, peer: &str, payload: Bytes) {
        if self.link_up {
            let topic = self.topics.to_node(&id(peer));
            self.handle(Input::Message { topic, payload, retained: false });
        }
    }

    fn change_link(&mut self, up: bool) {
        if up != self.link_up {
            self.link_up = up;
            self.conn += u32::from(up);
            self.handle(if up { Input::LinkUp { conn: self.conn } } else { Input::LinkDown });
        }
    }

    fn change_setup(&mut self, script: &mut Script<'_>) {
        match script.below(8) {
            0 => self.handle(Input::Cameras(vec![camera("front")])),
            1 => {
                let server = IceServer { urls: vec!["turn:h".to_owned()], username: None, credential: None };
                self.handle(Input::IceServers(vec![IceSource::Fixed(server); script.below(16)]));
            }
            2 => {
                self.is_open_to_all = script.flag();
                let guard = if self.is_open_to_all { Guard::open() } else { self.guard.clone() };
                self.handle(Input::Guard(guard));
            }
            3 => self.handle(Input::Guard(self.guard.clone().without("t"))),
            5 => {
                let Some(id) = self.wished.pop() else { return };
                let jpeg = vec![0; script.below(60_000)].into();
                self.handle(Input::Snapshot(id, Ok(SnapshotTaken { jpeg, width: 640, height: 360 })));
            }
            4 => {
                let (topic, payload) = (self.topics.status(), Bytes::copy_from_slice(script.bytes()));
                self.handle(Input::Message { topic, payload, retained: true });
            }
            6 => {
                self.node.hang_up(self.now);
                self.look();
            }
            _ => {
                let unix_s = 1_800_000_000 + u64::from(script.u16()) * 10;
                self.handle(Input::WallClock(WallClock::Set { unix_s }));
            }
        }
    }

    fn message(&mut self, peer: &str, script: &mut Script<'_>) -> Value {
        let kinds = [
            "join",
            "answer",
            "ice",
            "leave",
            "ack",
            "error",
            "renew",
            "offer",
            "call",
            "callResponse",
            "cancel",
            "register",
            "registered",
            "unregister",
            "ringing",
            "probe",
            "peer",
            "status",
            "snapshot",
            "picture",
        ];
        let kind = script.pick(&kinds);
        let starts = matches!(kind, "join" | "call");
        let mut message = match kind {
            "join" | "call" => {
                let wants = match script.below(5) {
                    0 => json!({"video": true}),
                    1 => json!({"audio": true, "channels": ["control", "x"]}),
                    2 => json!({"video": ["front"], "talk": true}),
                    3 => json!({"video": ["nowhere"]}),
                    _ => json!({"channels": ["telemetry"]}),
                };
                json!({"wants": wants, "nonce": "n", "from": peer})
            }
            "answer" | "offer" => json!({"sdp": description(script), "mids": {}}),
            "callResponse" => json!({"response": "accepted", "sdp": description(script), "nonce": "n"}),
            "ice" => {
                let candidates = vec![candidate(script); script.below(65)];
                json!({"candidates": candidates, "complete": script.flag()})
            }
            "leave" | "cancel" => {
                let reasons = ["closed", "replaced", "expired", "limit", "shutdown", "failed", "timeout"];
                json!({"reason": script.pick(&reasons)})
            }
            "error" => json!({"code": script.number(), "name": "E", "message": script.text()}),
            "register" | "registered" => json!({"name": script.text(), "ttl": script.number()}),
            "snapshot" => json!({"camera": script.pick(&[None, Some("front"), Some("nowhere")]), "width": 640}),
            "picture" => json!({"camera": "front", "width": 1, "height": 1, "jpeg": "AAAA"}),
            _ => json!({}),
        };
        if matches!(kind, "join" | "call" | "renew" | "snapshot") {
            let token = match script.below(3) {
                0 => None,
                1 => Some(self.token.clone()),
                _ => Some(script.text()),
            };
            if token.as_ref() == Some(&self.token) {
                self.entitled.insert(id(peer));
            }
            message["token"] = json!(token);
        }
        message["v"] = json!(1);
        message["type"] = json!(kind);
        if kind != "snapshot" {
            message["session"] = json!(session(script).as_str());
        }
        message["seq"] = json!(if starts { 0 } else { script.number() });
        for field in ["ack", "re"] {
            if script.flag() {
                message[field] = json!(script.number());
            }
        }
        message
    }

    fn handle(&mut self, input: Input) {
        self.node.handle(input, self.now);
        self.look();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        // A machine that slept, and one that did not.
        if time <= Duration::from_secs(120) {
            let mut at_once = 0;
            while let Some(due) = self.node.poll_timeout().filter(|due| *due <= until) {
                at_once = if due > self.now { 0 } else { at_once + 1 };
                assert!(at_once < 100, "it asks to be woken at once, for ever");
                self.now = self.now.max(due);
                self.node.handle_timeout(self.now);
                self.look();
            }
        }
        self.now = until;
        self.node.handle_timeout(self.now);
        self.look();
    }

    /// Takes all outputs and holds them, and what the node keeps, against the rules.
    fn look(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.node.poll_output() {
            outputs += 1;
            match output {
                Output::Publish(outgoing) => {
                    assert!(outgoing.payload.len() <= MAX_MESSAGE_BYTES);
                    match self.topics.parse(&outgoing.topic) {
                        Some(Topic::Status) => drop(Message::read_status(&outgoing.payload).expect("a valid status")),
                        Some(Topic::Out(_)) => {
                            assert!(!outgoing.retain);
                            assert_can_be_heard(&outgoing.payload);
                        }
                        other => panic!("published on {other:?}"),
                    }
                }
                Output::Peer(key, command) => self.command(key, &command),
                Output::Snapshot(wish) => {
                    let may = self.is_open_to_all || !self.entitled.is_empty();
                    assert!(may && wish.max_bytes <= MAX_PICTURE_BYTES);
                    self.wished.push(wish.id);
                }
                Output::Rival(_)
                | Output::Ring(_)
                | Output::Allowed(..)
                | Output::Event(_)
                | Output::Unreadable(..)
                | Output::Unread(_) => {}
            }
        }
        assert!(outputs <= MAX_OUTPUTS, "{outputs} outputs at once");
        assert_eq!(self.node.viewers(), self.open.len());
        assert!(self.open.len() <= MAX_VIEWERS);
        self.node.held().assert_bounded();
    }

    fn command(&mut self, key: SessionKey, command: &PeerCommand) {
        let was_open = self.open.contains(&key);
        match command {
            PeerCommand::Offer { .. } => {
                assert!(self.is_open_to_all || self.entitled.contains(&key.peer), "without a token");
                assert!(!was_open, "opened twice");
                self.open.insert(key);
            }
            PeerCommand::Close => {
                assert!(was_open, "closed though not open");
                self.open.remove(&key);
            }
            _ => assert!(was_open, "asked of a connection that is not open"),
        }
    }
}

fn id(peer: &str) -> PeerId {
    peer.parse().expect("a peer id")
}

pub(super) fn session(script: &mut Script<'_>) -> SessionId {
    SessionId::from_random(script.below(5) as u128)
}

pub(super) fn camera(name: &str) -> Camera {
    let name = CameraName::try_from(name.to_owned()).expect("a camera's name");
    Camera {
        info: CameraInfo { name, width: 1280, height: 720, fps: 30 },
        detail: CameraDetail { state: CameraState::Idle, fault: None, message: None },
    }
}

pub(super) fn description(script: &mut Script<'_>) -> String {
    match script.below(3) {
        0 => "v=0\r\na=ice-ufrag:one1\r\n".to_owned(),
        1 => "v=0\r\na=ice-ufrag:two2\r\n".to_owned(),
        _ => script.text(),
    }
}

pub(super) fn candidate(script: &mut Script<'_>) -> Candidate {
    let username_fragment = script.pick(&[None, Some("one1"), Some("two2"), Some("old0")]).map(str::to_owned);
    let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned();
    Candidate { candidate, sdp_mid: None, sdp_m_line_index: Some(0), username_fragment }
}

pub(super) fn event(script: &mut Script<'_>) -> PeerEvent {
    match script.below(9) {
        0 | 1 => PeerEvent::Offered { sdp: description(script), mids: Mids::new() },
        2 => PeerEvent::Answered { sdp: description(script) },
        3 => PeerEvent::Candidates { candidates: vec![candidate(script); script.below(20)], complete: script.flag() },
        4 | 5 => PeerEvent::Connected,
        6 => script.pick(&[&PeerEvent::Silent, &PeerEvent::Recovered]).clone(),
        7 => PeerEvent::ClosedByPeer,
        _ => {
            let steps = [FailedStep::Offer, FailedStep::Ice, FailedStep::RemoteDescription, FailedStep::Internal];
            PeerEvent::Failed { step: script.pick(&steps), message: script.text() }
        }
    }
}

/// A guard, and the token that it lets everyone in with, to everything, for a day.
fn token_and_guard() -> (String, Guard) {
    let key = SigningKey::from_random(Algorithm::Hs256, [9; 32]);
    let id: KeyId = "k".parse().expect("a key's name");
    let claims = Claims {
        aud: Audience::One("node".to_owned()),
        peer: "*".to_owned(),
        exp: Seconds(1_800_086_400),
        nbf: None,
        jti: "t".to_owned(),
        scope: "view talk control files".to_owned(),
    };
    let token = key.token(&id, &claims);
    let key = Key::from_file(Algorithm::Hs256, key.to_private_file().as_bytes()).expect("its own file");
    (token, Guard::with_tokens("node", [(id, key)].into_iter().collect(), UnsetClock::Refuse))
}
