//! The folder for what the node makes itself and must have again after a restart. What is in it is readable for the
//! node's own user alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::{NodeSection, read_small_file};

/// As much as all that a node keeps takes, and not so little that a file system keeps it beside the name.
const PROBE_BYTES: usize = 65_536;

/// `node.state_folder`, and in it a folder for this node: two nodes on one machine do not meet.
#[derive(Debug, Clone)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// The folder of the node that `node` describes; nothing is looked at yet.
    pub fn of(node: &NodeSection) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = node.state_folder.clone().unwrap_or_else(|| {
            choose(
                variable("STATE_DIRECTORY"),
                rustix::process::getuid().is_root(),
                variable("XDG_STATE_HOME"),
                variable("HOME"),
            )
        });
        Self(base.join(node.id().as_str()))
    }

    /// Another folder, kept in the same way.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is kept under `name`, if anything is.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        // A pipe would be waited at for ever.
        let read = match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() => Err(io::Error::other("it is no file")),
            _ => read_small_file(&path),
        };
        match read {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("node.state_folder: {} cannot be read", path.display())),
        }
    }

    /// Keeps `content` under `name`: whenever the power goes, the old content is there or the new one, never half of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        self.try_write(name, content).with_context(|| {
            format!(
                "node.state_folder: {} cannot be written; set it to a folder that the node may write to",
                self.0.join(name).display()
            )
        })
    }

    /// Forgets what is kept under `name`, if anything is.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("node.state_folder: {} cannot be removed", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether something new could be kept. It is tried out in the folder, or in the nearest one above that is there, and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// It could not.
    pub fn try_out(&self) -> anyhow::Result<()> {
        let nearest = self.0.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
        let probe = nearest.join(format!(".camera-node-check-{}", std::process::id()));
        let tried = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
        // A full disk takes a new name, and no byte.
        let written = tried.and_then(|mut file| {
            let written = file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_all());
            fs::remove_file(&probe).and(written)
        });
        written.with_context(|| format!("{} cannot be written", self.0.display()))
    }

    fn try_write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let heir = Heir::of(&self.0)?;
        let missing: Vec<&Path> = self.0.ancestors().take_while(|folder| !folder.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        for folder in missing {
            heir.inherit(&File::open(folder)?)?;
        }
        let beside = self.0.join(format!("{name}.new"));
        // A power cut may have left one behind.
        if let Err(error) = fs::remove_file(&beside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        heir.inherit(&file)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, self.0.join(name))
    }
}

/// Who is to have what root makes for others: a command run with sudo writes for the service, which is another user.
struct Heir(Option<(u32, u32)>);

impl Heir {
    /// The owner of this folder, or else of the one it will be made in.
    fn of(folder: &Path) -> io::Result<Self> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self(None));
        }
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let about = fs::metadata(there)?;
        Ok(Self(Some((about.uid(), about.gid()))))
    }

    fn inherit(&self, file: &File) -> io::Result<()> {
        let Some((user, group)) = self.0 else { return Ok(()) };
        fchown(file, Some(user), Some(group))
    }
}

fn choose(by_systemd: Option<PathBuf>, is_root: bool, xdg: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    // With several folders systemd puts a colon between them; the unit has one.
    if let Some(folder) = by_systemd {
        return folder;
    }
    if is_root {
        return PathBuf::from("/var/lib/camera-node");
    }
    let base = xdg.or_else(|| home.map(|home| home.join(".local/state")));
    base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("camera-node")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_there_again_and_for_nobody_else() {
        let base = tempfile::tempdir().expect("there is room");
        let node = NodeSection {
            id: Some("porch".parse().expect("an id")),
            state_folder: Some(base.path().join("not/there/yet")),
            ..NodeSection::default()
        };
        let folder = StateFolder::of(&node);
        assert_eq!(folder.path(), base.path().join("not/there/yet/porch"));
        assert_eq!(folder.read("secret").expect("no folder is no error"), None);
        for content in [b"one".as_slice(), b"two"] {
            folder.write("secret", content).expect("there is room");
            assert_eq!(folder.read("secret").expect("readable").as_deref(), Some(content));
        }
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.path().join("secret"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_root_keeps_is_the_folders_owners() {
        if !rustix::process::getuid().is_root() {
            return;
        }
        let base = tempfile::tempdir().expect("there is room");
        std::os::unix::fs::chown(base.path(), Some(1_234), Some(1_235)).expect("we are root");
        let folder = StateFolder::at(base.path().join("not/there"));
        folder.write("secret", b"x").expect("there is room");
        for path in [base.path().join("not"), folder.path().to_owned(), folder.path().join("secret")] {
            let about = fs::metadata(&path).expect("there");
            assert_eq!((about.uid(), about.gid()), (1_234, 1_235), "{}", path.display());
        }
        folder.remove("secret").expect("ours");
        folder.remove("secret").expect("it is gone already");
        assert_eq!(folder.read("secret").expect("no error"), None);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_with_its_key() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        let node = NodeSection { state_folder: Some(file.path().to_owned()), ..NodeSection::default() };
        let error = StateFolder::of(&node).write("secret", b"x").expect_err("a file is no folder").to_string();
        assert!(error.starts_with("node.state_folder: ") && error.contains("may write to"), "{error}");
    }

    #[test]
    fn trying_it_out_makes_nothing() {
        let base = tempfile::tempdir().expect("there is room");
        let node = |folder: &Path| NodeSection { state_folder: Some(folder.to_owned()), ..NodeSection::default() };
        let good = StateFolder::of(&node(&base.path().join("not/there/yet")));
        good.try_out().expect("it could be made");
        assert_eq!(fs::read_dir(base.path()).expect("a folder").count(), 0);
        // Not even root makes files there.
        let error = StateFolder::of(&node(Path::new("/proc/nowhere"))).try_out().expect_err("not a folder for files");
        assert!(error.to_string().contains("/proc/nowhere"), "{error}");
    }

    #[test]
    fn systemds_folder_comes_before_roots_and_that_before_a_users() {
        let path = |text: &str| Some(PathBuf::from(text));
        for (chosen, folder) in [
            (choose(path("/run/s"), true, path("/x"), path("/h")), "/run/s"),
            (choose(None, true, path("/x"), path("/h")), "/var/lib/camera-node"),
            (choose(None, false, path("/x"), path("/h")), "/x/camera-node"),
            (choose(None, false, None, path("/h")), "/h/.local/state/camera-node"),
        ] {
            assert_eq!(chosen, Path::new(folder));
        }
    }
}
