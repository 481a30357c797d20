//! The files behind `[access]`: the keys, the list of revoked tokens, and the latest time that was seen.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

use crate::access::config::{Access, KeyFile};
use crate::access::{Guard, Key, KeyRing, Mode, WallClock};
use crate::config::read_small_file;
use crate::session::NodeId;
use crate::sys;

/// A board that loses its power forgets at most so much of the time; flash does not like more writes.
const REMEMBER_EVERY_S: u64 = 3_600;

/// The key in a file of the config.
///
/// # Errors
/// A file that cannot be read, or that holds something else.
pub fn read_key(file: &KeyFile) -> anyhow::Result<Key> {
    let told = || format!("access.keys: {}: {}", file.kid, file.file.display());
    let content = read_small_file(&file.file).with_context(told)?;
    Key::from_file(file.algorithm, &content).with_context(told)
}

/// This machine's clock, judged by the one moment that is known without any file: the build of this program.
pub fn wall_clock() -> WallClock {
    WallClock::judge(sys::since_unix_epoch().as_secs(), built_s())
}

/// Seconds since 1970 at which this program was built.
fn built_s() -> u64 {
    env!("CAMERA_NODE_BUILT_S").parse().expect("the build script writes a number")
}

/// Any clock that shows less, in seconds since 1970, is not set: the program was there when it was built, and when it kept
/// the time.
fn floor(built_s: u64, kept_s: u64) -> u64 {
    built_s.max(kept_s)
}

/// The files, and how they were when they were last read.
pub struct AccessFiles {
    config: Access,
    node: NodeId,
    stamps: Vec<Stamp>,
    floor_s: u64,
    remembered_s: u64,
}

/// What changes when a file is written.
type Stamp = Option<(SystemTime, u64)>;

impl AccessFiles {
    /// Reads all of them.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds something else: nobody is let in by half a list.
    pub fn open(config: &Access, node: &NodeId) -> anyhow::Result<(Self, Guard)> {
        let remembered_s = config.clock_file.as_deref().map_or(0, remembered);
        let floor_s = floor(built_s(), remembered_s);
        let mut files = Self { config: config.clone(), node: node.clone(), stamps: Vec::new(), floor_s, remembered_s };
        files.stamps = files.look();
        let guard = files.guard()?;
        Ok((files, guard))
    }

    /// Whether tokens are asked for at all.
    pub fn are_needed(&self) -> bool {
        self.config.mode == Mode::Token
    }

    /// The guard by the files as they are now, if one has changed since the last look.
    ///
    /// # Errors
    /// A file that cannot be used. The guard before it stays; the next change is another chance.
    pub fn changed(&mut self) -> anyhow::Result<Option<Guard>> {
        let stamps = self.look();
        if stamps == self.stamps {
            return Ok(None);
        }
        self.stamps = stamps;
        self.guard().map(Some)
    }

    /// What the clock shows, as far as it can be believed.
    pub fn clock(&self) -> WallClock {
        WallClock::judge(sys::since_unix_epoch().as_secs(), self.floor_s)
    }

    /// Whether this machine's clock shows a time at which this program was there.
    pub fn is_clock_set() -> bool {
        sys::since_unix_epoch().as_secs() >= built_s()
    }

    /// Keeps the time for the next start, if there is a place for it and an hour has passed; `at_once` at the end.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(&mut self, at_once: bool) -> anyhow::Result<()> {
        let (Some(path), WallClock::Set { unix_s }) = (&self.config.clock_file, self.clock()) else { return Ok(()) };
        let is_due = unix_s > self.remembered_s && (at_once || unix_s - self.remembered_s >= REMEMBER_EVERY_S);
        if !is_due {
            return Ok(());
        }
        // Also if it fails: the next try is in an hour.
        self.remembered_s = unix_s;
        write_whole(path, &format!("{unix_s}\n")).with_context(|| format!("access.clock_file: {}", path.display()))
    }

    fn guard(&self) -> anyhow::Result<Guard> {
        if !self.are_needed() {
            return Ok(Guard::open());
        }
        let keys = self.config.keys.iter().map(|file| Ok((file.kid.clone(), read_key(file)?)));
        let keys = keys.collect::<anyhow::Result<KeyRing>>()?;
        let revoked = match &self.config.revoked_file {
            Some(path) => {
                let content =
                    read_small_file(path).with_context(|| format!("access.revoked_file: {}", path.display()))?;
                String::from_utf8_lossy(&content).into_owned()
            }
            None => String::new(),
        };
        Ok(Guard::with_tokens(self.node.as_str(), keys, self.config.unset_clock).without(&revoked))
    }

    fn look(&self) -> Vec<Stamp> {
        let files = self.config.keys.iter().map(|key| &key.file).chain(&self.config.revoked_file);
        files
            .map(|path| {
                let about = fs::metadata(path).ok()?;
                Some((about.modified().ok()?, about.len()))
            })
            .collect()
    }
}

/// The time in the file; 0 if there is none yet.
fn remembered(path: &Path) -> u64 {
    read_small_file(path).ok().and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok()).unwrap_or(0)
}

/// Leaves the old file or the new one, never half of it, whenever the power goes.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = PathBuf::from(path).into_os_string();
    beside.push(".new");
    fs::write(&beside, text)?;
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Algorithm, SigningKey};

    fn config(folder: &Path) -> Access {
        let key = SigningKey::from_random(Algorithm::EdDsa, [3; 32]);
        let file = folder.join("k.public.pem");
        fs::write(&file, key.to_public_file().expect("an EdDSA key")).expect("there is room");
        let revoked = folder.join("revoked");
        fs::write(&revoked, "").expect("there is room");
        let kid = "k".parse().expect("a name");
        Access {
            mode: Mode::Token,
            keys: vec![KeyFile { kid, algorithm: Algorithm::EdDsa, file }],
            revoked_file: Some(revoked),
            clock_file: Some(folder.join("clock")),
            ..Access::default()
        }
    }

    fn node() -> NodeId {
        "porch".parse().expect("a node id")
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("there is room");
        let config = config(folder.path());
        let (mut files, guard) = AccessFiles::open(&config, &node()).expect("all is there");
        assert_eq!(guard.mode(), Mode::Token);
        assert!(files.changed().expect("readable").is_none());
        let revoked = config.revoked_file.as_ref().expect("set above");
        fs::write(revoked, "stolen\n").expect("there is room");
        assert!(files.changed().expect("readable").is_some());
        assert!(files.changed().expect("readable").is_none(), "once");
        fs::remove_file(revoked).expect("it was there");
        assert!(files.changed().expect_err("gone").to_string().starts_with("access.revoked_file: "));
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_at_the_start() {
        let folder = tempfile::tempdir().expect("there is room");
        let config = config(folder.path());
        fs::write(&config.keys[0].file, "no key").expect("there is room");
        let Err(error) = AccessFiles::open(&config, &node()) else { panic!("there is no key") };
        let story = format!("{error:#}");
        assert!(story.starts_with("access.keys: k: ") && story.contains("-----BEGIN PUBLIC KEY-----"), "{story}");
    }

    #[test]
    fn the_latest_time_outlives_the_program() {
        let folder = tempfile::tempdir().expect("there is room");
        let config = config(folder.path());
        let (mut files, _) = AccessFiles::open(&config, &node()).expect("all is there");
        let WallClock::Set { unix_s } = files.clock() else { panic!("this machine's clock stands before our build") };
        files.remember(true).expect("there is room");
        let path = config.clock_file.as_ref().expect("set above");
        assert!(remembered(path) >= unix_s);

        let later = unix_s + 1_000_000;
        fs::write(path, format!("{later}\n")).expect("there is room");
        let (mut files, _) = AccessFiles::open(&config, &node()).expect("all is there");
        assert_eq!(files.clock(), WallClock::Unset { floor_s: later }, "the clock was later once");
        files.remember(true).expect("there is nothing to write");
        assert_eq!(remembered(path), later);
        fs::write(path, "garbage").expect("there is room");
        let (files, _) = AccessFiles::open(&config, &node()).expect("all is there");
        assert!(matches!(files.clock(), WallClock::Set { .. }));
    }

    #[test]
    fn no_clock_is_believed_that_stands_before_the_build_or_before_what_was_kept() {
        assert_eq!([floor(7, 0), floor(7, 5), floor(7, 9)], [7, 7, 9]);
        let folder = tempfile::tempdir().expect("there is room");
        let config = config(folder.path());
        let floor_of = || AccessFiles::open(&config, &node()).expect("all is there").0.floor_s;
        assert_eq!(floor_of(), built_s(), "nothing was kept yet");
        fs::write(config.clock_file.as_ref().expect("set above"), "5\n").expect("there is room");
        assert_eq!(floor_of(), built_s(), "what was kept is older than the program");
    }
}
