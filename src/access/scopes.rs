//! What a token may allow.

use std::fmt;
use std::str::FromStr;

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To see and hear, and to read telemetry.
    View,
    /// To be heard at the camera.
    Talk,
    /// To steer the camera.
    Control,
    /// To send and fetch files.
    Files,
}

/// No right has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is view, talk, control or files, not {got:?}")]
pub struct BadScope {
    got: String,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::View, Self::Talk, Self::Control, Self::Files];

    /// Its name in tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Talk => "talk",
            Self::Control => "control",
            Self::Files => "files",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| BadScope { got: text.to_owned() })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self(0b1111);

    /// The rights that a token's `scope` names; words of other programs are none of ours
    /// ([RFC 8693 §4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2)).
    pub fn named_in(claim: &str) -> Self {
        claim.split(' ').filter_map(|word| word.parse().ok()).collect()
    }

    /// Whether all of `others` are among these.
    pub fn cover(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Those of `others` that are not among these.
    #[must_use]
    pub fn lacking(self, others: Self) -> Self {
        Self(others.0 & !self.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Scope::ALL.iter().filter(|scope| self.0 & scope.bit() != 0).map(|scope| scope.name()).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_rights_and_other_words_are_ignored() {
        let scopes = Scopes::named_in("files view  openid VIEW");
        assert_eq!(scopes.to_string(), "view files");
        assert!(scopes.cover(Scopes::from_iter([Scope::View])));
        assert!(!scopes.cover(Scopes::from_iter([Scope::View, Scope::Talk])));
        assert_eq!(scopes.lacking(Scopes::ALL).to_string(), "talk control");
        assert!(Scopes::named_in("").is_empty());
        assert_eq!(Scopes::from_iter(Scope::ALL), Scopes::ALL);
        assert!("all".parse::<Scope>().is_err());
    }
}
