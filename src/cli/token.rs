//! `camera-node token`: makes a token, or a link with one in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

use super::out;
use crate::access::{Audience, Claims, KeyId, Scope, Scopes, Seconds, SigningKey};
use crate::session::{NodeId, PeerId, TopicPrefix};
use crate::signalling::config::WebSocketUrl;
use crate::sys;

/// Options of `token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who may use it: a peer's id; with `*` at its end, all ids that begin so: 'v-*' is every browser on the page.
    #[arg(long, value_name = "ID|BEGINNING*")]
    peer: PeerPattern,
    /// What it allows: view, talk, control, files; several with a comma between.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', default_value = "view")]
    scope: Vec<Scope>,
    /// How long it is valid from now on: 90s, 30m, 1h, 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: Lifetime,
    /// The key to sign with: a private key or a secret, as `camera-node keys make` writes them.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's name; without it, what the file's name begins with.
    #[arg(long, value_name = "NAME")]
    kid: Option<KeyId>,
    /// The node it is for.
    #[arg(long, value_name = "ID", required_unless_present = "config")]
    node: Option<NodeId>,
    /// Take node, topic prefix and broker from the node's config file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a link to this viewer page, with the token in its fragment, where no server sees it.
    #[arg(long, value_name = "PAGE-URL")]
    link: Option<PageUrl>,
    /// The broker as browsers reach it, for the link: ws://… or wss://…
    #[arg(long, value_name = "URL", value_parser = websocket_url)]
    broker: Option<WebSocketUrl>,
    /// Print one line of JSON: {token, jti, kid, expires, link}.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether a program reads what is said.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// A token and what one needs to know of it.
#[derive(Debug, Serialize)]
struct Made {
    token: String,
    /// By which it can be revoked.
    jti: String,
    kid: KeyId,
    /// Seconds since 1970.
    expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Makes one.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now_s = sys::since_unix_epoch().as_secs();
    let jti = format!("{:016x}{:016x}", sys::random_bits(), sys::random_bits());
    let made = make(&args, jti, now_s)?;
    if args.json {
        out::json(&made)?;
    } else {
        out::line(made.link.as_ref().unwrap_or(&made.token))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn make(args: &Args, jti: String, now_s: u64) -> anyhow::Result<Made> {
    let config = args.config.as_deref().map(|path| super::load(Some(path))).transpose()?;
    let of_config = config.as_ref().map(|config| config.node.id());
    let node = args.node.clone().or(of_config).context("which node? --node or --config says it")?;
    let kid = match &args.kid {
        Some(kid) => kid.clone(),
        None => kid_of(&args.key)?,
    };
    let what = (&args.peer, args.scope.as_slice());
    let (token, expires) = sign((&args.key, &kid), &node, what, jti.clone(), now_s, args.lasts)?;
    let link = match &args.link {
        Some(page) => {
            let of_config = config.as_ref().and_then(|config| config.broker.websocket_url.clone());
            let Some(broker) = args.broker.clone().or(of_config) else {
                bail!("which broker is the page to use? --broker wss://… says it, or broker.websocket_url in --config")
            };
            let prefix = config.as_ref().map(|config| &config.broker.prefix);
            Some(link(page, &broker, &node, prefix, &token))
        }
        None => None,
    };
    Ok(Made { token, jti, kid, expires, link })
}

/// A token for `node`, signed with the key in a file, and when it ends.
pub(super) fn sign(
    (file, kid): (&Path, &KeyId),
    node: &NodeId,
    (peer, scope): (&PeerPattern, &[Scope]),
    jti: String,
    now_s: u64,
    lasts: Lifetime,
) -> anyhow::Result<(String, u64)> {
    let told = || file.display().to_string();
    let key = SigningKey::from_file(&fs::read(file).with_context(told)?).with_context(told)?;
    let expires = now_s + lasts.0;
    let claims = Claims {
        aud: Audience::One(node.to_string()),
        peer: peer.0.clone(),
        exp: Seconds(expires),
        nbf: None,
        jti,
        scope: scope.iter().copied().collect::<Scopes>().to_string(),
    };
    Ok((key.token(kid, &claims), expires))
}

/// `2026-11` of `2026-11.private.pem`: as `keys make` names its files.
pub(super) fn kid_of(path: &Path) -> anyhow::Result<KeyId> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = [".private.pem", ".pem", ".secret"].iter().find_map(|ending| name.strip_suffix(ending));
    stem.and_then(|stem| stem.parse().ok()).with_context(|| match path.exists() {
        true => format!("{}: does not tell the key's name: --kid says it", path.display()),
        false => format!("{}: there is no such file", path.display()),
    })
}

fn link(page: &PageUrl, broker: &WebSocketUrl, node: &NodeId, prefix: Option<&TopicPrefix>, token: &str) -> String {
    let prefix = prefix.filter(|prefix| **prefix != TopicPrefix::default());
    let prefix = prefix.map(|prefix| format!("&prefix={}", escaped(prefix.as_str()))).unwrap_or_default();
    // A node's id and a token are made of characters that need no escape.
    format!("{}#broker={}&node={node}{prefix}&token={token}", page.0, escaped(broker.as_str()))
}

/// Escapes what would end a value of a fragment, or stand for something else in it; addresses stay readable.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~:/".contains(&b) => escaped + &char::from(b).to_string(),
        b => escaped + &format!("%{b:02X}"),
    })
}

/// Who may use a token.
#[derive(Debug, Clone)]
pub(super) struct PeerPattern(String);

impl FromStr for PeerPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let beginning = text.strip_suffix('*');
        let fits = beginning == Some("") || PeerId::from_str(beginning.unwrap_or(text)).is_ok();
        let message =
            || format!("a peer is 1 to 64 of A-Z, a-z, 0-9, '_' and '-', perhaps with * at its end, not {text:?}");
        if fits { Ok(Self(text.to_owned())) } else { Err(message()) }
    }
}

/// How long a token is valid, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime(u64);

/// Ten years: longer is a slip.
const LONGEST_S: u64 = 10 * 366 * 86_400;

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            _ => 0,
        };
        let number: Option<u64> = text.get(..text.len().saturating_sub(1)).and_then(|number| number.parse().ok());
        let seconds = number.and_then(|number| number.checked_mul(unit));
        let seconds = seconds.filter(|seconds| (1..=LONGEST_S).contains(seconds));
        seconds.map(Self).ok_or_else(|| format!("a time is like 90s, 30m, 1h or 7d, ten years at most, not {text:?}"))
    }
}

/// A page's address, without a fragment.
#[derive(Debug, Clone)]
struct PageUrl(String);

impl FromStr for PageUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_web =
            ["https://", "http://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let message = || format!("a page is like https://example.org/camera/, without a #, not {text:?}");
        if is_web && is_plain { Ok(Self(text.to_owned())) } else { Err(message()) }
    }
}

fn websocket_url(text: &str) -> Result<WebSocketUrl, String> {
    WebSocketUrl::try_from(text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::access::config::UnsetClock;
    use crate::access::{Algorithm, Guard, Key, WallClock};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(more: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["token"][..], more].concat()).map(|line| line.args)
    }

    #[test]
    fn what_it_makes_the_node_takes() {
        let folder = tempfile::tempdir().expect("there is room");
        let key = SigningKey::from_random(Algorithm::EdDsa, [5; 32]);
        let file = folder.path().join("2026-11.private.pem");
        fs::write(&file, key.to_private_file()).expect("there is room");
        let file = file.to_str().expect("UTF-8");
        let args = args(&[
            "--peer",
            "v-*",
            "--scope",
            "view,talk",
            "--for",
            "90s",
            "--key",
            file,
            "--node",
            "porch",
            "--link",
            "https://example.org/cam/?a=1",
            "--broker",
            "wss://b.example.org/mqtt?x=1&y",
        ]);
        let made = make(&args.expect("a command line"), "one".to_owned(), 1_000).expect("a token");
        let link = "https://example.org/cam/?a=1#broker=wss://b.example.org/mqtt%3Fx%3D1%26y&node=porch&token=";
        assert_eq!(made.link, Some(format!("{link}{}", made.token)));

        let public = key.to_public_file().expect("an EdDSA key");
        let public = Key::from_file(Algorithm::EdDsa, public.as_bytes()).expect("ours");
        let keys = [("2026-11".parse().expect("a name"), public)].into_iter().collect();
        let guard = Guard::with_tokens("porch", keys, UnsetClock::Refuse);
        let at = |unix_s| guard.check(Some(&made.token), "v-0a", WallClock::Set { unix_s });
        let grant = at(1_089).expect("taken");
        assert_eq!((grant.scopes.to_string().as_str(), grant.expires_unix_s), ("view talk", Some(1_090)));
        assert!(at(1_090).is_err());
    }

    #[test]
    fn what_would_make_a_useless_token_is_refused() {
        let good = ["--peer", "tab", "--key", "/k/a.secret", "--node", "porch"];
        assert!(args(&good).is_ok());
        for bad in [
            &["--peer", "a*b", "--key", "k", "--node", "n"][..],
            &["--peer", "", "--key", "k", "--node", "n"],
            &["--peer", "tab", "--key", "k"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--scope", "see"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--for", "1"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--for", "0h"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--for", "99999999999999999999d"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--for", "ä"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--link", "https://x/#y"],
            &["--peer", "tab", "--key", "k", "--node", "n", "--broker", "mqtt://x"],
        ] {
            assert!(args(bad).is_err(), "{bad:?}");
        }
        assert_eq!(kid_of(Path::new("/k/2026-11.private.pem")).expect("named").as_str(), "2026-11");
        assert_eq!(kid_of(Path::new("shop.secret")).expect("named").as_str(), "shop");
        assert!(kid_of(Path::new("/k/key")).is_err());
    }
}
