//! Later in a session: restarts, offers of the viewer, and those that cross.

use super::*;

const RESTARTED: &str = "v=0\r\na=ice-ufrag:pEer2\r\n";

impl Bench {
    fn offer(&mut self, seq: u32, sdp: &str) -> Vec<String> {
        self.say("tab", 1, seq, json!({"type": "offer", "sdp": sdp, "mids": {}}))
    }

    /// Lets this time pass, and acknowledges what was said; whether a restart was begun.
    fn restarts_within(&mut self, by_ms: u64, last_seq: u32) -> bool {
        self.wait(by_ms);
        let ack = json!({"v": 1, "type": "ack", "session": id(1).as_str(), "ack": last_seq});
        self.raw("tab", &ack.to_string()).contains(&"tab: restart ICE".to_owned())
    }

    fn answered(&mut self) -> Vec<String> {
        self.event("tab", 1, PeerEvent::Answered { sdp: OFFER.to_owned() })
    }
}

#[test]
fn a_silent_viewer_gets_ice_restarts_further_and_further_apart_and_is_freed_after_half_a_minute() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.event("tab", 1, PeerEvent::Silent), ["(silent)"]);
    assert_eq!(bench.wait(2_000), ["tab: ice seq 2 ack 1"], "does it hear us at all?");
    assert!(bench.restarts_within(0, 2));
    assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 3 ack 1"]);
    assert_eq!(bench.answer("tab", 1, 2, 3), ["(answer)", "tab: accept the answer"]);
    assert_eq!(bench.event("tab", 1, PeerEvent::Recovered), ["(recovered)"]);
    assert_eq!(bench.wait(3_600_000), ["tab: ack ack 2"]);

    bench.event("tab", 1, PeerEvent::Silent);
    let mut restarts = Vec::new();
    let (mut theirs, mut ours) = (3, 4);
    for second in 1..30 {
        if bench.restarts_within(1_000, ours) {
            restarts.push(second);
            bench.offered("tab", 1);
            bench.answer("tab", 1, theirs, ours + 1);
            (theirs, ours) = (theirs + 1, ours + 2);
        }
    }
    assert_eq!(restarts, [2, 5, 10, 18, 28], "each is answered, and none helps");
    assert_eq!(bench.node.viewers(), 1);
    let end = bench.wait(1_000);
    assert!(
        end.ends_with(&["(leave)".to_owned(), "tab: close".to_owned(), "tab: leave seq 14 ack 7 failed".to_owned()]),
        "{end:?}"
    );
    assert_eq!(bench.node.viewers(), 0);
}

#[test]
fn a_path_that_may_mend_by_itself_is_not_given_up_for_a_viewer_that_hears_nothing() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.event("tab", 1, PeerEvent::Silent);
    assert!(!bench.wait(25_000).contains(&"tab: restart ICE".to_owned()), "it does not answer");
    assert_eq!(bench.event("tab", 1, PeerEvent::Recovered), ["(recovered)"]);
    assert!(!bench.restarts_within(60_000, 2), "nor is there any more to mend");
}

#[test]
fn an_offer_that_nobody_answers_is_not_made_again_unless_the_network_changes() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.event("tab", 1, PeerEvent::Silent);
    assert!(bench.restarts_within(2_000, 2));
    bench.offered("tab", 1);
    assert!(!bench.restarts_within(8_000, 3));
    bench.node.handle(Input::NetworkChanged, bench.now);
    assert_eq!(bench.outputs(), ["tab: look at the network"]);
    assert!(bench.restarts_within(250, 4));
    assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 5 ack 1"]);
    assert_eq!(bench.answer("tab", 1, 2, 3), [""; 0], "it answers what has been replaced");
    assert_eq!(bench.answer("tab", 1, 3, 5), ["(answer)", "tab: accept the answer"]);
}

#[test]
fn a_lost_address_restarts_ice_at_once_but_not_without_a_broker() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.node.handle(Input::NetworkChanged, bench.now);
    assert_eq!(bench.outputs(), ["tab: look at the network"]);
    assert_eq!(bench.wait(10_000), [""; 0], "it did not concern the connection");
    assert_eq!(bench.event("tab", 1, PeerEvent::AddressLost), ["(silent)"]);
    assert_eq!(bench.wait(250), ["tab: restart ICE"]);

    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.node.handle(Input::LinkDown, bench.now);
    assert_eq!(bench.event("tab", 1, PeerEvent::AddressLost), ["(silent)"]);
    assert_eq!(bench.wait(4_000), [""; 0]);
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    assert!(bench.outputs().contains(&"tab: restart ICE".to_owned()));
}

#[test]
fn a_restart_that_cannot_be_made_is_tried_again() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.event("tab", 1, PeerEvent::AddressLost);
    assert_eq!(bench.wait(250), ["tab: restart ICE"]);
    assert_eq!(bench.event("tab", 1, PeerEvent::Declined { message: "no address".to_owned() }), [""; 0]);
    assert_eq!(bench.wait(3_000), ["tab: restart ICE"]);
}

#[test]
fn a_viewers_offer_is_answered_and_its_candidates_are_of_the_new_generation() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.offer(2, RESTARTED), ["(offer)", "tab: make an answer"]);
    assert_eq!(bench.answered(), ["(answer)", "tab: answer seq 2 ack 2 re 2"]);
    let ice = |fragment: &str| json!({"type": "ice", "complete": false, "candidates": [{"candidate": "c", "usernameFragment": fragment}]});
    assert_eq!(bench.say("tab", 1, 3, ice("pEer2")), ["tab: add 1 candidates"]);
    assert_eq!(bench.say("tab", 1, 4, ice("pEer")), [""; 0]);
    bench.wait(250);
    assert_eq!(bench.offer(2, RESTARTED), ["tab: answer seq 2 ack 4 re 2"], "it has not been heard");
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn an_offer_that_cannot_be_answered_costs_no_session() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.offer(2, RESTARTED);
    let declined = PeerEvent::Declined { message: "its sections are not those of the session".to_owned() };
    assert_eq!(bench.event("tab", 1, declined), ["tab: error ack 2 re 2 unsupported"]);
    let ice = json!({"type": "ice", "complete": false, "candidates": [{"candidate": "c", "usernameFragment": "pEer"}]});
    assert_eq!(bench.say("tab", 1, 3, ice), ["tab: add 1 candidates"], "what was agreed before still holds");
    assert_eq!(bench.node.viewers(), 1);
}

#[test]
fn the_first_offer_is_the_nodes() {
    let mut bench = Bench::new();
    bench.join("tab", 1);
    assert_eq!(bench.offer(1, RESTARTED), ["tab: error ack 1 re 1 unsupported"]);
    bench.offered("tab", 1);
    assert_eq!(bench.offer(2, RESTARTED), ["tab: error ack 2 re 2 unsupported"]);
    assert_eq!(bench.answer("tab", 1, 3, 1), ["(answer)", "tab: accept the answer"]);
}

#[test]
fn when_offers_cross_the_node_yields_and_offers_again_what_is_still_wanted() {
    for (sdp, again) in [(RESTARTED, false), (ANSWER, true)] {
        let mut bench = Bench::new();
        bench.live("tab", 1);
        bench.event("tab", 1, PeerEvent::AddressLost);
        bench.wait(250);
        bench.offered("tab", 1);
        assert_eq!(bench.offer(2, sdp), ["(offer)", "tab: make an answer"]);
        let mut expected = vec!["(answer)", "tab: answer seq 3 ack 2 re 2"];
        if again {
            expected.insert(1, "tab: restart ICE");
        }
        assert_eq!(bench.answered(), expected);
        assert_eq!(bench.answer("tab", 1, 3, 2), [""; 0], "nobody waits for this answer any more");
        if again {
            assert_eq!(bench.offered("tab", 1), ["(offer)", "tab: offer seq 4 ack 3"]);
            assert_eq!(bench.answer("tab", 1, 4, 4), ["(answer)", "tab: accept the answer"]);
        }
        assert_eq!(bench.event("tab", 1, PeerEvent::Recovered), ["(recovered)"]);
        assert!(!bench.wait(60_000).contains(&"tab: restart ICE".to_owned()));
    }
}

#[test]
fn an_offer_under_way_when_the_viewers_comes_is_not_sent() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.event("tab", 1, PeerEvent::AddressLost);
    assert_eq!(bench.wait(250), ["tab: restart ICE"]);
    assert_eq!(bench.offer(2, RESTARTED), ["(offer)", "tab: make an answer"]);
    assert_eq!(bench.offered("tab", 1), [""; 0]);
    assert_eq!(bench.answered(), ["(answer)", "tab: answer seq 2 ack 2 re 2"]);
}

#[test]
fn offers_that_follow_each_other_are_answered_one_by_one() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert_eq!(bench.offer(2, RESTARTED), ["(offer)", "tab: make an answer"]);
    assert_eq!(bench.offer(3, "v=0\r\na=ice-ufrag:pEer3\r\n"), ["(offer)"]);
    assert_eq!(bench.answered(), ["(answer)", "tab: make an answer", "tab: answer seq 2 ack 3 re 2"]);
    assert_eq!(bench.answered(), ["(answer)", "tab: answer seq 3 ack 3 re 3"]);
    assert_eq!(bench.answered(), [""; 0], "nothing was to be answered");
}

#[test]
fn a_viewer_that_takes_no_offer_says_so_and_keeps_its_session() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    bench.event("tab", 1, PeerEvent::AddressLost);
    bench.wait(250);
    bench.offered("tab", 1);
    let error = json!({"v": 1, "type": "error", "session": id(1).as_str(), "ack": 2, "re": 2, "code": 12, "name": "NotSupportedError", "message": ""});
    assert_eq!(bench.raw("tab", &error.to_string()), [""; 0]);
    assert_eq!(bench.wait(3_000), ["tab: restart ICE"], "it may take the next");
    assert_eq!(bench.node.viewers(), 1);
}
