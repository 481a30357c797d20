//! Which device a camera works with: the one that the config names, or what `auto` stands for. Where there is none yet, a
//! stand-in, until one is plugged in.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::{Audio, AudioSourceKind, Video, VideoSourceKind};
use super::lookout::Lookout;
use super::open::{resolve_audio, resolve_video};
use crate::media::MediaTime;

/// A device's file in `/dev`, and when it was made, or given to somebody.
type File = (OsString, i64, i64);

/// A section of the config with `auto` decided, shared by the thread that opens the device and whoever asks which it is.
pub struct Chosen<T> {
    choice: Mutex<Choice<T>>,
    seek: Seek<T>,
}

/// How a device is looked for.
struct Seek<T> {
    /// Where the kernel has the files of such devices, and how their names begin.
    files: (PathBuf, &'static str),
    /// The device that is there, if one is.
    find: Box<dyn Fn() -> Option<T> + Send + Sync>,
}

struct Choice<T> {
    now: T,
    /// While a stand-in has the place of a device.
    lookout: Option<Lookout<T, Vec<File>>>,
}

impl Chosen<Video> {
    /// The camera that `asked` stands for now.
    pub fn video(asked: &Video) -> Self {
        let now = resolve_video(asked);
        let is_stand_in = asked.source == VideoSourceKind::Auto && now.source != VideoSourceKind::V4l2;
        let asked = asked.clone();
        let find = move || Some(resolve_video(&asked)).filter(|found| found.source == VideoSourceKind::V4l2);
        Self::new(now, is_stand_in, ("/dev", "video"), find)
    }
}

impl Chosen<Audio> {
    /// The microphone that `asked` stands for now.
    pub fn audio(asked: &Audio) -> Self {
        let now = resolve_audio(asked);
        let is_stand_in = asked.source == AudioSourceKind::Auto && now.source != AudioSourceKind::Alsa;
        let asked = asked.clone();
        let find = move || Some(resolve_audio(&asked)).filter(|found| found.source == AudioSourceKind::Alsa);
        Self::new(now, is_stand_in, ("/dev/snd", "pcm"), find)
    }
}

impl<T: Clone + PartialEq> Chosen<T> {
    /// `now`, which is nobody's stand-in.
    pub fn settled(now: T) -> Self {
        Self::new(now, false, ("", ""), || None)
    }

    /// `now`, until `find` finds another: asked when the files in a folder change whose names begin so.
    pub fn new(
        now: T,
        is_stand_in: bool,
        (folder, beginning): (impl Into<PathBuf>, &'static str),
        find: impl Fn() -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let choice = Choice { now, lookout: is_stand_in.then(Lookout::default) };
        Self { choice: Mutex::new(choice), seek: Seek { files: (folder.into(), beginning), find: Box::new(find) } }
    }

    /// What is to be opened.
    pub fn now(&self) -> T {
        self.choice().now.clone()
    }

    /// Whether it only stands in for a device that was not there.
    pub fn is_stand_in(&self) -> bool {
        self.choice().lookout.is_some()
    }

    /// Looks whether the device is there in whose place a stand-in is, and says whether it is: then it is chosen, for good. May
    /// be called at any rate: it mostly does nothing. Where something has changed each device is opened for a moment.
    pub fn look(&self, at: MediaTime) -> bool {
        let choice = &mut *self.choice();
        let found = choice.lookout.as_mut().and_then(|lookout| lookout.look(at, || self.seek.files(), &self.seek.find));
        let Some(found) = found else { return false };
        *choice = Choice { now: found, lookout: None };
        true
    }

    fn choice(&self) -> MutexGuard<'_, Choice<T>> {
        // It is exchanged as a whole.
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Seek<T> {
    fn files(&self) -> Vec<File> {
        let (folder, beginning) = &self.files;
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(beginning.as_bytes()));
        let mut files: Vec<File> = ours
            .filter_map(|entry| {
                let about = entry.metadata().ok()?;
                Some((entry.file_name(), about.ctime(), about.ctime_nsec()))
            })
            .collect();
        files.sort();
        files
    }
}

impl<T: fmt::Debug> fmt::Debug for Chosen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choice = self.choice.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Chosen").field("now", &choice.now).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_stand_in_gives_way_to_the_device_that_comes_and_is_never_taken_again() {
        let folder = tempfile::tempdir().expect("there is room");
        let device = folder.path().join("video0");
        let there = device.clone();
        let find = move || there.exists().then_some("camera");
        let chosen = Chosen::new("pattern", true, (folder.path(), "video"), find);
        std::fs::write(folder.path().join("tty0"), "").expect("there is room");
        assert!(!(0..30).any(|s| chosen.look(at(s))), "there is none");
        assert!(chosen.is_stand_in() && chosen.now() == "pattern");
        std::fs::write(&device, "").expect("there is room");
        let found = (30..60).find(|s| chosen.look(at(*s)));
        assert_eq!((found, chosen.now(), chosen.is_stand_in()), (Some(31), "camera", false));
        std::fs::remove_file(&device).expect("ours");
        assert!(!(60..200).any(|s| chosen.look(at(s))));
        assert_eq!(chosen.now(), "camera", "it is waited for");
    }

    #[test]
    fn what_is_named_is_nobody_s_stand_in() {
        let named = Video { source: VideoSourceKind::TestPattern, ..Video::default() };
        assert!(!Chosen::video(&named).is_stand_in());
        let away = Video { source: VideoSourceKind::V4l2, device: "usb-cam".to_owned(), ..Video::default() };
        assert!(!Chosen::video(&away).is_stand_in() && !Chosen::settled(away).look(at(9)));
        let silent = Audio { source: AudioSourceKind::None, ..Audio::default() };
        assert!(!Chosen::audio(&silent).is_stand_in());
        let waited_for = Audio { device: "plughw:CARD=Mic".to_owned(), ..Audio::default() };
        assert!(!Chosen::audio(&waited_for).is_stand_in());
    }
}
