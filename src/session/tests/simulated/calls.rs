//! Calls in both directions: the order of their steps, what crosses, and bad channels.

use super::*;
use crate::session::node::{HungUp, NoAnswer, NotRung, RingOutcome, RingTo};

/// A node and viewers that are registered as "n0", "n1" …, whose people take every call after so many ms.
fn with_registered(seed: u64, viewers: usize, weather: Weather, after_ms: u64) -> World {
    let mut n = 0;
    let mut world = World::new(seed, viewers, weather).with_viewers(|viewer| {
        let name = Text::try_from(format!("n{n}")).expect("short");
        n += 1;
        viewer.registered(name, const { Bounded::new(60) })
    });
    for n in 0..viewers {
        world.people.insert(n, (after_ms, viewer::Input::Accept));
    }
    world.run_for(20);
    assert_eq!(world.count(ViewerState::Waiting), viewers, "seed {seed}: all are registered");
    world
}

fn ring(world: &mut World, to: RingTo) -> Result<Vec<String>, NotRung> {
    let rung = world.node.ring(to, world.now);
    world.drain(Who::Node);
    rung
}

fn names_of(log: &[Event], peer: &str) -> Vec<&'static str> {
    log.iter().filter(|event| event.session.peer.as_str() == peer).map(|event| event.step.name()).collect()
}

#[test]
fn both_sides_log_the_steps_of_a_viewers_call_in_the_same_order() {
    let mut world = World::new(1, 1, FAIR).with_viewers(Viewer::calling);
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Live), 1);
    world.close_viewers();
    world.run_for(20);
    let steps = names_of(&world.node_log, "tab-0");
    assert_eq!(steps, ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "connected", "leave"]);
    assert_eq!(names_of(&world.viewer_log, "tab-0"), steps);
    world.assert_all_is_over();
}

#[test]
fn both_sides_log_the_steps_of_the_nodes_calls_in_the_same_order() {
    let mut world = with_registered(2, 2, FAIR, 3_000);
    world.people.insert(1, (4_000, viewer::Input::Accept));
    assert_eq!(ring(&mut world, RingTo::All), Ok(vec!["n0".to_owned(), "n1".to_owned()]));
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Ringing), 2);
    assert_eq!(ring(&mut world, RingTo::All), Err(NotRung::Ringing));
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.count(ViewerState::Waiting)), (1, 1));
    world.close_viewers();
    world.run_for(20);
    let winner = names_of(&world.node_log, "tab-0");
    assert_eq!(winner, ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "connected", "leave"]);
    assert_eq!(names_of(&world.viewer_log, "tab-0"), winner);
    let other = names_of(&world.node_log, "tab-1");
    assert_eq!(other, ["call", "ringing", "cancelled"]);
    assert_eq!(names_of(&world.viewer_log, "tab-1"), other);
    let peer = "tab-0".parse().expect("a peer id");
    assert_eq!(world.rings, [RingOutcome::Answered { peer, name: "n0".to_owned() }]);
    world.assert_all_is_over();
    assert_eq!(ring(&mut world, RingTo::All), Err(NotRung::NobodyRegistered), "they have unregistered");
}

#[test]
fn a_ring_that_is_declined_or_not_heard_ends_with_the_reasons() {
    let mut world = with_registered(3, 2, FAIR, 0);
    world.people.clear();
    world.people.insert(0, (1_000, viewer::Input::Decline));
    ring(&mut world, RingTo::All).expect("two are registered");
    world.run_for(44);
    assert_eq!(world.count(ViewerState::Ringing), 1);
    world.run_for(2);
    let declined = ("n0".to_owned(), NoAnswer::Declined);
    let timeout = ("n1".to_owned(), NoAnswer::Timeout);
    assert_eq!(world.rings, [RingOutcome::Unanswered(vec![declined, timeout])]);
    assert_eq!(world.count(ViewerState::Waiting), 2);
    assert_eq!(names_of(&world.viewer_log, "tab-0"), ["call", "ringing", "rejected"]);
    assert_eq!(names_of(&world.node_log, "tab-0"), ["call", "ringing", "rejected"]);
}

#[test]
fn whatever_crosses_a_cancel_both_sides_agree() {
    let (mut live, mut cancelled) = (0, 0);
    for after_ms in 44_980..45_010 {
        let mut world = with_registered(after_ms, 1, FAIR, after_ms);
        ring(&mut world, RingTo::All).expect("one is registered");
        world.run_for(60);
        let ends = (world.node.viewers(), world.count(ViewerState::Live), world.count(ViewerState::Waiting));
        match ends {
            (1, 1, 0) => live += 1,
            (0, 0, 1) => cancelled += 1,
            other => panic!("accepted after {after_ms} ms: {other:?}"),
        }
        world.close_viewers();
        world.run_for(60);
        world.assert_all_is_over();
    }
    assert!(live > 5 && cancelled > 5, "{live} live, {cancelled} cancelled");
}

#[test]
fn a_viewer_in_a_call_is_busy_for_the_next_ring_and_one_that_merely_watches_is_not() {
    let mut world = with_registered(4, 1, FAIR, 1_000);
    ring(&mut world, RingTo::All).expect("one is registered");
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Live), 1);
    ring(&mut world, RingTo::All).expect("it is still registered");
    world.run_for(5);
    assert_eq!(world.rings[1], RingOutcome::Unanswered(vec![("n0".to_owned(), NoAnswer::Busy)]));
    assert_eq!(world.count(ViewerState::Live), 1);
    // The call is lost, and joined anew: now it rings again, and the new session takes the old one's place.
    let key = world.node_log[0].session.clone();
    world.at(0, Who::Viewer(0), Thing::Peer(key, PeerEvent::ClosedByPeer));
    world.run_for(5);
    assert_eq!((world.count(ViewerState::Live), world.node.viewers()), (1, 1));
    assert!(names_of(&world.viewer_log, "tab-0").contains(&"join"));
    ring(&mut world, RingTo::All).expect("it is still registered");
    world.run_for(5);
    assert!(matches!(world.rings[2], RingOutcome::Answered { .. }), "{:?}", world.rings);
    assert_eq!((world.count(ViewerState::Live), world.node.viewers()), (1, 1));
}

#[test]
fn a_node_that_starts_anew_is_registered_with_again_and_its_former_calls_ring_no_more() {
    let mut world = with_registered(5, 3, FAIR, 100_000);
    ring(&mut world, RingTo::All).expect("three are registered");
    world.run_for(2);
    assert_eq!(world.count(ViewerState::Ringing), 3);
    world.reboot();
    world.run_for(8);
    assert_eq!(world.count(ViewerState::Waiting), 3);
    assert_eq!(ring(&mut world, RingTo::All).map(|names| names.len()), Ok(3));
}

#[test]
fn registrations_are_renewed_for_as_long_as_the_viewer_is_there() {
    let mut world = with_registered(6, 1, FAIR, 1_000);
    world.run_for(3_600);
    assert!(ring(&mut world, RingTo::Name("n0".to_owned())).is_ok());
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Live), 1);
}

/// Rings of four viewers each, one after the other, until all are in a call: over a channel of so bad a kind.
fn many_rings(share: f64, seeds: u64) -> (usize, BTreeMap<&'static str, usize>) {
    let (mut answered, mut unanswered) = (0, BTreeMap::new());
    for seed in 0..seeds {
        let mut world = with_registered(500 + seed, 4, Weather::bad(share), 0);
        for n in 0..4 {
            let after = world.random.u64(200..3_000);
            world.people.insert(n, (after, viewer::Input::Accept));
        }
        for round in 1..=4 {
            ring(&mut world, RingTo::All).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            world.run_for(120);
            assert_eq!(world.rings.len(), round, "seed {seed}: every ring ends once");
            let still = world.count(ViewerState::Ringing);
            assert_eq!(still, 0, "seed {seed}: {still} ring on");
        }
        for outcome in &world.rings {
            match outcome {
                RingOutcome::Answered { .. } => answered += 1,
                RingOutcome::Unanswered(by) => {
                    by.iter().for_each(|(_, why)| *unanswered.entry(why.name()).or_default() += 1);
                }
            }
        }
        // Whoever took a call watches, by that session or by one it has joined after; nobody else does.
        let takers: BTreeSet<&PeerId> = world
            .rings
            .iter()
            .filter_map(|outcome| match outcome {
                RingOutcome::Answered { peer, .. } => Some(peer),
                RingOutcome::Unanswered(_) => None,
            })
            .collect();
        assert_eq!(world.count(ViewerState::Live), takers.len(), "seed {seed}: {:?}", world.rings);
        assert_eq!(world.node.viewers(), takers.len(), "seed {seed}: no session is doubled");
        world.close_viewers();
        world.run_for(120);
        world.assert_all_is_over();
    }
    (answered, unanswered)
}

#[test]
fn rings_over_a_channel_of_twenty_per_cent_each_end_once_live_or_with_a_reason() {
    let (answered, unanswered) = many_rings(0.2, 50);
    assert!(answered >= 190, "of 200 rings {answered} were answered, {unanswered:?}");
}

#[test]
fn rings_over_a_channel_of_five_per_cent_are_all_answered() {
    let (answered, unanswered) = many_rings(0.05, 25);
    assert_eq!(answered, 100, "{unanswered:?}");
}

/// One that was rung, one that has called and one that merely watches, of which the node hangs up on the first two over a
/// channel of so bad a kind; how often all three were live.
fn many_hang_ups(share: f64, seeds: u64) -> u64 {
    let mut live = 0;
    for seed in 0..seeds {
        let mut n = 0;
        let mut world = World::new(900 + seed, 3, Weather::bad(share)).with_viewers(|viewer| {
            n += 1;
            match n {
                1 => viewer.registered(Text::try_from("n0").expect("short"), const { Bounded::new(60) }),
                2 => viewer.calling(),
                _ => viewer,
            }
        });
        world.people.insert(0, (300, viewer::Input::Accept));
        world.run_for(20);
        ring(&mut world, RingTo::All).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        world.run_for(60);
        if world.count(ViewerState::Live) == 3 {
            live += 1;
            let mut calls = hang_up(&mut world).calls;
            calls.sort();
            assert_eq!(calls, ["n0", "tab-1"], "seed {seed}");
            world.run_for(180);
            let states: Vec<_> = world.viewers.iter().map(|viewer| viewer.shown().state).collect();
            let ends = [ViewerState::Waiting, ViewerState::Refused, ViewerState::Live];
            assert_eq!((states.as_slice(), world.node.viewers()), (&ends[..], 1), "seed {seed}");
        }
        world.close_viewers();
        world.run_for(120);
        world.assert_all_is_over();
    }
    live
}

fn hang_up(world: &mut World) -> HungUp {
    let whom = world.node.hang_up(world.now);
    world.drain(Who::Node);
    whom
}

#[test]
fn whom_the_node_hangs_up_on_does_not_come_back_however_bad_the_channel() {
    assert_eq!(many_hang_ups(0.0, 10), 10);
    assert_eq!(many_hang_ups(0.05, 50), 50);
    let live = many_hang_ups(0.2, 50);
    assert!(live >= 45, "{live} of 50 were live");
}

#[test]
fn the_node_may_hang_up_at_any_moment_and_both_sides_log_the_same_end() {
    let taken = ["call", "ringing", "accepted", "peer", "opening", "offer", "answer", "connected", "cancelled"];
    let mut ends = BTreeSet::new();
    for after_ms in (20..2_000).step_by(10) {
        let mut world = with_registered(after_ms, 1, FAIR, 1_000);
        ring(&mut world, RingTo::All).expect("one is registered");
        world.run_in_ms(after_ms);
        let whom = hang_up(&mut world);
        assert_eq!((whom.rung.len() + whom.calls.len(), world.node.viewers()), (1, 0), "{after_ms} ms: {whom:?}");
        world.run_for(60);
        assert_eq!((world.count(ViewerState::Waiting), world.node.viewers()), (1, 0), "{after_ms} ms");
        let (node, viewer) = (names_of(&world.node_log, "tab-0"), names_of(&world.viewer_log, "tab-0"));
        assert_eq!((node.last(), viewer.last()), (Some(&"cancelled"), Some(&"cancelled")), "{after_ms} ms");
        // What was on its way when it ended is logged by one side alone.
        assert!(taken.iter().filter(|step| viewer.contains(step)).eq(viewer.iter()), "{after_ms} ms: {viewer:?}");
        ends.insert(node.len());
        world.close_viewers();
        world.run_for(60);
        world.assert_all_is_over();
    }
    assert!(ends.contains(&3) && ends.contains(&taken.len()), "while it rang, and in the middle: {ends:?}");
}

#[test]
fn when_both_hang_up_at_once_it_is_over_for_both() {
    let mut world = with_registered(7, 1, FAIR, 1_000);
    ring(&mut world, RingTo::All).expect("one is registered");
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Live), 1);
    world.close_viewers();
    assert_eq!(hang_up(&mut world).calls, ["n0"]);
    world.run_for(60);
    assert_eq!(names_of(&world.node_log, "tab-0").last(), Some(&"cancelled"));
    assert_eq!(names_of(&world.viewer_log, "tab-0").last(), Some(&"leave"));
    world.assert_all_is_over();
}
