//! Who is let in, and what a flood costs.

use super::*;

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
