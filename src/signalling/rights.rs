//! Who may publish and subscribe what on the embedded broker: the topics' own rules, and nothing else. Pure.
//!
//! | client | publishes | subscribes |
//! |---|---|---|
//! | the node `n` | `{prefix}/n/status`, `{prefix}/n/out/+` | `{prefix}/n/in/+`, `{prefix}/+/status` |
//! | peer `p` | `{prefix}/+/in/p` | `{prefix}/+/status`, `{prefix}/+/out/p` |
//!
//! A client is what its client id says; where a password is asked for, its user name must be the same. The node has a
//! password that only this process knows, so nobody can take its place; where the broker is open to other machines, the
//! peers share another. A broker without reserved nodes lets any client be one.

use super::Login;
use crate::session::TopicPrefix;

/// The rules of the table above.
pub(crate) struct TopicRules {
    prefix: TopicPrefix,
    reserved: Vec<Login>,
    password: Option<String>,
}

/// What a client says of itself when it connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    /// Its client id.
    pub id: &'a str,
    /// Its user name, if it gives one.
    pub username: Option<&'a str>,
    /// Its password, if it gives one.
    pub password: Option<&'a [u8]>,
    /// The topic of its last will, if it leaves one.
    pub will: Option<&'a str>,
}

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// Its client id is none of a node or peer.
    Name,
    /// Its user name is not its client id, or its password is not the one.
    Password,
    /// Its last will would speak in another's name.
    Will,
}

/// A topic or filter below the prefix.
enum Topic<'a> {
    Status { node: &'a str },
    In { node: &'a str, peer: &'a str },
    Out { node: &'a str, peer: &'a str },
}

impl TopicRules {
    pub(crate) fn new(prefix: TopicPrefix, reserved: Vec<Login>, password: Option<String>) -> Self {
        Self { prefix, reserved, password }
    }

    /// Why this client may not be here at all, if it may not.
    pub(crate) fn refusal(&self, client: &Client<'_>) -> Option<Refusal> {
        let id = client.id;
        if !is_name(id) {
            return Some(Refusal::Name);
        }
        let reserved = self.reserved.iter().find(|login| login.username == id).map(|login| &login.password);
        if let Some(wanted) = reserved.or(self.password.as_ref()) {
            let given = client.password.unwrap_or_default();
            if client.username != Some(id) || !same_bytes(given, wanted.as_bytes()) {
                return Some(Refusal::Password);
            }
        }
        let is_own = client.will.is_none_or(|topic| self.may_publish(id, topic));
        (!is_own).then_some(Refusal::Will)
    }

    /// Whether a client that was admitted may publish to this topic, or leave it as the topic of its last will.
    pub(crate) fn may_publish(&self, client: &str, topic: &str) -> bool {
        match self.parse(topic) {
            Some(Topic::Status { node }) => self.is_node(client, node),
            Some(Topic::Out { node, peer }) => self.is_node(client, node) && is_name(peer),
            Some(Topic::In { node, peer }) => peer == client && is_name(node),
            None => false,
        }
    }

    /// Whether a client that was admitted may subscribe to this filter.
    pub(crate) fn may_subscribe(&self, client: &str, filter: &str) -> bool {
        match self.parse(filter) {
            Some(Topic::Status { node }) => node == "+" || is_name(node),
            Some(Topic::In { node, peer }) => self.is_node(client, node) && (peer == "+" || is_name(peer)),
            Some(Topic::Out { node, peer }) => peer == client && (node == "+" || is_name(node)),
            None => false,
        }
    }

    /// Whether `client` may be the node of this name.
    fn is_node(&self, client: &str, node: &str) -> bool {
        node == client && (self.reserved.is_empty() || self.reserved.iter().any(|login| login.username == client))
    }

    fn parse<'a>(&self, topic: &'a str) -> Option<Topic<'a>> {
        let rest = topic.strip_prefix(self.prefix.as_str())?.strip_prefix('/')?;
        let mut levels = rest.split('/');
        let parsed = match (levels.next()?, levels.next()?, levels.next()) {
            (node, "status", None) => Topic::Status { node },
            (node, "in", Some(peer)) => Topic::In { node, peer },
            (node, "out", Some(peer)) => Topic::Out { node, peer },
            _ => return None,
        };
        levels.next().is_none().then_some(parsed)
    }
}

/// What the protocol allows as a node's or a peer's id.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Looks at every byte, so that the time taken says nothing about where they differ.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> TopicRules {
        TopicRules::new(TopicPrefix::default(), Vec::new(), None)
    }

    #[test]
    fn a_client_publishes_only_in_its_own_name() {
        for (client, topic, may) in [
            ("cam", "camera-node/v1/cam/status", true),
            ("cam", "camera-node/v1/cam/out/peer", true),
            ("peer", "camera-node/v1/cam/in/peer", true),
            ("peer", "camera-node/v1/cam/in/other", false),
            ("peer", "camera-node/v1/cam/status", false),
            ("peer", "camera-node/v1/cam/out/peer", false),
            ("peer", "camera-node/v1/cam/in/peer/x", false),
            ("peer", "camera-node/v1//in/peer", false),
            ("peer", "camera-node/v10/cam/in/peer", false),
            ("peer", "other/topic", false),
            ("peer", "$SYS/broker", false),
        ] {
            assert_eq!(rules().may_publish(client, topic), may, "{client} publishes {topic}");
        }
    }

    #[test]
    fn a_client_hears_only_what_is_for_it() {
        for (client, filter, may) in [
            ("cam", "camera-node/v1/cam/in/+", true),
            ("cam", "camera-node/v1/cam/status", true),
            ("peer", "camera-node/v1/+/status", true),
            ("peer", "camera-node/v1/cam/out/peer", true),
            ("peer", "camera-node/v1/+/out/peer", true),
            ("peer", "camera-node/v1/cam/out/+", false),
            ("peer", "camera-node/v1/cam/in/+", false),
            ("peer", "camera-node/v1/cam/#", false),
            ("peer", "#", false),
            ("peer", "$SYS/#", false),
            ("peer", "$share/g/camera-node/v1/cam/out/peer", false),
        ] {
            assert_eq!(rules().may_subscribe(client, filter), may, "{client} subscribes to {filter}");
        }
    }

    #[test]
    fn where_there_is_a_node_nobody_else_is_one() {
        let login = Login { username: "cam".to_owned(), password: "n".to_owned() };
        let rules = TopicRules::new(TopicPrefix::default(), vec![login], Some("lan".to_owned()));
        assert!(rules.may_publish("cam", "camera-node/v1/cam/status"));
        assert!(!rules.may_publish("eve", "camera-node/v1/eve/status"), "a camera that is none");
        assert!(!rules.may_publish("eve", "camera-node/v1/eve/out/ann"));
        assert!(!rules.may_subscribe("eve", "camera-node/v1/eve/in/+"));
        assert!(rules.may_publish("eve", "camera-node/v1/cam/in/eve"));
    }

    #[test]
    fn who_gives_no_password_or_the_wrong_one_or_anothers_name_stays_outside() {
        let login = Login { username: "cam".to_owned(), password: "n".to_owned() };
        let rules = TopicRules::new(TopicPrefix::default(), vec![login], Some("lan".to_owned()));
        let client = |id: &'static str, login: Option<(&'static str, &'static str)>| Client {
            id,
            username: login.map(|(username, _)| username),
            password: login.map(|(_, password)| password.as_bytes()),
            will: None,
        };
        for (id, login, admitted) in [
            ("ann", Some(("ann", "lan")), true),
            ("ann", None, false),
            ("ann", Some(("ann", "")), false),
            ("ann", Some(("ann", "lam")), false),
            ("ann", Some(("bob", "lan")), false),
            ("cam", Some(("cam", "lan")), false),
            ("cam", Some(("cam", "n")), true),
            ("a b", Some(("a b", "lan")), false),
        ] {
            assert_eq!(rules.refusal(&client(id, login)).is_none(), admitted, "{id} {login:?}");
        }
        let ann = client("ann", Some(("ann", "lan")));
        assert_eq!(rules.refusal(&Client { will: Some("camera-node/v1/cam/in/ann"), ..ann }), None);
        let anothers = Client { will: Some("camera-node/v1/cam/status"), ..ann };
        assert_eq!(rules.refusal(&anothers), Some(Refusal::Will));
        assert_eq!(rules.refusal(&Client { id: "a/b", ..ann }), Some(Refusal::Name));
        assert_eq!(rules.refusal(&Client { password: None, ..ann }), Some(Refusal::Password));
    }
}
