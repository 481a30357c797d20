//! Each way a token can be wrong, and its error.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::config::UnsetClock;
use super::*;

const NOW: u64 = 1_800_000_000;
const CLOCK: WallClock = WallClock::Set { unix_s: NOW };

fn kid(name: &str) -> KeyId {
    name.parse().expect("a key's name")
}

fn ed() -> SigningKey {
    SigningKey::from_random(Algorithm::EdDsa, [7; 32])
}

fn hs() -> SigningKey {
    SigningKey::from_random(Algorithm::Hs256, [9; 32])
}

fn public(key: &SigningKey) -> Key {
    let public = key.to_public_file().expect("an EdDSA key");
    Key::from_file(Algorithm::EdDsa, public.as_bytes()).expect("what we write we can read")
}

fn secret(key: &SigningKey) -> Key {
    Key::from_file(Algorithm::Hs256, key.to_private_file().as_bytes()).expect("what we write we can read")
}

fn guard() -> Guard {
    let ring = [(kid("ed"), public(&ed())), (kid("hs"), secret(&hs()))].into_iter().collect();
    Guard::with_tokens("porch", ring, UnsetClock::Refuse).without("# thrown out\nstolen\n\n")
}

/// Claims that are in order, with `changes` laid over them; `null` takes one out.
fn claims(changes: &Value) -> Vec<u8> {
    let mut claims = json!({"aud": "porch", "peer": "tab-*", "exp": NOW + 60, "jti": "t1", "scope": "view talk"});
    for (name, value) in changes.as_object().expect("changes") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims.to_string().into_bytes()
}

fn token(changes: &Value) -> String {
    ed().seal(r#"{"alg":"EdDSA","kid":"ed"}"#, &claims(changes))
}

fn check(token: &str) -> Result<Grant, Denied> {
    guard().check(Some(token), "tab-1", CLOCK)
}

#[test]
fn a_good_token_of_either_kind_grants_its_scopes_until_its_end() {
    for good in [token(&json!({})), hs().seal(r#"{"alg":"HS256","kid":"hs"}"#, &claims(&json!({})))] {
        let grant = check(&good).expect("good");
        assert_eq!(grant.scopes.to_string(), "view talk");
        assert_eq!(grant.expires_unix_s, Some(NOW + 60));
    }
    for fine in [
        json!({"aud": ["cellar", "porch"]}),
        json!({"peer": "tab-1"}),
        json!({"peer": "*"}),
        json!({"nbf": NOW + 30}),
        json!({"exp": NOW as f64 + 0.5 + 1.0}),
        json!({"iss": "shop", "iat": "yesterday"}),
    ] {
        assert!(check(&token(&fine)).is_ok(), "{fine}");
    }
}

#[test]
fn each_claim_that_does_not_fit_has_its_own_error() {
    #[rustfmt::skip]
    let table = [
        (json!({"aud": "cellar"}), Denied::WrongAudience),
        (json!({"aud": []}), Denied::WrongAudience),
        (json!({"aud": "porch "}), Denied::WrongAudience),
        (json!({"peer": "tab-2"}), Denied::WrongPeer),
        (json!({"peer": "tab"}), Denied::WrongPeer),
        (json!({"peer": "tab-1*x"}), Denied::WrongPeer),
        (json!({"peer": ""}), Denied::WrongPeer),
        (json!({"jti": "stolen"}), Denied::Revoked),
        (json!({"exp": NOW}), Denied::Expired),
        (json!({"exp": 0}), Denied::Expired),
        (json!({"exp": NOW as f64 + 0.5}), Denied::Expired),
        (json!({"nbf": NOW + 31}), Denied::NotYetValid { in_s: 31 }),
        // Whose token it is comes before its time: a clock that is wrong does not hide it.
        (json!({"aud": "cellar", "exp": 0}), Denied::WrongAudience),
    ];
    for (changes, denied) in table {
        assert_eq!(check(&token(&changes)), Err(denied), "{changes}");
    }
    for broken in [
        json!({"exp": null}),
        json!({"aud": null}),
        json!({"peer": null}),
        json!({"jti": null}),
        json!({"scope": null}),
        json!({"exp": "soon"}),
        json!({"exp": -5}),
        json!({"exp": 1e300}),
        // Milliseconds, by mistake.
        json!({"exp": NOW * 1_000}),
        json!({"aud": 5}),
        json!({"jti": ""}),
        json!({"jti": "x".repeat(129)}),
        json!({"scope": ["view"]}),
    ] {
        assert!(matches!(check(&token(&broken)), Err(Denied::BadClaims { .. })), "{broken}");
    }
}

#[test]
fn each_way_to_forge_a_token_has_its_own_error() {
    let good = claims(&json!({}));
    let by = |key: &SigningKey, header: &str| check(&key.seal(header, &good));
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(&good));
    assert_eq!(check(&unsigned), Err(Denied::Unsigned));
    assert_eq!(by(&ed(), r#"{"alg":"nOnE","kid":"ed"}"#), Err(Denied::Unsigned));
    assert_eq!(by(&ed(), r#"{"alg":"EdDSA"}"#), Err(Denied::NoKeyId));
    assert_eq!(by(&ed(), r#"{"alg":"EdDSA","kid":"older"}"#), Err(Denied::UnknownKey));

    // The public key is known to everyone: it must not serve as a secret, in whatever form.
    let public_key = ed().to_public_file().expect("an EdDSA key");
    for known in [public_key.as_bytes(), &public_key.as_bytes()[27..60]] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, known);
        for header in [r#"{"alg":"HS256","kid":"ed"}"#, r#"{"alg":"EdDSA","kid":"ed"}"#] {
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&good));
            let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
            let wrong_algorithm = Denied::WrongAlgorithm { kid: kid("ed"), wanted: Algorithm::EdDsa };
            let denied = if header.contains("HS256") { wrong_algorithm } else { Denied::BadSignature };
            assert_eq!(check(&format!("{message}.{tag}")), Err(denied), "{header}");
        }
    }
    let wrong = Denied::WrongAlgorithm { kid: kid("hs"), wanted: Algorithm::Hs256 };
    assert_eq!(by(&ed(), r#"{"alg":"EdDSA","kid":"hs"}"#), Err(wrong));
    let stranger = SigningKey::from_random(Algorithm::EdDsa, [8; 32]);
    assert_eq!(by(&stranger, r#"{"alg":"EdDSA","kid":"ed"}"#), Err(Denied::BadSignature));
    let token = token(&json!({}));
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let more = URL_SAFE_NO_PAD.encode(claims(&json!({"scope": "view talk control files"})));
    let (header, _) = message.split_once('.').expect("two parts");
    assert_eq!(check(&format!("{header}.{more}.{signature}")), Err(Denied::BadSignature));
    assert_eq!(check(&format!("{message}.")), Err(Denied::BadSignature));
}

#[test]
fn what_is_no_token_has_its_own_error() {
    assert_eq!(guard().check(None, "tab-1", CLOCK), Err(Denied::Missing));
    assert_eq!(check(&"a".repeat(8_193)), Err(Denied::TooLong { bytes: 8_193 }));
    let malformed = |what| Err(Denied::Malformed { what });
    for parts in ["", "a", "a.b", "a.b.c.d", &".".repeat(8_192)] {
        assert_eq!(check(parts), malformed("it has not three parts"), "{parts:.20}");
    }
    assert_eq!(check("ä.b.c"), malformed("a part is not base64url"));
    assert_eq!(check("e30=.e30.e30"), malformed("a part is not base64url"));
    assert_eq!(check(".."), malformed("its header cannot be read"));
    for header in ["{}", "[]", "null", r#"{"alg":5}"#, r#"{"alg":"EdDSA","alg":"none"}"#] {
        assert_eq!(check(&ed().seal(header, b"{}")), malformed("its header cannot be read"), "{header}");
    }
    let critical = r#"{"alg":"EdDSA","kid":"ed","crit":["exp"]}"#;
    assert_eq!(check(&ed().seal(critical, &claims(&json!({})))), malformed("its header asks for an extension"));
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    for payload in ["", "null", "[]", "{", r#"{"exp":1,"exp":2}"#] {
        let denied = check(&ed().seal(header, payload.as_bytes()));
        assert!(matches!(denied, Err(Denied::BadClaims { .. })), "{payload}: {denied:?}");
    }
}

#[test]
fn no_mutation_of_a_good_token_is_let_in_or_panics() {
    let mut random = fastrand::Rng::with_seed(11);
    let good = token(&json!({}));
    let mut errors = BTreeSet::new();
    for _ in 0..20_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len().max(1));
            match random.u8(0..4) {
                0 if at < bytes.len() => bytes[at] = random.u8(..),
                1 => bytes.insert(at, b".AQaz09-_="[random.usize(0..10)]),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let mutated = String::from_utf8_lossy(&bytes);
        match check(&mutated) {
            Ok(_) => assert_eq!(mutated, good, "a forged token was let in"),
            Err(denied) => _ = errors.insert(denied.to_string()),
        }
    }
    assert!(errors.len() >= 3, "only {errors:?}: the test has become blunt");
}

#[test]
fn while_the_clock_is_not_set_a_token_is_refused_unless_configured() {
    let unset = WallClock::judge(5, NOW - 100);
    assert_eq!(unset, WallClock::Unset { floor_s: NOW - 100 });
    assert_eq!(WallClock::judge(NOW, NOW), CLOCK);
    let (good, old) = (token(&json!({"nbf": NOW})), token(&json!({"exp": NOW - 100})));
    assert_eq!(guard().check(Some(&good), "tab-1", unset), Err(Denied::ClockUnknown));
    assert_eq!(guard().check(Some(&old), "tab-1", unset), Err(Denied::Expired), "it has ended by any clock");
    let ring = [(kid("ed"), public(&ed()))].into_iter().collect();
    let lenient = Guard::with_tokens("porch", ring, UnsetClock::Accept);
    assert!(lenient.check(Some(&good), "tab-1", unset).is_ok());
    assert_eq!(lenient.check(Some(&old), "tab-1", unset), Err(Denied::Expired));
    assert_eq!(lenient.check(Some(&good), "other", unset), Err(Denied::WrongPeer), "all else is checked");
}

#[test]
fn a_grant_ends_with_its_key_and_when_it_is_revoked() {
    let grant = check(&token(&json!({}))).expect("good");
    assert!(guard().upholds(&grant));
    assert!(!guard().without("t1\n").upholds(&grant));
    let newer = [(kid("hs"), secret(&hs()))].into_iter().collect();
    assert!(!Guard::with_tokens("porch", newer, UnsetClock::Refuse).upholds(&grant));
    assert!(!guard().upholds(&Grant::everything()));
    assert!(Guard::open().upholds(&grant) && Guard::open().check(None, "x", CLOCK) == Ok(Grant::everything()));
}

#[test]
fn a_file_that_holds_no_such_key_is_refused_in_words() {
    let private = ed().to_private_file();
    let public = ed().to_public_file().expect("an EdDSA key");
    let rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJB\n-----END PUBLIC KEY-----\n";
    let node = |algorithm, content: &str| Key::from_file(algorithm, content.as_bytes()).expect_err(content);
    assert_eq!(node(Algorithm::EdDsa, &private), BadKey::Private);
    assert_eq!(node(Algorithm::EdDsa, "AAAA"), BadKey::NoPem { label: "PUBLIC KEY" });
    assert_eq!(node(Algorithm::EdDsa, rsa), BadKey::NotEd25519);
    assert_eq!(node(Algorithm::Hs256, &public), BadKey::PemAsSecret);
    assert_eq!(node(Algorithm::Hs256, "hunter2\n"), BadKey::ShortSecret { got: 7 });
    let signing = |content: &str| SigningKey::from_file(content.as_bytes()).expect_err(content);
    assert_eq!(signing(&public), BadKey::NoPem { label: "PRIVATE KEY" });
    assert_eq!(signing("short"), BadKey::ShortSecret { got: 5 });
    assert_eq!(SigningKey::from_file(private.as_bytes()).expect("ours").to_private_file(), private);
    for bad in ["", "a b", "../x", ".hidden", "-rf", &"x".repeat(65)] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
}

/// RFC 8037, appendix A: the key pair, and the public key as OpenSSL writes it.
#[test]
fn keys_are_those_of_other_programs() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url");
    let key = SigningKey::from_random(Algorithm::EdDsa, seed.try_into().expect("32 bytes"));
    let signed = key.seal(r#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing");
    assert_eq!(
        signed,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let public = key.to_public_file().expect("an EdDSA key");
    assert!(public.contains("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), "{public}");
    assert_eq!(super::tests::public(&key).fingerprint().map(|text| text.len()), Some(16));
}
