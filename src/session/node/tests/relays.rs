//! TURN servers' logins: made for each session, and made anew while it lasts.

use super::*;
use crate::access::{TurnSecret, WallClock};
use crate::session::IceServer;

const NOON: u64 = 1_800_000_000;

fn sources(lifetime_s: u32) -> Vec<IceSource> {
    let urls = vec!["turn:turn.example.org".to_owned()];
    vec![
        IceSource::Fixed(IceServer { urls: vec!["stun:s".to_owned()], username: None, credential: None }),
        IceSource::PerSession { urls, secret: TurnSecret::new("north"), lifetime_s },
    ]
}

/// What was told to the peer, and to our own connection, since the last look: user names with their servers' number.
fn told(bench: &mut Bench) -> Vec<String> {
    let outputs = std::iter::from_fn(|| bench.node.poll_output());
    let logins = |whom: &str, servers: Vec<IceServer>| {
        let turn = servers.last().expect("two servers");
        let (username, password) = (turn.username.clone().expect("a login"), turn.credential.clone());
        let ends: u64 = username.split(':').next().expect("a time").parse().expect("a number");
        let name = username.split(':').nth(1).expect("a name");
        let expected = TurnSecret::new("north").login(name, ends);
        assert_eq!((username.clone(), password), (expected.0, Some(expected.1)));
        format!("{whom}: {} {name} +{}", servers.len(), ends - NOON)
    };
    let told = outputs.filter_map(|output| match output {
        Output::Publish(outgoing) => {
            let message: Value = serde_json::from_slice(&outgoing.payload).expect("JSON");
            let servers = serde_json::from_value(message.get("iceServers")?.clone()).expect("servers");
            Some(format!("{} expires {}", logins("peer", servers), message["expires"]))
        }
        Output::Peer(_, PeerCommand::Offer { ice_servers, .. }) => Some(logins("offer", ice_servers)),
        Output::Peer(_, PeerCommand::UseIceServers { ice_servers }) => Some(logins("use", ice_servers)),
        _ => None,
    });
    told.collect()
}

fn bench(lifetime_s: u32) -> Bench {
    let mut bench = Bench::new();
    bench.node.handle(Input::WallClock(WallClock::Set { unix_s: NOON - 1 }), ms(0));
    bench.node.handle(Input::IceServers(sources(lifetime_s)), ms(0));
    bench
}

fn join_quietly(bench: &mut Bench) {
    let join =
        json!({"v": 1, "type": "join", "session": id(1).as_str(), "seq": 0, "wants": {"video": true}, "nonce": "n"});
    let (topic, payload) = ("cn/node/in/tab".to_owned(), Bytes::from(join.to_string()));
    bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
}

fn wait(bench: &mut Bench, seconds: u64) {
    bench.now += Duration::from_secs(seconds);
    bench.node.handle_timeout(bench.now);
}

/// The viewer has heard all of it.
fn acknowledge(bench: &mut Bench, ack: u32) {
    let message = json!({"v": 1, "type": "ack", "session": id(1).as_str(), "ack": ack});
    let (topic, payload) = ("cn/node/in/tab".to_owned(), Bytes::from(message.to_string()));
    bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
}

/// A session that is live, of which the viewer has heard `peer` and `offer`.
fn live(bench: &mut Bench) {
    join_quietly(bench);
    assert_eq!(told(bench), ["offer: 2 tab.node +60", "peer: 2 tab +60 expires 60"]);
    bench.offered("tab", 1);
    bench.answer("tab", 1, 1, 1);
    bench.event("tab", 1, PeerEvent::Connected);
}

#[test]
fn each_session_has_logins_of_its_own_which_are_made_anew_before_they_end() {
    let mut bench = bench(60);
    live(&mut bench);
    wait(&mut bench, 39);
    assert_eq!(told(&mut bench), [""; 0], "not before two thirds of their life");
    assert!(bench.node.poll_timeout().is_some_and(|at| at <= bench.now + ms(1_000)), "the shell is to come again");
    wait(&mut bench, 1);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +100", "peer: 2 tab +100 expires 60"]);
    acknowledge(&mut bench, 2);
    wait(&mut bench, 40);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +140", "peer: 2 tab +140 expires 60"]);
}

#[test]
fn a_viewer_that_does_not_hear_gets_the_latest_when_it_hears_again() {
    let mut bench = bench(60);
    live(&mut bench);
    wait(&mut bench, 40);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +100", "peer: 2 tab +100 expires 60"]);
    // Our own end is renewed all the same, and nothing new piles up for the viewer.
    for _ in 0..200 {
        wait(&mut bench, 40);
        let told = told(&mut bench);
        assert!(told.iter().any(|told| told.starts_with("use")), "{told:?}");
        assert!(told.iter().all(|told| !told.starts_with("peer") || told.contains("+100")), "{told:?}");
    }
    acknowledge(&mut bench, 2);
    wait(&mut bench, 5);
    let told = told(&mut bench);
    assert!(told.iter().any(|told| told.starts_with("peer: 2 tab +8")), "{told:?}");
    assert_eq!(bench.node.viewers(), 1, "the session lives");
}

#[test]
fn without_a_broker_nobody_is_told_and_nothing_spins() {
    let mut bench = bench(60);
    live(&mut bench);
    bench.node.handle(Input::LinkDown, bench.now);
    wait(&mut bench, 100);
    assert_eq!(told(&mut bench), [""; 0]);
    assert!(bench.node.poll_timeout().is_none_or(|at| at > bench.now), "it is due, and cannot be done now");
    bench.node.handle(Input::LinkUp { conn: 2 }, bench.now);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +160", "peer: 2 tab +160 expires 60"]);
}

#[test]
fn a_clock_that_is_set_at_last_makes_all_logins_anew() {
    let mut bench = bench(60);
    live(&mut bench);
    bench.node.handle(Input::WallClock(WallClock::Set { unix_s: NOON + 3 }), bench.now);
    assert_eq!(told(&mut bench), [""; 0], "a clock that drifts is none that was wrong");
    bench.node.handle(Input::WallClock(WallClock::Set { unix_s: NOON + 5_000 }), bench.now);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +5060", "peer: 2 tab +5060 expires 60"]);
}

#[test]
fn servers_that_change_are_told_to_live_sessions() {
    let mut bench = bench(60);
    live(&mut bench);
    bench.node.handle(Input::IceServers(sources(90)), bench.now);
    assert_eq!(told(&mut bench), ["use: 2 tab.node +90", "peer: 2 tab +90 expires 90"]);
}
