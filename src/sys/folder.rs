//! One folder whose plain files may be read and deleted by names that come from outside, and nothing beside it.
//!
//! A name is opened relative to the folder's descriptor by `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`: whatever
//! is swapped in between, the kernel does not leave the folder. Kernels before 5.6, and sandboxes that do not know the call, get
//! `openat` with `O_NOFOLLOW`, which is as much for a name without a slash.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat, unlinkat};
use rustix::io::Errno;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// What is known of a plain file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStat {
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was written last, in seconds since 1970.
    pub modified_s: i64,
    /// And nanoseconds.
    pub modified_ns: u64,
}

impl Folder {
    /// Opens it. A link that its owner has made is followed: it is the config that names it.
    ///
    /// # Errors
    /// It is not there, no folder, or not ours to read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// The names of the plain files, in no order, at most `limit`, with what is known of each.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn files(&self, limit: usize) -> io::Result<Vec<(Vec<u8>, FileStat)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(self.0.as_fd())? {
            let entry = entry?;
            // Gone since, or nothing that can be looked at: no file of ours.
            let Ok(stat) = statat(&self.0, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if let Some(stat) = plain(&stat) {
                found.push((entry.file_name().to_bytes().to_vec(), stat));
                if found.len() >= limit {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Opens a plain file to be read. Waits for nobody, as the opening of a pipe would.
    ///
    /// # Errors
    /// `NotFound` where there is no plain file of this name; the system's own else.
    pub fn read(&self, name: &str) -> io::Result<(File, FileStat)> {
        self.read_by(name, openat2_or_less)
    }

    /// Takes a plain file away.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.read(name)?;
        // What is swapped in here is taken away itself, never what it leads to, and no folder.
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn read_by(
        &self,
        name: &str,
        open: impl Fn(&OwnedFd, &str, OFlags) -> rustix::io::Result<OwnedFd>,
    ) -> io::Result<(File, FileStat)> {
        let is_plain =
            !name.is_empty() && !matches!(name, "." | "..") && !name.bytes().any(|byte| matches!(byte, b'/' | 0));
        if !is_plain {
            return Err(io::ErrorKind::NotFound.into());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = open(&self.0, name, flags).map_err(|error| match error {
            // A link, a socket, a device that is not there.
            Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV | Errno::NAMETOOLONG => {
                io::ErrorKind::NotFound.into()
            }
            other => io::Error::from(other),
        })?;
        let stat = plain(&fstat(&file)?).ok_or(io::ErrorKind::NotFound)?;
        Ok((File::from(file), stat))
    }
}

fn openat2_or_less(folder: &OwnedFd, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder, OsStr::from_bytes(name.as_bytes()), flags, Mode::empty(), resolve) {
        // The kernel does not know it, or a sandbox that does not forbids it.
        Err(Errno::NOSYS | Errno::PERM) => openat_alone(folder, name, flags),
        result => result,
    }
}

fn openat_alone(folder: &OwnedFd, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(folder, name, flags, Mode::empty())
}

#[allow(clippy::unnecessary_cast, reason = "on 32 bit the fields are of other types")]
fn plain(stat: &rustix::fs::Stat) -> Option<FileStat> {
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| FileStat {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified_s: stat.st_mtime as i64,
        modified_ns: stat.st_mtime_nsec as u64,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(&OwnedFd, &str, OFlags) -> rustix::io::Result<OwnedFd>;
    const WAYS: [Open; 2] = [openat2_or_less, openat_alone];

    /// A folder with every kind of thing in it, beside a secret.
    fn place() -> (tempfile::TempDir, Folder) {
        let base = tempfile::tempdir().expect("there is room");
        let inside = base.path().join("media");
        fs::create_dir(&inside).expect("there is room");
        fs::write(base.path().join("secret"), "secret").expect("there is room");
        fs::write(inside.join("clip"), "clip").expect("there is room");
        fs::write(inside.join("a".repeat(255)), "long").expect("there is room");
        fs::create_dir(inside.join("folder")).expect("there is room");
        symlink("../secret", inside.join("link")).expect("there is room");
        symlink("clip", inside.join("inner-link")).expect("there is room");
        symlink("/proc/self/root/etc/passwd", inside.join("magic")).expect("there is room");
        rustix::fs::mknodat(CWD, inside.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        std::os::unix::net::UnixListener::bind(inside.join("socket")).expect("a socket");
        let folder = Folder::open(&inside).expect("it is there");
        (base, folder)
    }

    #[test]
    fn only_plain_files_of_the_folder_are_opened_by_either_call() {
        let (base, folder) = place();
        let secret = base.path().join("secret");
        for open in WAYS {
            for (name, content) in [("clip", "clip"), (&"a".repeat(255), "long")] {
                let (mut file, stat) = folder.read_by(name, open).expect("a plain file");
                let mut text = String::new();
                file.read_to_string(&mut text).expect("readable");
                assert_eq!((text.as_str(), stat.bytes), (content, 4));
            }
            let absolute = secret.to_str().expect("UTF-8");
            for name in [
                "",
                ".",
                "..",
                "../secret",
                "./clip",
                "folder/../clip",
                absolute,
                "link",
                "inner-link",
                "magic",
                "folder",
                "pipe",
                "socket",
                "clip\0",
                "clip/",
                "missing",
                &"a".repeat(256),
            ] {
                let error = folder.read_by(name, open).expect_err(name);
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name:?}: {error}");
            }
        }
    }

    #[test]
    fn a_folder_that_is_moved_and_replaced_by_a_link_is_still_the_one_that_was_opened() {
        let (base, folder) = place();
        fs::rename(base.path().join("media"), base.path().join("away")).expect("moved");
        symlink(".", base.path().join("media")).expect("there is room");
        assert_eq!(folder.read("secret").expect_err("not in it").kind(), io::ErrorKind::NotFound);
        assert!(folder.read("clip").is_ok());
    }

    #[test]
    fn a_link_swapped_in_again_and_again_leads_nowhere() {
        let (base, folder) = place();
        let (name, aside) = (base.path().join("media/swapped"), base.path().join("media/aside"));
        let swapping = std::thread::spawn(move || {
            for _ in 0..500 {
                fs::write(&aside, "plain").expect("there is room");
                fs::rename(&aside, &name).expect("swapped");
                symlink("../secret", &aside).expect("there is room");
                fs::rename(&aside, &name).expect("swapped");
            }
        });
        while !swapping.is_finished() {
            for open in WAYS {
                if let Ok((mut file, _)) = folder.read_by("swapped", open) {
                    let mut text = String::new();
                    file.read_to_string(&mut text).expect("readable");
                    assert_eq!(text, "plain");
                }
            }
        }
        swapping.join().expect("no panic");
    }

    #[test]
    fn only_plain_files_are_listed_and_deleted() {
        let (base, folder) = place();
        let mut names: Vec<usize> = folder.files(100).expect("readable").iter().map(|(name, _)| name.len()).collect();
        names.sort_unstable();
        assert_eq!(names, [4, 255], "clip and the long one");
        assert_eq!(folder.files(1).expect("readable").len(), 1);
        for name in ["link", "inner-link", "folder", "pipe", "socket", "..", "../secret", "missing"] {
            assert_eq!(folder.delete(name).expect_err(name).kind(), io::ErrorKind::NotFound);
        }
        folder.delete("clip").expect("a plain file");
        assert!(folder.read("clip").is_err());
        assert!(base.path().join("secret").exists() && base.path().join("media/folder").exists());
        assert!(base.path().join("media/inner-link").symlink_metadata().is_ok());
    }
}
