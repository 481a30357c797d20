//! What all can see: `status`, the broker coming and going, the end.

use super::*;

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
fn another_node_of_the_same_name_is_noticed_once_and_an_earlier_run_is_none() {
    let mut bench = Bench::new();
    let see = |bench: &mut Bench, payload: &[u8], retained: bool| {
        let (topic, payload) = ("cn/node/status".to_owned(), Bytes::copy_from_slice(payload));
        bench.node.handle(Input::Message { topic, payload, retained }, bench.now);
        bench.outputs()
    };
    let of = |state: &str| {
        format!(
            r#"{{"v":1,"type":"status","versions":[1],"state":"{state}","boot":"feedfeedfeedfeed","conn":3,"cameras":[],"access":"open"}}"#
        )
    };
    let reconnect = |bench: &mut Bench, conn: u32| {
        bench.node.handle(Input::LinkDown, bench.now);
        bench.node.handle(Input::LinkUp { conn }, bench.now);
        let mut word = Vec::new();
        while let Some(output) = bench.node.poll_output() {
            if let Output::Publish(outgoing) = output {
                word = outgoing.payload.to_vec();
            }
        }
        word
    };
    let word = reconnect(&mut bench, 2);
    assert_eq!(see(&mut bench, of("online").as_bytes(), true), [""; 0], "an earlier run's, kept by the broker");
    assert_eq!(see(&mut bench, of("online").as_bytes(), false), [""; 0], "ours is not there yet: it may be older");
    see(&mut bench, &word, false);
    assert_eq!(see(&mut bench, of("offline").as_bytes(), false), [""; 0], "an earlier run's will, late");
    assert_eq!(see(&mut bench, of("online").as_bytes(), false), ["(rival feedfeedfeedfeed)"]);
    assert_eq!(see(&mut bench, of("online").as_bytes(), false), [""; 0], "once");
    assert_eq!(bench.wait(20 * 60 * 1_000 + 60_000).last().map(String::as_str), Some("(no rival)"));

    let mut bench = Bench::new();
    let word = reconnect(&mut bench, 2);
    see(&mut bench, &word, false);
    reconnect(&mut bench, 3);
    let told = see(&mut bench, of("offline").as_bytes(), true);
    assert_eq!(told, ["(rival feedfeedfeedfeed)"], "it came after our word, so it is no earlier run's");
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
