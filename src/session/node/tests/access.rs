//! Tokens at the door, and while a session lasts.

use super::*;
use crate::access::config::UnsetClock;
use crate::access::{Algorithm, Claims, Key, KeyId, SigningKey, TurnSecret, WallClock};

const NOON: u64 = 1_800_000_000;

fn signing() -> SigningKey {
    SigningKey::from_random(Algorithm::EdDsa, [1; 32])
}

fn kid() -> KeyId {
    "k1".parse().expect("a key's name")
}

fn guard(unset_clock: UnsetClock) -> Guard {
    let public = signing().to_public_file().expect("an EdDSA key");
    let key = Key::from_file(Algorithm::EdDsa, public.as_bytes()).expect("ours");
    Guard::with_tokens("node", [(kid(), key)].into_iter().collect(), unset_clock)
}

/// A token for every tab, valid until `NOON` and so many seconds.
pub(super) fn token(seconds: u64, scope: &str) -> String {
    token_of(json!({"aud": "node", "peer": "tab*", "exp": NOON + seconds, "jti": "t1", "scope": scope}))
}

fn token_of(claims: Value) -> String {
    let claims: Claims = serde_json::from_value(claims).expect("claims");
    signing().token(&kid(), &claims)
}

/// The guard once its token has been revoked.
pub(super) fn revoked() -> Guard {
    guard(UnsetClock::Refuse).without("t1")
}

/// A node that wants tokens and knows since a second that it is noon.
pub(super) fn guarded() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.hear(Input::Guard(guard(UnsetClock::Refuse))), ["status online 1 retained"]);
    assert_eq!(bench.hear(Input::WallClock(WallClock::Set { unix_s: NOON })), [""; 0]);
    bench
}

#[test]
fn calls_and_registrations_are_held_to_the_same_tokens() {
    let mut bench = guarded();
    let call = |token: Option<&str>| json!({"type": "call", "from": "tab", "nonce": "n", "wants": {"video": true}, "token": token});
    assert_eq!(
        bench.say("tab", 1, 0, call(None)),
        ["(call)", "(rejected)", "tab: callResponse seq 0 ack 0 re 0 tokenMissing notAllowed"]
    );
    assert_eq!(
        bench.say("tab", 2, 0, call(Some(&token(60, "talk")))),
        ["(call)", "(rejected)", "tab: callResponse seq 0 ack 0 re 0 notAllowed notAllowed"]
    );
    assert!(bench.say("tab", 3, 0, call(Some(&token(60, "view")))).contains(&"(accepted)".to_owned()));

    let mut bench = guarded();
    let mut register = json!({"v": 1, "type": "register", "seq": 7, "name": "Tab", "ttl": 600});
    assert_eq!(bench.raw("tab", &register.to_string()), ["tab: error re 7 tokenMissing"]);
    register["token"] = json!(token(20, "talk"));
    assert_eq!(bench.raw("tab", &register.to_string()), ["tab: error re 7 notAllowed"]);
    register["token"] = json!(token(20, "view"));
    assert_eq!(bench.raw("tab", &register.to_string()), ["tab: registered re 7"]);
    bench.node.ring(RingTo::All, bench.now).expect("it is registered");
    bench.outputs();
    let accepted = json!({"type": "callResponse", "re": 0, "ack": 0, "response": "accepted", "nonce": "n"});
    let outputs = bench.say("tab", (3 << 64) | 4, 0, accepted);
    assert_eq!(outputs[..3], ["(accepted)", "(failed)", "(ring unanswered, Tab: not-allowed)"]);
    assert!(outputs.contains(&"tab: error ack 0 re 0 tokenMissing".to_owned()), "{outputs:?}");
    bench.wait(20_000);
    let rung = bench.node.ring(RingTo::All, bench.now);
    assert_eq!(rung, Err(NotRung::NobodyRegistered), "a registration ends with its token");
}

#[test]
fn who_is_shown_out_is_registered_no_longer() {
    let mut bench = guarded();
    let register =
        json!({"v": 1, "type": "register", "seq": 7, "name": "Tab", "ttl": 600, "token": token(600, "view")});
    bench.raw("tab", &register.to_string());
    assert_eq!(bench.node.registered(), 1);
    bench.hear(Input::Guard(guard(UnsetClock::Refuse).without("t1")));
    assert_eq!(bench.node.registered(), 0);
}

impl Bench {
    fn hear(&mut self, input: Input) -> Vec<String> {
        self.node.handle(input, self.now);
        self.outputs()
    }

    fn join_with(&mut self, session: u128, wants: Value, token: Option<&str>) -> Vec<String> {
        let join = json!({"type": "join", "wants": wants, "nonce": "n", "token": token});
        self.say("tab", session, 0, join)
    }

    /// A live session that has been let in by `token`.
    fn live_with(&mut self, session: u128, token: &str) {
        assert_eq!(self.join_with(session, json!({"video": true}), Some(token)).len(), 5);
        self.offered("tab", session);
        self.answer("tab", session, 1, 1);
        self.event("tab", session, PeerEvent::Connected);
        self.wait(100);
    }
}

#[test]
fn a_join_is_refused_by_the_code_of_what_is_wrong_with_its_token() {
    let claims = json!({"aud": "node", "peer": "tab", "exp": NOON + 60, "jti": "t1", "scope": "view"});
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        token_of(claims)
    };
    let table = [
        (None, "tokenMissing"),
        (Some("junk".to_owned()), "notAllowed"),
        (Some(with("aud", json!("cellar"))), "notAllowed"),
        (Some(with("peer", json!("other"))), "notAllowed"),
        (Some(with("scope", json!("talk control files"))), "notAllowed"),
        (Some(with("exp", json!(NOON))), "tokenExpired"),
        (Some(with("nbf", json!(NOON + 50))), "tokenNotYetValid"),
    ];
    let mut bench = guarded();
    let secret = TurnSecret::new("north");
    bench.hear(Input::IceServers(vec![IceSource::PerSession { urls: Vec::new(), secret, lifetime_s: 60 }]));
    for (session, (token, code)) in table.into_iter().enumerate() {
        let outputs = bench.join_with(session as u128, json!({"video": true}), token.as_deref());
        // Nothing but the refusal: no `peer` with its TURN credentials, no offer.
        assert_eq!(outputs, ["(join)", "(refused)", &format!("tab: error ack 0 re 0 {code}")], "{code}");
    }
    assert_eq!(bench.node.viewers(), 0);
}

#[test]
fn a_refusal_tells_a_person_why_and_a_program_when_to_come_again() {
    let mut bench = guarded();
    let said = |bench: &mut Bench, token: &str| {
        let join = json!({"v": 1, "type": "join", "session": id(bench.now.as_millis()).as_str(), "seq": 0,
            "wants": {"talk": true, "channels": ["control"]}, "nonce": "n", "token": token});
        bench.now += ms(1);
        let (topic, payload) = ("cn/node/in/tab".to_owned(), Bytes::from(join.to_string()));
        bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
        let published = std::iter::from_fn(|| bench.node.poll_output()).find_map(|output| match output {
            Output::Publish(outgoing) => Some(outgoing.payload),
            _ => None,
        });
        let said: Value = serde_json::from_slice(&published.expect("an answer")).expect("JSON");
        (said["message"].as_str().expect("a message").to_owned(), said["retryAfter"].clone())
    };
    let aud = token_of(json!({"aud": "x", "peer": "tab", "exp": NOON + 60, "jti": "t", "scope": "view"}));
    assert_eq!(said(&mut bench, &aud), ("The token is refused: it is for another camera.".to_owned(), Value::Null));
    let scope = ("The token lacks the scope: talk control.".to_owned(), Value::Null);
    assert_eq!(said(&mut bench, &token(60, "view")), scope);
    let early =
        token_of(json!({"aud": "node", "peer": "tab", "exp": NOON + 60, "nbf": NOON + 40, "jti": "t", "scope": ""}));
    assert_eq!(said(&mut bench, &early), ("The token is not valid yet.".to_owned(), json!(40)));
}

#[test]
fn each_wish_needs_its_scope() {
    let mut bench = guarded();
    let table = [
        (json!({"video": true}), "view"),
        (json!({"audio": true}), "view"),
        (json!({"channels": ["telemetry"]}), "view"),
        (json!({"talk": true}), "talk"),
        (json!({"channels": ["control"]}), "control"),
        (json!({"channels": ["files"]}), "files"),
        (json!({"channels": ["snapshot"]}), "view"),
        (json!({"channels": ["app:ptz"]}), "control"),
    ];
    for (n, (wants, scope)) in table.into_iter().enumerate() {
        bench.wait(10_000);
        let others = ["view", "talk", "control", "files"].into_iter().filter(|other| *other != scope);
        let others = token(3_600, &others.collect::<Vec<_>>().join(" "));
        let refused = bench.join_with(2 * n as u128, wants.clone(), Some(&others));
        assert!(refused.iter().any(|output| output.ends_with("notAllowed")), "{wants}: {refused:?}");
        let let_in = bench.join_with(2 * n as u128 + 1, wants.clone(), Some(&token(3_600, scope)));
        assert!(let_in.iter().any(|output| output == "(peer)"), "{wants}: {let_in:?}");
    }
}

#[test]
fn a_session_ends_with_its_token() {
    let mut bench = guarded();
    bench.live_with(1, &token(60, "view"));
    assert_eq!(bench.wait(59_899), [""; 0]);
    assert_eq!(bench.node.viewers(), 1);
    assert_eq!(bench.wait(1), ["(leave)", "tab: close", "tab: leave seq 2 ack 1 expired"]);
    assert_eq!(bench.node.viewers(), 0);
}

#[test]
fn a_session_lives_on_by_a_renewed_token_and_ends_with_that() {
    let mut bench = guarded();
    bench.live_with(1, &token(60, "view"));
    bench.wait(50_000);
    assert_eq!(bench.say("tab", 1, 2, json!({"type": "renew", "token": token(120, "view talk")})), [""; 0]);
    assert_eq!(bench.wait(100), ["tab: ack ack 2"]);
    bench.wait(69_799);
    assert_eq!(bench.node.viewers(), 1);
    assert_eq!(bench.wait(1), ["(leave)", "tab: close", "tab: leave seq 2 ack 2 expired"]);
}

#[test]
fn the_connection_is_told_what_its_viewer_may_do_before_it_is_made_and_with_each_new_token() {
    let mut bench = guarded();
    let told = |bench: &mut Bench, message: Value| {
        let (topic, payload) = ("cn/node/in/tab".to_owned(), Bytes::from(message.to_string()));
        bench.node.handle(Input::Message { topic, payload, retained: false }, bench.now);
        let told = std::iter::from_fn(|| bench.node.poll_output()).filter_map(|output| match output {
            Output::Allowed(_, scopes) => Some(scopes.to_string()),
            Output::Peer(_, PeerCommand::Offer { .. }) => Some("offer".to_owned()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let session = id(1);
    let join = json!({"v": 1, "type": "join", "session": session.as_str(), "seq": 0, "wants": {"video": true}, "nonce": "n",
        "token": token(60, "view control")});
    assert_eq!(told(&mut bench, join), ["view control", "offer"]);
    let renew =
        json!({"v": 1, "type": "renew", "session": session.as_str(), "seq": 1, "token": token(120, "view files")});
    assert_eq!(told(&mut bench, renew), ["view files"]);
}

#[test]
fn a_renewal_that_is_refused_ends_the_session() {
    for (renewal, code) in [
        (token(0, "view"), "tokenExpired"),
        // The session sees: a token without that right is none for it.
        (token(120, "control"), "notAllowed"),
        ("junk".to_owned(), "notAllowed"),
    ] {
        let mut bench = guarded();
        bench.live_with(1, &token(60, "view"));
        assert_eq!(
            bench.say("tab", 1, 2, json!({"type": "renew", "token": renewal})),
            ["(failed)", "tab: close", &format!("tab: error ack 2 re 2 {code}"), "tab: leave seq 2 ack 2 failed"]
        );
        assert_eq!(bench.node.viewers(), 0);
    }
}

#[test]
fn an_open_node_needs_no_token_and_takes_any() {
    let mut bench = Bench::new();
    assert_eq!(bench.join_with(1, json!({"video": true}), Some("junk")).len(), 5);
    assert_eq!(bench.say("tab", 1, 1, json!({"type": "renew", "token": "t"})), [""; 0]);
    assert_eq!(bench.wait(100)[..1], ["tab: ack ack 1"]);
}

#[test]
fn before_the_clock_is_set_a_token_is_refused_by_a_code_of_its_own_unless_configured() {
    let mut bench = Bench::new();
    bench.hear(Input::Guard(guard(UnsetClock::Refuse)));
    let refused = ["(join)", "(refused)", "tab: error ack 0 re 0 clockUnknown"];
    let video = || json!({"video": true});
    assert_eq!(bench.join_with(1, video(), Some(&token(60, "view"))), refused, "nobody has told the time yet");
    bench.hear(Input::WallClock(WallClock::Unset { floor_s: NOON - 5 }));
    assert_eq!(bench.join_with(2, video(), Some(&token(60, "view"))), refused);

    bench.hear(Input::Guard(guard(UnsetClock::Accept)));
    bench.live_with(3, &token(60, "view"));
    bench.wait(100_000);
    assert_eq!(bench.node.viewers(), 1, "its end cannot be known yet");
    // The clock is set, and the token turns out to be over.
    let over = ["(leave)", "tab: close", "tab: leave seq 2 ack 1 expired"];
    assert_eq!(bench.hear(Input::WallClock(WallClock::Set { unix_s: NOON + 100 })), over);
}

#[test]
fn a_clock_that_is_set_moves_the_end_and_one_turned_back_does_not_stop_time() {
    let mut bench = guarded();
    bench.live_with(1, &token(60, "view"));
    bench.hear(Input::WallClock(WallClock::Unset { floor_s: NOON - 5 }));
    bench.wait(10_000);
    assert_eq!(
        bench.join_with(2, json!({"video": true}), Some(&token(5, "view")))[2..],
        ["tab: error ack 0 re 0 tokenExpired"]
    );
    bench.hear(Input::WallClock(WallClock::Set { unix_s: NOON }));
    bench.wait(59_999);
    assert_eq!(bench.node.viewers(), 1);
    assert_eq!(bench.wait(1)[..2], ["(leave)", "tab: close"]);
}

#[test]
fn revoking_a_token_ends_its_sessions() {
    let mut bench = guarded();
    bench.live_with(1, &token(60, "view"));
    assert_eq!(bench.hear(Input::Guard(guard(UnsetClock::Refuse).without("another"))), [""; 0]);
    assert_eq!(
        bench.hear(Input::Guard(guard(UnsetClock::Refuse).without("t1"))),
        ["(leave)", "tab: close", "tab: leave seq 2 ack 1 expired"]
    );
    let again = bench.join_with(2, json!({"video": true}), Some(&token(60, "view")));
    assert_eq!(again, ["(join)", "(refused)", "tab: error ack 0 re 0 notAllowed"]);
}

#[test]
fn status_tells_whether_a_token_is_needed() {
    let mut bench = Bench::new();
    let access = |bench: &mut Bench| {
        let probe = Bytes::from_static(br#"{"v":1,"type":"probe"}"#);
        let (topic, retained) = ("cn/node/in/tab".to_owned(), false);
        bench.node.handle(Input::Message { topic, payload: probe, retained }, bench.now);
        let Some(Output::Publish(outgoing)) = bench.node.poll_output() else { panic!("no answer") };
        let status: Value = serde_json::from_slice(&outgoing.payload).expect("JSON");
        status["access"].clone()
    };
    assert_eq!(access(&mut bench), "open");
    bench.hear(Input::Guard(guard(UnsetClock::Refuse)));
    assert_eq!(access(&mut bench), "token");
}
