//! Whether there is room where the node keeps what it must have again after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::config::Config;

use super::state::{Board, State};
use super::state_folder::StateFolder;

const PART: &str = "storage";
/// How soon a full disk is noticed, and one that has room again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is kept here is a few kilobytes; whoever has less than this has none.
const LEAST_BYTES: u64 = 256 * 1024;

/// What the system says of a folder's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    free_bytes: u64,
    is_read_only: bool,
}

/// Looks at it for ever, if anything is to be written at all.
pub async fn watch(config: Arc<Config>, folder: StateFolder, board: Arc<Board>) {
    let mut places = Vec::new();
    if config.asks_for_password() || (config.http.enabled && config.http.tls.self_signed) {
        places.push(folder.path().to_owned());
    }
    places.extend(config.access.clock_file.clone());
    if places.is_empty() {
        board.forget(PART);
        return;
    }
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let trouble = places.iter().find_map(|place| room(place).and_then(judge));
        match trouble {
            None => board.note(PART, State::Live, ""),
            Some(words) => board.note(PART, State::Full, words),
        }
    }
}

/// What is wrong, in words.
fn judge(room: Room) -> Option<&'static str> {
    if room.is_read_only {
        Some("the disk can only be read: what the node makes is lost with a restart")
    } else if room.free_bytes < LEAST_BYTES {
        Some("the disk is full: what the node makes is lost with a restart")
    } else {
        None
    }
}

/// Of the folder or file, or of what will hold it once it is made.
fn room(place: &Path) -> Option<Room> {
    let there = place.ancestors().find_map(|place| statvfs(place).ok())?;
    let free_bytes = there.f_bavail.saturating_mul(there.f_frsize);
    Some(Room { free_bytes, is_read_only: there.f_flag.contains(StatVfsMountFlags::RDONLY) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_or_without_writing_is_said() {
        assert_eq!(judge(Room { free_bytes: LEAST_BYTES, is_read_only: false }), None);
        assert!(judge(Room { free_bytes: LEAST_BYTES - 1, is_read_only: false }).is_some_and(|it| it.contains("full")));
        assert!(judge(Room { free_bytes: u64::MAX, is_read_only: true }).is_some_and(|it| it.contains("read")));
    }

    #[test]
    fn a_folder_that_is_not_made_yet_has_the_room_of_the_one_above() {
        let here = tempfile::tempdir().expect("there is room");
        let above = room(here.path()).expect("it is there");
        let below = room(&here.path().join("not/there/yet")).expect("it will be");
        assert_eq!(above.is_read_only, below.is_read_only);
        assert!(below.free_bytes > 0);
    }
}
