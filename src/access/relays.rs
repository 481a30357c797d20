//! Logins of TURN servers that end by themselves.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What we share with a TURN server so that it believes the logins we make
/// ([draft-uberti-behave-turn-rest-00](https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00); coturn's
/// `use-auth-secret`).
#[derive(Clone)]
pub struct TurnSecret(hmac::Key);

impl TurnSecret {
    /// Of the text that the server has too.
    pub fn new(secret: &str) -> Self {
        // The scheme's own choice. What is known to be weak of SHA-1 is no weakness of HMAC.
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()))
    }

    /// User name and password for `name`, good until `ends_unix_s`, seconds since 1970.
    pub fn login(&self, name: &str, ends_unix_s: u64) -> (String, String) {
        let username = format!("{ends_unix_s}:{name}");
        let password = STANDARD.encode(hmac::sign(&self.0, username.as_bytes()));
        (username, password)
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf 1700000000:ada | openssl dgst -sha1 -hmac north -binary | base64`.
    #[test]
    fn a_login_is_what_coturn_makes_of_the_same_secret() {
        let (username, password) = TurnSecret::new("north").login("ada", 1_700_000_000);
        assert_eq!(username, "1700000000:ada");
        assert_eq!(password, "ndZ88ryT1whVxdkcRLepT9D1MpM=");
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", TurnSecret::new("north")).contains("north"));
    }
}
