//! "This input, exactly these outputs", rule by rule.

mod calls;

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::error::FAILED_STEPS;
use super::super::{CallResponse, CameraChoice, FailedStep, PeerEvent, Topics, WantsRequest};
use super::*;

const OFFER: &str = "v=0\r\na=ice-ufrag:nOde\r\n";

struct Bench {
    viewer: Viewer,
    now: Duration,
    session: Option<SessionId>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Bench {
    fn new() -> Self {
        Self::with(|viewer| viewer)
    }

    fn with(as_wanted: impl FnOnce(Viewer) -> Viewer) -> Self {
        let topics = Topics::new(&"cn".parse().expect("a prefix"), &"node".parse().expect("a node id"));
        let mut count = 0;
        let viewer = Viewer::new(ViewerSetup {
            topics,
            peer: "tab".parse().expect("a peer id"),
            wants: WantsRequest { video: CameraChoice::All, ..WantsRequest::default() },
            token: None,
            // A share of 500 thousandths in every wait.
            entropy: Box::new(move || {
                count += 1_001;
                count + 500
            }),
        });
        let mut bench = Self { viewer: as_wanted(viewer), now: ms(0), session: None };
        bench.viewer.handle(Input::LinkUp, ms(0));
        assert_eq!(bench.outputs(), ["looking"]);
        bench
    }

    /// At the broker, the node online, `join` on its way.
    fn joining() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.status("online", "aaaaaaaa", 1), ["(join)", "connecting", "join seq 0"]);
        bench
    }

    fn live() -> Self {
        let mut bench = Self::joining();
        bench.peer_and_offer();
        bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() });
        assert_eq!(bench.event(PeerEvent::Connected), ["(connected)", "live"]);
        bench.say(json!({"type": "ack", "ack": 1}));
        bench.wait(200);
        bench
    }

    fn peer_and_offer(&mut self) -> Vec<String> {
        let node = json!({"name": "Porch", "boot": "aaaaaaaa", "version": "0.1.0"});
        let mut outputs = self
            .say(json!({"type": "peer", "seq": 0, "ack": 0, "re": 0, "iceServers": [], "node": node, "nonce": "n"}));
        outputs.extend(self.say(json!({"type": "offer", "seq": 1, "ack": 0, "re": 0, "sdp": OFFER, "mids": {}})));
        outputs
    }

    fn outputs(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(output) = self.viewer.poll_output() {
            all.push(match output {
                Output::Publish(outgoing) => {
                    assert_eq!(outgoing.topic, "cn/node/in/tab");
                    let message = Message::read(&outgoing.payload).expect("a message of ours");
                    if matches!(message.body, Body::Join(_) | Body::Call(_)) {
                        self.session = message.session.clone();
                    }
                    let mut text = message.body.kind().to_owned();
                    for (name, number) in [("seq", message.seq), ("ack", message.ack), ("re", message.re)] {
                        text += &number.map(|number| format!(" {name} {number}")).unwrap_or_default();
                    }
                    match message.body {
                        Body::Error(failure) => text += &format!(" {}", failure.known().expect("a code").slug()),
                        Body::Leave(leave) => text += &format!(" {:?}", leave.reason),
                        Body::Cancel(cancel) => text += &format!(" {:?}", cancel.reason),
                        Body::CallResponse(CallResponse::Rejected(rejection)) => {
                            text += &format!(" {:?}", rejection.reason);
                        }
                        _ => {}
                    }
                    text
                }
                Output::Peer(_, command) => match command {
                    PeerCommand::Answer { .. } => "make an answer".to_owned(),
                    PeerCommand::AddCandidates { candidates, .. } => format!("add {} candidates", candidates.len()),
                    PeerCommand::UseIceServers { ice_servers } => format!("use {} servers", ice_servers.len()),
                    PeerCommand::RestartIce => "restart ICE".to_owned(),
                    PeerCommand::AcceptAnswer { .. } => "accept the answer".to_owned(),
                    PeerCommand::NetworkChanged => "look at the network".to_owned(),
                    PeerCommand::Close => "close".to_owned(),
                    other @ PeerCommand::Offer { .. } => panic!("{other:?} is not for a viewer"),
                },
                Output::Event(event) => format!("({})", event.step.name()),
                Output::State(shown) => match shown.retry_in {
                    Some(wait) => format!("{} for {} ms", shown.state.name(), wait.as_millis()),
                    None => shown.state.name().to_owned(),
                },
                Output::Unreadable(why) => format!("(unreadable: {})", why.code.slug()),
            });
        }
        all
    }

    fn input(&mut self, topic: &str, message: &Value) -> Vec<String> {
        let (topic, payload) = (format!("cn/node/{topic}"), Bytes::from(message.to_string()));
        self.viewer.handle(Input::Message { topic, payload, retained: false }, self.now);
        self.outputs()
    }

    fn say(&mut self, mut message: Value) -> Vec<String> {
        message["v"] = json!(1);
        if message.get("session").is_none() {
            message["session"] = json!(self.session.as_ref().expect("a session").as_str());
        }
        self.input("out/tab", &message)
    }

    fn status(&mut self, state: &str, boot: &str, conn: u32) -> Vec<String> {
        let status = json!({"v": 1, "type": "status", "versions": [1], "state": state, "boot": boot, "conn": conn,
            "cameras": [], "access": "open"});
        self.input("status", &status)
    }

    fn event(&mut self, event: PeerEvent) -> Vec<String> {
        let session = self.session.clone().expect("a session");
        let key = SessionKey { peer: "tab".parse().expect("a peer id"), session };
        self.viewer.handle(Input::Peer(key, event), self.now);
        self.outputs()
    }

    fn wait(&mut self, by_ms: u64) -> Vec<String> {
        let until = self.now + ms(by_ms);
        while let Some(at) = self.viewer.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.viewer.handle_timeout(self.now);
        }
        self.now = until;
        self.outputs()
    }
}

#[test]
fn a_session_goes_from_join_to_live_to_leave_in_the_order_of_the_protocol() {
    let mut bench = Bench::joining();
    assert_eq!(bench.peer_and_offer(), ["(peer)", "(opening)", "(offer)", "make an answer"]);
    assert_eq!(bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() }), ["(answer)", "answer seq 1 ack 1 re 1"]);
    let candidate = json!({"candidate": "c", "usernameFragment": "nOde"});
    let ice = json!({"type": "ice", "seq": 2, "ack": 1, "candidates": [candidate], "complete": true});
    assert_eq!(bench.say(ice), ["add 1 candidates"]);
    assert_eq!(bench.event(PeerEvent::Connected), ["(connected)", "live"]);
    assert_eq!(bench.wait(100), ["ack ack 2"]);
    assert_eq!(bench.wait(3_600_000), [""; 0]);
    bench.viewer.handle(Input::Close, bench.now);
    assert_eq!(bench.outputs(), ["(leave)", "close", "closed", "leave seq 2 ack 2 Closed"]);
    bench.say(json!({"type": "ack", "ack": 2}));
    assert!(bench.viewer.is_settled());
    assert_eq!(bench.viewer.poll_timeout(), None);
}

#[test]
fn wills_that_come_late_count_for_nothing() {
    let mut bench = Bench::new();
    bench.status("offline", "aaaaaaaa", 3);
    assert_eq!(bench.viewer.shown().state, ViewerState::Offline);
    assert_eq!(bench.status("online", "aaaaaaaa", 2), [""; 0], "an older connection than the one that was lost");
    assert_eq!(bench.status("online", "aaaaaaaa", 4).len(), 3);
    let mut bench = Bench::new();
    bench.status("online", "bbbbbbbb", 2);
    bench.say(json!({"type": "error", "re": 0, "code": 25, "name": "E", "message": "", "retryAfter": 1}));
    assert_eq!(bench.status("offline", "bbbbbbbb", 1), [""; 0], "the will of the connection before");
    assert_eq!(bench.status("offline", "aaaaaaaa", 9), [""; 0], "the will of the run before");
    assert_eq!(bench.status("offline", "bbbbbbbb", 2), ["offline"]);
}

#[test]
fn without_a_retained_status_the_node_is_asked_and_counts_as_away_after_five_seconds() {
    let mut bench = Bench::new();
    assert_eq!(bench.wait(1_000), ["probe"]);
    assert_eq!(bench.wait(4_999), [""; 0]);
    assert_eq!(bench.wait(1), ["offline"]);
    assert_eq!(bench.wait(30_000), ["probe"]);
    let status = json!({"v": 1, "type": "status", "versions": [1], "state": "online", "boot": "aaaaaaaa", "conn": 1,
        "cameras": [], "access": "open"});
    assert_eq!(bench.input("out/tab", &status), ["(join)", "connecting", "join seq 0"]);
}

#[test]
fn an_unknown_session_is_no_news_while_the_join_is_on_its_way_and_ends_it_after() {
    let unknown = || json!({"type": "error", "re": 1, "code": 13, "name": "InvalidStateError", "message": ""});
    let mut bench = Bench::joining();
    assert_eq!(bench.say(unknown()), [""; 0]);
    let mut bench = Bench::live();
    assert_eq!(bench.say(unknown()), ["(failed)", "close", "lost for 750 ms"]);
    assert_eq!(bench.wait(750), ["(join)", "connecting", "join seq 0"]);
}

#[test]
fn attempts_come_ever_more_rarely_and_at_once_again_after_a_good_session() {
    let mut bench = Bench::joining();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let busy = json!({"type": "error", "re": 0, "code": 25, "name": "QuotaExceededError", "message": "Full."});
        bench.say(busy);
        let wait = bench.viewer.shown().retry_in.expect("it is tried again");
        waits.push(wait.as_millis());
        bench.wait(u64::try_from(wait.as_millis()).expect("a short wait"));
    }
    assert_eq!(waits, [750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
    bench.peer_and_offer();
    bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() });
    bench.event(PeerEvent::Connected);
    bench.wait(10_000);
    assert_eq!(bench.event(PeerEvent::ClosedByPeer), ["silent"], "the reason may be on its way");
    assert_eq!(bench.wait(500), ["(leave)", "close", "lost for 750 ms"]);
}

#[test]
fn the_wait_that_the_node_asks_for_is_kept() {
    let mut bench = Bench::joining();
    let busy = json!({"type": "error", "re": 0, "code": 25, "name": "E", "message": "Full.", "retryAfter": 10});
    assert_eq!(bench.say(busy), ["(refused)", "close", "lost for 10750 ms"]);
    let mut bench = Bench::joining();
    let endless =
        json!({"type": "error", "re": 0, "code": 999, "name": "E", "message": "?", "retryAfter": 4294967295u32});
    assert_eq!(bench.say(endless), ["(refused)", "close", "lost for 3600750 ms"]);
}

#[test]
fn what_trying_again_would_not_mend_is_not_tried_again() {
    for code in [20, 22, 30, 11, 999] {
        let mut bench = Bench::joining();
        let refusal = json!({"type": "error", "re": 0, "code": code, "name": "E", "message": "No."});
        assert_eq!(bench.say(refusal), ["(refused)", "close", "refused"], "{code}");
        assert_eq!(bench.viewer.poll_timeout(), None);
    }
    let mut bench = Bench::live();
    assert_eq!(
        bench.say(json!({"type": "leave", "seq": 2, "reason": "expired"})),
        ["(leave)", "close", "ack ack 2", "refused"]
    );
}

#[test]
fn a_session_that_fails_here_is_left_with_its_error_and_tried_again_if_that_can_help() {
    let mut bench = Bench::live();
    let event = PeerEvent::Failed { step: FailedStep::Ice, message: "no path".to_owned() };
    assert_eq!(
        bench.event(event),
        ["(failed)", "close", "lost for 750 ms", "error ack 1 iceFailed", "leave seq 2 ack 1 Failed"]
    );
    let mut bench = Bench::live();
    let event = PeerEvent::Failed { step: FailedStep::NoCommonCodec, message: "no H.264".to_owned() };
    assert!(bench.event(event).contains(&"refused".to_owned()));
}

#[test]
fn each_step_that_can_fail_here_has_a_code_of_its_own_that_the_node_is_told() {
    for (step, code) in FAILED_STEPS {
        let outputs = Bench::live().event(PeerEvent::Failed { step, message: "it did not work".to_owned() });
        assert!(outputs.contains(&format!("error ack 1 {code}")), "{outputs:?}");
    }
}

#[test]
fn a_node_that_started_anew_is_joined_after_a_random_wait() {
    let mut bench = Bench::live();
    assert_eq!(bench.status("online", "bbbbbbbb", 1), ["(rebooted)", "close", "lost for 2500 ms"]);
    assert_eq!(bench.status("online", "bbbbbbbb", 1), [""; 0], "hearing it twice does not begin the wait anew");
    assert_eq!(bench.wait(2_500), ["(join)", "connecting", "join seq 0"]);
}

#[test]
fn a_renegotiation_is_answered_on_the_live_connection() {
    let mut bench = Bench::live();
    let offer = json!({"type": "offer", "seq": 2, "ack": 1, "sdp": OFFER, "mids": {}});
    assert_eq!(bench.say(offer), ["(offer)", "make an answer"]);
    assert_eq!(bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() }), ["(answer)", "answer seq 2 ack 2 re 2"]);
    assert_eq!(bench.viewer.shown().state, ViewerState::Live);
}

#[test]
fn messages_of_sessions_that_are_not_ours_are_answered_and_never_errors_by_errors() {
    let mut bench = Bench::live();
    let other = "0123456789abcdef0123456789abcdef";
    let peer = json!({"type": "ice", "seq": 4, "session": other, "candidates": [], "complete": true});
    assert_eq!(bench.say(peer), ["error re 4 unknownSession"]);
    assert_eq!(bench.say(json!({"type": "leave", "seq": 5, "session": other, "reason": "closed"})), ["ack ack 5"]);
    assert_eq!(bench.say(json!({"type": "error", "session": other, "code": 59, "name": "E", "message": ""})), [""; 0]);
    assert_eq!(bench.say(json!({"type": "ack", "ack": 1, "session": other})), [""; 0]);
    assert_eq!(
        bench.say(json!({"type": "offer", "seq": 2})),
        ["(unreadable: badMessage)", "error ack 2 re 2 badMessage"]
    );
    let ringing = json!({"type": "ringing", "seq": 3});
    assert_eq!(bench.say(ringing), ["error ack 3 re 3 unsupported"]);
    assert_eq!(bench.viewer.shown().state, ViewerState::Live);
}

#[test]
fn a_newer_token_renews_the_session_and_begins_the_next() {
    let mut bench = Bench::live();
    bench.viewer.handle(Input::Token("newer".try_into().expect("a token")), bench.now);
    assert_eq!(bench.outputs(), ["renew seq 2 ack 1"]);
    bench.say(json!({"type": "leave", "reason": "closed", "seq": 2, "ack": 2}));
    let outputs = bench.wait(1_000);
    assert!(outputs.contains(&"join seq 0".to_owned()), "{outputs:?}");
    assert_eq!(bench.viewer.setup.token.as_ref().map(super::super::Token::as_str), Some("newer"));

    let mut bench = Bench::new();
    bench.viewer.handle(Input::Token("newer".try_into().expect("a token")), bench.now);
    assert_eq!(bench.outputs(), [""; 0], "nothing to renew before there is a session");
}

const RESTARTED: &str = "v=0\r\na=ice-ufrag:nOde2\r\n";

fn offered() -> PeerEvent {
    PeerEvent::Offered { sdp: "v=0\r\na=ice-ufrag:vIewer2\r\n".to_owned(), mids: super::super::Mids::new() }
}

#[test]
fn silence_is_the_nodes_to_mend_first_then_ours_and_in_the_end_a_new_session() {
    let mut bench = Bench::live();
    assert_eq!(bench.event(PeerEvent::Silent), ["(silent)", "silent"]);
    assert_eq!(bench.wait(3_999), [""; 0]);
    assert_eq!(bench.wait(1), ["ice seq 2 ack 1"], "does it hear us at all?");
    assert_eq!(bench.say(json!({"type": "ack", "ack": 2})), ["restart ICE"]);
    assert_eq!(bench.event(offered()), ["(offer)", "offer seq 3 ack 1"]);
    assert_eq!(
        bench.say(json!({"type": "answer", "seq": 2, "ack": 3, "re": 3, "sdp": RESTARTED})),
        ["(answer)", "accept the answer"]
    );
    assert_eq!(bench.event(PeerEvent::Recovered), ["(recovered)", "live"]);
    assert_eq!(bench.wait(3_600_000), ["ack ack 2"]);

    bench.event(PeerEvent::Silent);
    bench.wait(1_000);
    let offer = json!({"type": "offer", "seq": 3, "sdp": RESTARTED.replace('2', "3"), "mids": {}});
    assert_eq!(bench.say(offer), ["(offer)", "make an answer"]);
    bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() });
    let asks = |outputs: Vec<String>| outputs.iter().any(|output| output.starts_with("ice seq"));
    assert!(!asks(bench.wait(2_999)), "the node's restart counts");
    assert!(asks(bench.wait(16_000)));
    let end = bench.wait(1);
    assert_eq!(end[..3], ["(failed)", "close", "lost for 750 ms"]);
}

#[test]
fn our_offer_counts_when_the_nodes_crosses_it() {
    let mut bench = Bench::live();
    bench.viewer.handle(Input::NetworkChanged, bench.now);
    assert_eq!(bench.outputs(), ["look at the network"]);
    assert_eq!(bench.event(PeerEvent::AddressLost), ["(silent)", "silent"]);
    assert_eq!(bench.wait(250), ["restart ICE"]);
    let theirs = |seq: u32| json!({"type": "offer", "seq": seq, "sdp": RESTARTED, "mids": {}});
    assert_eq!(bench.say(theirs(2)), [""; 0]);
    assert_eq!(bench.event(offered()), ["(offer)", "offer seq 2 ack 2"]);
    assert_eq!(bench.say(theirs(3)), [""; 0]);
    assert_eq!(
        bench.say(json!({"type": "answer", "seq": 4, "ack": 2, "re": 2, "sdp": RESTARTED.replace('2', "3")})),
        ["(answer)", "accept the answer"]
    );
    let again = json!({"type": "offer", "seq": 5, "sdp": RESTARTED.replace('2', "4"), "mids": {}});
    assert_eq!(bench.say(again), ["(offer)", "make an answer"]);
}
