//! What the system knows about a device: whose it is, and who holds it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program that has a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name, as `ps` shows it.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

/// Who has one of `devices` open. Other users' programs are seen by root only, so an empty list proves nothing.
pub fn holders(devices: &[PathBuf]) -> Vec<Holder> {
    let devices: Vec<PathBuf> = devices.iter().map(|d| fs::canonicalize(d).unwrap_or_else(|_| d.clone())).collect();
    who_has(&devices)
}

/// Who listens on this TCP port, as far as can be seen.
pub fn listeners(port: u16) -> Vec<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<PathBuf> = tables
        .iter()
        .flat_map(|table| listening(table, port))
        .map(|inode| format!("socket:[{inode}]").into())
        .collect();
    who_has(&sockets)
}

/// The inodes of the sockets that listen on `port`, in a table of the form of proc(5), `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        (u16::from_str_radix(local, 16) == Ok(port) && state == LISTEN).then(|| fields.nth(5)).flatten()
    })
}

/// Who has a file open whose name `/proc` tells as one of these.
fn who_has(targets: &[PathBuf]) -> Vec<Holder> {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| targets.contains(&target))
        })
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Holder { name: name.trim().to_owned(), pid }
        })
        .collect()
}

/// The capture devices of all sound cards.
pub fn sound_capture_nodes() -> Vec<PathBuf> {
    nodes("/dev/snd", |name| name.starts_with("pcmC") && name.ends_with('c'))
}

/// The playback devices of all sound cards.
pub fn sound_playback_nodes() -> Vec<PathBuf> {
    nodes("/dev/snd", |name| name.starts_with("pcmC") && name.ends_with('p'))
}

/// All V4L2 device nodes, cameras or not.
pub fn video_nodes() -> Vec<PathBuf> {
    nodes("/dev", |name| name.starts_with("video"))
}

fn nodes(folder: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut wanted: Vec<PathBuf> =
        all.filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted)).map(|entry| entry.path()).collect();
    wanted.sort();
    wanted
}

/// The group that may open `device`, `fallback` if it cannot be told.
pub fn group_of(device: &Path, fallback: &str) -> String {
    let gid = fs::metadata(device).map(|metadata| metadata.gid()).ok();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    gid.filter(|gid| *gid != 0).and_then(|gid| name_of(&groups, gid)).unwrap_or_else(|| fallback.to_owned())
}

/// The user we run as.
pub fn user() -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw();
    name_of(&users, uid).unwrap_or_else(|| uid.to_string())
}

/// The name with this id in a file of the form of passwd(5) and group(5).
fn name_of(table: &str, id: u32) -> Option<String> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_that_holds_a_file_is_found() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        assert_eq!(holders(&[file.path().to_owned()]), []);
        let mut sleeper = Command::new("sleep")
            .arg("30")
            .stdin(fs::File::open(file.path()).expect("it is there"))
            .spawn()
            .expect("sleep runs");
        // Between fork and exec it still bears our name.
        let is_sleep = |found: &Vec<Holder>| found.iter().any(|holder| holder.name == "sleep");
        let found = (0..10_000).map(|_| holders(&[file.path().to_owned()])).find(is_sleep).unwrap_or_default();
        sleeper.kill().expect("our own child");
        sleeper.wait().expect("our own child");
        assert_eq!(found, [Holder { name: "sleep".to_owned(), pid: sleeper.id() }]);
    }

    #[test]
    fn listening_sockets_are_found_by_their_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
                     \x20  1: 0100007F:1F90 0100007F:CAFE 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n";
        assert_eq!(listening(table, 8080).collect::<Vec<_>>(), ["4711"]);
        assert_eq!(listening(table, 8081).count(), 0);
    }

    #[test]
    fn names_are_found_by_their_ids() {
        let groups = "root:x:0:\nvideo:x:44:ada,bob\naudio:x:29:\n";
        assert_eq!(name_of(groups, 44).as_deref(), Some("video"));
        assert_eq!(name_of(groups, 45), None);
    }
}
