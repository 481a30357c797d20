//! The `[broker]` section: which broker carries the signalling, and the one that can run inside the binary.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::url::BrokerUrl;
use crate::media::Bounded;

/// The MQTT broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// `mqtt://host:port`, or `loopback:` for none. Not used when `embedded` is true.
    pub url: BrokerUrl,
    /// The same broker's WebSocket listener as browsers reach it (`ws://…` or `wss://…`), told to the page; not needed
    /// when `embedded` is true. Without it the page asks for one.
    pub websocket_url: Option<WebSocketUrl>,
    /// MQTT user name.
    pub username: Option<String>,
    /// File that holds the MQTT password; one newline at its end does not count.
    pub password_file: Option<PathBuf>,
    /// What stands before the node's id in every topic: one or two levels.
    pub prefix: TopicPrefix,
    /// Seconds of silence after which the link is probed; AWS IoT Core takes 30 to 1200.
    pub keep_alive_s: Bounded<5, 1200>,
    /// Whether presence is kept by the broker for later subscribers; false for brokers that refuse retained messages.
    pub retain: bool,
    /// Run a broker inside this process and use it.
    pub embedded: bool,
    /// Where the embedded broker listens for MQTT over TCP; port 0 takes any free one.
    pub embedded_bind: SocketAddr,
    /// Where the embedded broker listens for MQTT over WebSocket (browsers); port 0 takes any free one.
    pub embedded_websocket_bind: SocketAddr,
    /// Web origins (`https://dash.example.org`) whose pages may use the embedded broker besides pages of the same
    /// host; `"*"` lets any web site in, also one that the user of this machine happens to visit.
    pub embedded_origins: Vec<String>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: BrokerUrl::Mqtt { host: "127.0.0.1".to_owned(), port: 1883 },
            websocket_url: None,
            username: None,
            password_file: None,
            prefix: TopicPrefix::default(),
            keep_alive_s: const { Bounded::new(30) },
            retain: true,
            embedded: false,
            embedded_bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883),
            embedded_websocket_bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001),
            embedded_origins: Vec::new(),
        }
    }
}

/// The first one or two levels of every topic; so that no topic has more than 7 slashes on any broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPrefix(String);

/// A prefix that cannot stand in a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a topic prefix is one or two levels of A-Z, a-z, 0-9, '_' and '-', at most 64 characters in all, not {got:?}")]
pub struct BadPrefix {
    got: String,
}

impl TopicPrefix {
    /// The prefix as it stands in a topic, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TopicPrefix {
    fn default() -> Self {
        Self("camera-node/v1".to_owned())
    }
}

impl TryFrom<String> for TopicPrefix {
    type Error = BadPrefix;

    fn try_from(got: String) -> Result<Self, BadPrefix> {
        let is_level =
            |level: &str| !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if got.len() <= 64 && got.split('/').count() <= 2 && got.split('/').all(is_level) {
            Ok(Self(got))
        } else {
            Err(BadPrefix { got })
        }
    }
}

impl std::str::FromStr for TopicPrefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        Self::try_from(text.to_owned())
    }
}

impl From<TopicPrefix> for String {
    fn from(prefix: TopicPrefix) -> Self {
        prefix.0
    }
}

impl std::fmt::Display for TopicPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A `ws://` or `wss://` URL, for browsers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebSocketUrl(String);

/// Not a WebSocket URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a broker's WebSocket address is ws://host:port/path or wss://host/path, without credentials, not {got:?}")]
pub struct BadWebSocketUrl {
    got: String,
}

impl WebSocketUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebSocketUrl {
    type Error = BadWebSocketUrl;

    fn try_from(got: String) -> Result<Self, BadWebSocketUrl> {
        let rest = got.strip_prefix("ws://").or_else(|| got.strip_prefix("wss://"));
        let plain = |rest: &str| {
            !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'@')
        };
        if rest.is_some_and(plain) { Ok(Self(got)) } else { Err(BadWebSocketUrl { got }) }
    }
}

impl From<WebSocketUrl> for String {
    fn from(url: WebSocketUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_or_two_plain_levels() {
        for good in ["cam", "camera-node/v1", "a/b_c"] {
            assert!(good.parse::<TopicPrefix>().is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "a/+", "#", "$SYS", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<TopicPrefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_section_reads_back_as_it_was_written() {
        let text = toml::to_string(&Broker::default()).expect("defaults can be written");
        assert_eq!(toml::from_str::<Broker>(&text).expect(&text), Broker::default());
        let refused = toml::from_str::<Broker>("url = 'wss://x'").expect_err("not yet");
        assert!(refused.to_string().contains("wss:// is not supported yet"), "{refused}");
        assert!(toml::from_str::<Broker>("websocket_url = 'http://x'").is_err());
        assert!(toml::from_str::<Broker>("websocket_url = 'wss://x/mqtt'").is_ok());
    }
}
