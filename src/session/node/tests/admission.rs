//! Who is let in, and what a flood costs.

use super::super::super::WhenFull;
use super::*;
use crate::media::Bounded;

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
    bench.wait(1_000);
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

#[test]
fn where_it_is_configured_the_oldest_makes_room() {
    let limits =
        Limits { max_viewers: const { Bounded::new(2) }, when_full: WhenFull::DropOldest, ..Limits::default() };
    let mut bench = Bench::online(limits);
    bench.live("zoe", 1);
    bench.live("amy", 2);
    let outputs = bench.join("kim", 3);
    assert_eq!(outputs[..3], ["(leave)", "zoe: close", "(join)"], "the oldest, not the first by name");
    assert!(outputs.contains(&"zoe: leave seq 2 ack 1 limit".to_owned()), "{outputs:?}");
    assert_eq!(bench.node.viewers(), 2);
    let again = bench.join("amy", 4);
    assert!(!again.iter().any(|output| output.contains("limit")), "a new join of a viewer needs no room: {again:?}");
    assert_eq!(bench.node.viewers(), 2);
}

#[test]
fn who_is_refused_learns_when_to_come_again() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    let join =
        json!({"v": 1, "type": "join", "session": id(5).as_str(), "seq": 0, "wants": {"video": true}, "nonce": "n"});
    let (topic, payload) = ("cn/node/in/other".to_owned(), Bytes::from(join.to_string()));
    bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
    let published = std::iter::from_fn(|| bench.node.poll_output()).find_map(|output| match output {
        Output::Publish(outgoing) => Some(outgoing.payload),
        _ => None,
    });
    let error: Value = serde_json::from_slice(&published.expect("an answer")).expect("JSON");
    assert_eq!(error["retryAfter"], 10);
}

#[test]
fn joins_a_minute_are_limited_for_each_peer_alone() {
    let mut bench = Bench::online(Limits { joins_per_minute: const { Bounded::new(2) }, ..Limits::default() });
    let is_limited = |outputs: &[String]| outputs.iter().any(|output| output.ends_with("rateLimited"));
    assert!(!is_limited(&bench.join("tab", 1)));
    assert!(!is_limited(&bench.join("tab", 2)));
    assert!(is_limited(&bench.join("tab", 3)));
    assert!(!is_limited(&bench.join("other", 4)));
    bench.now += ms(29_999);
    assert!(is_limited(&bench.join("tab", 5)));
    bench.now += ms(1);
    assert!(!is_limited(&bench.join("tab", 6)));
}

#[test]
fn messages_beyond_a_peers_limit_are_dropped_unread_and_said_to_be() {
    let limits = Limits { messages_per_second: const { Bounded::new(10) }, ..Limits::default() };
    let mut bench = Bench::online(limits);
    bench.live("tab", 1);
    bench.wait(10_000);
    let ice = |bench: &mut Bench, seq: u32| {
        bench.say("tab", 1, seq, json!({"type": "ice", "candidates": [], "complete": true}))
    };
    for seq in 2..22 {
        assert_eq!(ice(&mut bench, seq), ["tab: add 0 candidates, the last"], "{seq}");
    }
    assert_eq!(ice(&mut bench, 22), ["tab: error rateLimited", "(unread of tab)"]);
    let said = (0..1_000).filter(|_| ice(&mut bench, 22) != ["(unread of tab)"]).count();
    assert!(said < 25, "{said} answers to a flood");
    assert_eq!(bench.join("other", 5).len(), 5, "another peer's messages are read");
    assert_eq!(bench.node.viewers(), 2, "nobody loses a session by it");
    bench.wait(100);
    assert_eq!(ice(&mut bench, 22), ["tab: add 0 candidates, the last"], "sent again, it is heard");
}

#[test]
fn messages_of_all_peers_together_are_limited() {
    let limits = Limits { messages_per_second_in_all: const { Bounded::new(10) }, ..Limits::default() };
    let mut bench = Bench::online(limits);
    let probe = r#"{"v":1,"type":"probe"}"#;
    let answered = |bench: &mut Bench| {
        let peers = (0..100).map(|n| format!("p{n}"));
        peers.filter(|peer| !bench.raw(peer, probe).iter().any(|output| output.ends_with("rateLimited"))).count()
    };
    assert_eq!(answered(&mut bench), 20);
    bench.now += ms(1_000);
    assert_eq!(answered(&mut bench), 10);
}
