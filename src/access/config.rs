//! The section `[access]`: whether a token is needed, and what tokens are checked against.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Algorithm, KeyId};

/// `[access]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Who may watch.
    pub mode: Mode,
    /// With mode "open": yes, everybody at a broker beyond this machine may watch.
    pub i_trust_the_broker: bool,
    /// The keys whose tokens are taken. Several at once, so that one can follow another.
    pub keys: Vec<KeyFile>,
    /// File with the ids (`jti`) of tokens that are no longer taken, one a line. Read again when it changes.
    pub revoked_file: Option<PathBuf>,
    /// File in which the latest time that was seen is kept, so that a clock which starts in the past is noticed.
    pub clock_file: Option<PathBuf>,
    /// What to do with tokens while the clock is not set.
    pub unset_clock: UnsetClock,
}

/// Who may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whoever reaches the broker.
    #[default]
    Open,
    /// Whoever has a token.
    Token,
}

/// What to do with tokens while the clock is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnsetClock {
    /// Refuse them: their time cannot be checked.
    #[default]
    Refuse,
    /// Take those that have not expired for certain: for boards that never learn the time.
    Accept,
}

/// One key: `[[access.keys]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyFile {
    /// The name by which tokens call it.
    pub kid: KeyId,
    /// How it signs. A token that says otherwise is refused.
    pub algorithm: Algorithm,
    /// The file that holds it. Without one there is no key.
    pub file: PathBuf,
}

impl Default for KeyFile {
    fn default() -> Self {
        Self {
            kid: KeyId::try_from("default".to_owned()).expect("letters only"),
            algorithm: Algorithm::EdDsa,
            file: PathBuf::new(),
        }
    }
}
