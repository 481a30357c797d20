//! Pure: who may watch, talk and steer, and who may use a TURN server. Tokens, the keys that vouch for them, their scopes, and what is known of the
//! time.
//!
//! A token is a JSON Web Token ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)) in compact form, signed with Ed25519
//! or HMAC-SHA-256. The node checks it alone, without asking anyone: the [`Guard`] holds the keys and the list of revoked
//! tokens, and is told the time. Which claims there are is written in `src/session/PROTOCOL.md`, section 10.

mod claims;
mod clock;
pub mod config;
mod guard;
mod keys;
mod relays;
mod scopes;
mod sha256;
mod sign;

pub use claims::{Audience, Claims, Seconds};
pub use clock::WallClock;
pub use config::Mode;
pub use guard::{Denied, Grant, Guard, MAX_TOKEN_BYTES};
pub use keys::{Algorithm, BadKey, BadKeyId, Key, KeyId, KeyRing};
pub use relays::TurnSecret;
pub use scopes::{BadScope, Scope, Scopes};
pub use sha256::Sha256;
pub use sign::SigningKey;

#[cfg(test)]
mod tests;
