//! Who may publish and subscribe what on the embedded broker.

use std::sync::LazyLock;

use crate::session::TopicPrefix;
use crate::signalling::Login;
use crate::signalling::rights::{Client, TopicRules};

const NODE: &str = "porch";
const PASSWORD: &str = "lan";

/// A client's id, user name and password, then topics it would publish to or subscribe to, a line each: nobody speaks for somebody
/// else, and nobody but the node hears what is for it.
pub fn rights(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (id, username, password) = (next(), next(), next());
    let client = Client { id, username: Some(username), password: Some(password.as_bytes()), will: None };
    let is_node = id == NODE;
    let admitted = RULES.refusal(&client).is_none();
    let wanted = if is_node { "secret" } else { PASSWORD };
    assert_eq!(admitted, is_id(id) && username == id && password == wanted);
    if !admitted {
        return;
    }
    for topic in lines {
        let levels: Vec<&str> = topic.split('/').collect();
        let publishes = match levels[..] {
            ["camera-node", "v1", NODE, "status"] => is_node,
            ["camera-node", "v1", NODE, "out", peer] => is_node && is_id(peer),
            ["camera-node", "v1", node, "in", peer] => is_id(node) && peer == id,
            _ => false,
        };
        assert_eq!(RULES.may_publish(id, topic), publishes);
        assert_eq!(RULES.refusal(&Client { will: Some(topic), ..client }).is_none(), publishes);
        if RULES.may_subscribe(id, topic) {
            for (said, hears) in said(id) {
                assert!(hears || !matches(&levels, &said), "{id} would hear {said}");
            }
        }
    }
}

/// What is said on the broker, and whether `id` may hear it.
fn said(id: &str) -> Vec<(String, bool)> {
    let mut said = vec![("$SYS/broker".to_owned(), false), ("home/door".to_owned(), false)];
    for node in [NODE, "eve", id] {
        said.push((format!("camera-node/v1/{node}/status"), true));
        for peer in ["ann", "bob", id] {
            said.push((format!("camera-node/v1/{node}/in/{peer}"), id == NODE && node == NODE));
            said.push((format!("camera-node/v1/{node}/out/{peer}"), peer == id));
        }
    }
    said
}

/// Whether a filter takes a topic (MQTT 3.1.1 §4.7), also one that is shared by a group.
fn matches(filter: &[&str], topic: &str) -> bool {
    let filter = if filter.first() == Some(&"$share") { filter.get(2..).unwrap_or_default() } else { filter };
    let topic: Vec<&str> = topic.split('/').collect();
    if topic[0].starts_with('$') && matches!(filter.first(), Some(&("+" | "#"))) {
        return false;
    }
    for (n, level) in filter.iter().enumerate() {
        match (*level, topic.get(n)) {
            ("#", _) => return true,
            (_, None) => return false,
            (level, Some(said)) if level != "+" && level != *said => return false,
            _ => {}
        }
    }
    filter.len() == topic.len()
}

/// As the protocol has it.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

static RULES: LazyLock<TopicRules> = LazyLock::new(|| {
    let node = Login { username: NODE.to_owned(), password: "secret".to_owned() };
    TopicRules::new(TopicPrefix::default(), vec![node], Some(PASSWORD.to_owned()))
});
