//! Access tokens.

use std::sync::LazyLock;

use serde_json::Value;

use crate::access::config::UnsetClock;
use crate::access::{Algorithm, Guard, Key, KeyId, SigningKey, WallClock};

const NODE: &str = "porch";
const PEER: &str = "tablet-7";
const REVOKED: &str = "lost";
const NOW_S: u64 = 1_800_000_000;

/// A token as it comes (first byte even), or a header and claims, on a line each, signed with a key of the node's: let in is only
/// who has one for this node, this peer and this time.
pub fn token(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let token = if kind & 1 == 0 {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        let (header, claims) = split_line(rest);
        let key = if kind & 2 == 0 { &KEYS.eddsa } else { &KEYS.hs256 };
        key.seal(&String::from_utf8_lossy(header), claims)
    };
    let Ok(grant) = KEYS.guard.check(Some(&token), PEER, WallClock::Set { unix_s: NOW_S }) else { return };

    assert!(kind & 1 == 1, "nobody but us has the keys");
    let (header, claims) = split_line(rest);
    // What stands in fields that nobody reads need not be text.
    let (Ok(header), Ok(claims)) = (serde_json::from_slice::<Value>(header), serde_json::from_slice::<Value>(claims))
    else {
        return;
    };
    let (alg, kid) = if kind & 2 == 0 { ("EdDSA", "ed") } else { ("HS256", "hs") };
    assert_eq!((header["alg"].as_str(), header["kid"].as_str()), (Some(alg), Some(kid)));
    let is_for_us = claims["aud"] == NODE || claims["aud"].as_array().is_some_and(|list| list.contains(&NODE.into()));
    assert!(is_for_us);
    let peer = claims["peer"].as_str().expect("it was read");
    assert!(peer == PEER || peer.strip_suffix('*').is_some_and(|prefix| PEER.starts_with(prefix)));
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > 1_800_000_000.0));
    assert!(claims["nbf"].as_f64().is_none_or(|nbf| nbf <= 1_800_000_031.0));
    assert_ne!(claims["jti"], REVOKED);
    assert!(grant.expires_unix_s.is_some_and(|at| at > NOW_S));
    assert!(KEYS.guard.upholds(&grant));
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}

struct Keys {
    eddsa: SigningKey,
    hs256: SigningKey,
    guard: Guard,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let eddsa = SigningKey::from_random(Algorithm::EdDsa, [7; 32]);
    let hs256 = SigningKey::from_random(Algorithm::Hs256, [9; 32]);
    let public = eddsa.to_public_file().expect("it has a public half");
    let id = |name: &str| name.parse::<KeyId>().expect("a key's name");
    let key = |algorithm, file: &str| Key::from_file(algorithm, file.as_bytes()).expect("a key's file");
    let ring =
        [(id("ed"), key(Algorithm::EdDsa, &public)), (id("hs"), key(Algorithm::Hs256, &hs256.to_private_file()))];
    let guard = Guard::with_tokens(NODE, ring.into_iter().collect(), UnsetClock::Refuse).without(REVOKED);
    Keys { eddsa, hs256, guard }
});
