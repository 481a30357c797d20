//! What a node that runs for months goes through: a config that is read again, a broker that is away.

use super::*;

#[test]
fn another_name_is_told_and_other_limits_hold_for_those_who_come() {
    let mut bench = Bench::new();
    bench.live("ann", 1);
    bench.wait(10_000);
    bench.node.handle(Input::Name("Barn".to_owned()), bench.now);
    assert_eq!(bench.wait(1_000), ["status online 1 retained"]);
    let full = bench.join("bob", 2);
    assert!(full.iter().any(|said| said.contains("busy")), "one place: {full:?}");
    let two = Limits { max_viewers: const { crate::media::Bounded::new(2) }, ..Limits::default() };
    bench.node.handle(Input::Limits(two), bench.now);
    assert_eq!(bench.wait(2_000), [""; 0], "status tells nothing of limits");
    bench.live("bob", 3);
    assert_eq!(bench.node.viewers(), 2);
    let one = Limits { max_viewers: const { crate::media::Bounded::new(1) }, ..Limits::default() };
    bench.node.handle(Input::Limits(one), bench.now);
    bench.wait(2_000);
    assert_eq!(bench.node.viewers(), 2, "nobody who watches is sent away");
}

#[test]
fn another_stream_sends_everybody_away_to_come_back() {
    let mut bench = Bench::new();
    bench.live("ann", 1);
    bench.node.handle(Input::StreamChanged, bench.now);
    let said = bench.outputs();
    assert!(said.iter().any(|said| said.starts_with("ann: leave")), "{said:?}");
    assert_eq!(bench.node.viewers(), 0);
    bench.live("ann", 2);
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn a_broker_that_is_away_for_an_hour_costs_nobody_the_picture() {
    let mut bench = Bench::new();
    bench.live("ann", 1);
    bench.node.handle(Input::LinkDown, bench.now);
    assert_eq!(bench.wait(3_600_000), [""; 0], "there is nobody to tell");
    assert_eq!(bench.node.viewers(), 1);
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    assert_eq!(bench.outputs(), ["status online 2 retained"]);
    // The session can still be ended by a message, and another be begun.
    let said = bench.say("ann", 1, 2, json!({"type": "leave", "reason": "closed", "ack": 1}));
    assert!(!said.is_empty());
    assert_eq!(bench.node.viewers(), 0);
    bench.live("bob", 2);
    assert_eq!(bench.node.viewers(), 1);
}
