//! `camera-node keys`: makes the keys that tokens are signed and checked with, and shows those of a config.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;

use super::{ConfigFile, out};
use crate::access::config::KeyFile;
use crate::access::{Algorithm, KeyId, SigningKey};
use crate::node::read_key;
use crate::sys;

/// Options of `keys`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a new key, in files that only you can read.
    Make(Make),
    /// Show the keys of a config, and whether the node can use them.
    List(List),
}

#[derive(Debug, clap::Args)]
struct Make {
    /// The key's name, which every token signed with it carries; "2026-11" tells one from the next.
    #[arg(long, value_name = "NAME")]
    kid: KeyId,
    /// EdDSA: a private key to make tokens, a public one for the node. HS256: one secret for both.
    #[arg(long, value_name = "EdDSA|HS256", default_value = "EdDSA")]
    algorithm: Algorithm,
    /// Write the files into this folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where the key is there already, leave it and say nothing: for units and scripts that run at each start.
    #[arg(long)]
    if_missing: bool,
    /// Print the files' names as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one line of JSON: a list of {kid, algorithm, file, ok, detail}.
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    kid: KeyId,
    algorithm: Algorithm,
    /// For whoever makes tokens.
    private: PathBuf,
    /// For the node.
    public: PathBuf,
}

/// A key of a config.
#[derive(Debug, Serialize)]
struct Listed {
    kid: KeyId,
    algorithm: Algorithm,
    file: PathBuf,
    ok: bool,
    detail: String,
}

/// Makes a key, or lists those there are.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Make(args) => {
            let key = SigningKey::from_random(args.algorithm, random());
            let Some(made) = write(&key, &args.kid, &args.dir, args.if_missing)? else { return Ok(ExitCode::SUCCESS) };
            if args.json {
                out::json(&made)?
            } else {
                out::line(&in_words(&made))?
            }
            Ok(ExitCode::SUCCESS)
        }
        What::List(args) => {
            let listed: Vec<Listed> = args.file.load()?.access.keys.iter().map(look_at).collect();
            if args.json {
                out::json(&listed)?;
            } else if listed.is_empty() {
                out::line("no keys: the config has no [[access.keys]]")?;
            } else {
                for Listed { kid, algorithm, file, detail, .. } in &listed {
                    out::line(&format!("{kid}  {algorithm}  {}  {detail}", file.display()))?;
                }
            }
            Ok(if listed.iter().all(|key| key.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn random() -> [u8; 32] {
    let mut bits = [0; 32];
    bits.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&sys::random_bits().to_le_bytes()));
    bits
}

/// Writes a new key; never over another one. With `if_missing` a key that is there is no error but `None`.
fn write(key: &SigningKey, kid: &KeyId, folder: &Path, if_missing: bool) -> anyhow::Result<Option<Made>> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let at = |ending: &str| folder.join(format!("{kid}.{ending}"));
    let (private, public) = match key.algorithm() {
        Algorithm::EdDsa => (at("private.pem"), at("public.pem")),
        Algorithm::Hs256 => (at("secret"), at("secret")),
    };
    if if_missing && private.exists() && public.exists() {
        return Ok(None);
    }
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        bail!("{} is there already: tokens signed with it would be lost; take another --kid", there.display());
    }
    write_new(&private, &key.to_private_file(), 0o600)?;
    if let Some(text) = key.to_public_file() {
        // Nobody can do harm with it, and the node often runs as another user.
        write_new(&public, &text, 0o644)?;
    }
    Ok(Some(Made { kid: kid.clone(), algorithm: key.algorithm(), private, public }))
}

/// A power cut leaves the whole file or none: half a key would stop the node at each start.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // Of an earlier power cut.
    let _ = fs::remove_file(&beside);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&beside, path)).with_context(|| format!("{}: cannot be written", path.display()))
}

fn in_words(made: &Made) -> String {
    let Made { kid, algorithm, private, public } = made;
    let (private, public) = (private.display(), public.display());
    let files = match algorithm {
        Algorithm::EdDsa => format!("{private}: keep it where tokens are made\n{public}: for the node"),
        Algorithm::Hs256 => {
            format!("{private}: for the node and where tokens are made; who reads it can make tokens")
        }
    };
    format!("{files}\n\n[[access.keys]]\nkid = \"{kid}\"\nalgorithm = \"{algorithm}\"\nfile = \"{public}\"")
}

fn look_at(file: &KeyFile) -> Listed {
    let (ok, detail) = match read_key(file) {
        Ok(key) => {
            (true, key.fingerprint().map_or_else(|| "a secret".to_owned(), |print| format!("public key {print}")))
        }
        Err(error) => (false, error.root_cause().to_string()),
    };
    Listed { kid: file.kid.clone(), algorithm: file.algorithm, file: file.file.clone(), ok, detail }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_what_is_secret() {
        let folder = tempfile::tempdir().expect("there is room");
        for (algorithm, private_mode, files) in [(Algorithm::EdDsa, 0o600, 2), (Algorithm::Hs256, 0o600, 1)] {
            let kid: KeyId = format!("k-{algorithm}").parse().expect("a name");
            let key = SigningKey::from_random(algorithm, random());
            let made = write(&key, &kid, folder.path(), true).expect("written").expect("it was missing");
            let mode = fs::metadata(&made.private).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, private_mode, "{algorithm}");
            let of_key = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(kid.as_str());
            let there = fs::read_dir(folder.path()).expect("there").flatten().filter(of_key).count();
            assert_eq!(there, files, "{algorithm}");

            let listed = look_at(&KeyFile { kid: kid.clone(), algorithm, file: made.public.clone() });
            assert!(listed.ok, "{listed:?}");
            let before = fs::read(&made.private).expect("there");
            let refused = write(&key, &kid, folder.path(), false).expect_err("never over a key").to_string();
            assert!(refused.ends_with("take another --kid"), "{refused}");
            assert!(write(&key, &kid, folder.path(), true).expect("no error").is_none());
            assert_eq!(fs::read(&made.private).expect("there"), before);
            assert_ne!(random(), random());
        }
        let private = folder.path().join("k-EdDSA.private.pem");
        let kid: KeyId = "k".parse().expect("a name");
        let listed = look_at(&KeyFile { kid, algorithm: Algorithm::EdDsa, file: private });
        assert!(!listed.ok && listed.detail.starts_with("holds a private key"), "{listed:?}");
    }
}
