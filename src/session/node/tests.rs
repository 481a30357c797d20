//! "This input, exactly these outputs", rule by rule.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{
    CameraDetail, CameraInfo, CameraState, Candidate, FailedStep, Limits, Mids, PeerEvent, SessionId, Topics,
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
        detail: CameraDetail { state, message: None },
    }
}

impl Bench {
    /// A node that is online since a second, with one camera and one place.
    fn online(limits: Limits) -> Self {
        let topics = Topics::new("cn", &"node".parse().expect("a node id")).expect("a prefix");
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
        std::iter::from_fn(|| self.node.poll_output()).map(|output| words(&output)).collect()
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
                PeerCommand::RestartIce => "restart ICE".to_owned(),
                PeerCommand::Close => "close".to_owned(),
                other => panic!("{other:?} is not for a node"),
            };
            format!("{}: {command}", key.peer)
        }
        Output::Event(event) => format!("({})", event.step.name()),
        Output::Unreadable(peer, malformed) => format!("(unreadable of {peer}: {})", malformed.code.slug()),
    }
}

#[test]
fn a_session_goes_from_join_to_live_to_leave_in_the_order_of_the_protocol() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.join("tab", 1),
        ["(join)", "(peer)", "(opening)", "tab: make an offer of 1 pictures", "tab: peer seq 0 ack 0 re 0"]
    );
    assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 1 ack 0 re 0"]);
    assert_eq!(bench.answer("tab", 1, 1, 1), ["(answer)", "tab: accept the answer"]);
    assert_eq!(bench.wait(100), ["tab: ack ack 1"]);
    assert_eq!(bench.event("tab", 1, PeerEvent::Connected), ["(connected)"]);
    assert_eq!(bench.node.viewers(), 1);
    assert_eq!(bench.wait(3_600_000), [""; 0], "a live session has no clock running");
    assert_eq!(
        bench.say("tab", 1, 2, json!({"type": "leave", "reason": "closed"})),
        ["tab: ack ack 2", "(leave)", "tab: close"]
    );
    assert_eq!(bench.node.viewers(), 0);
    assert!(bench.node.is_settled());
    assert_eq!(bench.node.poll_timeout(), None);
}

#[test]
fn candidates_wait_for_the_answer_and_those_of_another_generation_are_dropped() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    let ice = |fragment: &str| json!({"type": "ice", "complete": false, "candidates": [{"candidate": "c", "usernameFragment": fragment}]});
    assert_eq!(bench.say("tab", 1, 1, ice("pEer")), [""; 0]);
    assert_eq!(bench.answer("tab", 1, 2, 1), ["(answer)", "tab: accept the answer", "tab: add 1 candidates"]);
    assert_eq!(bench.say("tab", 1, 3, ice("pEer")), ["tab: add 1 candidates"]);
    assert_eq!(bench.say("tab", 1, 4, ice("oLd0")), [""; 0]);
    assert_eq!(
        bench.say("tab", 1, 5, json!({"type": "ice", "candidates": [], "complete": true})),
        ["tab: add 0 candidates, the last"]
    );
}

#[test]
fn our_candidates_are_batched() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    let found = || {
        let candidate =
            Candidate { candidate: "c".to_owned(), sdp_mid: None, sdp_m_line_index: None, username_fragment: None };
        PeerEvent::Candidates { candidates: vec![candidate], complete: false }
    };
    assert_eq!(bench.event("tab", 1, found()), ["tab: ice seq 2 ack 0"]);
    assert_eq!(bench.event("tab", 1, found()), [""; 0]);
    assert_eq!(bench.event("tab", 1, found()), [""; 0]);
    assert_eq!(bench.wait(100), ["tab: ice seq 3 ack 0"]);
}

#[test]
fn messages_out_of_order_are_acted_on_in_order_and_twice_is_once() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    let ice = json!({"type": "ice", "candidates": [], "complete": true});
    assert_eq!(bench.say("tab", 1, 2, ice.clone()), [""; 0]);
    assert_eq!(bench.answer("tab", 1, 1, 1), ["(answer)", "tab: accept the answer", "tab: add 0 candidates, the last"]);
    assert_eq!(bench.say("tab", 1, 2, ice), ["tab: ack ack 2"]);
    assert_eq!(bench.answer("tab", 1, 1, 1), ["tab: ack ack 2"]);
}

#[test]
fn a_repeated_join_opens_nothing_and_gets_its_reply_again() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.wait(300);
    assert_eq!(bench.join("tab", 1), ["tab: peer seq 0 ack 0 re 0"]);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn a_new_join_of_the_same_peer_replaces_its_session_even_when_all_places_are_taken() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(
        bench.join("tab", 2),
        [
            "(leave)",
            "tab: close",
            "(join)",
            "(peer)",
            "(opening)",
            "tab: make an offer of 1 pictures",
            "tab: peer seq 0 ack 0 re 0",
            "tab: leave seq 2 ack 1 replaced",
        ]
    );
    assert_eq!(bench.join("tab", 1), ["tab: leave seq 2 ack 0 replaced"], "a late join does not open it again");
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn who_comes_when_all_places_are_taken_is_told_so_and_told_again() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.join("other", 5), ["(join)", "(refused)", "other: error ack 0 re 0 busy"]);
    assert_eq!(bench.join("other", 5), ["other: error ack 0 re 0 busy"]);
    bench.say("tab", 1, 2, json!({"type": "leave", "reason": "closed"}));
    assert_eq!(bench.join("other", 5), ["other: error ack 0 re 0 busy"], "a refused session stays refused");
    assert_eq!(bench.join("other", 6).len(), 5);
}

#[test]
fn a_camera_that_does_not_exist_is_refused_and_one_that_is_away_is_not() {
    let mut bench = Bench::new();
    bench.node.handle(Input::Cameras(vec![camera("front", CameraState::Away)]), bench.now);
    assert_eq!(bench.outputs(), ["status online 1 retained"]);
    let join = |names: Value| json!({"type": "join", "wants": {"video": names}, "nonce": "n"});
    assert_eq!(
        bench.say("tab", 1, 0, join(json!(["front", "back"]))),
        ["(join)", "(refused)", "tab: error ack 0 re 0 noSuchCamera"]
    );
    assert_eq!(bench.say("tab", 2, 0, join(json!(["front"]))).len(), 5);
}

#[test]
fn nobody_touches_another_peers_session() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    for message in
        [json!({"type": "ice", "candidates": [], "complete": true}), json!({"type": "answer", "sdp": "v=0", "re": 1})]
    {
        assert_eq!(bench.say("thief", 1, 7, message), ["thief: error re 7 unknownSession"]);
    }
    assert_eq!(bench.say("thief", 1, 7, json!({"type": "leave", "reason": "closed"})), ["thief: ack ack 7"]);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn what_is_not_done_yet_is_answered_and_not_swallowed() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.say("tab", 1, 2, json!({"type": "renew", "token": "t"})), ["tab: error ack 2 re 2 unsupported"]);
    assert_eq!(
        bench.say("tab", 1, 3, json!({"type": "offer", "sdp": "v=0", "mids": {}})),
        ["tab: error ack 3 re 3 unsupported"]
    );
    let call = json!({"type": "call", "from": "bell", "nonce": "n"});
    assert_eq!(bench.say("bell", 9, 0, call), ["bell: error re 0 unsupported"]);
    assert_eq!(
        bench.raw("bell", r#"{"v":1,"type":"register","seq":3,"name":"Bell","ttl":60}"#),
        ["bell: error re 3 unsupported"]
    );
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn a_bad_message_is_answered_once_keeps_its_place_and_never_starts_a_quarrel() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(
        bench.say("tab", 1, 2, json!({"type": "ice"})),
        ["tab: error re 2 badMessage", "(unreadable of tab: badMessage)"]
    );
    assert_eq!(bench.wait(100), ["tab: ack ack 2"]);
    let next = json!({"type": "ice", "candidates": [], "complete": true});
    assert_eq!(bench.say("tab", 1, 3, next), ["tab: add 0 candidates, the last"]);
    assert_eq!(bench.raw("x", "{"), ["x: error badMessage", "(unreadable of x: badMessage)"]);
    assert_eq!(bench.raw("x", r#"{"v":9,"type":"join"}"#)[0], "x: error unsupportedVersion");
    assert_eq!(bench.raw("x", r#"{"v":1,"type":"error"}"#), ["(unreadable of x: badMessage)"]);
    assert_eq!(bench.raw("x", r#"{"v":1,"type":"peer"}"#)[0], "x: error badMessage");
    let error = r#"{"v":1,"type":"error","code":10,"name":"E","message":""}"#;
    assert_eq!(bench.raw("x", error), [""; 0]);
    let replies = (0..1_000).filter(|_| bench.raw("x", "{").len() == 2).count();
    assert!(replies < 20, "{replies} replies to a flood");
}

#[test]
fn messages_that_the_broker_has_kept_are_ignored() {
    let mut bench = Bench::new();
    let payload = Bytes::from_static(br#"{"v":1,"type":"probe"}"#);
    let topic = "cn/node/in/tab".to_owned();
    bench.node.handle(Input::Message { topic, payload, retained: true }, bench.now);
    assert_eq!(bench.outputs(), [""; 0]);
    assert_eq!(bench.raw("tab", r#"{"v":1,"type":"probe","seq":4}"#), ["tab: status re 4"]);
}

#[test]
fn each_step_has_its_time_and_says_what_failed() {
    let failed = |code: &str| {
        [
            "(failed)".to_owned(),
            "tab: close".to_owned(),
            format!("tab: error ack 0 {code}"),
            "tab: leave seq".to_owned(),
        ]
    };
    let tail = |mut outputs: Vec<String>| {
        let at = outputs.iter().position(|output| output == "(failed)").expect("a failure");
        let mut tail = outputs.split_off(at);
        tail.truncate(4);
        tail[2] = tail[2].replace("ack 1", "ack 0");
        tail[3].truncate("tab: leave seq".len());
        tail
    };
    let mut bench = Bench::new();
    bench.join("tab", 1);
    assert_eq!(tail(bench.wait(10_000)), failed("offerFailed"));

    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    bench.say("tab", 1, 1, json!({"type": "ice", "candidates": [], "complete": true, "ack": 1}));
    assert_eq!(tail(bench.wait(20_000)), failed("timedOut"));

    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    assert_eq!(tail(bench.wait(16_000)), failed("signallingLost"));

    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.offered("tab", 1);
    bench.answer("tab", 1, 1, 1);
    assert_eq!(tail(bench.wait(30_000)), failed("iceFailed"));
    assert_eq!(bench.node.viewers(), 0);
}

#[test]
fn a_connection_that_fails_says_which_step_and_leaves() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    bench.say("tab", 1, 1, json!({"type": "ice", "candidates": [], "complete": true, "ack": 0}));
    let event = PeerEvent::Failed { step: FailedStep::NoCommonCodec, message: "no H.264".to_owned() };
    assert_eq!(
        bench.event("tab", 1, event),
        ["(failed)", "tab: close", "tab: error ack 1 noCommonCodec", "tab: leave seq 1 ack 1 failed"]
    );
    assert!(!bench.node.is_settled(), "the leave is still to be heard");
    let ack = json!({"v": 1, "type": "ack", "session": id(1).as_str(), "ack": 1});
    assert_eq!(bench.raw("tab", &ack.to_string()), [""; 0]);
    assert!(bench.node.is_settled());
}

#[test]
fn a_silent_viewer_gets_an_ice_restart_and_is_freed_after_half_a_minute() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.event("tab", 1, PeerEvent::Silent), ["(silent)"]);
    assert_eq!(bench.wait(2_000), ["tab: restart ICE"]);
    assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 2 ack 1"]);
    assert_eq!(bench.answer("tab", 1, 2, 2), ["(answer)", "tab: accept the answer"]);
    assert_eq!(bench.event("tab", 1, PeerEvent::Recovered), ["(recovered)"]);
    assert_eq!(bench.wait(3_600_000), ["tab: ack ack 2"]);
    bench.event("tab", 1, PeerEvent::Silent);
    bench.wait(29_999);
    assert_eq!(bench.node.viewers(), 1);
    assert_eq!(bench.wait(1)[..2], ["(leave)", "tab: close"]);
    assert_eq!(bench.node.viewers(), 0);
}

#[test]
fn a_viewer_that_closes_its_connection_is_freed_without_a_word() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.event("tab", 1, PeerEvent::ClosedByPeer), ["(leave)", "tab: close"]);
    assert!(bench.node.is_settled());
    assert_eq!(bench.event("tab", 1, PeerEvent::Connected), [""; 0], "what comes late from the connection is nothing");
    let late = json!({"type": "ice", "candidates": [], "complete": true});
    assert_eq!(bench.say("tab", 1, 2, late), ["tab: leave seq 2 ack 2 closed"]);
}

#[test]
fn shutdown_leaves_every_session_and_says_offline_last() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.node.handle(Input::Shutdown, bench.now);
    assert_eq!(
        bench.outputs(),
        ["(leave)", "tab: close", "tab: leave seq 2 ack 1 shutdown", "status offline 1 retained"]
    );
    assert_eq!(bench.join("late", 3)[1], "(refused)");
}

#[test]
fn presence_is_corrected_when_the_broker_shows_something_else_and_not_more_than_once_a_second() {
    let mut bench = Bench::new();
    let will = bench.node.will();
    assert_eq!(words(&Output::Publish(will.of_connection(4))), "status offline 4 retained");
    let see = |bench: &mut Bench, payload: &[u8]| {
        let (topic, payload) = ("cn/node/status".to_owned(), Bytes::copy_from_slice(payload));
        bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
        bench.outputs()
    };
    let mut echo = Vec::new();
    bench.node.handle(Input::LinkDown, bench.now);
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    while let Some(output) = bench.node.poll_output() {
        if let Output::Publish(outgoing) = output {
            echo = outgoing.payload.to_vec();
        }
    }
    assert_eq!(see(&mut bench, &will.of_connection(1).payload), [""; 0]);
    assert_eq!(see(&mut bench, &echo), [""; 0], "our own word came after the old will: nothing to mend");
    assert_eq!(bench.wait(5_000), [""; 0]);
    assert_eq!(see(&mut bench, &will.of_connection(1).payload), [""; 0]);
    assert_eq!(bench.wait(250), ["status online 2 retained"]);
    for _ in 0..100 {
        see(&mut bench, b"");
        see(&mut bench, b"{}");
    }
    assert_eq!(bench.wait(999), [""; 0]);
    assert_eq!(bench.wait(1), ["status online 2 retained"]);
}

#[test]
fn a_burst_of_changes_is_one_status_a_second_and_no_change_is_none() {
    let mut bench = Bench::new();
    for state in [CameraState::Running, CameraState::Away, CameraState::Running, CameraState::Failed] {
        bench.node.handle(Input::Cameras(vec![camera("front", state)]), bench.now);
    }
    assert_eq!(bench.outputs(), ["status online 1 retained"]);
    assert_eq!(bench.wait(1_000), ["status online 1 retained"]);
    bench.node.handle(Input::Cameras(vec![camera("front", CameraState::Failed)]), bench.now);
    assert_eq!(bench.wait(10_000), [""; 0]);
}

#[test]
fn a_broker_that_goes_away_leaves_sessions_alone() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.node.handle(Input::LinkDown, bench.now);
    assert_eq!(bench.wait(600_000), [""; 0]);
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    assert_eq!(bench.outputs(), ["status online 2 retained"]);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn floods_of_many_peers_are_refused_in_bounded_memory() {
    let mut bench = Bench::new();
    for n in 0..4_000u32 {
        bench.now += ms(1);
        bench.join(&format!("p{}", n % 2_000), n.into());
        bench.say("one", n.into(), 3, json!({"type": "leave", "reason": "closed"}));
    }
    assert_eq!(bench.node.viewers(), 1);
    assert!(bench.node.out.is_empty());
    let refused = bench.join("p1", 99_999);
    assert!(refused.iter().any(|output| output.ends_with("busy")), "{refused:?}");
}

#[test]
fn one_peer_that_joins_in_a_loop_is_slowed_down() {
    let mut bench = Bench::new();
    let mut limited = 0;
    for n in 0..100 {
        let outputs = bench.join("tab", n);
        limited += usize::from(outputs.iter().any(|output| output.contains("rateLimited")));
    }
    assert!((15..90).contains(&limited), "{limited}");
    assert_eq!(bench.node.viewers(), 1);
}
