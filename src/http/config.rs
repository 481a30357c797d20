//! The `[http]` section: the local page, health and metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The local HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it listens; port 0 takes any free one. On loopback by default: whoever reaches the page can watch.
    pub bind: SocketAddr,
    /// Who may show the page in a frame, as sources of the header `Content-Security-Policy: frame-ancestors`. Any page
    /// may by default, so that dashboards work; `["'none'"]` forbids it.
    pub frame_ancestors: Vec<FrameAncestor>,
    /// Answer for `camera-ID.local` on the LAN (mDNS), and tell of the page there as a service `_camera-node._tcp`; only
    /// where other machines reach the page.
    pub mdns: bool,
    /// The same page over https, on a listener of its own.
    pub tls: Tls,
}

/// `[http.tls]`: on when it has a certificate, a user's or one of the node's own making.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Where it listens for https. Without it, `http.bind`'s address and port 8443.
    pub bind: Option<SocketAddr>,
    /// PEM file with the certificate, and those between it and its authority. Read again when it changes.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Make a certificate on the first start and keep it in `node.state_folder`.
    pub self_signed: bool,
}

impl Tls {
    /// Whether there is https.
    pub fn is_on(&self) -> bool {
        self.self_signed || self.cert_file.is_some()
    }

    /// What no single key can get wrong: the key to complain about, and what to do.
    pub fn broken(&self) -> Vec<(&'static str, &'static str)> {
        let mut broken = Vec::new();
        if self.cert_file.is_some() && self.key_file.is_none() {
            broken.push(("cert_file", "shows nothing without its key: set `key_file`"));
        }
        if self.key_file.is_some() && self.cert_file.is_none() {
            broken.push(("key_file", "is the key of no certificate: set `cert_file`"));
        }
        if self.self_signed && self.cert_file.is_some() {
            broken.push(("self_signed", "there is a certificate in `cert_file` already: set one of the two"));
        }
        if self.bind.is_some() && !self.is_on() {
            broken
                .push(("bind", "https needs a certificate: set `cert_file` and `key_file`, or `self_signed` to true"));
        }
        broken
    }
}

impl Http {
    /// Where it listens for https, if it does.
    pub fn tls_bind(&self) -> Option<SocketAddr> {
        let beside = SocketAddr::new(self.bind.ip(), if self.bind.port() == 0 { 0 } else { TLS_PORT });
        self.tls.is_on().then(|| self.tls.bind.unwrap_or(beside))
    }

    /// Where it listens, all of it.
    pub fn binds(&self) -> impl Iterator<Item = SocketAddr> {
        [self.bind].into_iter().chain(self.tls_bind()).filter(|_| self.enabled)
    }
}

/// What 8080 is to 80.
const TLS_PORT: u16 = 8443;

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            frame_ancestors: vec![FrameAncestor("*".to_owned())],
            mdns: true,
            tls: Tls::default(),
        }
    }
}

/// A source of the CSP directive `frame-ancestors`: `*`, `'self'`, `'none'`, `https://dash.example.org`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameAncestor(String);

/// Text that would end the directive, or the header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame ancestor is \"*\", \"'self'\", \"'none'\" or an origin such as https://dash.example.org, not {got:?}")]
pub struct BadFrameAncestor {
    got: String,
}

impl FrameAncestor {
    /// The source as it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FrameAncestor {
    type Error = BadFrameAncestor;

    fn try_from(got: String) -> Result<Self, BadFrameAncestor> {
        let origin = got.strip_prefix("https://").or_else(|| got.strip_prefix("http://"));
        let is_origin = origin.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:*[]".contains(&b))
        });
        if is_origin || matches!(got.as_str(), "*" | "'self'" | "'none'") {
            Ok(Self(got))
        } else {
            Err(BadFrameAncestor { got })
        }
    }
}

impl From<FrameAncestor> for String {
    fn from(source: FrameAncestor) -> Self {
        source.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ancestor_cannot_break_out_of_its_header() {
        for good in ["*", "'self'", "'none'", "https://ha.local:8123", "http://*.lan", "http://[::1]:80"] {
            assert!(FrameAncestor::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "self", "https://", "https://a; script-src *", "https://a\r\nX: y", "ha.local"] {
            assert!(FrameAncestor::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
