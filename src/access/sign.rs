//! Making keys and tokens: for the command line, and for tests. The node itself never does.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::keys::{SPKI_PREFIX, pem, secret, to_pem};
use super::{Algorithm, BadKey, Claims, KeyId};

/// What stands before the 32 bytes of a private key (RFC 8410 §7: PKCS#8, version 1).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key that can make tokens.
pub struct SigningKey(Kind);

enum Kind {
    EdDsa { seed: [u8; 32], pair: Ed25519KeyPair },
    Hs256 { secret: Vec<u8> },
}

impl SigningKey {
    /// A new key of these 256 random bits.
    pub fn from_random(algorithm: Algorithm, bits: [u8; 32]) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::of_seed(bits),
            // Text, so that it survives editors and other languages' ways of reading a file.
            Algorithm::Hs256 => Self(Kind::Hs256 { secret: URL_SAFE_NO_PAD.encode(bits).into_bytes() }),
        }
    }

    /// The key in a file's content: a private key as PEM (PKCS#8), or a secret for HS256.
    ///
    /// # Errors
    /// What the file holds instead.
    pub fn from_file(content: &[u8]) -> Result<Self, BadKey> {
        if pem(content, "PUBLIC KEY").is_some() {
            return Err(BadKey::NoPem { label: "PRIVATE KEY" });
        }
        match pem(content, "PRIVATE KEY") {
            Some(der) => {
                let seed = der.strip_prefix(&PKCS8_PREFIX).and_then(|seed| seed.try_into().ok());
                seed.map(Self::of_seed).ok_or(BadKey::NotEd25519)
            }
            None => Ok(Self(Kind::Hs256 { secret: secret(content)?.to_vec() })),
        }
    }

    fn of_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        Self(Kind::EdDsa { seed, pair })
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::EdDsa { .. } => Algorithm::EdDsa,
            Kind::Hs256 { .. } => Algorithm::Hs256,
        }
    }

    /// What the one who makes tokens keeps, as a file.
    pub fn to_private_file(&self) -> String {
        match &self.0 {
            Kind::EdDsa { seed, .. } => to_pem("PRIVATE KEY", &[&PKCS8_PREFIX[..], seed].concat()),
            Kind::Hs256 { secret } => format!("{}\n", String::from_utf8_lossy(secret)),
        }
    }

    /// What the node gets of an EdDSA key, as a file; of HS256 it gets the secret itself.
    pub fn to_public_file(&self) -> Option<String> {
        let Kind::EdDsa { pair, .. } = &self.0 else { return None };
        Some(to_pem("PUBLIC KEY", &[&SPKI_PREFIX[..], pair.public_key().as_ref()].concat()))
    }

    /// The token that says `claims`.
    pub fn token(&self, kid: &KeyId, claims: &Claims) -> String {
        let header = json!({"alg": self.algorithm().name(), "kid": kid.as_str(), "typ": "JWT"});
        let claims = serde_json::to_vec(claims).expect("claims are plain data");
        self.seal(&header.to_string(), &claims)
    }

    /// Signs whatever header and claims there are: a test's way to a token that nobody would make in earnest.
    pub(crate) fn seal(&self, header: &str, claims: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = match &self.0 {
            Kind::EdDsa { pair, .. } => URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())),
            Kind::Hs256 { secret } => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()))
            }
        };
        format!("{message}.{signature}")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Logs must not learn a secret.
        write!(f, "SigningKey({})", self.algorithm())
    }
}
