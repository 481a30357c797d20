//! What a token says.

use serde::{Deserialize, Serialize};

/// A token's claims, the signature already checked or not yet made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The nodes it is for, by id.
    pub aud: Audience,
    /// Who may use it: a peer's id, or the beginning of one and `*`.
    pub peer: String,
    /// When it ends, in seconds since 1970.
    pub exp: Seconds,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Seconds>,
    /// Its own name, by which it can be revoked.
    pub jti: String,
    /// What it allows: names with a space between them.
    pub scope: String,
}

/// `aud`: one or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One node.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// A moment in whole seconds since 1970. Written with a fraction, it loses that: RFC 7519 allows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Number", into = "u64")]
pub struct Seconds(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

/// The last second of the year 9999: a moment beyond it was written in milliseconds.
const LATEST_S: u64 = 253_402_300_799;

impl TryFrom<Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: Number) -> Result<Self, &'static str> {
        let seconds = match number {
            Number::Whole(seconds) => seconds,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
            Number::Fraction(seconds) if (0.0..1e12).contains(&seconds) => seconds as u64,
            Number::Fraction(_) => return Err("a time is in seconds since 1970"),
        };
        if seconds <= LATEST_S { Ok(Self(seconds)) } else { Err("a time is in seconds since 1970") }
    }
}

impl From<Seconds> for u64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl Claims {
    /// Whether it is for this node.
    pub(super) fn is_for_node(&self, id: &str) -> bool {
        match &self.aud {
            Audience::One(node) => node == id,
            Audience::Any(nodes) => nodes.iter().any(|node| node == id),
        }
    }

    /// Whether this peer may use it.
    pub(super) fn is_for_peer(&self, id: &str) -> bool {
        match self.peer.strip_suffix('*') {
            Some(prefix) => id.starts_with(prefix),
            None => self.peer == id,
        }
    }
}
