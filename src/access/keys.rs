//! The keys that tokens are checked with, and the forms they have in files.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

/// A key's name: what a token's `kid` says. 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// No name for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not {got:?}")]
pub struct BadKeyId {
    got: String,
}

impl KeyId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = BadKeyId;

    fn try_from(got: String) -> Result<Self, BadKeyId> {
        let fits = (1..=64).contains(&got.len())
            // A file is named after it.
            && !got.starts_with(['.', '-'])
            && got.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if fits { Ok(Self(got)) } else { Err(BadKeyId { got }) }
    }
}

impl std::str::FromStr for KeyId {
    type Err = BadKeyId;

    fn from_str(text: &str) -> Result<Self, BadKeyId> {
        Self::try_from(text.to_owned())
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a key signs, by its name in a token's `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519 ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037)): the node has the public key and can make no token.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// HMAC with SHA-256 ([RFC 7518 §3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)): who can check can make.
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    /// As tokens spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::EdDsa, Self::Hs256].into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| format!("an algorithm is EdDSA or HS256, not {text:?}"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a file holds no key of its kind. The text never repeats what the file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No PEM where one is needed.
    #[error("is not a PEM file with a line \"-----BEGIN {label}-----\"")]
    NoPem {
        /// The label that was looked for.
        label: &'static str,
    },
    /// The half that must not be here.
    #[error("holds a private key, which belongs where tokens are made: the node needs the public key alone")]
    Private,
    /// Another kind of key.
    #[error("holds a key, but not an Ed25519 one: make one with `camera-node keys make`")]
    NotEd25519,
    /// A PEM where a secret is needed: a public key is no secret.
    #[error("holds a PEM file, which is no secret for HS256: is its algorithm EdDSA?")]
    PemAsSecret,
    /// RFC 7518 wants as many bits as the hash has.
    #[error("holds a secret of {got} bytes, and HS256 needs 32 or more")]
    ShortSecret {
        /// Its length.
        got: usize,
    },
}

/// A key that tokens are checked with.
#[derive(Clone)]
pub struct Key(Kind);

#[derive(Clone)]
enum Kind {
    EdDsa([u8; 32]),
    Hs256(hmac::Key),
}

/// What stands before the 32 bytes of a public key (RFC 8410 §4: SubjectPublicKeyInfo).
pub(super) const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Key {
    /// The key in a file's content: for EdDSA a public key as PEM, for HS256 the secret itself, one newline at its end
    /// left out.
    ///
    /// # Errors
    /// What the file holds instead.
    pub fn from_file(algorithm: Algorithm, content: &[u8]) -> Result<Self, BadKey> {
        match algorithm {
            Algorithm::EdDsa => {
                let label = "PUBLIC KEY";
                let is_private = pem(content, "PRIVATE KEY").is_some();
                let der =
                    pem(content, label).ok_or(if is_private { BadKey::Private } else { BadKey::NoPem { label } })?;
                let bytes = der.strip_prefix(&SPKI_PREFIX).and_then(|bytes| bytes.try_into().ok());
                bytes.map(|bytes| Self(Kind::EdDsa(bytes))).ok_or(BadKey::NotEd25519)
            }
            Algorithm::Hs256 => Ok(Self(Kind::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret(content)?)))),
        }
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::EdDsa(_) => Algorithm::EdDsa,
            Kind::Hs256(_) => Algorithm::Hs256,
        }
    }

    /// A short digest of a public key, to compare two files by eye; none of a secret.
    pub fn fingerprint(&self) -> Option<String> {
        let Kind::EdDsa(public) = &self.0 else { return None };
        let digest = digest::digest(&digest::SHA256, public);
        Some(digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether it has signed `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::EdDsa(public) => UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok(),
            Kind::Hs256(secret) => hmac::verify(secret, message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Logs must not learn a secret.
        write!(f, "Key({})", self.algorithm())
    }
}

/// The keys there are, by name.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: BTreeMap<KeyId, Key>,
}

impl KeyRing {
    /// The key that a token calls `kid`.
    pub fn find(&self, kid: &str) -> Option<(&KeyId, &Key)> {
        self.keys.iter().find(|(id, _)| id.as_str() == kid)
    }
}

impl FromIterator<(KeyId, Key)> for KeyRing {
    fn from_iter<I: IntoIterator<Item = (KeyId, Key)>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

/// The secret in a file: its bytes, one newline at their end left out.
pub(super) fn secret(content: &[u8]) -> Result<&[u8], BadKey> {
    if content.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(BadKey::PemAsSecret);
    }
    let secret = content.strip_suffix(b"\n").unwrap_or(content);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < 32 { Err(BadKey::ShortSecret { got: secret.len() }) } else { Ok(secret) }
}

/// The bytes of the first PEM block with this label ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).
pub(super) fn pem(content: &[u8], label: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(content).ok()?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (body, _) = rest.split_once(&end)?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// `der` as PEM.
pub(super) fn to_pem(label: &str, der: &[u8]) -> String {
    // Keys of 44 and 48 bytes fit into one line.
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
