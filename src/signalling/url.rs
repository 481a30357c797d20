//! Where a broker is: the one URL form that the config, `watch --broker` and the demo share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A broker's address: `mqtt://host[:port]`, or `loopback:` for signalling that stays inside of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BrokerUrl {
    /// MQTT 3.1.1 over plain TCP.
    Mqtt {
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// No broker: an in-memory stand-in.
    Loopback,
}

/// Why a broker URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBrokerUrl {
    /// A scheme whose transport is not built in.
    #[error("{scheme}:// is not supported yet, only mqtt://host:port (plain TCP, so inside a LAN or on loopback)")]
    NotYet {
        /// The scheme.
        scheme: String,
    },
    /// Not a broker URL at all.
    #[error("a broker is mqtt://host:port or loopback:, not {got:?}")]
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
        match scheme {
            "mqtt" | "tcp" => {}
            "mqtts" | "ssl" | "ws" | "wss" => return Err(BadBrokerUrl::NotYet { scheme: scheme.to_owned() }),
            _ => return Err(form()),
        }
        if rest.contains('@') {
            return Err(BadBrokerUrl::Credentials);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(authority).ok_or_else(form)?;
        let fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_host_byte);
        if !fits {
            return Err(form());
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(number) if number != 0 => number,
                _ => return Err(BadBrokerUrl::Port { got: port.to_owned() }),
            },
        };
        Ok(Self::Mqtt { host: host.to_owned(), port })
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
            Self::Mqtt { host, port } if host.contains(':') => write!(f, "mqtt://[{host}]:{port}"),
            Self::Mqtt { host, port } => write!(f, "mqtt://{host}:{port}"),
            Self::Loopback => f.write_str("loopback:"),
        }
    }
}

/// IANA's port for `mqtt`.
const DEFAULT_PORT: u16 = 1883;

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
        let mqtt = |host: &str, port| BrokerUrl::Mqtt { host: host.to_owned(), port };
        for (text, url) in [
            ("mqtt://127.0.0.1:1883", mqtt("127.0.0.1", 1883)),
            ("mqtt://broker.lan", mqtt("broker.lan", 1883)),
            ("mqtt://broker.lan:2883/", mqtt("broker.lan", 2883)),
            ("tcp://broker.lan", mqtt("broker.lan", 1883)),
            ("mqtt://[::1]:18", mqtt("::1", 18)),
            ("mqtt://[fe80::1]", mqtt("fe80::1", 1883)),
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
                "mqtts://h",
                "mqtts:// is not supported yet, only mqtt://host:port (plain TCP, so inside a LAN or on loopback)",
            ),
            (
                "wss://h/mqtt",
                "wss:// is not supported yet, only mqtt://host:port (plain TCP, so inside a LAN or on loopback)",
            ),
            (
                "mqtt://me:secret@h",
                "a broker URL carries no user name or password: they go in username and password_file",
            ),
            ("mqtt://h:0", "a broker's port is 1 to 65535, not \"0\""),
            ("mqtt://h:http", "a broker's port is 1 to 65535, not \"http\""),
            ("mqtt://", "a broker is mqtt://host:port or loopback:, not \"mqtt://\""),
            ("mqtt://a b", "a broker is mqtt://host:port or loopback:, not \"mqtt://a b\""),
            ("mqtt://::1", "a broker is mqtt://host:port or loopback:, not \"mqtt://::1\""),
            ("mqtt://[nonsense]", "a broker is mqtt://host:port or loopback:, not \"mqtt://[nonsense]\""),
            ("http://h", "a broker is mqtt://host:port or loopback:, not \"http://h\""),
            ("h:1883", "a broker is mqtt://host:port or loopback:, not \"h:1883\""),
        ] {
            assert_eq!(BrokerUrl::from_str(text).expect_err(text).to_string(), message);
        }
    }
}
