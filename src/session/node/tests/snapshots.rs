//! Still pictures over the broker: asked for without a session, by whom may see, and not too often.

use super::super::super::MAX_PICTURE_BYTES;
use super::access::{guarded, token};
use super::*;

fn snapshot(seq: u32) -> Value {
    json!({"v": 1, "type": "snapshot", "seq": seq})
}

fn taken(bytes: usize) -> Result<SnapshotTaken, Failure> {
    Ok(SnapshotTaken { jpeg: vec![0xff; bytes].into(), width: 640, height: 360 })
}

impl Bench {
    /// Asks for a picture; gives what names it, and the other outputs.
    fn ask(&mut self, peer: &str, message: &Value) -> (Option<SnapshotId>, Vec<String>) {
        let (topic, payload) = (format!("cn/node/in/{peer}"), Bytes::from(message.to_string()));
        self.node.handle(Input::Message { topic, payload, retained: false }, self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.node.poll_output()).collect();
        let id = outputs.iter().find_map(|output| match output {
            Output::Snapshot(wish) => Some(wish.id),
            _ => None,
        });
        (id, outputs.iter().map(words).collect())
    }

    fn give(&mut self, id: Option<SnapshotId>, taken: Result<SnapshotTaken, Failure>) -> Vec<String> {
        self.node.handle(Input::Snapshot(id.expect("it was asked for"), taken), self.now);
        self.outputs()
    }
}

#[test]
fn who_asks_gets_the_picture_of_the_camera_it_names_or_of_the_first() {
    let mut bench = Bench::new();
    let (id, outputs) = bench.ask("tab", &snapshot(7));
    assert_eq!(outputs, ["(take front None 48000)"]);
    assert_eq!(bench.give(id, taken(MAX_PICTURE_BYTES)), ["tab: picture re 7"]);
    let mut more = snapshot(8);
    (more["camera"], more["width"], more["maxBytes"]) = (json!("front"), json!(320), json!(5_000));
    let (id, outputs) = bench.ask("tab", &more);
    assert_eq!(outputs, ["(take front Some(320) 5000)"]);
    assert_eq!(bench.give(id, Err(Failure::new(ErrorCode::CameraShut))), ["tab: error re 8 cameraShut"]);
    assert_eq!(bench.give(id, taken(1)), [""; 0], "once");
    more["camera"] = json!("cellar");
    assert_eq!(bench.ask("tab", &more).1, ["tab: error re 8 noSuchCamera"]);
    bench.node.handle(Input::Cameras(Vec::new()), bench.now);
    bench.outputs();
    assert_eq!(bench.ask("tab", &snapshot(9)).1, ["tab: error re 9 noSuchCamera"]);
}

#[test]
fn a_repetition_while_it_is_taken_is_none_and_others_wait() {
    let mut bench = Bench::new();
    let (id, _) = bench.ask("tab", &snapshot(7));
    assert_eq!(bench.ask("tab", &snapshot(7)), (None, Vec::new()));
    assert_eq!(bench.ask("tab", &snapshot(8)).1, ["tab: error re 8 rateLimited"], "one at a time");
    for n in 1..8 {
        assert!(bench.ask(&format!("tab{n}"), &snapshot(1)).0.is_some(), "{n}");
    }
    assert_eq!(bench.ask("tab8", &snapshot(1)).1, ["tab8: error re 1 rateLimited"], "eight in all");
    assert_eq!(bench.give(id, taken(9)), ["tab: picture re 7"]);
    bench.wait(1_000);
    assert!(bench.ask("tab8", &snapshot(2)).0.is_some());
    // What never comes does not stand in the way for ever.
    bench.wait(12_000);
    assert!(bench.ask("tab1", &snapshot(2)).0.is_some());
}

#[test]
fn a_peer_gets_four_at_once_and_then_one_a_second_and_all_of_them_four_a_second() {
    let mut bench = Bench::new();
    let at_once = |bench: &mut Bench, peer: &str| {
        (0..20)
            .take_while(|seq| {
                let (id, outputs) = bench.ask(peer, &snapshot(*seq));
                match id {
                    Some(_) => !bench.give(id, taken(9)).is_empty(),
                    None => {
                        assert_eq!(outputs, [format!("{peer}: error re {seq} rateLimited")]);
                        false
                    }
                }
            })
            .count()
    };
    assert_eq!(at_once(&mut bench, "one"), 4);
    assert_eq!(at_once(&mut bench, "two"), 4);
    assert_eq!(at_once(&mut bench, "three"), 0, "eight in all");
    bench.wait(1_000);
    assert_eq!(at_once(&mut bench, "one"), 1);
    assert_eq!(at_once(&mut bench, "three"), 3);
}

#[test]
fn it_shows_nothing_to_whom_a_session_would_show_nothing() {
    let mut bench = guarded();
    let with = |token: &str| {
        let mut snapshot = snapshot(7);
        snapshot["token"] = json!(token);
        snapshot
    };
    assert_eq!(bench.ask("tab", &snapshot(7)).1, ["tab: error re 7 tokenMissing"]);
    assert_eq!(bench.ask("tab", &with("junk")).1, ["tab: error re 7 notAllowed"]);
    assert_eq!(bench.ask("tab", &with(&token(60, "talk control files"))).1, ["tab: error re 7 notAllowed"]);
    assert_eq!(bench.ask("other", &with(&token(60, "view"))).1, ["other: error re 7 notAllowed"]);
    let (id, _) = bench.ask("tab", &with(&token(60, "view")));
    assert_eq!(bench.give(id, taken(9)), ["tab: picture re 7"]);
    // What is taken while the right ends is not shown.
    let (id, _) = bench.ask("tab", &with(&token(5, "view")));
    bench.wait(5_000);
    assert_eq!(bench.give(id, taken(9)), ["tab: error re 7 tokenExpired"]);
    let (id, _) = bench.ask("tab", &with(&token(60, "view")));
    bench.node.handle(Input::Guard(super::access::revoked()), bench.now);
    bench.outputs();
    assert_eq!(bench.give(id, taken(9)), ["tab: error re 7 notAllowed"]);
}

#[test]
fn in_a_session_it_is_no_message_and_without_a_broker_nothing_is_said() {
    let mut bench = Bench::new();
    bench.live("tab", 1);
    assert!(bench.ask("tab", &snapshot(3)).0.is_some(), "beside a session, for it belongs to none");
    let (id, _) = bench.ask("other", &snapshot(3));
    bench.node.handle(Input::LinkDown, bench.now);
    assert_eq!(bench.give(id, taken(9)), [""; 0]);
}
