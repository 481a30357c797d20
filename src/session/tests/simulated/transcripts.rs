//! What passes between the node's core and the headless viewer's over bad channels, written down for the TypeScript client:
//! its core is told the same by the node, at the same times, and must say the same (`src/viewer/test/transcripts.test.ts`).
//!
//! `CAMERA_NODE_WRITE=1 cargo test --lib transcripts` writes them anew, after a change of either core. Hundreds more, of sessions
//! and calls that begin over channels as bad as those of [`bad_channels`] and worse, with all that fails on the way and is tried
//! anew, are too much to keep: they are written into the folder that `CAMERA_NODE_TRANSCRIPTS` names, where `tests/run unit` has
//! the client read them.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

const TRANSCRIPTS: usize = 6;

/// One viewer's inputs and what it published.
#[derive(Default)]
pub(super) struct Transcript {
    lines: Vec<Value>,
    /// Something is in it that the two viewers need not do alike.
    is_unfit: bool,
}

impl Transcript {
    fn note(&mut self, now: Duration, what: &str, value: Value) {
        self.lines.push(json!({"at": now.as_micros() as f64 / 1_000.0, what: value}));
    }

    /// The viewer is told this.
    pub(super) fn told(&mut self, thing: &Thing, now: Duration) {
        match thing {
            Thing::Message { topic, payload, .. } => {
                let what = if topic.ends_with("/status") { "status" } else { "node" };
                self.note(now, what, serde_json::from_slice(payload).expect("JSON"));
            }
            Thing::Peer(_, event) => {
                let event = match event {
                    PeerEvent::Answered { sdp } => json!({"type": "answered", "sdp": sdp}),
                    PeerEvent::Offered { sdp, .. } => json!({"type": "offered", "sdp": sdp}),
                    PeerEvent::Candidates { candidates, complete } => {
                        json!({"type": "candidates", "candidates": candidates, "complete": complete})
                    }
                    PeerEvent::Recovered => json!({"type": "connected"}),
                    PeerEvent::ClosedByPeer => json!({"type": "closed"}),
                    PeerEvent::AddressLost => json!({"type": "addressLost"}),
                    // The two viewers mend what falls silent each in its own way.
                    _ => {
                        self.is_unfit = true;
                        return;
                    }
                };
                self.note(now, "connection", event);
            }
            Thing::Link(up) => self.note(now, "link", json!(up)),
            Thing::Look(_) | Thing::LoseAddress(_) | Thing::Cut(..) | Thing::Person(_) => {}
        }
    }

    /// The viewer logs this: what a session ends with is part of what is compared.
    pub(super) fn logs(&mut self, event: &Event, now: Duration) {
        let Step::Ended(end) = event.step else { return };
        let slug = |number| ErrorCode::from_number(number).map(ErrorCode::slug);
        let detail = match end {
            End::Failed(code) => Some(code.slug()),
            End::TheyFailed(number) | End::Refused(number) => slug(number),
            _ => None,
        };
        self.note(now, "ends", json!([event.session.session, event.step.name(), detail]));
    }

    /// The viewer says this.
    pub(super) fn says(&mut self, payload: &[u8], now: Duration) {
        self.note(now, "viewer", serde_json::from_slice(payload).expect("JSON"));
    }
}

/// A session that moves from network to network at either end, ten times in half a minute. `None` if it does not stay one
/// session, or falls silent: there is chance of the viewer's own in that.
fn transcript(seed: u64) -> Option<Vec<String>> {
    let weather = Weather { loss: 0.15, ..Weather::bad(0.2) };
    let mut world = World::new(700 + seed, 1, weather);
    world.transcript = Some(Transcript::default());
    world.connections.plain_one_of = 4;
    world.run_for(10);
    for _ in 0..10 {
        let Some(key) = world.connections.at_node.keys().next().cloned() else { break };
        let who = if world.random.bool() { Who::Node } else { World::viewer_of(&key) };
        world.at(0, who, Thing::LoseAddress(key));
        world.run_for(3);
    }
    world.run_for(20);
    fit(world)
}

/// A viewer whose sessions begin over such a channel, by `join` or as it was made to, with all that fails and is tried anew.
/// `None` if one falls silent, which each viewer mends in its own way; or if a call was lost after it was accepted and before the
/// node's `peer`, upon which this viewer joins, and to the client it has come to nothing.
fn beginning(seed: u64, weather: Weather, as_wanted: fn(Viewer) -> Viewer) -> Option<Vec<String>> {
    let mut world = World::new(seed, 1, weather).with_viewers(as_wanted);
    world.transcript = Some(Transcript::default());
    world.run_for(60);
    let is_half_taken = |event: &Event| {
        let steps = names(&world.viewer_log, &event.session.session);
        matches!(event.step, Step::Ended(_)) && steps.contains(&"accepted") && !steps.contains(&"peer")
    };
    if world.viewer_log.iter().any(is_half_taken) { None } else { lines(world) }
}

/// What was written down, if it is one live session to its end.
fn fit(world: World) -> Option<Vec<String>> {
    let joins = world.viewer_log.iter().filter(|event| event.step == Step::Join).count();
    let is_live = world.viewers[0].shown().state == ViewerState::Live;
    if joins == 1 && is_live { lines(world) } else { None }
}

/// What was written down, if both viewers must do the same.
fn lines(world: World) -> Option<Vec<String>> {
    let transcript = world.transcript.filter(|transcript| !transcript.is_unfit)?;
    Some(transcript.lines.iter().map(Value::to_string).collect())
}

#[test]
fn the_transcripts_are_what_the_cores_say_today() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/viewer/test/transcripts");
    for (number, lines) in (1..100).filter_map(transcript).take(TRANSCRIPTS).enumerate() {
        let path = folder.join(format!("session-{}.json", number + 1));
        let text = in_json(&lines);
        if std::env::var_os("CAMERA_NODE_WRITE").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{}: CAMERA_NODE_WRITE=1 cargo test --lib transcripts writes it anew", path.display());
    }
}

#[test]
fn nearly_all_that_begins_over_bad_channels_can_be_compared_with_the_client() {
    let folder = std::env::var_os("CAMERA_NODE_TRANSCRIPTS").map(std::path::PathBuf::from);
    let join: fn(Viewer) -> Viewer = |viewer| viewer;
    let worse = |loss| Weather { loss, ..Weather::bad(0.2) };
    for (name, as_wanted, weather, least) in [
        ("join-5", join, Weather::bad(0.05), 100),
        ("join-20", join, Weather::bad(0.2), 100),
        ("join-60", join, worse(0.6), 95),
        ("call-20", Viewer::calling, Weather::bad(0.2), 100),
        ("call-60", Viewer::calling, worse(0.6), 95),
    ] {
        let all: Vec<_> = (1..=100).filter_map(|seed| Some((seed, beginning(seed, weather, as_wanted)?))).collect();
        let failed = all.iter().filter(|(_, lines)| lines.iter().any(|line| line.contains("\"ends\""))).count();
        assert!(all.len() >= least, "{name}: {} of a hundred", all.len());
        assert!(weather.loss < 0.5 || failed >= 20, "{name}: {failed} with an end");
        let Some(folder) = &folder else { continue };
        std::fs::create_dir_all(folder).expect("the folder can be made");
        for (seed, lines) in all {
            let path = folder.join(format!("beginning-{name}-{seed}.json"));
            std::fs::write(&path, in_json(&lines)).expect("the file can be written");
        }
    }
}

fn in_json(lines: &[String]) -> String {
    format!("[\n{}\n]\n", lines.join(",\n"))
}
