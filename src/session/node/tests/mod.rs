//! "This input, exactly these outputs", rule by rule: a bench to ask a node on, and one file for each state it owns.

mod access;
mod admission;
mod calls;
mod hanging_up;
mod lasting;
mod later;
mod presence;
mod relays;
mod snapshots;
mod steps;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::error::FAILED_STEPS;
use super::super::{
    CameraDetail, CameraInfo, CameraState, Candidate, FailedStep, Limits, Mids, PeerCommand, PeerEvent, SessionId,
    Topics,
};
use super::*;
use crate::media::CameraName;

const OFFER: &str = "v=0\r\na=ice-ufrag:nOde\r\n";
const ANSWER: &str = "v=0\r\na=ice-ufrag:pEer\r\n";

struct Bench {
    node: Node,
    now: Duration,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(n: u128) -> SessionId {
    SessionId::from_random(n)
}

fn key(peer: &str, session: u128) -> SessionKey {
    SessionKey { peer: peer.parse().expect("a peer id"), session: id(session) }
}

fn camera(name: &str, state: CameraState) -> Camera {
    let name = CameraName::try_from(name.to_owned()).expect("a camera's name");
    Camera {
        info: CameraInfo { name, width: 1280, height: 720, fps: 30 },
        detail: CameraDetail { state, fault: None, message: None },
    }
}

impl Bench {
    /// A node that is online since a second, with one camera and one place.
    fn online(limits: Limits) -> Self {
        let topics = Topics::new(&"cn".parse().expect("a prefix"), &"node".parse().expect("a node id"));
        let mut count = 0;
        let entropy = Box::new(move || {
            count += 1;
            count
        });
        let setup = NodeSetup {
            topics,
            boot: super::super::Boot::from_random(7),
            name: "Porch".to_owned(),
            version: "0.1.0".to_owned(),
            limits,
            retain_status: true,
            guard: Guard::open(),
            entropy,
        };
        let mut bench = Self { node: Node::new(setup), now: ms(0) };
        bench.node.handle(Input::Cameras(vec![camera("front", CameraState::Idle)]), ms(0));
        assert_eq!(bench.outputs(), [""; 0], "nothing to say without a broker");
        bench.node.handle(Input::LinkUp { conn: 1 }, ms(0));
        assert_eq!(bench.outputs(), ["status online 1 retained"]);
        bench.now = ms(1_000);
        bench
    }

    fn new() -> Self {
        Self::online(Limits { max_viewers: const { crate::media::Bounded::new(1) }, ..Limits::default() })
    }

    /// All outputs, each in a few words.
    fn outputs(&mut self) -> Vec<String> {
        let outputs = std::iter::from_fn(|| self.node.poll_output());
        // Rights have a test of their own.
        outputs.filter(|output| !matches!(output, Output::Allowed(..))).map(|output| words(&output)).collect()
    }

    fn raw(&mut self, peer: &str, payload: &str) -> Vec<String> {
        let (topic, payload) = (format!("cn/node/in/{peer}"), Bytes::from(payload.to_owned()));
        self.node.handle(Input::Message { topic, payload, retained: false }, self.now);
        self.outputs()
    }

    fn say(&mut self, peer: &str, session: u128, seq: u32, message: Value) -> Vec<String> {
        let mut message = message;
        message["v"] = json!(1);
        message["session"] = json!(id(session).as_str());
        message["seq"] = json!(seq);
        self.raw(peer, &message.to_string())
    }

    fn join(&mut self, peer: &str, session: u128) -> Vec<String> {
        self.say(peer, session, 0, json!({"type": "join", "wants": {"video": true}, "nonce": "n"}))
    }

    fn event(&mut self, peer: &str, session: u128, event: PeerEvent) -> Vec<String> {
        self.node.handle(Input::Peer(key(peer, session), event), self.now);
        self.outputs()
    }

    fn offered(&mut self, peer: &str, session: u128) -> Vec<String> {
        self.event(peer, session, PeerEvent::Offered { sdp: OFFER.to_owned(), mids: Mids::new() })
    }

    fn answer(&mut self, peer: &str, session: u128, seq: u32, re: u32) -> Vec<String> {
        self.say(peer, session, seq, json!({"type": "answer", "sdp": ANSWER, "re": re, "ack": re}))
    }

    fn live(&mut self, peer: &str, session: u128) {
        self.join(peer, session);
        self.offered(peer, session);
        self.answer(peer, session, 1, 1);
        self.event(peer, session, PeerEvent::Connected);
        self.wait(101);
    }

    fn wait(&mut self, by_ms: u64) -> Vec<String> {
        let until = self.now + ms(by_ms);
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.node.handle_timeout(self.now);
        }
        self.now = until;
        self.outputs()
    }
}

fn words(output: &Output) -> String {
    match output {
        Output::Publish(outgoing) => {
            let message: Value = serde_json::from_slice(&outgoing.payload).expect("JSON");
            let kind = message["type"].as_str().expect("a type");
            if outgoing.topic.ends_with("/status") {
                let retained = if outgoing.retain { "retained" } else { "" };
                return format!(
                    "status {} {} {retained}",
                    message["state"].as_str().expect("a state"),
                    message["conn"]
                );
            }
            assert!(!outgoing.retain);
            let mut text = format!("{}: {kind}", outgoing.topic.strip_prefix("cn/node/out/").expect("on out"));
            for field in ["seq", "ack", "re"] {
                if let Some(number) = message.get(field) {
                    text += &format!(" {field} {number}");
                }
            }
            if let Some(code) = message.get("code").and_then(Value::as_u64) {
                let code = u16::try_from(code).ok().and_then(ErrorCode::from_number).expect("a code");
                text += &format!(" {}", code.slug());
            }
            if let Some(reason) = message.get("reason") {
                text += &format!(" {}", reason.as_str().expect("a reason"));
            }
            text
        }
        Output::Peer(key, command) => {
            let command = match command {
                PeerCommand::Offer { wants, .. } => format!("make an offer of {} pictures", wants.video.len()),
                PeerCommand::AcceptAnswer { .. } => "accept the answer".to_owned(),
                PeerCommand::AddCandidates { candidates, complete } => {
                    format!("add {} candidates{}", candidates.len(), if *complete { ", the last" } else { "" })
                }
                PeerCommand::UseIceServers { ice_servers } => format!("use {} servers", ice_servers.len()),
                PeerCommand::RestartIce => "restart ICE".to_owned(),
                PeerCommand::Answer { .. } => "make an answer".to_owned(),
                PeerCommand::NetworkChanged => "look at the network".to_owned(),
                PeerCommand::Close => "close".to_owned(),
            };
            format!("{}: {command}", key.peer)
        }
        Output::Event(event) => format!("({})", event.step.name()),
        Output::Ring(RingOutcome::Answered { peer, name }) => format!("(ring answered by {peer} as {name})"),
        Output::Ring(RingOutcome::Unanswered(by)) => {
            let by: Vec<String> = by.iter().map(|(name, why)| format!("{name}: {}", why.name())).collect();
            format!("(ring unanswered, {})", by.join(", "))
        }
        Output::Allowed(key, scopes) => format!("{}: may {scopes}", key.peer),
        Output::Rival(Some(boot)) => format!("(rival {boot})"),
        Output::Rival(None) => "(no rival)".to_owned(),
        Output::Unreadable(peer, malformed) => format!("(unreadable of {peer}: {})", malformed.code.slug()),
        Output::Snapshot(SnapshotWish { camera, width, max_bytes, .. }) => {
            format!("(take {} {width:?} {max_bytes})", camera.as_str())
        }
        Output::Unread(peer) => format!("(unread of {peer})"),
    }
}
