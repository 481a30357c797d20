//! A pause before a start that follows others which have ended badly, so that a node which cannot live does not burn its board.
//!
//! systemd's own (`RestartSteps=`) is younger than Debian 12. What is counted stands in the unit's runtime directory, which has
//! to outlive a restart (`RuntimeDirectoryPreserve=restart`) and does not outlive a stop: whoever starts it by hand waits for
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;

use super::tell;
use crate::media::MediaTime;
use crate::node::clock::media_now;

/// What has lived for so long has not died of its start.
const GOOD_LIFE: Duration = Duration::from_secs(300);
/// With systemd's own two seconds (`RestartSec=`) a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(58);
/// For the start itself, after the pause.
const TO_START: Duration = Duration::from_secs(60);

/// The starts before this one that have ended badly, one after the other.
#[derive(Debug)]
pub struct Starts {
    /// Where they are counted, if anywhere.
    file: Option<PathBuf>,
    badly: u32,
}

impl Starts {
    /// Of the service that systemd has started; of what was started otherwise there are none.
    pub fn of_service() -> Self {
        let folders = std::env::var_os("RUNTIME_DIRECTORY");
        let folder = folders.as_ref().and_then(|folders| std::env::split_paths(folders).next());
        Self::in_folder(folder.as_deref(), media_now())
    }

    fn in_folder(folder: Option<&Path>, now: MediaTime) -> Self {
        let file = folder.map(|folder| folder.join("starts"));
        let record = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        // A start whose record is still there has not ended well.
        let badly = record
            .as_deref()
            .and_then(read)
            .map_or(0, |(badly, begun)| if now.since(begun) >= GOOD_LIFE { 1 } else { badly.saturating_add(1) });
        Self { file, badly }
    }

    /// How long to wait before this one: nothing, nothing, 2, 4, 8, … s.
    pub fn pause(&self) -> Duration {
        match self.badly {
            0 | 1 => Duration::ZERO,
            badly => Duration::from_secs(1 << (badly - 1).min(6)).min(LONGEST_PAUSE),
        }
    }

    /// Tells systemd that it waits, why, and that it is not to lose patience over it.
    pub fn tell_pause(&self) {
        let (pause, badly) = (self.pause(), self.badly);
        let line = format!("waits for {} s: {badly} starts in a row have ended badly", pause.as_secs());
        tracing::warn!("{line}");
        let patience = u32::try_from((pause + TO_START).as_micros()).unwrap_or(u32::MAX);
        tell(&[NotifyState::ExtendTimeoutUsec(patience), NotifyState::Status(&line)]);
    }

    /// It begins now. One that cannot be counted begins all the same.
    pub fn begin(&self) {
        self.begin_at(media_now());
    }

    fn begin_at(&self, now: MediaTime) {
        let Some(file) = &self.file else { return };
        if let Err(error) = fs::write(file, format!("{} {}\n", self.badly, now.as_nanos())) {
            tracing::debug!(file = %file.display(), %error, "starts are not counted");
        }
    }

    /// It has ended as it was told to.
    pub fn ended_well(&self) {
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

fn read(record: &str) -> Option<(u32, MediaTime)> {
    let (badly, begun) = record.trim().split_once(' ')?;
    Some((badly.parse().ok()?, MediaTime::from_nanos(begun.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_nanos(seconds * 1_000_000_000)
    }

    /// Starts a service in `folder` at `now`; the seconds it waits for.
    fn start(folder: &Path, now: u64) -> u64 {
        let starts = Starts::in_folder(Some(folder), at(now));
        starts.begin_at(at(now).plus(starts.pause()));
        starts.pause().as_secs()
    }

    #[test]
    fn each_start_that_ends_badly_makes_the_next_pause_longer() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut now = 1_000;
        let pauses: Vec<u64> = std::iter::repeat_with(|| {
            let pause = start(folder.path(), now);
            now += pause + 3;
            pause
        })
        .take(10)
        .collect();
        assert_eq!(pauses, [0, 0, 2, 4, 8, 16, 32, 58, 58, 58]);
        assert_eq!(start(folder.path(), now + 295), 58, "the last one has lived for less than five minutes");
        assert_eq!(start(folder.path(), now + 295 + 58 + 301), 0, "a good life");
        assert_eq!(start(folder.path(), now + 295 + 58 + 303), 2);
    }

    #[test]
    fn what_ends_well_is_forgotten_and_what_is_started_by_hand_waits_for_nothing() {
        let folder = tempfile::tempdir().expect("there is room");
        assert_eq!((start(folder.path(), 1), start(folder.path(), 2), start(folder.path(), 3)), (0, 0, 2));
        Starts::in_folder(Some(folder.path()), at(4)).ended_well();
        assert_eq!(start(folder.path(), 5), 0);
        let by_hand = Starts::in_folder(None, at(6));
        by_hand.begin_at(at(6));
        by_hand.ended_well();
        assert_eq!(by_hand.pause(), Duration::ZERO);
        for junk in ["", "1", "one two", "1 -1", "99999999999 1"] {
            fs::write(folder.path().join("starts"), junk).expect("there is room");
            assert_eq!(start(folder.path(), 7), 0, "{junk}");
        }
        fs::write(folder.path().join("starts"), "4294967295 1").expect("there is room");
        assert_eq!(start(folder.path(), 8), 58);
    }
}
