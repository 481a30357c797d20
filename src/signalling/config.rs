//! The `[broker]` section: which broker carries the signalling, and the one that can run inside the binary.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::profile::Profile;
use super::url::BrokerUrl;
use crate::media::Bounded;
use crate::session::TopicPrefix;

/// The MQTT broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// `mqtt://host:port`, `mqtts://…` (TLS), `ws://host:port/path`, `wss://…`, or `loopback:` for none. Not used when
    /// `embedded` is true.
    pub url: BrokerUrl,
    /// What the broker demands beyond MQTT: `aws-iot` sets it, and refuses a config that it would refuse.
    pub profile: Profile,
    /// The same broker's WebSocket listener as browsers reach it (`ws://…` or `wss://…`), told to the page; not needed
    /// when `embedded` is true. Without it the page asks for one.
    pub websocket_url: Option<WebSocketUrl>,
    /// MQTT user name.
    pub username: Option<String>,
    /// File that holds the MQTT password; one newline at its end does not count.
    pub password_file: Option<PathBuf>,
    /// PEM file with the certificates of the authorities that the broker's certificate may come from. Without it, those
    /// the system trusts; if the system has none, Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with this client's certificate, and those between it and its authority.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the key of `client_cert_file`.
    pub client_key_file: Option<PathBuf>,
    /// Name that the broker's certificate must carry and that is asked for (SNI), when it is not the URL's host.
    pub server_name: Option<ServerName>,
    /// Protocols offered in the TLS handshake (ALPN), for brokers that share a port with something else.
    pub alpn: Vec<Alpn>,
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
    /// Whether clients must know a password, which the node makes at its first start and `camera-node link` shows. Nobody is
    /// asked for it where all listeners, the page's too, are on loopback.
    pub embedded_password: bool,
    /// Web origins (`https://dash.example.org`) whose pages may use the embedded broker besides pages of the same
    /// host; `"*"` lets any web site in, also one that the user of this machine happens to visit.
    pub embedded_origins: Vec<WebOrigin>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: BrokerUrl::plain("127.0.0.1", 1883),
            profile: Profile::Any,
            websocket_url: None,
            username: None,
            password_file: None,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            server_name: None,
            alpn: Vec::new(),
            prefix: TopicPrefix::default(),
            keep_alive_s: const { Bounded::new(30) },
            retain: true,
            embedded: false,
            embedded_bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1883),
            embedded_websocket_bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001),
            embedded_password: true,
            embedded_origins: Vec::new(),
        }
    }
}

impl Broker {
    /// What no single key can get wrong: the key to complain about, and what to do. `url` stands for itself.
    pub fn broken(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        if self.password_file.is_some() && self.username.is_none() {
            broken.push(("password_file", "MQTT has no password without a user name: set `username`".to_owned()));
        }
        if self.client_cert_file.is_some() && self.client_key_file.is_none() {
            let message = "proves nothing without its key: set `client_key_file`".to_owned();
            broken.push(("client_cert_file", message));
        }
        if self.client_key_file.is_some() && self.client_cert_file.is_none() {
            let message = "is the key of no certificate: set `client_cert_file`".to_owned();
            broken.push(("client_key_file", message));
        }
        let for_tls = [
            ("ca_file", self.ca_file.is_some()),
            ("client_cert_file", self.client_cert_file.is_some()),
            ("client_key_file", self.client_key_file.is_some()),
            ("server_name", self.server_name.is_some()),
            ("alpn", !self.alpn.is_empty()),
        ];
        for (key, _) in for_tls.into_iter().filter(|(_, is_set)| *is_set) {
            if self.embedded {
                broken.push((key, "is for a broker elsewhere: the embedded one speaks no TLS".to_owned()));
            } else if !self.url.is_tls() {
                let message = format!("is for TLS, and `url` ({}) has none: write mqtts:// or wss:// there", self.url);
                broken.push((key, message));
            }
        }
        broken.extend(self.profile.broken(self));
        broken
    }
}

/// A name that certificates are made out to, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(tokio_rustls::rustls::pki_types::ServerName<'static>);

/// Neither a DNS name nor an IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a TLS server's name is a DNS name or an IP address, not {got:?}")]
pub struct BadServerName {
    got: String,
}

impl ServerName {
    /// For the TLS handshake.
    pub(super) fn for_tls(&self) -> tokio_rustls::rustls::pki_types::ServerName<'static> {
        self.0.clone()
    }
}

impl TryFrom<String> for ServerName {
    type Error = BadServerName;

    fn try_from(got: String) -> Result<Self, BadServerName> {
        got.clone().try_into().map(Self).map_err(|_| BadServerName { got })
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0.to_str().into_owned()
    }
}

/// A protocol's name in the TLS handshake (RFC 7301 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alpn(String);

/// Too long or too short for the handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a protocol's name in the TLS handshake is 1 to 255 bytes long, like \"x-amzn-mqtt-ca\", not {got:?}")]
pub struct BadAlpn {
    got: String,
}

impl Alpn {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Alpn {
    type Error = BadAlpn;

    fn try_from(got: String) -> Result<Self, BadAlpn> {
        if (1..=255).contains(&got.len()) { Ok(Self(got)) } else { Err(BadAlpn { got }) }
    }
}

impl From<Alpn> for String {
    fn from(name: Alpn) -> Self {
        name.0
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

/// An origin as browsers send it (RFC 6454 §6.2): scheme, host, and a port that is not the scheme's own; or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// What no browser would ever send as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a web origin is like https://dash.example.org or http://192.0.2.7:8123, without a path, or \"*\", not {got:?}"
)]
pub struct BadWebOrigin {
    got: String,
}

impl WebOrigin {
    /// Whether pages of `origin` are meant.
    pub fn allows(&self, origin: &str) -> bool {
        self.0 == "*" || self.0.eq_ignore_ascii_case(origin)
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = BadWebOrigin;

    fn try_from(got: String) -> Result<Self, BadWebOrigin> {
        let host = got.strip_prefix("https://").or_else(|| got.strip_prefix("http://"));
        let is_host =
            |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
        if got == "*" || host.is_some_and(is_host) { Ok(Self(got)) } else { Err(BadWebOrigin { got }) }
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_reads_back_as_it_was_written() {
        let text = toml::to_string(&Broker::default()).expect("defaults can be written");
        assert_eq!(toml::from_str::<Broker>(&text).expect(&text), Broker::default());
        assert!(toml::from_str::<Broker>("url = 'wss://x'\nserver_name = 'a.b'\nalpn = ['mqtt']").is_ok());
        assert!(toml::from_str::<Broker>("server_name = 'a b'").is_err());
        assert!(toml::from_str::<Broker>("alpn = ['']").is_err());
        assert!(toml::from_str::<Broker>("websocket_url = 'http://x'").is_err());
        assert!(toml::from_str::<Broker>("websocket_url = 'wss://x/mqtt'").is_ok());
    }

    #[test]
    fn a_web_origin_has_no_path() {
        for good in ["*", "https://dash.example.org", "http://192.0.2.7:8123", "http://[::1]:80", "http://ha_box"] {
            assert!(WebOrigin::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "dash.example.org", "https://", "https://dash.example.org/", "https://a b", "ws://a", "null"] {
            assert!(WebOrigin::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
