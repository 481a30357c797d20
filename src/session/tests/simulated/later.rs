//! Restarts and renegotiations from both sides, crossing each other, on live sessions over bad channels.

use super::*;

const VIEWERS: usize = 40;

/// What became of a crowd of live sessions in a minute in which networks changed.
struct Minute {
    world: World,
    /// Sessions that were live before it.
    firsts: Vec<SessionKey>,
}

impl Minute {
    /// A minute in which on average every session loses one of its addresses three times, one time in four both at once,
    /// and one in ten its path for up to `longest_cut_s`.
    fn pass(seed: u64, weather: Weather, longest_cut_s: u64) -> Self {
        let mut world = World::new(seed, VIEWERS, weather);
        world.connections.plain_one_of = 5;
        world.run_for(40);
        assert_eq!(world.count(ViewerState::Live), VIEWERS, "seed {seed}");
        let firsts: Vec<SessionKey> = world.connections.at_node.keys().cloned().collect();
        for _ in 0..60 {
            for key in world.connections.at_node.keys().cloned().collect::<Vec<_>>() {
                let delay = world.random.u64(..1_000);
                let viewer = World::viewer_of(&key);
                match world.random.u32(..200) {
                    0..4 => world.at(delay, Who::Node, Thing::LoseAddress(key)),
                    4..8 => world.at(delay, viewer, Thing::LoseAddress(key)),
                    8..10 => {
                        world.at(delay, Who::Node, Thing::LoseAddress(key.clone()));
                        world.at(delay, viewer, Thing::LoseAddress(key));
                    }
                    10 => {
                        let length = world.random.u64(500..longest_cut_s * 1_000);
                        world.at(delay, viewer, Thing::Cut(key.clone(), true));
                        world.at(delay + length, viewer, Thing::Cut(key, false));
                    }
                    _ => {}
                }
            }
            world.run_for(1);
        }
        world.run_for(60);
        Self { world, firsts }
    }

    /// Why sessions have ended, by session.
    fn ends(&self) -> BTreeMap<SessionKey, Vec<End>> {
        let mut ends: BTreeMap<SessionKey, Vec<End>> = BTreeMap::new();
        for event in &self.world.viewer_log {
            if let Step::Ended(end) = event.step {
                ends.entry(event.session.clone()).or_default().push(end);
            }
        }
        ends
    }

    /// Everybody is live again, by one session and one connection each.
    fn assert_whole(&mut self, seed: u64) {
        let world = &mut self.world;
        assert_eq!(world.count(ViewerState::Live), VIEWERS, "seed {seed}");
        assert_eq!(world.node.viewers(), VIEWERS, "seed {seed}");
        assert_eq!((world.connections.at_node.len(), world.connections.at_viewer.len()), (VIEWERS, VIEWERS));
        assert!(world.connections.at_node.keys().all(|key| world.connections.is_whole(key)), "seed {seed}");
        world.close_viewers();
        world.run_for(120);
        world.assert_all_is_over();
    }
}

#[test]
fn on_a_fair_channel_no_change_of_network_costs_a_session() {
    let (mut restarts, mut rolled_back) = (0, 0);
    for seed in 0..5 {
        let mut minute = Minute::pass(400 + seed, FAIR, 10);
        assert_eq!(minute.ends(), BTreeMap::new(), "seed {seed}");
        restarts += minute.world.connections.restarts.values().sum::<usize>();
        rolled_back += minute.world.connections.rolled_back;
        minute.assert_whole(seed);
    }
    assert!(restarts > 5 * VIEWERS * 3, "{restarts} restarts");
    assert!(rolled_back > 100, "{rolled_back} offers gave way");
}

#[test]
fn on_bad_channels_every_session_comes_live_again_or_ends_with_its_reason() {
    for (share, seeds, lost_of_hundred) in [(0.05, 0..5, 1), (0.2, 5..10, 5)] {
        let (mut all, mut ended) = (0, BTreeMap::new());
        for seed in seeds {
            let mut minute = Minute::pass(500 + seed, Weather::bad(share), 10);
            all += minute.firsts.len();
            for (key, ends) in minute.ends() {
                assert_eq!(ends.len(), 1, "{key} has ended once");
                let named =
                    matches!(ends[0], End::Failed(_) | End::TheyFailed(_) | End::TheyLeft(_) | End::ClosedByPeer);
                assert!(named, "{key}: {ends:?}");
                *ended.entry(format!("{:?}", ends[0])).or_insert(0) += 1;
            }
            minute.assert_whole(seed);
        }
        let failed: usize = ended.values().sum();
        assert!(failed * 100 <= all * lost_of_hundred, "{failed} of {all} at {share}: {ended:?}");
    }
}

#[test]
fn a_path_that_is_gone_for_good_is_not_restarted_in_a_storm() {
    let mut world = World::new(600, 1, FAIR);
    world.run_for(5);
    let key = world.node_log[0].session.clone();
    let before = world.published;
    world.cut(&key, true);
    for _ in 0..200 {
        // And the network never stands still.
        world.at(0, Who::Node, Thing::LoseAddress(key.clone()));
        world.at(50, World::viewer_of(&key), Thing::LoseAddress(key.clone()));
        world.run_in_ms(100);
    }
    let restarts = world.connections.restarts[&key];
    assert!((5..=30).contains(&restarts), "{restarts} restarts in twenty seconds");
    let published = world.published - before;
    assert!(published < 10 * restarts, "{published} messages for {restarts} restarts");
}
