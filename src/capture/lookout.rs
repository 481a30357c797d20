//! Decides when a device that was not there is worth looking for: to look means to open all there are, so it is done when
//! their files have changed.

use std::time::Duration;

use crate::media::MediaTime;

/// Between two looks at the files' names: a few system calls.
const FILES_EVERY: Duration = Duration::from_secs(1);
/// A device that has just been plugged in is neither ours nor has all its names at once: udev takes its time over that, and a
/// driver over its firmware.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// Devices are looked at as rarely as this whatever their files say.
const ANYWAY_EVERY: Duration = Duration::from_secs(60);

/// What was seen so far of a device `T` and of the `Files` there are.
#[derive(Debug)]
pub(super) struct Lookout<T, Files> {
    files: Option<Files>,
    files_looked: Option<MediaTime>,
    changed: MediaTime,
    searched: Option<MediaTime>,
    /// Found at the last look.
    found: Option<T>,
}

impl<T, Files> Default for Lookout<T, Files> {
    fn default() -> Self {
        Self { files: None, files_looked: None, changed: MediaTime::default(), searched: None, found: None }
    }
}

impl<T: Clone + PartialEq, Files: PartialEq> Lookout<T, Files> {
    /// Looks, if it is time to, and gives the device that is there. Each of two looks has to find it under the same name.
    pub(super) fn look(
        &mut self,
        now: MediaTime,
        files: impl FnOnce() -> Files,
        find: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        if self.files_looked.is_some_and(|at| now.since(at) < FILES_EVERY) {
            return None;
        }
        self.files_looked = Some(now);
        let files = Some(files());
        if self.files != files {
            self.files = files;
            self.changed = now;
        }
        let settles = now.since(self.changed) < SETTLES_WITHIN;
        let is_due = self.searched.is_none_or(|at| now.since(at) >= ANYWAY_EVERY);
        if !settles && !is_due && self.found.is_none() {
            return None;
        }
        self.searched = Some(now);
        let before = std::mem::replace(&mut self.found, find());
        self.found.clone().filter(|_| self.found == before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MediaTime {
        MediaTime::from_nanos(ms * 1_000_000)
    }

    /// The looks at devices within `ms`, asked for every 20 ms, and when one was given.
    fn looks(
        ms: std::ops::Range<u64>,
        files: impl Fn(u64) -> u8,
        device: impl Fn(u64) -> Option<u8>,
    ) -> (u32, Option<u64>) {
        let (mut lookout, mut count) = (Lookout::default(), 0);
        let given = ms.step_by(20).find(|now| {
            let find = || {
                count += 1;
                device(*now)
            };
            lookout.look(at(*now), || files(*now), find).is_some()
        });
        (count, given)
    }

    #[test]
    fn devices_are_opened_when_their_files_have_changed_and_rarely_otherwise() {
        assert_eq!(looks(0..3_600_000, |_| 0, |_| None), (10 + 59, None), "at first, then once a minute");
        let (count, _) = looks(0..60_000, |now| u8::from(now >= 30_000), |_| None);
        assert_eq!(count, 20, "and after each change");
    }

    #[test]
    fn a_device_is_given_when_it_has_kept_its_name() {
        let name = |now| (now >= 30_100).then_some(u8::from(now >= 31_500));
        assert_eq!(
            looks(0..60_000, |now| u8::from(now >= 30_100), name).1,
            Some(33_000),
            "its last name is two looks old"
        );
        assert_eq!(looks(0..60_000, |_| 0, |now| (now == 5_000).then_some(1)).1, None, "it has gone again");
        assert_eq!(looks(0..200_000, |_| 0, |now| (now >= 30_000).then_some(1)).1, Some(70_000), "no file told of it");
    }
}
