//! What AWS IoT Core takes (https://docs.aws.amazon.com/general/latest/gr/iot-core.html), held against what was really sent.

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::{Packet, QoS};

use crate::recorder::Entry;

/// All that it would refuse of what was sent.
pub fn broken_aws_rules(seen: &[Entry], retain: bool) -> Vec<String> {
    let mut broken = Vec::new();
    let mut hold = |is_kept: bool, what: String| {
        if !is_kept {
            broken.push(what);
        }
    };
    let fits = |topic: &str| topic.len() <= 256 && topic.matches('/').count() <= 7 && !topic.starts_with('$');
    let mut connects: BTreeMap<String, tokio::time::Instant> = BTreeMap::new();
    let mut subscriptions: BTreeMap<usize, usize> = BTreeMap::new();
    for Entry { at, connection, from_client, packet } in seen {
        match packet {
            Packet::Connect(connect) => {
                let id = connect.client_id.clone();
                hold((1..=128).contains(&id.len()), format!("client id {id}"));
                hold(connect.clean_session, format!("{id}: a session that stays"));
                hold((30..=1200).contains(&connect.keep_alive), format!("{id}: keep-alive {}", connect.keep_alive));
                if let Some(will) = &connect.last_will {
                    hold(will.qos != QoS::ExactlyOnce && fits(&will.topic), format!("{id}: will on {}", will.topic));
                    hold(retain || !will.retain, format!("{id}: a retained will"));
                }
                if let Some(before) = connects.insert(id.clone(), *at) {
                    let apart = *at - before;
                    hold(apart >= Duration::from_secs(1), format!("{id}: CONNECT after {apart:?}"));
                }
            }
            Packet::Publish(publish) if *from_client => {
                let topic = &publish.topic;
                hold(publish.qos != QoS::ExactlyOnce && fits(topic), format!("PUBLISH to {topic}"));
                hold(publish.payload.len() <= 128 * 1024, format!("{} bytes to {topic}", publish.payload.len()));
                let may_retain = retain && topic.ends_with("/status");
                hold(may_retain || !publish.retain, format!("retained on {topic}"));
            }
            Packet::Subscribe(subscribe) => {
                hold(subscribe.filters.len() <= 8, format!("{} filters at once", subscribe.filters.len()));
                let count = subscriptions.entry(*connection).or_default();
                *count += subscribe.filters.len();
                hold(*count <= 50, format!("{count} subscriptions"));
                for filter in &subscribe.filters {
                    hold(filter.qos != QoS::ExactlyOnce && fits(&filter.path), format!("SUBSCRIBE {}", filter.path));
                }
            }
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => hold(false, "QoS 2".to_owned()),
            _ => {}
        }
    }
    for (connection, most) in most_in_a_second(seen) {
        hold(most <= 100, format!("{most} messages within a second on connection {connection}"));
    }
    for (connection, most) in within_a_second(seen, |publish| publish.topic.len() + publish.payload.len()) {
        hold(most <= 512_000, format!("{most} bytes within a second on connection {connection}"));
    }
    broken
}

/// PUBLISH packets of both directions within any second, by connection.
pub fn most_in_a_second(seen: &[Entry]) -> BTreeMap<usize, usize> {
    within_a_second(seen, |_| 1)
}

/// The sum of what PUBLISH packets of both directions count for within any second, by connection.
fn within_a_second(seen: &[Entry], counts: impl Fn(&rumqttc::Publish) -> usize) -> BTreeMap<usize, usize> {
    let mut times: BTreeMap<usize, Vec<(tokio::time::Instant, usize)>> = BTreeMap::new();
    for entry in seen {
        if let Packet::Publish(publish) = &entry.packet {
            times.entry(entry.connection).or_default().push((entry.at, counts(publish)));
        }
    }
    let most = |times: &Vec<(tokio::time::Instant, usize)>| {
        let within = |(from, _): &(tokio::time::Instant, usize)| -> usize {
            let second = *from..*from + Duration::from_secs(1);
            times.iter().filter(|(at, _)| second.contains(at)).map(|(_, counted)| counted).sum()
        };
        times.iter().map(within).max().unwrap_or_default()
    };
    times.iter().map(|(connection, times)| (*connection, most(times))).collect()
}

#[test]
fn the_aws_rules_see_what_breaks_them() {
    let begun = now();
    let entry =
        |ms: u64, packet| Entry { at: begun + Duration::from_millis(ms), connection: 0, from_client: true, packet };
    let publish = |topic: &str, qos, bytes: usize, retain| {
        let mut publish = rumqttc::Publish::new(topic, qos, vec![0; bytes]);
        publish.retain = retain;
        Packet::Publish(publish)
    };
    let mut connect = rumqttc::Connect::new("stage");
    connect.keep_alive = 30;
    let deep = "a/b/c/d/e/f/g/h/i";
    for (entries, words) in [
        (vec![entry(0, publish("a", QoS::ExactlyOnce, 1, false))], "PUBLISH to a"),
        (vec![entry(0, publish(deep, QoS::AtLeastOnce, 1, false))], "PUBLISH to a/b"),
        (vec![entry(0, publish("a", QoS::AtLeastOnce, 131_073, false))], "131073 bytes"),
        (vec![entry(0, publish("a/in/b", QoS::AtLeastOnce, 1, true))], "retained on a/in/b"),
        (vec![entry(0, Packet::Subscribe(rumqttc::Subscribe::new(deep, QoS::AtMostOnce)))], "SUBSCRIBE a/b"),
        (
            vec![entry(0, Packet::Connect(connect.clone())), entry(900, Packet::Connect(connect.clone()))],
            "stage: CONNECT after",
        ),
        (
            (0..101).map(|n| entry(n * 9, publish("a", QoS::AtLeastOnce, 1, false))).collect(),
            "101 messages within a second",
        ),
        (
            (0..4).map(|n| entry(n * 9, publish("a", QoS::AtLeastOnce, 131_072, false))).collect(),
            "524292 bytes within a second",
        ),
    ] {
        let broken = broken_aws_rules(&entries, true);
        assert!(broken.len() == 1 && broken[0].starts_with(words), "{words}: {broken:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from a clock; any will do")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
