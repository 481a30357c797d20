//! The `[http]` section: the local page, health and metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
}

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            frame_ancestors: vec![FrameAncestor("*".to_owned())],
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
