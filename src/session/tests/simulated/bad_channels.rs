//! A thousand sessions over a channel that drops, repeats, delays and reorders, and what a session costs.

use super::*;

const SESSIONS: usize = 1_000;

/// What became of a thousand viewers' first sessions.
#[derive(Debug, Default)]
struct Tally {
    live: usize,
    failed: BTreeMap<String, usize>,
    stuck: Vec<SessionKey>,
    to_live: Vec<Duration>,
}

impl Tally {
    fn median(&mut self) -> Duration {
        self.to_live.sort();
        self.to_live[self.to_live.len() / 2]
    }
}

fn first_sessions(share: f64, as_wanted: fn(Viewer) -> Viewer) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..SESSIONS as u64 / 200 {
        let mut world = World::new(100 + seed, 200, Weather::bad(share)).with_viewers(as_wanted);
        world.run_for(60);
        let mut seen = BTreeSet::new();
        let firsts = world.viewer_log.iter().filter(|event| matches!(event.step, Step::Join | Step::Call));
        for key in firsts.map(|event| &event.session).filter(|key| seen.insert(key.peer.clone())) {
            if let (joined, Some(connected)) = world.times[key] {
                tally.live += 1;
                tally.to_live.push(connected.saturating_sub(joined));
                continue;
            }
            let end = world.viewer_log.iter().find(|event| {
                event.session == *key
                    && matches!(event.step, Step::Ended(End::Failed(_) | End::TheyFailed(_) | End::Refused(_)))
            });
            match end {
                Some(end) => *tally.failed.entry(format!("{:?}", end.step)).or_default() += 1,
                None => tally.stuck.push(key.clone()),
            }
        }
        for log in [&world.node_log, &world.viewer_log] {
            assert_none_is_doubled(log, seed);
        }
        // Whoever failed has joined anew: one session a viewer, at both ends.
        let live = world.count(ViewerState::Live);
        assert!(live >= 198, "seed {seed}: {live} live in the end");
        assert_eq!(world.node.viewers(), world.connections.at_node.len(), "seed {seed}: a session is a connection");
        assert!(world.node.viewers() <= 200, "seed {seed}: {} sessions of 200 viewers", world.node.viewers());
        world.close_viewers();
        world.run_for(120);
        world.assert_all_is_over();
    }
    tally
}

/// However often its messages came, a session has begun once and come live once.
fn assert_none_is_doubled(log: &[Event], seed: u64) {
    let mut steps: BTreeMap<(&SessionKey, bool), usize> = BTreeMap::new();
    for event in log {
        let is_begun = matches!(event.step, Step::Join | Step::Call);
        if is_begun || event.step == Step::Connected {
            *steps.entry((&event.session, is_begun)).or_default() += 1;
        }
    }
    let doubled: Vec<_> = steps.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "seed {seed}: {doubled:?}");
}

#[test]
fn of_a_thousand_sessions_at_twenty_per_cent_nearly_all_come_live_and_the_rest_say_why_not() {
    let mut tally = first_sessions(0.2, |viewer| viewer);
    let failed: usize = tally.failed.values().sum();
    assert!(tally.stuck.is_empty(), "{tally:?}");
    assert_eq!(tally.live + failed, SESSIONS);
    assert!(tally.live >= SESSIONS * 99 / 100, "{} live, {:?}", tally.live, tally.failed);
    assert!(tally.median() <= Duration::from_secs(3), "{:?}", tally.median());
}

#[test]
fn of_a_thousand_sessions_at_five_per_cent_all_come_live() {
    let mut tally = first_sessions(0.05, |viewer| viewer);
    assert_eq!((tally.live, tally.failed.len(), tally.stuck.len()), (SESSIONS, 0, 0), "{:?}", tally.failed);
    assert!(tally.median() <= Duration::from_secs(1), "{:?}", tally.median());
}

#[test]
fn of_a_thousand_calls_at_twenty_per_cent_nearly_all_come_live_and_the_rest_say_why_not() {
    let mut tally = first_sessions(0.2, Viewer::calling);
    let failed: usize = tally.failed.values().sum();
    assert!(tally.stuck.is_empty(), "{tally:?}");
    assert_eq!(tally.live + failed, SESSIONS);
    assert!(tally.live >= SESSIONS * 99 / 100, "{} live, {:?}", tally.live, tally.failed);
    assert!(tally.median() <= Duration::from_secs(3), "{:?}", tally.median());
}

#[test]
fn of_a_thousand_calls_at_five_per_cent_all_come_live() {
    let mut tally = first_sessions(0.05, Viewer::calling);
    assert_eq!((tally.live, tally.failed.len(), tally.stuck.len()), (SESSIONS, 0, 0), "{:?}", tally.failed);
    assert!(tally.median() <= Duration::from_secs(1), "{:?}", tally.median());
}

#[test]
fn a_session_takes_no_more_than_fourteen_messages_to_come_live() {
    let mut world = World::new(1, 1, FAIR);
    world.run_for(5);
    assert_eq!(world.count(ViewerState::Live), 1);
    assert!(world.published <= 14, "{} messages, acknowledgements included", world.published);
}
