//! `camera-node link`: where the page of a node is, with what lets a viewer in, as text and as a QR code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::out;
use super::token::{Lifetime, PeerPattern, kid_of, sign};
use crate::access::config::KeyFile;
use crate::access::{Algorithm, KeyId, Mode, Scope};
use crate::config::Config;
use crate::http::{Bound, fingerprint_of};
use crate::node::{CERTIFICATE, StateFolder, known_password, pages};
use crate::session::NodeId;
use crate::sys;

/// Options of `link`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's config file; without it, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one line of JSON: {node, links, password, token, expires, certificate_sha256}.
    #[arg(long)]
    json: bool,
    /// With access.mode "token": who may use the link: a peer's id, or the beginning of ids and `*`.
    #[arg(long, value_name = "ID|BEGINNING*", default_value = "v-*")]
    peer: PeerPattern,
    /// With access.mode "token": how long from now on, 90s, 30m, 1h, 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: Lifetime,
    /// With access.mode "token": what it allows: view, talk, control, files; several with a comma between.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', default_value = "view")]
    scope: Vec<Scope>,
    /// With access.mode "token": the key to sign with. Without it, the secret of access.keys, or the private key
    /// beside the public one.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Args {
    /// Whether a program reads what is said.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Told {
    node: NodeId,
    /// The best first.
    links: Vec<String>,
    /// Of the embedded broker, for other MQTT clients than the page: their user name is their client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the token does, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// Of a certificate that no authority has signed: to be compared with what the browser shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
}

/// Prints it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = super::load(args.config.as_deref())?;
    let told = tell(&config, &args)?;
    if args.json {
        out::json(&told)?;
        return Ok(ExitCode::SUCCESS);
    }
    for link in &told.links {
        out::line(link)?;
    }
    if let Some(link) = told.links.first() {
        let columns = columns();
        let (drawn, needed) = qr(link, columns)?;
        out::line("")?;
        out::line(&drawn)?;
        if needed > columns {
            out::line(&format!("A phone can read it in a terminal of {needed} columns or more."))?;
        }
    }
    if let Some(print) = &told.certificate_sha256 {
        out::line(
            "The browser will warn of a certificate that no authority has signed: it is the right one if its SHA-256 is",
        )?;
        out::line(print)?;
    }
    if config.http.binds().all(|bind| bind.ip().is_loopback()) {
        out::line("Only browsers on this machine get there: set `http.bind` to 0.0.0.0:PORT for those of the LAN.")?;
    }
    if told.password.is_some() || told.token.is_some() {
        out::line("Whoever has this link can watch.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(config: &Config, args: &Args) -> anyhow::Result<Told> {
    let node = config.node.id();
    let http = &config.http;
    ensure!(http.enabled, "the node serves no page: set `http.enabled` to true");
    ensure!(
        http.binds().all(|bind| bind.port() != 0),
        "the page is at another port after each start: set one in `http.bind` (and `http.tls.bind`)"
    );
    let folder = StateFolder::of(&config.node);
    let password = if config.asks_for_password() {
        let missing = || {
            format!(
                "there is no password in {} yet: the node makes it when it first runs, in the folder that `node.state_folder` names",
                folder.path().display()
            )
        };
        Some(known_password(&folder)?.with_context(missing)?)
    } else {
        None
    };
    let (token, expires) = match config.access.mode {
        Mode::Open => (None, None),
        Mode::Token => {
            let now_s = sys::since_unix_epoch().as_secs();
            let (path, kid) = signing_key(&config.access.keys, args.key.as_deref())?;
            let jti = format!("{:016x}{:016x}", sys::random_bits(), sys::random_bits());
            let (token, expires) = sign((&path, &kid), &node, (&args.peer, &args.scope), jti, now_s, args.lasts)?;
            (Some(token), Some(expires))
        }
    };
    let certificate_sha256 = if http.tls.self_signed {
        let missing = "the node makes its certificate when it first runs";
        Some(folder.read(CERTIFICATE)?.and_then(|pem| fingerprint_of(&pem)).context(missing)?)
    } else {
        None
    };
    let fragment = fragment(password.as_deref(), token.as_deref());
    let links = pages(config, &Bound::default()).into_iter().map(|page| page + &fragment).collect();
    Ok(Told { node, links, password, token, expires, certificate_sha256 })
}

/// What lets a viewer in, where no server sees it. Passwords of our making and tokens need no escape.
fn fragment(password: Option<&str>, token: Option<&str>) -> String {
    let parts = [("password", password), ("token", token)];
    let parts: Vec<String> =
        parts.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
    if parts.is_empty() { String::new() } else { format!("#{}", parts.join("&")) }
}

/// The file to sign with, and the key's name.
fn signing_key(keys: &[KeyFile], given: Option<&Path>) -> anyhow::Result<(PathBuf, KeyId)> {
    if let Some(path) = given {
        return Ok((path.to_owned(), kid_of(path)?));
    }
    for key in keys {
        let path = match key.algorithm {
            Algorithm::Hs256 => Some(key.file.clone()),
            Algorithm::EdDsa => beside(&key.file),
        };
        if let Some(path) = path.filter(|path| fs::metadata(path).is_ok()) {
            return Ok((path, key.kid.clone()));
        }
    }
    bail!(
        "[access] asks for tokens, and no private key to sign one is here: --key FILE names it (`camera-node keys make` wrote it)"
    )
}

/// `k.private.pem` for `k.public.pem`: as `keys make` writes them.
fn beside(public: &Path) -> Option<PathBuf> {
    let name = public.file_name()?.to_str()?.strip_suffix(".public.pem")?;
    Some(public.with_file_name(format!("{name}.private.pem")))
}

/// The link as a code, and the columns that it takes: no more than `columns`, if that can be.
fn qr(link: &str, columns: usize) -> anyhow::Result<(String, usize)> {
    let code = |level| QrCode::with_error_correction_level(link, level).context("the link does not fit into a QR code");
    let needed = |code: &QrCode| code.width() + 2 * QUIET_ZONE;
    let mut drawn = code(EcLevel::M)?;
    if needed(&drawn) > columns {
        // There is no dirt on a screen: what would mend it gives way.
        drawn = code(EcLevel::L)?;
    }
    // Light modules are drawn, as on most terminals the ground is dark.
    let text = drawn.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Ok((text, needed(&drawn)))
}

/// The terminal's, or what terminals have where there is none.
fn columns() -> usize {
    let size = tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}

/// Light modules around a code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;
const USUAL_COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::access::SigningKey;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(more: &[&str]) -> Args {
        Line::try_parse_from([&["link"][..], more].concat()).map(|line| line.args).expect("a command line")
    }

    fn config(text: &str) -> Config {
        Config::from_text("link", text, []).expect("right")
    }

    #[test]
    fn a_page_on_loopback_needs_nothing_but_its_address() {
        let told = tell(&config(""), &args(&[])).expect("a page");
        assert_eq!(told.links, ["http://127.0.0.1:8080/"]);
        assert_eq!((told.password, told.token, told.certificate_sha256), (None, None, None));
        let (drawn, needed) = qr("http://127.0.0.1:8080/", 80).expect("short");
        // Version 2: 25 modules and four of a quiet zone at each side, two rows a line.
        assert_eq!((drawn.lines().count(), needed), (17, 33));
    }

    #[test]
    fn on_a_lan_the_link_carries_the_password_and_a_token() {
        let base = tempfile::tempdir().expect("there is room");
        let key = SigningKey::from_random(Algorithm::EdDsa, [5; 32]);
        let public = base.path().join("k.public.pem");
        fs::write(&public, key.to_public_file().expect("an EdDSA key")).expect("there is room");
        let text = format!(
            "[node]\nid = 'cam'\nstate_folder = '{}'\n[broker]\nembedded = true\n[http]\nbind = '192.0.2.7:80'\n\
             [access]\nmode = 'token'\n[[access.keys]]\nkid = 'k'\nfile = '{}'\n",
            base.path().display(),
            public.display()
        );
        let config = config(&text);
        let early = tell(&config, &args(&[])).expect_err("it has never run").to_string();
        assert!(early.contains("when it first runs"), "{early}");
        StateFolder::of(&config.node).write("broker-password", b"s3cret\n").expect("there is room");
        let keyless = tell(&config, &args(&[])).expect_err("only the public key").to_string();
        assert!(keyless.contains("--key FILE"), "{keyless}");
        fs::write(base.path().join("k.private.pem"), key.to_private_file()).expect("there is room");
        let told = tell(&config, &args(&["--for", "2h", "--scope", "view,talk"])).expect("all is there");
        let token = told.token.expect("asked for");
        let secrets = format!("#password=s3cret&token={token}");
        assert_eq!(told.links, [format!("http://camera-cam.local/{secrets}"), format!("http://192.0.2.7/{secrets}")]);
        assert!(told.expires.is_some_and(|at| at > sys::since_unix_epoch().as_secs() + 7_000));
    }

    #[test]
    fn a_page_that_cannot_be_linked_to_is_said_to_be() {
        for (text, words) in
            [("[http]\nenabled = false\n", "http.enabled"), ("[http]\nbind = '127.0.0.1:0'\n", "another port")]
        {
            let refused = tell(&config(text), &args(&[])).expect_err(text).to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
