//! The guard at the door: takes a token or says why not.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::config::UnsetClock;
use super::{Algorithm, Claims, KeyId, KeyRing, Mode, Scopes, WallClock};

/// The longest token that is looked at; the protocol has the same limit.
pub const MAX_TOKEN_BYTES: usize = 8_192;
/// A token may begin so many seconds later by our clock: clocks differ, and most are made just before they are used.
const EARLY_S: u64 = 30;
/// Longer ones would make a list of revoked tokens hard to keep.
const MAX_JTI_CHARS: usize = 128;

/// Why someone is not let in. What is told of a token's content is told only after its signature has been checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A token is needed.
    #[error("there is none")]
    Missing,
    /// Too long to be looked at.
    #[error("it has {bytes} bytes, and {MAX_TOKEN_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not a JSON Web Token in compact form.
    #[error("it is no JSON Web Token: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// `alg` is `none`.
    #[error("it is not signed")]
    Unsigned,
    /// It does not say which key it was signed with.
    #[error("it names no key: `kid` is missing")]
    NoKeyId,
    /// We have no such key.
    #[error("it is signed with a key that is not known here")]
    UnknownKey,
    /// The key it names signs in another way than it says.
    #[error("its key {kid} signs with {wanted} and with nothing else")]
    WrongAlgorithm {
        /// The key.
        kid: KeyId,
        /// How the key signs.
        wanted: Algorithm,
    },
    /// Nobody who has the key has signed this.
    #[error("its signature is wrong")]
    BadSignature,
    /// Signed, but not what a token has to say.
    #[error("its claims cannot be used: {what}")]
    BadClaims {
        /// What is wrong with them.
        what: String,
    },
    /// For another node.
    #[error("it is for another camera")]
    WrongAudience,
    /// For another peer.
    #[error("it is for another viewer")]
    WrongPeer,
    /// On the list of revoked ones.
    #[error("it has been revoked")]
    Revoked,
    /// Its time cannot be checked.
    #[error("the time is not known")]
    ClockUnknown,
    /// Its time has not come.
    #[error("it is valid in {in_s} s")]
    NotYetValid {
        /// Seconds to go.
        in_s: u64,
    },
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}

/// What someone who was let in may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The rights.
    pub scopes: Scopes,
    /// When they end, in seconds since 1970; `None` where no token is needed.
    pub expires_unix_s: Option<u64>,
    /// The token's key and its own name.
    token: Option<(KeyId, String)>,
}

impl Grant {
    /// Every right, for ever.
    pub fn everything() -> Self {
        Self { scopes: Scopes::ALL, expires_unix_s: None, token: None }
    }
}

/// Who may come in.
#[derive(Debug, Clone)]
pub struct Guard {
    mode: Mode,
    node: String,
    keys: KeyRing,
    revoked: BTreeSet<String>,
    unset_clock: UnsetClock,
}

/// What a token's header says; what else stands there is ignored
/// ([RFC 7515 §4](https://www.rfc-editor.org/rfc/rfc7515#section-4)).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; we understand none.
    crit: Option<serde_json::Value>,
}

impl Guard {
    /// Lets everyone in.
    pub fn open() -> Self {
        Self {
            mode: Mode::Open,
            node: String::new(),
            keys: KeyRing::default(),
            revoked: BTreeSet::new(),
            unset_clock: UnsetClock::Refuse,
        }
    }

    /// Lets in whoever has a token for the node `node`.
    pub fn with_tokens(node: &str, keys: KeyRing, unset_clock: UnsetClock) -> Self {
        Self { mode: Mode::Token, node: node.to_owned(), keys, revoked: BTreeSet::new(), unset_clock }
    }

    /// The same, but for the tokens in `list`: one `jti` a line, empty lines and lines that begin with `#` left out.
    #[must_use]
    pub fn without(mut self, list: &str) -> Self {
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        self.revoked = lines.map(str::to_owned).collect();
        self
    }

    /// Whether a token is needed.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What `peer` may do by its token, at the time `clock`.
    ///
    /// # Errors
    /// Why it may not come in.
    pub fn check(&self, token: Option<&str>, peer: &str, clock: WallClock) -> Result<Grant, Denied> {
        if self.mode == Mode::Open {
            return Ok(Grant::everything());
        }
        let (kid, claims) = self.signed(token.ok_or(Denied::Missing)?)?;
        if !claims.is_for_node(&self.node) {
            return Err(Denied::WrongAudience);
        }
        if !claims.is_for_peer(peer) {
            return Err(Denied::WrongPeer);
        }
        if self.revoked.contains(&claims.jti) {
            return Err(Denied::Revoked);
        }
        self.check_time(&claims, clock)?;
        Ok(Grant {
            scopes: Scopes::named_in(&claims.scope),
            expires_unix_s: Some(claims.exp.0),
            token: Some((kid, claims.jti)),
        })
    }

    /// Whether what was granted, perhaps by a guard before this one, still holds: its key is still there, and it has not
    /// been revoked since. Its end is left to the clock.
    pub fn upholds(&self, grant: &Grant) -> bool {
        match (&grant.token, self.mode) {
            (_, Mode::Open) => true,
            (None, Mode::Token) => false,
            (Some((kid, jti)), Mode::Token) => self.keys.find(kid.as_str()).is_some() && !self.revoked.contains(jti),
        }
    }

    /// The claims, if one of our keys has signed them.
    fn signed(&self, token: &str) -> Result<(KeyId, Claims), Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::TooLong { bytes: token.len() });
        }
        let malformed = |what| Denied::Malformed { what };
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it has not three parts"));
        };
        // What is signed is the text of the first two parts, as it stands.
        let message = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part is not base64url"));
        let header: Header =
            serde_json::from_slice(&bytes(header)?).map_err(|_| malformed("its header cannot be read"))?;
        let (payload, signature) = (bytes(payload)?, bytes(signature)?);
        if header.crit.is_some() {
            return Err(malformed("its header asks for an extension"));
        }
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(Denied::Unsigned);
        }
        let (kid, key) = self.keys.find(&header.kid.ok_or(Denied::NoKeyId)?).ok_or(Denied::UnknownKey)?;
        // The key decides how it is used, never the token: a public key is not to be taken for a secret.
        if header.alg != key.algorithm().name() {
            return Err(Denied::WrongAlgorithm { kid: kid.clone(), wanted: key.algorithm() });
        }
        if !key.has_signed(message, &signature) {
            return Err(Denied::BadSignature);
        }
        let claims: Claims =
            serde_json::from_slice(&payload).map_err(|error| Denied::BadClaims { what: error.to_string() })?;
        if !(1..=MAX_JTI_CHARS).contains(&claims.jti.chars().count()) {
            return Err(Denied::BadClaims { what: format!("`jti` has 1 to {MAX_JTI_CHARS} characters") });
        }
        Ok((kid.clone(), claims))
    }

    fn check_time(&self, claims: &Claims, clock: WallClock) -> Result<(), Denied> {
        let now_s = match (clock, self.unset_clock) {
            (WallClock::Set { unix_s }, _) => unix_s,
            // What has ended by then has ended in any case.
            (WallClock::Unset { floor_s }, _) if claims.exp.0 <= floor_s => return Err(Denied::Expired),
            (WallClock::Unset { .. }, UnsetClock::Accept) => return Ok(()),
            (WallClock::Unset { .. }, UnsetClock::Refuse) => return Err(Denied::ClockUnknown),
        };
        if claims.exp.0 <= now_s {
            return Err(Denied::Expired);
        }
        match claims.nbf {
            Some(nbf) if nbf.0 > now_s + EARLY_S => Err(Denied::NotYetValid { in_s: nbf.0 - now_s }),
            _ => Ok(()),
        }
    }
}
