//! The node hangs up.

use super::calls::*;
use super::*;

fn hang_up(bench: &mut Bench) -> (HungUp, Vec<String>) {
    let now = bench.now;
    let whom = bench.node.hang_up(now);
    (whom, bench.outputs())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn calls(of: &[&str]) -> HungUp {
    HungUp { rung: Vec::new(), calls: names(of) }
}

/// `tab` in a call of its own, its pictures moving.
fn in_call(bench: &mut Bench) {
    call(bench, "tab", 1);
    bench.offered("tab", 1);
    bench.answer("tab", 1, 1, 3);
    assert_eq!(bench.event("tab", 1, PeerEvent::Connected), ["(connected)"]);
    bench.wait(101);
}

#[test]
fn a_ring_is_taken_back_and_says_why() {
    let mut bench = registered();
    ring_all(&mut bench);
    reply(&mut bench, "bell", 0, 0, json!({"type": "ringing"}));
    let (whom, outputs) = hang_up(&mut bench);
    assert_eq!(whom, HungUp { rung: names(&["Bell", "Tab"]), calls: Vec::new() });
    let ended = "(ring unanswered, Bell: hung-up, Tab: hung-up)";
    let said = ["bell: cancel seq 1 ack 0 closed", "tab: cancel seq 1 closed"];
    assert_eq!(outputs, ["(cancelled)", "(cancelled)", ended, said[0], said[1]]);
    // Somebody was about to answer.
    assert_eq!(reply(&mut bench, "tab", 1, 0, accepted()), ["tab: cancel seq 1 ack 0 closed"]);
    assert_eq!(bench.node.viewers(), 0);
    assert_eq!(hang_up(&mut bench), (HungUp::default(), Vec::new()), "there is nobody any more");
    assert!(bench.node.ring(RingTo::All, bench.now).is_ok(), "it may ring again");
}

#[test]
fn a_call_of_the_nodes_is_cancelled_also_before_it_is_connected() {
    let mut bench = registered();
    ring_all(&mut bench);
    reply(&mut bench, "tab", 1, 0, accepted());
    let (whom, outputs) = hang_up(&mut bench);
    assert_eq!(whom, calls(&["Tab"]));
    assert_eq!(outputs, ["(cancelled)", "tab: close", "tab: cancel seq 2 ack 0 closed"]);
    assert_eq!(bench.wait(500), ["bell: cancel seq 1 answered", "tab: cancel seq 2 ack 0 closed"], "until it is heard");
    let ice = json!({"type": "ice", "candidates": [], "complete": true});
    assert_eq!(bench.say("tab", session_of_call(1), 1, ice), ["tab: cancel seq 2 ack 1 closed"]);
    bench.say("tab", session_of_call(1), 2, json!({"type": "leave", "reason": "closed", "ack": 2}));
    bench.wait(60_000);
    assert_eq!((bench.node.viewers(), bench.node.poll_timeout()), (0, None));
}

#[test]
fn a_caller_is_hung_up_on_in_the_middle_and_whoever_merely_watches_is_not() {
    let mut bench = registered();
    bench.live("bell", 2);
    in_call(&mut bench);
    assert_eq!(
        hang_up(&mut bench),
        (calls(&["Tab"]), names(&["(cancelled)", "tab: close", "tab: cancel seq 4 ack 1 closed"]))
    );
    assert_eq!(bench.node.viewers(), 1);
    // Both have hung up at once.
    let leave = json!({"type": "leave", "reason": "closed", "ack": 3});
    assert_eq!(bench.say("tab", 1, 2, leave), ["tab: ack ack 2"]);
    assert_eq!(hang_up(&mut bench), (calls(&[]), Vec::new()));
    // A person may watch, or call, as ever.
    assert!(bench.join("tab", 9).contains(&"(peer)".to_owned()));
    assert_eq!(hang_up(&mut bench).0, calls(&[]));
}

#[test]
fn whoever_has_left_is_not_hung_up_on() {
    let mut bench = Bench::new();
    in_call(&mut bench);
    bench.say("tab", 1, 2, json!({"type": "leave", "reason": "closed"}));
    assert_eq!(hang_up(&mut bench), (calls(&[]), Vec::new()));
    // The goodbye of DTLS comes before the one over the broker.
    let mut bench = Bench::new();
    in_call(&mut bench);
    bench.event("tab", 1, PeerEvent::ClosedByPeer);
    bench.say("tab", 1, 2, json!({"type": "leave", "reason": "closed"}));
    assert_eq!(hang_up(&mut bench), (calls(&[]), Vec::new()));
}

#[test]
fn a_call_that_was_lost_and_joined_again_is_still_one() {
    let closed = |bench: &mut Bench| drop(bench.event("tab", 1, PeerEvent::ClosedByPeer));
    let replaced = |_: &mut Bench| {};
    let changed = |bench: &mut Bench| {
        bench.node.handle(Input::StreamChanged, bench.now);
        assert!(bench.outputs().contains(&"tab: leave seq 4 ack 1 closed".to_owned()));
    };
    for lose in [closed as fn(&mut Bench), replaced, changed] {
        let mut bench = Bench::new();
        in_call(&mut bench);
        lose(&mut bench);
        bench.wait(1_000);
        bench.join("tab", 2);
        let (whom, outputs) = hang_up(&mut bench);
        assert_eq!(whom, calls(&["tab"]), "by its id, for it is not registered");
        assert!(outputs.contains(&"tab: cancel seq 1 ack 0 closed".to_owned()), "{outputs:?}");
        assert_eq!(bench.node.viewers(), 0);
    }
}

#[test]
fn a_call_that_is_hung_up_while_it_is_lost_is_not_gone_on_with() {
    let mut bench = Bench::new();
    in_call(&mut bench);
    bench.event("tab", 1, PeerEvent::ClosedByPeer);
    assert_eq!(hang_up(&mut bench), (calls(&["tab"]), Vec::new()));
    assert_eq!(bench.join("tab", 2), ["(join)", "(cancelled)", "tab: cancel seq 0 ack 0 closed"]);
    assert_eq!(bench.join("tab", 2), ["tab: cancel seq 0 ack 0 closed"], "again when it is repeated");
    assert!(bench.join("tab", 3).contains(&"(peer)".to_owned()), "somebody watches");
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn hanging_up_while_the_broker_is_away_is_told_when_it_is_back() {
    let mut bench = Bench::new();
    in_call(&mut bench);
    bench.node.handle(Input::LinkDown, bench.now);
    assert_eq!(hang_up(&mut bench), (calls(&["tab"]), names(&["(cancelled)", "tab: close"])));
    bench.wait(60_000);
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    let outputs = bench.outputs();
    assert!(outputs.contains(&"tab: cancel seq 4 ack 1 closed".to_owned()), "{outputs:?}");
}
