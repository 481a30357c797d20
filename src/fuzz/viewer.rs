//! The viewer's core against a node, or someone in its place, that says anything.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Script;
use super::messages::assert_can_be_heard;
use super::node::{candidate, description, event, session};
use crate::session::viewer::{Input, Output, Viewer, ViewerSetup};
use crate::session::{
    CameraChoice, MAX_MESSAGE_BYTES, PeerCommand, PeerId, SessionId, SessionKey, Token, Topic, Topics, WantsRequest,
};

/// Whatever is said: what the viewer says is a valid message on its own topic; there is one connection at most, asked only while
/// it is open; time that passes is not spent in a loop; and a viewer that has seen enough comes to an end.
pub fn viewer(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut bench = Bench::new();
    while !script.is_over() {
        bench.step(&mut script);
    }
    bench.handle(Input::LinkUp);
    bench.handle(Input::Close);
    bench.pass(Duration::from_secs(60));
    assert!(bench.viewer.is_settled() && bench.open.is_none());
}

struct Bench {
    viewer: Viewer,
    topics: Topics,
    peer: PeerId,
    now: Duration,
    link_up: bool,
    open: Option<SessionKey>,
    /// Every session it has begun: none is begun twice.
    begun: BTreeSet<SessionId>,
}

impl Bench {
    fn new() -> Self {
        let topics = Topics::new(&"cn".parse().expect("a prefix"), &"node".parse().expect("a node id"));
        let peer: PeerId = "tab".parse().expect("a peer id");
        let mut count = 0;
        let entropy = Box::new(move || {
            count += 1;
            count
        });
        let wants = WantsRequest { video: CameraChoice::All, ..WantsRequest::default() };
        let setup = ViewerSetup { topics: topics.clone(), peer: peer.clone(), wants, token: None, entropy };
        let viewer = Viewer::new(setup);
        let mut bench =
            Self { viewer, topics, peer, now: Duration::ZERO, link_up: true, open: None, begun: BTreeSet::new() };
        bench.handle(Input::LinkUp);
        bench
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=6 => {
                let message = self.message(script).to_string();
                self.say(self.topics.to_peer(&self.peer), message.into(), false);
            }
            7 | 8 => {
                let mut status = status(script);
                if script.flag() {
                    status["state"] = json!("offline");
                }
                self.say(self.topics.status(), status.to_string().into(), script.flag());
            }
            9 => {
                let topic = if script.flag() { self.topics.status() } else { self.topics.to_peer(&self.peer) };
                self.say(topic, Bytes::copy_from_slice(script.bytes()), false);
            }
            10 | 11 => {
                let key = self.key(script);
                let event = event(script);
                self.handle(Input::Peer(key, event));
            }
            12 | 13 => {
                let time = script.time();
                self.pass(time);
            }
            14 => {
                let up = script.flag();
                if up != self.link_up {
                    self.link_up = up;
                    self.handle(if up { Input::LinkUp } else { Input::LinkDown });
                }
            }
            _ => {
                if let Ok(token) = Token::try_from(script.text()) {
                    self.handle(Input::Token(token));
                }
            }
        }
    }

    fn say(&mut self, topic: String, payload: Bytes, retained: bool) {
        if self.link_up {
            self.handle(Input::Message { topic, payload, retained });
        }
    }

    /// Mostly the session there is.
    fn key(&self, script: &mut Script<'_>) -> SessionKey {
        match &self.open {
            Some(key) if script.below(8) != 7 => key.clone(),
            _ => SessionKey { peer: self.peer.clone(), session: session(script) },
        }
    }

    fn message(&self, script: &mut Script<'_>) -> Value {
        let kinds = [
            "peer",
            "offer",
            "offer",
            "ice",
            "leave",
            "ack",
            "error",
            "answer",
            "join",
            "ringing",
            "cancel",
            "callResponse",
            "registered",
            "status",
            "call",
            "renew",
        ];
        let kind = script.pick(&kinds);
        let mut message = match kind {
            "peer" => {
                let server = json!({"urls": script.text()});
                let node = json!({"name": "n", "boot": "c0ffee0123456789", "version": "1"});
                json!({"iceServers": vec![server; script.below(17)], "node": node, "nonce": "n"})
            }
            "offer" => json!({"sdp": description(script), "mids": {"0": {"camera": "front", "kind": "video"}}}),
            "answer" | "callResponse" => json!({"sdp": description(script), "response": "accepted", "nonce": "n"}),
            "ice" => {
                let candidates = vec![candidate(script); script.below(65)];
                json!({"candidates": candidates, "complete": script.flag()})
            }
            "leave" | "cancel" => {
                let reasons = ["closed", "replaced", "expired", "limit", "shutdown", "failed"];
                json!({"reason": script.pick(&reasons)})
            }
            "error" => {
                let after = if script.flag() { json!(script.number()) } else { Value::Null };
                json!({"code": script.number(), "name": "E", "message": script.text(), "retryAfter": after})
            }
            "status" => status(script),
            "registered" => json!({"name": "n", "ttl": script.number()}),
            "join" | "call" => json!({"wants": {"video": true}, "nonce": "n", "from": "node"}),
            "renew" => json!({"token": "x"}),
            _ => json!({}),
        };
        message["v"] = json!(1);
        message["type"] = json!(kind);
        if script.below(16) != 15 {
            message["session"] = json!(self.key(script).session.as_str());
        }
        for field in ["seq", "ack", "re"] {
            if script.below(4) != 3 {
                message[field] = json!(script.number());
            }
        }
        message
    }

    fn handle(&mut self, input: Input) {
        self.viewer.handle(input, self.now);
        self.look();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        if time <= Duration::from_secs(120) {
            let mut at_once = 0;
            while let Some(due) = self.viewer.poll_timeout().filter(|due| *due <= until) {
                at_once = if due > self.now { 0 } else { at_once + 1 };
                assert!(at_once < 100, "it asks to be woken at once, for ever");
                self.now = self.now.max(due);
                self.viewer.handle_timeout(self.now);
                self.look();
            }
        }
        self.now = until;
        self.viewer.handle_timeout(self.now);
        self.look();
    }

    fn look(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.viewer.poll_output() {
            outputs += 1;
            match output {
                Output::Publish(outgoing) => {
                    assert!(!outgoing.retain && outgoing.payload.len() <= MAX_MESSAGE_BYTES);
                    assert_eq!(self.topics.parse(&outgoing.topic), Some(Topic::In(self.peer.clone())));
                    assert_can_be_heard(&outgoing.payload);
                }
                Output::Peer(key, command) => self.command(key, &command),
                Output::Event(_) | Output::State(_) | Output::Unreadable(_) => {}
            }
        }
        assert!(outputs <= 1_024, "{outputs} outputs at once");
    }

    /// The first `answer` makes the connection. Closing one that was never made is allowed: the core does not know.
    fn command(&mut self, key: SessionKey, command: &PeerCommand) {
        match command {
            PeerCommand::Answer { .. } => {
                if self.open.as_ref() != Some(&key) {
                    assert!(self.open.is_none(), "two connections at once");
                    assert!(self.begun.insert(key.session.clone()), "the same session again");
                    self.open = Some(key);
                }
            }
            PeerCommand::Close => {
                assert!(self.open.is_none() || self.open.as_ref() == Some(&key), "another one is closed");
                self.open = None;
            }
            _ => assert_eq!(self.open.as_ref(), Some(&key), "asked of a connection that is not open"),
        }
    }
}

fn status(script: &mut Script<'_>) -> Value {
    let boots = ["c0ffee0123456789", "0123456789c0ffee"];
    let camera = json!({"name": "front", "width": 2, "height": 2, "fps": 1});
    json!({
        "v": 1, "type": "status", "versions": [1 + script.below(2)], "state": "online", "boot": script.pick(&boots),
        "conn": script.number(), "cameras": [camera], "access": script.pick(&["open", "token"]),
    })
}
