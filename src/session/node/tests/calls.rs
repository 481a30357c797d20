//! Calls of peers, registrations, and rings.

use super::*;
use crate::media::Bounded;

pub(super) fn call(bench: &mut Bench, peer: &str, session: u128) -> Vec<String> {
    bench.say(peer, session, 0, json!({"type": "call", "from": peer, "nonce": "n"}))
}

pub(super) fn register(bench: &mut Bench, peer: &str, name: &str, ttl: u32) -> Vec<String> {
    bench.raw(peer, &json!({"v": 1, "type": "register", "seq": 7, "name": name, "ttl": ttl}).to_string())
}

/// A node with room for two, and `bell` and `tab` registered.
pub(super) fn registered() -> Bench {
    let mut bench = Bench::online(Limits { max_viewers: const { Bounded::new(2) }, ..Limits::default() });
    assert_eq!(register(&mut bench, "bell", "Bell", 600), ["bell: registered re 7"]);
    assert_eq!(register(&mut bench, "tab", "Tab", 600), ["tab: registered re 7"]);
    bench
}

/// The session ids of the node's calls, as its entropy of 1, 2, 3 … makes them: a nonce and an id each.
pub(super) fn session_of_call(n: u128) -> u128 {
    let first = n * 4 + 3;
    (first << 64) | (first + 1)
}

pub(super) fn ring_all(bench: &mut Bench) -> Vec<String> {
    let now = bench.now;
    bench.node.ring(RingTo::All, now).expect("there is somebody");
    bench.outputs()
}

pub(super) fn reply(bench: &mut Bench, peer: &str, n: u128, seq: u32, mut message: Value) -> Vec<String> {
    message["re"] = json!(0);
    message["ack"] = json!(0);
    bench.say(peer, session_of_call(n), seq, message)
}

pub(super) fn accepted() -> Value {
    json!({"type": "callResponse", "response": "accepted", "nonce": "n"})
}

#[test]
fn a_camera_answers_a_call_by_itself_and_then_offers_as_after_a_join() {
    let mut bench = Bench::new();
    assert_eq!(
        call(&mut bench, "tab", 1),
        [
            "(call)",
            "(ringing)",
            "(accepted)",
            "(peer)",
            "(opening)",
            "tab: make an offer of 1 pictures",
            "tab: ringing seq 0 ack 0 re 0",
            "tab: callResponse seq 1 ack 0 re 0",
            "tab: peer seq 2 ack 0 re 0",
        ]
    );
    assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 3 ack 0 re 0"]);
    assert_eq!(bench.answer("tab", 1, 1, 3), ["(answer)", "tab: accept the answer"]);
    assert_eq!(bench.event("tab", 1, PeerEvent::Connected), ["(connected)"]);
    bench.wait(101);
    let again = bench.say("tab", 1, 0, json!({"type": "call", "from": "tab", "nonce": "n"}));
    assert_eq!(again, ["tab: ack ack 1"], "a repeated call opens nothing");
    assert_eq!(
        bench.say("tab", 1, 2, json!({"type": "leave", "reason": "closed"})),
        ["tab: ack ack 2", "(leave)", "tab: close"]
    );
    assert_eq!(call(&mut bench, "tab", 1), ["tab: ack ack 0"], "a late call neither");
}

#[test]
fn an_offer_in_the_call_is_void_as_the_node_offers_itself() {
    let mut bench = Bench::new();
    let call = json!({"type": "call", "from": "tab", "nonce": "n", "sdp": "v=0", "wants": {"video": ["front"]}});
    assert_eq!(bench.say("tab", 1, 0, call).len(), 9);
}

#[test]
fn a_call_that_may_not_be_is_rejected_with_the_reason_and_again_when_repeated() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    let busy = "bell: callResponse seq 0 ack 0 re 0 busy busy";
    assert_eq!(call(&mut bench, "bell", 2), ["(call)", "(rejected)", busy]);
    assert_eq!(call(&mut bench, "bell", 2), [busy]);
    let cellar = json!({"type": "call", "from": "tab", "nonce": "n", "wants": {"video": ["cellar"]}});
    assert_eq!(
        bench.say("tab", 3, 0, cellar),
        ["(call)", "(rejected)", "tab: callResponse seq 0 ack 0 re 0 noSuchCamera unsupported"]
    );
    let foreign = json!({"type": "call", "from": "bell", "nonce": "n"});
    assert_eq!(bench.say("tab", 4, 0, foreign), ["tab: error re 0 badMessage"]);

    let mut deaf = Bench::online(Limits { auto_answer: false, ..Limits::default() });
    assert_eq!(call(&mut deaf, "tab", 1), ["(call)", "(rejected)", "tab: callResponse seq 0 ack 0 re 0 declined"]);
}

#[test]
fn too_many_calls_are_told_so_and_not_remembered() {
    let mut bench = Bench::new();
    for n in 0..10 {
        call(&mut bench, "tab", n);
    }
    assert_eq!(call(&mut bench, "tab", 99), ["(call)", "(refused)", "tab: error re 0 rateLimited"]);
    bench.wait(2_500);
    assert!(call(&mut bench, "tab", 99).contains(&"(accepted)".to_owned()));
}

#[test]
fn a_call_that_is_cancelled_after_the_node_has_answered_is_over() {
    let mut bench = Bench::new();
    call(&mut bench, "tab", 1);
    assert_eq!(
        bench.say("tab", 1, 1, json!({"type": "cancel", "reason": "closed"})),
        ["tab: ack ack 1", "(cancelled)", "tab: close"]
    );
    assert_eq!((bench.node.viewers(), bench.node.poll_timeout()), (0, None));
    let early = json!({"type": "cancel", "reason": "closed"});
    assert_eq!(bench.say("bell", 2, 1, early), ["bell: ack ack 1"], "it may overtake its call");
    assert_eq!(call(&mut bench, "bell", 2), ["bell: ack ack 0"]);
}

#[test]
fn a_name_belongs_to_one_live_peer_and_is_free_again_after_its_time() {
    let mut bench = registered();
    assert_eq!(register(&mut bench, "eve", "Bell", 600), ["eve: error re 7 nameTaken"]);
    assert_eq!(register(&mut bench, "bell", "Bell", 1_000), ["bell: registered re 7"], "renewed");
    bench.wait(600_000);
    assert_eq!(register(&mut bench, "eve", "Tab", 600), ["eve: registered re 7"]);
    assert_eq!(register(&mut bench, "eve", "Bell", 600), ["eve: error re 7 nameTaken"]);
    assert_eq!(bench.raw("bell", r#"{"v":1,"type":"unregister","seq":8}"#), ["bell: unregistered re 8"]);
    assert_eq!(bench.raw("bell", r#"{"v":1,"type":"unregister","seq":9}"#), ["bell: unregistered re 9"]);
    assert_eq!(register(&mut bench, "eve", "Bell", 600), ["eve: registered re 7"], "renamed");
    assert_eq!(bench.node.poll_timeout(), None, "registrations need no clock");
}

#[test]
fn sixty_four_peers_are_registered_and_no_more() {
    let mut bench = Bench::new();
    for n in 0..64 {
        bench.wait(1_000);
        assert_eq!(register(&mut bench, &format!("p{n}"), &format!("P{n}"), 3_600).len(), 1);
    }
    assert_eq!(register(&mut bench, "late", "Late", 60), ["late: error re 7 busy"]);
    assert_eq!(register(&mut bench, "p3", "P3", 60), ["p3: registered re 7"]);
}

#[test]
fn a_ring_says_why_there_is_nobody_to_ring() {
    let mut bench = Bench::new();
    assert_eq!(bench.node.ring(RingTo::All, bench.now), Err(NotRung::NobodyRegistered));
    register(&mut bench, "bell", "Bell", 1);
    let name = RingTo::Name("Tab".to_owned());
    assert_eq!(bench.node.ring(name.clone(), bench.now), Err(NotRung::NoSuchName("Tab".to_owned())));
    bench.wait(1_000);
    assert_eq!(bench.node.ring(RingTo::All, bench.now), Err(NotRung::NobodyRegistered), "its time is over");
    register(&mut bench, "tab", "Tab", 60);
    assert_eq!(bench.node.ring(name.clone(), bench.now), Ok(vec!["Tab".to_owned()]));
    assert_eq!(bench.outputs(), ["(call)", "tab: call seq 0"]);
    assert_eq!(bench.node.ring(name.clone(), bench.now), Err(NotRung::Ringing));
    bench.node.handle(Input::LinkDown, bench.now);
    let mut away = Bench::new();
    away.node.handle(Input::LinkDown, away.now);
    assert_eq!(away.node.ring(name, away.now), Err(NotRung::NoBroker));
}

#[test]
fn all_are_rung_the_first_to_accept_wins_and_the_others_hear_so() {
    let mut bench = registered();
    assert_eq!(ring_all(&mut bench), ["(call)", "(call)", "bell: call seq 0", "tab: call seq 0"]);
    for (peer, n) in [("bell", 0), ("tab", 1)] {
        assert_eq!(reply(&mut bench, peer, n, 0, json!({"type": "ringing"})), ["(ringing)"]);
    }
    assert_eq!(bench.wait(1_000), ["bell: ack ack 0", "tab: ack ack 0"]);
    assert_eq!(bench.wait(40_000), [""; 0], "a person takes time");
    assert_eq!(bench.node.viewers(), 0, "nothing is allowed by a call");
    assert_eq!(
        reply(&mut bench, "tab", 1, 1, accepted()),
        [
            "(cancelled)",
            "(ring answered by tab as Tab)",
            "(accepted)",
            "(peer)",
            "(opening)",
            "tab: make an offer of 1 pictures",
            "tab: peer seq 1 ack 1 re 1",
            "bell: cancel seq 1 ack 0 answered",
        ]
    );
    assert_eq!(bench.offered("tab", session_of_call(1)), ["(offer)", "tab: offer seq 2 ack 1 re 1"]);
    // It has accepted before it could hear that.
    assert_eq!(reply(&mut bench, "bell", 0, 1, accepted()), ["bell: cancel seq 1 ack 1 answered"]);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn a_ring_that_nobody_answers_is_cancelled_after_its_time() {
    let mut bench = registered();
    ring_all(&mut bench);
    reply(&mut bench, "bell", 0, 0, json!({"type": "ringing"}));
    let rejected = json!({"type": "callResponse", "response": "rejected", "reason": "declined"});
    assert_eq!(reply(&mut bench, "tab", 1, 0, rejected), ["(rejected)", "tab: ack ack 0"]);
    bench.wait(44_999);
    assert_eq!(
        bench.wait(1),
        ["(cancelled)", "(ring unanswered, Tab: declined, Bell: timeout)", "bell: cancel seq 1 ack 0 timeout"]
    );
    assert!(bench.node.ring(RingTo::All, bench.now).is_ok(), "it may ring again");
}

#[test]
fn a_peer_that_hears_nothing_is_unreachable_and_that_ends_the_ring() {
    let mut bench = registered();
    assert_eq!(bench.node.ring(RingTo::Name("Bell".to_owned()), bench.now), Ok(vec!["Bell".to_owned()]));
    let outputs = bench.wait(15_500);
    assert!(outputs.contains(&"(ring unanswered, Bell: unreachable)".to_owned()), "{outputs:?}");
    assert_eq!(outputs.iter().filter(|output| *output == "bell: call seq 0").count(), 6);
}

#[test]
fn who_registers_while_all_are_rung_is_called_too() {
    let mut bench = registered();
    ring_all(&mut bench);
    assert_eq!(register(&mut bench, "phone", "Phone", 60), ["phone: registered re 7", "(call)", "phone: call seq 0"]);
    assert_eq!(register(&mut bench, "phone", "Phone", 60), ["phone: registered re 7"], "once");
    assert_eq!(
        bench.raw("phone", r#"{"v":1,"type":"unregister","seq":8}"#),
        ["(cancelled)", "phone: unregistered re 8", "phone: cancel seq 1 closed"]
    );
}

#[test]
fn a_peer_that_calls_while_it_is_called_has_answered() {
    let mut bench = registered();
    ring_all(&mut bench);
    let outputs = call(&mut bench, "bell", 5);
    assert_eq!(outputs[..3], ["(cancelled)", "(cancelled)", "(ring answered by bell as Bell)"]);
    assert_eq!(outputs[3..6], ["(call)", "(ringing)", "(accepted)"]);
    let cancelled: Vec<_> = outputs.iter().filter(|output| output.contains(": cancel ")).collect();
    assert_eq!(cancelled, ["bell: cancel seq 1 answered", "tab: cancel seq 1 answered"]);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn a_ring_that_is_answered_beside_a_session_takes_its_place() {
    let mut bench = registered();
    bench.live("tab", 1);
    bench.node.ring(RingTo::Name("Tab".to_owned()), bench.now).expect("tab is registered");
    bench.outputs();
    // The session before has taken two of the node's random numbers.
    let (id, mut accepted) = ((5 << 64) | 6, accepted());
    accepted["re"] = json!(0);
    let outputs = bench.say("tab", id, 0, accepted);
    assert!(
        outputs.iter().any(|output| output.starts_with("tab: leave") && output.ends_with("replaced")),
        "{outputs:?}"
    );
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn whoever_accepts_without_the_right_to_is_refused_and_the_others_ring_on() {
    let mut bench = registered();
    ring_all(&mut bench);
    let cellar = json!({"type": "callResponse", "response": "accepted", "nonce": "n", "wants": {"video": ["cellar"]}});
    assert_eq!(
        reply(&mut bench, "bell", 0, 0, cellar),
        ["(accepted)", "(failed)", "bell: error ack 0 re 0 noSuchCamera", "bell: leave seq 1 ack 0 failed"]
    );
    assert_eq!(bench.node.viewers(), 0);
    assert!(reply(&mut bench, "tab", 1, 0, accepted()).contains(&"(ring answered by tab as Tab)".to_owned()));
}

#[test]
fn a_shutdown_hangs_up() {
    let mut bench = registered();
    ring_all(&mut bench);
    bench.node.handle(Input::Shutdown, bench.now);
    let outputs = bench.outputs();
    assert!(outputs.contains(&"(ring unanswered, Bell: gone, Tab: gone)".to_owned()), "{outputs:?}");
    assert_eq!(outputs.iter().filter(|output| output.ends_with("cancel seq 1 closed")).count(), 2);
    assert_eq!(bench.node.ring(RingTo::All, bench.now), Err(NotRung::ShuttingDown));
}

#[test]
fn a_reply_to_a_call_that_cannot_be_read_keeps_its_place() {
    let mut bench = registered();
    ring_all(&mut bench);
    let outputs = reply(&mut bench, "tab", 1, 0, json!({"type": "ringing", "seq": 0, "session": 5, "v": 1}));
    assert_eq!(outputs, ["(ringing)"]);
    let broken = json!({"type": "callResponse", "response": "perhaps"});
    assert_eq!(
        reply(&mut bench, "tab", 1, 1, broken),
        ["tab: error re 1 badMessage", "(unreadable of tab: badMessage)"]
    );
    assert!(reply(&mut bench, "tab", 1, 2, accepted()).contains(&"(accepted)".to_owned()));
}
