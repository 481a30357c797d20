//! Where a broker is: the one URL form that the config, `watch --broker` and the demo share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A broker's address: `mqtt://host[:port]`, `mqtts://…`, `ws://host[:port][/path]`, `wss://…`, or `loopback:` for
/// signalling that stays inside of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BrokerUrl {
    /// MQTT 3.1.1 to a server.
    Mqtt {
        /// What carries it.
        scheme: Scheme,
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// TCP port.
        port: u16,
        /// Path and query of a WebSocket; empty otherwise.
        path: String,
    },
    /// No broker: an in-memory stand-in.
    Loopback,
}

/// What carries MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Mqtt,
    /// TLS.
    Mqtts,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// How a URL begins.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether it is encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether it is what browsers speak.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// IANA's port.
    fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl BrokerUrl {
    /// Plain TCP.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self::Mqtt { scheme: Scheme::Mqtt, host: host.into(), port, path: String::new() }
    }

    /// Whether the way there is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Mqtt { scheme, .. } if scheme.is_tls())
    }
}

/// Why a broker URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBrokerUrl {
    /// Not a broker URL at all.
    #[error("a broker is mqtt://, mqtts://, ws:// or wss:// with host:port, or loopback:, not {got:?}")]
    Form {
        /// The text.
        got: String,
    },
    /// A secret in a URL ends up in logs and process lists.
    #[error("a broker URL carries no user name or password: they go in username and password_file")]
    Credentials,
    /// Not a port number.
    #[error("a broker's port is 1 to 65535, not {got:?}")]
    Port {
        /// The text after the last colon.
        got: String,
    },
}

impl FromStr for BrokerUrl {
    type Err = BadBrokerUrl;

    fn from_str(text: &str) -> Result<Self, BadBrokerUrl> {
        let form = || BadBrokerUrl::Form { got: text.to_owned() };
        if text == "loopback:" {
            return Ok(Self::Loopback);
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let scheme = match scheme {
            "mqtt" | "tcp" => Scheme::Mqtt,
            "mqtts" | "ssl" => Scheme::Mqtts,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            _ => return Err(form()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(BadBrokerUrl::Credentials);
        }
        let path = match path {
            "" | "/" if !scheme.is_websocket() => "",
            "" => DEFAULT_PATH,
            path if scheme.is_websocket() && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') => path,
            _ => return Err(form()),
        };
        let (host, port) = split_port(authority).ok_or_else(form)?;
        let fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_host_byte);
        if !fits {
            return Err(form());
        }
        let port = match port {
            None => scheme.port(),
            Some(port) => match port.parse() {
                Ok(number) if number != 0 => number,
                _ => return Err(BadBrokerUrl::Port { got: port.to_owned() }),
            },
        };
        Ok(Self::Mqtt { scheme, host: host.to_owned(), port, path: path.to_owned() })
    }
}

impl TryFrom<String> for BrokerUrl {
    type Error = BadBrokerUrl;

    fn try_from(text: String) -> Result<Self, BadBrokerUrl> {
        text.parse()
    }
}

impl From<BrokerUrl> for String {
    fn from(url: BrokerUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt { scheme, host, port, path } if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}{path}", scheme.name())
            }
            Self::Mqtt { scheme, host, port, path } => write!(f, "{}://{host}:{port}{path}", scheme.name()),
            Self::Loopback => f.write_str("loopback:"),
        }
    }
}

/// Where most brokers (AWS IoT Core, EMQX, HiveMQ) have their WebSocket; Mosquitto takes any path.
const DEFAULT_PATH: &str = "/mqtt";

/// `host:port`, `host`, `[v6]:port` or `[v6]`.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after {
            "" => Some((host, None)),
            _ => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_taken_apart() {
        let mqtt = BrokerUrl::plain;
        let other = |scheme, host: &str, port, path: &str| BrokerUrl::Mqtt {
            scheme,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        for (text, url) in [
            ("mqtt://127.0.0.1:1883", mqtt("127.0.0.1", 1883)),
            ("mqtt://broker.lan", mqtt("broker.lan", 1883)),
            ("mqtt://broker.lan:2883/", mqtt("broker.lan", 2883)),
            ("tcp://broker.lan", mqtt("broker.lan", 1883)),
            ("mqtt://[::1]:18", mqtt("::1", 18)),
            ("mqtt://[fe80::1]", mqtt("fe80::1", 1883)),
            (
                "mqtts://x-ats.iot.eu-west-1.amazonaws.com",
                other(Scheme::Mqtts, "x-ats.iot.eu-west-1.amazonaws.com", 8883, ""),
            ),
            ("ssl://h:443", other(Scheme::Mqtts, "h", 443, "")),
            ("ws://h", other(Scheme::Ws, "h", 80, "/mqtt")),
            ("ws://h:9001/", other(Scheme::Ws, "h", 9001, "/")),
            ("wss://[::1]/a/b?c=d@e", other(Scheme::Wss, "::1", 443, "/a/b?c=d@e")),
            ("loopback:", BrokerUrl::Loopback),
        ] {
            assert_eq!(text.parse(), Ok(url.clone()), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text} again");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_would() {
        for (text, message) in [
            (
                "mqtt://me:secret@h",
                "a broker URL carries no user name or password: they go in username and password_file",
            ),
            ("mqtt://h:0", "a broker's port is 1 to 65535, not \"0\""),
            ("mqtt://h:http", "a broker's port is 1 to 65535, not \"http\""),
        ] {
            assert_eq!(BrokerUrl::from_str(text).expect_err(text).to_string(), message);
        }
        for text in [
            "mqtt://",
            "mqtt://a b",
            "mqtt://::1",
            "mqtt://[nonsense]",
            "mqtt://h/path",
            "mqtts://h/path",
            "wss:///mqtt",
            "ws://h/a b",
            "ws://h/a#b",
            "http://h",
            "h:1883",
        ] {
            let message =
                format!("a broker is mqtt://, mqtts://, ws:// or wss:// with host:port, or loopback:, not {text:?}");
            assert_eq!(BrokerUrl::from_str(text).expect_err(text).to_string(), message);
        }
    }
}
