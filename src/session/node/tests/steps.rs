//! One session from `join` to its end.

use super::*;

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
fn what_is_not_done_yet_is_answered_and_not_swallowed() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    let ringing = json!({"type": "ringing"});
    assert_eq!(bench.say("tab", 1, 2, ringing), ["tab: error ack 2 re 2 badMessage"]);
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
fn each_step_that_can_fail_has_a_code_of_its_own_that_the_viewer_is_told() {
    for (step, code) in FAILED_STEPS {
        let mut bench = Bench::new();
        bench.live("tab", 1);
        let event = PeerEvent::Failed { step, message: "it did not work".to_owned() };
        let outputs = bench.event("tab", 1, event);
        assert_eq!(outputs[..2], ["(failed)", "tab: close"], "{code}");
        assert!(outputs[2].starts_with("tab: error ") && outputs[2].ends_with(&format!(" {code}")), "{outputs:?}");
    }
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
