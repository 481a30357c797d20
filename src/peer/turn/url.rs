//! URLs of STUN and TURN servers (RFC 7064, RFC 7065). Pure.

use std::fmt;
use std::net::Ipv6Addr;

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// TURN, not merely STUN.
    pub turn: bool,
    /// What its messages travel over.
    pub transport: Transport,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// The URL's port, or the scheme's own.
    pub port: u16,
}

/// What carries a server's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// The kind of port that a firewall must let through.
    pub const fn of_port(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp | Self::Tls => "TCP",
        }
    }
}

impl ServerUrl {
    /// `None` for anything else than a STUN or TURN URL.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (turn, tls) = match scheme {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return None,
        };
        let (authority, query) = rest.split_once('?').unwrap_or((rest, "transport=udp"));
        let transport = match (tls, query) {
            // DTLS (`turns:…?transport=udp`) is offered by hardly a server; the same port mostly has TLS.
            (true, "transport=udp" | "transport=tcp") => Transport::Tls,
            (false, "transport=udp") => Transport::Udp,
            (false, "transport=tcp") => Transport::Tcp,
            _ => return None,
        };
        let default_port = if tls { 5349 } else { 3478 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let is_bracketed = authority.starts_with('[');
        let is_host = if is_bracketed { host.parse::<Ipv6Addr>().is_ok() } else { is_name(host) };
        let port = port.map_or(Ok(default_port), str::parse).ok()?;
        is_host.then(|| Self { turn, transport, host: host.to_owned(), port })
    }
}

/// A name, or an IPv4 address ([RFC 3986 §3.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2)); never a user's name,
/// which these URLs have no place for.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]/@#".contains(&byte))
}

/// `host:port`, as a resolver and a person take it.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_the_rfcs_say() {
        let target =
            |turn, transport, host: &str, port| Some(ServerUrl { turn, transport, host: host.to_owned(), port });
        let parse = ServerUrl::parse;
        assert_eq!(parse("stun:stun.example.org"), target(false, Transport::Udp, "stun.example.org", 3478));
        assert_eq!(parse("turn:192.0.2.7:80?transport=tcp"), target(true, Transport::Tcp, "192.0.2.7", 80));
        assert_eq!(parse("turn:192.0.2.7"), target(true, Transport::Udp, "192.0.2.7", 3478));
        assert_eq!(parse("turns:[2001:db8::1]"), target(true, Transport::Tls, "2001:db8::1", 5349));
        assert_eq!(parse("turns:h:443?transport=tcp"), target(true, Transport::Tls, "h", 443));
        for bad in [
            "",
            "http://x",
            "stun:",
            "stun:x:port",
            "turn:x?transport=quic",
            "turn:[::1",
            "turn:[::1]3478",
            "turn:[x]",
            "turn:a@b",
            "turn:a b",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        let shown = |url: &str| ServerUrl::parse(url).expect("a URL").to_string();
        assert_eq!(shown("turns:[2001:db8::1]"), "[2001:db8::1]:5349");
        assert_eq!(shown("turn:turn.example.org?transport=tcp"), "turn.example.org:3478");
    }
}
