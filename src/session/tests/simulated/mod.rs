//! A node and many viewers over a network that loses, repeats, delays and reorders, in virtual time, from a seed.

mod bad_channels;
mod calls;
mod connections;
mod later;
mod transcripts;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use world::*;

use crate::media::{Bounded, CameraName};
use crate::session::node::{Camera, Node, NodeSetup};
use crate::session::viewer::{Viewer, ViewerSetup, ViewerState};
use crate::session::*;

fn names(log: &[Event], session: &SessionId) -> Vec<&'static str> {
    log.iter().filter(|event| event.session.session == *session).map(|event| event.step.name()).collect()
}

#[test]
fn both_sides_log_the_same_steps_in_the_same_order() {
    let mut world = World::new(1, 1, FAIR);
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Live), 1);
    world.close_viewers();
    world.run_for(2);
    let session = world.node_log[0].session.session.clone();
    let steps = names(&world.node_log, &session);
    assert_eq!(steps, ["join", "peer", "opening", "offer", "answer", "connected", "leave"]);
    assert_eq!(names(&world.viewer_log, &session), steps);
    world.run_for(20);
    world.assert_all_is_over();
}

#[test]
fn two_hundred_sessions_all_come_live_with_one_message_in_twenty_lost() {
    for seed in 0..2 {
        let weather = Weather { loss: 0.05, repeat: 0.1, delay_ms: (2, 300), ..FAIR };
        let mut world = World::new(seed, 200, weather);
        world.run_for(30);
        assert_eq!(world.count(ViewerState::Live), 200, "seed {seed}");
        assert_eq!(world.node.viewers(), 200, "seed {seed}");
        world.close_viewers();
        world.run_for(60);
        world.assert_all_is_over();
    }
}

#[test]
fn with_one_message_in_five_lost_nearly_all_come_live_and_none_is_stuck() {
    for seed in 10..12 {
        let weather = Weather { loss: 0.2, repeat: 0.2, delay_ms: (2, 1_500), ..FAIR };
        let mut world = World::new(seed, 200, weather);
        world.run_for(40);
        let live = world.count(ViewerState::Live);
        assert!(live >= 190, "seed {seed}: {live} live");
        world.run_for(120);
        let live = world.count(ViewerState::Live);
        assert_eq!(live, 200, "seed {seed}: who failed has tried again");
        world.close_viewers();
        world.run_for(100);
        world.assert_all_is_over();
    }
}

#[test]
fn a_node_that_starts_anew_is_joined_anew_spread_over_five_seconds() {
    let mut world = World::new(5, 50, FAIR);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Live), 50);
    let before = world.node_log.len();
    world.reboot();
    world.run_for(2);
    let early = world.count(ViewerState::Live);
    assert!((5..45).contains(&early), "{early} are back after two seconds");
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.node.viewers()), (50, 50));
    assert_eq!(world.node_log[before..].iter().filter(|event| event.step == Step::Join).count(), 50);
}

#[test]
fn a_broker_that_is_away_for_long_costs_no_live_session_and_new_ones_come_after() {
    let mut world = World::new(6, 20, FAIR);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Live), 20);
    let before = world.node_log.len();
    world.link_all(false);
    world.run_for(600);
    assert_eq!(world.count(ViewerState::Live), 20);
    world.link_all(true);
    world.run_for(10);
    assert_eq!(world.count(ViewerState::Live), 20);
    assert_eq!(world.node_log.len(), before, "nothing happened to any session");
}

#[test]
fn viewers_of_a_node_that_is_not_there_say_so_and_come_when_it_is() {
    let mut world = World::new(7, 3, FAIR);
    world.on_the_way.retain(|_, (who, _)| *who != Who::Node);
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Looking), 3);
    world.run_for(3);
    assert_eq!(world.count(ViewerState::Offline), 3);
    world.at(0, Who::Node, Thing::Link(true));
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Live), 3);
}

#[test]
fn a_shutdown_tells_every_viewer_and_they_wait_for_the_next_start() {
    let mut world = World::new(8, 10, FAIR);
    world.run_for(3);
    world.node.handle(node::Input::Shutdown, world.now);
    world.drain(Who::Node);
    world.run_for(60);
    assert!(world.node.is_settled());
    assert_eq!(world.count(ViewerState::Offline), 10);
    world.reboot();
    world.run_for(7);
    assert_eq!(world.count(ViewerState::Live), 10);
}

#[test]
fn a_path_that_falls_silent_and_comes_back_costs_nothing_and_one_that_does_not_is_joined_anew() {
    let mut world = World::new(9, 1, FAIR);
    world.run_for(2);
    let key = world.node_log[0].session.clone();
    world.cut(&key, true);
    world.run_for(4);
    assert_eq!(world.count(ViewerState::Silent), 1);
    world.cut(&key, false);
    world.run_for(60);
    assert_eq!(world.count(ViewerState::Live), 1);
    assert_eq!(world.connections.restarts, BTreeMap::new(), "it has mended by itself");
    // Restarts are answered and do not help.
    world.cut(&key, true);
    world.run_for(60);
    assert_eq!(world.count(ViewerState::Live), 1);
    assert!((2..=6).contains(&world.connections.restarts[&key]), "{:?}", world.connections.restarts);
    let joins = world.node_log.iter().filter(|event| event.step == Step::Join).count();
    assert_eq!(joins, 2);
}

#[test]
fn a_refusal_that_time_may_mend_is_tried_again_and_another_is_not() {
    let mut world = World::new(11, 2, FAIR);
    world.viewers[1] = Viewer::new(ViewerSetup {
        topics: topics(),
        peer: "tab-1".parse().expect("a peer id"),
        wants: WantsRequest {
            video: CameraChoice::Named(vec![CameraName::try_from("cellar".to_owned()).expect("a name")]),
            ..WantsRequest::default()
        },
        token: None,
        entropy: Box::new(|| 4),
    });
    world.run_for(60);
    let shown = world.viewers[1].shown();
    assert_eq!(shown.state, ViewerState::Refused);
    assert_eq!(shown.detail.as_deref(), Some("There is no camera \"cellar\" here."));
    assert_eq!(world.viewers[1].poll_timeout(), None);

    let places = Limits { max_viewers: const { Bounded::new(1) }, ..Limits::default() };
    let mut world = World::new(12, 2, FAIR);
    world.node = Node::new(NodeSetup {
        topics: topics(),
        boot: Boot::from_random(3),
        name: String::new(),
        version: "1".to_owned(),
        limits: places,
        retain_status: true,
        guard: crate::access::Guard::open(),
        entropy: Box::new(|| 4),
    });
    let name = CameraName::try_from("front".to_owned()).expect("a name");
    let info = CameraInfo { name, width: 1, height: 1, fps: 1 };
    let detail = CameraDetail { state: CameraState::Away, fault: None, message: None };
    world.node.handle(node::Input::Cameras(vec![Camera { info, detail }]), Duration::ZERO);
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.count(ViewerState::Lost)), (1, 1));
    let live = (0..2).find(|n| world.viewers[*n].shown().state == ViewerState::Live).expect("one is live");
    world.viewers[live].handle(viewer::Input::Close, world.now);
    world.drain(Who::Viewer(live));
    world.run_for(60);
    assert_eq!(world.viewers[1 - live].shown().state, ViewerState::Live);
}
