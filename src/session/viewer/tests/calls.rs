//! Calls to the node, and calls of the node.

use super::*;
use crate::media::Bounded;
use crate::session::Text;

/// At the broker, the node online, `call` on its way.
fn calling() -> Bench {
    let mut bench = Bench::with(Viewer::calling);
    assert_eq!(bench.status("online", "aaaaaaaa", 1), ["(call)", "calling", "call seq 0"]);
    bench
}

/// At the broker, registered as "Bell".
fn waiting() -> Bench {
    let name = Text::try_from("Bell").expect("short");
    let mut bench = Bench::with(|viewer| viewer.registered(name, const { Bounded::new(60) }));
    assert_eq!(bench.status("online", "aaaaaaaa", 1), ["register seq 1"]);
    assert_eq!(bench.input("out/tab", &registered(1, 60)), ["waiting"]);
    bench
}

fn registered(re: u32, ttl: u32) -> Value {
    json!({"v": 1, "type": "registered", "re": re, "name": "Bell", "ttl": ttl})
}

fn call(bench: &mut Bench, session: u128, from: &str) -> Vec<String> {
    let session = SessionId::from_random(session);
    bench.session = Some(session);
    bench.say(json!({"type": "call", "seq": 0, "from": from, "nonce": "n"}))
}

fn rejected(reason: &str) -> Value {
    json!({"type": "callResponse", "seq": 0, "ack": 0, "re": 0, "response": "rejected", "reason": reason})
}

#[test]
fn a_call_that_is_taken_goes_on_like_a_join() {
    let mut bench = calling();
    assert_eq!(bench.say(json!({"type": "ringing", "seq": 0, "ack": 0, "re": 0})), ["(ringing)"]);
    assert_eq!(bench.wait(44_900), ["ack ack 0"], "a person takes time");
    let accepted = json!({"type": "callResponse", "seq": 1, "ack": 0, "re": 0, "response": "accepted", "nonce": "n"});
    assert_eq!(bench.say(accepted), ["(accepted)", "connecting"]);
    let node = json!({"name": "Porch", "boot": "aaaaaaaa", "version": "0.1.0"});
    let peer = json!({"type": "peer", "seq": 2, "ack": 0, "re": 0, "iceServers": [], "node": node, "nonce": "n"});
    assert_eq!(bench.say(peer), ["(peer)", "(opening)"]);
    let offer = json!({"type": "offer", "seq": 3, "ack": 0, "re": 0, "sdp": OFFER, "mids": {}});
    assert_eq!(bench.say(offer), ["(offer)", "make an answer"]);
}

#[test]
fn a_rejected_call_is_made_again_only_when_the_node_says_when() {
    let mut bench = calling();
    assert_eq!(bench.say(rejected("declined")), ["(rejected)", "close", "ack ack 0", "refused"]);
    assert_eq!(bench.viewer.poll_timeout(), None);
    let mut bench = calling();
    let mut busy = rejected("busy");
    busy["retryAfter"] = json!(10);
    assert_eq!(bench.say(busy), ["(rejected)", "close", "ack ack 0", "lost for 10750 ms"]);
    assert_eq!(bench.wait(10_750), ["(call)", "calling", "call seq 0"]);
}

#[test]
fn a_call_rings_for_so_long_and_is_then_given_up() {
    let mut bench = calling();
    bench.say(json!({"type": "ringing", "seq": 0, "ack": 0, "re": 0}));
    bench.wait(44_999);
    assert_eq!(bench.wait(1), ["(cancelled)", "close", "refused", "cancel seq 1 ack 0 Timeout"]);
    assert_eq!(bench.viewer.shown().detail.as_deref(), Some("Nobody answered."));
    let late = json!({"type": "callResponse", "seq": 1, "ack": 0, "re": 0, "response": "accepted", "nonce": "n"});
    assert_eq!(bench.say(late), ["cancel seq 1 ack 1 Timeout"], "they have crossed");
}

#[test]
fn hanging_up_cancels_a_call_that_is_not_taken() {
    let mut bench = calling();
    bench.viewer.handle(Input::Close, bench.now);
    assert_eq!(bench.outputs(), ["(cancelled)", "close", "closed", "cancel seq 1 Closed"]);
}

/// A call of the node's, taken, its pictures moving.
fn in_call() -> Bench {
    let mut bench = waiting();
    call(&mut bench, 1, "node");
    bench.viewer.handle(Input::Accept, bench.now);
    let node = json!({"name": "Porch", "boot": "aaaaaaaa", "version": "0.1.0"});
    bench.say(json!({"type": "peer", "seq": 1, "ack": 1, "re": 1, "iceServers": [], "node": node, "nonce": "n"}));
    bench.say(json!({"type": "offer", "seq": 2, "ack": 1, "re": 1, "sdp": OFFER, "mids": {}}));
    bench.event(PeerEvent::Answered { sdp: "v=0".to_owned() });
    assert_eq!(bench.event(PeerEvent::Connected).last().map(String::as_str), Some("live"));
    bench.say(json!({"type": "ack", "ack": 2}));
    bench.wait(200);
    bench
}

fn hung_up(seq: u32) -> Value {
    json!({"type": "cancel", "seq": seq, "ack": 2, "reason": "closed"})
}

#[test]
fn when_the_node_hangs_up_who_was_rung_waits_for_the_next_ring_and_a_caller_has_seen_enough() {
    let mut bench = in_call();
    assert_eq!(bench.say(hung_up(3)), ["(cancelled)", "close", "ack ack 3", "waiting"]);
    assert_eq!(bench.say(hung_up(3)), ["ack ack 3"], "it was not heard");
    let outputs = bench.wait(100_000);
    assert!(outputs.iter().all(|output| output.starts_with("register ")), "{outputs:?}");

    let accepted = json!({"type": "callResponse", "seq": 1, "ack": 0, "re": 0, "response": "accepted", "nonce": "n"});
    for is_taken in [false, true] {
        let mut bench = calling();
        bench.say(json!({"type": "ringing", "seq": 0, "ack": 0, "re": 0}));
        if is_taken {
            bench.say(accepted.clone());
        }
        assert_eq!(bench.say(hung_up(2)), ["(cancelled)", "close", "ack ack 2", "refused"]);
        assert_eq!(bench.viewer.shown().detail.as_deref(), Some("The camera has hung up."));
        assert_eq!(bench.viewer.poll_timeout(), None);
    }
}

#[test]
fn a_closed_connection_waits_for_the_reason_and_one_that_comes_later_still_counts() {
    let mut bench = in_call();
    assert_eq!(bench.event(PeerEvent::ClosedByPeer), ["silent"]);
    assert_eq!(bench.wait(499), [""; 0]);
    assert_eq!(bench.say(hung_up(3)), ["(cancelled)", "close", "ack ack 3", "waiting"]);

    // Before the next attempt, and in it.
    for wait in [600, 2_000] {
        let mut bench = in_call();
        let of_before = bench.session.clone().expect("a session");
        bench.event(PeerEvent::ClosedByPeer);
        let joins = bench.wait(wait).contains(&"join seq 0".to_owned());
        assert_eq!(joins, wait == 2_000);
        let mut late = hung_up(3);
        late["session"] = json!(of_before.as_str());
        let outputs = bench.say(late);
        let left = outputs.contains(&"leave seq 1 Closed".to_owned());
        assert!(outputs.contains(&"ack ack 3".to_owned()) && left == joins, "{outputs:?}");
        bench.say(json!({"type": "ack", "ack": 1}));
        assert_eq!(bench.viewer.shown().state, ViewerState::Waiting);
        let outputs = bench.wait(100_000);
        assert!(outputs.iter().all(|output| output.starts_with("register ")), "{outputs:?}");
    }
}

#[test]
fn what_hangs_up_a_lost_call_late_does_not_end_the_next() {
    let mut bench = in_call();
    let mut late = hung_up(3);
    late["session"] = json!(bench.session.as_ref().expect("a session").as_str());
    bench.event(PeerEvent::ClosedByPeer);
    bench.wait(600);
    call(&mut bench, 2, "node");
    bench.viewer.handle(Input::Accept, bench.now);
    bench.outputs();
    assert_eq!(bench.say(late), ["ack ack 3"]);
    assert_eq!(bench.viewer.shown().state, ViewerState::Connecting);
}

#[test]
fn a_call_of_the_node_rings_until_the_person_decides() {
    let mut bench = waiting();
    assert_eq!(call(&mut bench, 1, "node"), ["(call)", "(ringing)", "ringing seq 0 ack 0 re 0", "ringing"]);
    bench.say(json!({"type": "ack", "ack": 0}));
    bench.viewer.handle(Input::Accept, bench.now);
    assert_eq!(bench.outputs(), ["(accepted)", "callResponse seq 1 ack 0 re 0", "connecting"]);
    assert_eq!(
        bench.say(json!({"type": "cancel", "seq": 1, "ack": 1, "reason": "answered"})),
        ["(cancelled)", "close", "ack ack 1", "waiting"]
    );
    call(&mut bench, 2, "node");
    bench.viewer.handle(Input::Decline, bench.now);
    assert_eq!(bench.outputs(), ["(rejected)", "callResponse seq 1 ack 0 re 0 Declined", "waiting"]);
    bench.say(json!({"type": "ack", "ack": 1}));
    bench.viewer.handle(Input::Accept, bench.now);
    assert_eq!(bench.outputs(), [""; 0], "nothing rings");
}

#[test]
fn a_second_call_rings_in_place_of_the_first_and_a_third_finds_the_line_busy() {
    let mut bench = waiting();
    call(&mut bench, 1, "node");
    assert_eq!(
        call(&mut bench, 2, "node"),
        ["(rejected)", "(call)", "(ringing)", "ringing seq 0 ack 0 re 0", "callResponse seq 1 ack 0 re 0 Busy"]
    );
    bench.viewer.handle(Input::Accept, bench.now);
    bench.outputs();
    assert_eq!(call(&mut bench, 3, "node"), ["(call)", "(rejected)", "callResponse seq 0 ack 0 re 0 Busy"]);
}

#[test]
fn calls_that_nobody_wants_or_may_make_do_not_ring() {
    let mut bench = Bench::live();
    assert_eq!(call(&mut bench, 1, "node"), ["(call)", "(rejected)", "callResponse seq 0 ack 0 re 0 Unsupported"]);
    let mut bench = waiting();
    bench.viewer.handle(Input::Close, bench.now);
    bench.outputs();
    assert_eq!(call(&mut bench, 1, "node").pop().as_deref(), Some("callResponse seq 0 ack 0 re 0 Unsupported"));
    let mut bench = waiting();
    assert_eq!(call(&mut bench, 1, "eve"), ["error re 0 badMessage"]);
}

#[test]
fn whoever_calls_is_busy_for_the_nodes_own_call() {
    let name = Text::try_from("Bell").expect("short");
    let mut bench = Bench::with(|viewer| viewer.registered(name, const { Bounded::new(60) }).calling());
    let outputs = bench.status("online", "aaaaaaaa", 1);
    assert_eq!(outputs, ["(call)", "calling", "register seq 1", "call seq 0"]);
    assert_eq!(call(&mut bench, 1, "node"), ["(call)", "(rejected)", "callResponse seq 0 ack 0 re 0 Busy"]);
}

#[test]
fn a_call_that_nobody_takes_back_ends_by_itself() {
    let mut bench = waiting();
    call(&mut bench, 1, "node");
    bench.say(json!({"type": "ack", "ack": 0}));
    // The registration is renewed meanwhile, without an answer.
    let outputs = bench.wait(120_000);
    assert!(outputs.contains(&"callResponse seq 1 ack 0 re 0 Timeout".to_owned()), "{outputs:?}");
}

#[test]
fn a_registration_is_repeated_renewed_at_half_its_time_and_given_back() {
    let name = Text::try_from("Bell").expect("short");
    let mut bench = Bench::with(|viewer| viewer.registered(name, const { Bounded::new(60) }));
    assert_eq!(bench.status("online", "aaaaaaaa", 1), ["register seq 1"]);
    assert_eq!(bench.wait(1_500), ["register seq 1", "register seq 1"]);
    assert_eq!(bench.input("out/tab", &registered(0, 60)), [""; 0], "the answer to something else");
    assert_eq!(bench.input("out/tab", &registered(1, 40)), ["waiting"]);
    assert_eq!(bench.wait(19_999), [""; 0]);
    assert_eq!(bench.wait(1), ["register seq 2"]);
    bench.input("out/tab", &registered(2, 40));
    bench.viewer.handle(Input::Close, bench.now);
    assert_eq!(bench.outputs(), ["closed", "unregister seq 3"]);
    assert!(!bench.viewer.is_settled());
    bench.input("out/tab", &json!({"v": 1, "type": "unregistered", "re": 3}));
    assert!(bench.viewer.is_settled());
    assert_eq!(bench.viewer.poll_timeout(), None);
}

#[test]
fn a_registration_that_is_refused_says_why_or_is_asked_for_again() {
    let name = Text::try_from("Bell").expect("short");
    let mut bench = Bench::with(|viewer| viewer.registered(name, const { Bounded::new(60) }));
    bench.status("online", "aaaaaaaa", 1);
    let error = |re: u32, code: u16| json!({"v": 1, "type": "error", "re": re, "code": code, "name": "E", "message": "Why.", "retryAfter": 5});
    assert_eq!(bench.input("out/tab", &error(1, 25)), [""; 0], "all places are taken");
    assert_eq!(bench.wait(5_749), [""; 0]);
    assert_eq!(bench.wait(1), ["register seq 2"]);
    assert_eq!(bench.input("out/tab", &error(2, 27)), ["refused"], "the name is taken");
    assert_eq!(bench.viewer.poll_timeout(), None);
}
