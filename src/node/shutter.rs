//! Which cameras a person has shut, and which microphones are muted: kept over restarts, for a camera that was shut must not
//! open because the power went.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::media::CameraName;

use super::state_folder::StateFolder;
use super::story::whole_story;

/// The file in the state folder.
const FILE: &str = "shutters.json";

/// One camera's.
#[derive(Debug, Default)]
pub struct Shutter {
    private: AtomicBool,
    muted: AtomicBool,
}

/// How one is, in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Position {
    private: bool,
    muted: bool,
}

impl Shutter {
    /// Neither picture nor sound is captured.
    pub fn is_private(&self) -> bool {
        self.private.load(Ordering::SeqCst)
    }

    /// Sound is captured, and silence is sent.
    pub fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    pub(super) fn set_private(&self, private: bool) {
        self.private.store(private, Ordering::SeqCst);
    }

    pub(super) fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    fn position(&self) -> Position {
        Position { private: self.is_private(), muted: self.is_muted() }
    }

    fn move_to(&self, position: Position) {
        self.set_private(position.private);
        self.set_muted(position.muted);
    }
}

/// All cameras', with the file they are kept in.
#[derive(Debug)]
pub struct Shutters {
    folder: StateFolder,
    all: BTreeMap<CameraName, Arc<Shutter>>,
    /// One writer at a time.
    writing: Mutex<()>,
}

impl Shutters {
    /// Those of these cameras, as they were left. Where that cannot be read, all are shut: nobody is shown against their will.
    pub fn open(folder: &StateFolder, cameras: impl IntoIterator<Item = CameraName>) -> Self {
        let all: BTreeMap<_, _> = cameras.into_iter().map(|name| (name, Arc::<Shutter>::default())).collect();
        let kept = folder.read(FILE).and_then(|content| {
            let parse = |content: Vec<u8>| serde_json::from_slice::<BTreeMap<String, Position>>(&content);
            Ok(content.map(parse).transpose()?.unwrap_or_default())
        });
        match kept {
            Ok(kept) => {
                let is_here = |name: &str| all.keys().any(|here| here.as_str() == name);
                let renamed = kept.iter().find(|(name, at)| at.private && !is_here(name)).map(|(name, _)| name);
                if let Some(name) = renamed {
                    tracing::warn!(
                        "a camera named {name} was shut and is not in the config: it may have another name now, so those that \
                         were never shut are; lift it by camera.privacy"
                    );
                }
                let unknown = Position { private: renamed.is_some(), muted: false };
                for (name, shutter) in &all {
                    shutter.move_to(kept.get(name.as_str()).copied().unwrap_or(unknown));
                }
            }
            Err(error) => {
                tracing::warn!(
                    "which cameras were shut cannot be read, so all are: {}; lift it by camera.privacy, or delete {}",
                    whole_story(&error),
                    folder.path().join(FILE).display()
                );
                all.values().for_each(|shutter| shutter.set_private(true));
            }
        }
        Self { folder: folder.clone(), all, writing: Mutex::default() }
    }

    /// This camera's.
    pub fn of(&self, camera: &CameraName) -> Arc<Shutter> {
        self.all.get(camera).map(Arc::clone).unwrap_or_default()
    }

    /// Keeps them as they are now. Blocks.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn keep(&self) -> anyhow::Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let positions = self.all.iter().map(|(name, shutter)| (name.as_str(), shutter.position()));
        let moved: BTreeMap<&str, Position> = positions.filter(|(_, at)| *at != Position::default()).collect();
        if moved.is_empty() {
            return self.folder.remove(FILE);
        }
        self.folder.write(FILE, &serde_json::to_vec(&moved)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> CameraName {
        "main".to_owned().try_into().expect("letters only")
    }

    #[test]
    fn a_shut_camera_is_shut_after_a_restart_and_an_open_one_leaves_no_file() {
        let base = tempfile::tempdir().expect("there is room");
        let folder = StateFolder::at(base.path().join("node"));
        let shutters = Shutters::open(&folder, [name()]);
        assert_eq!(shutters.of(&name()).position(), Position::default());
        shutters.of(&name()).set_private(true);
        shutters.of(&name()).set_muted(true);
        shutters.keep().expect("there is room");
        let again = Shutters::open(&folder, [name()]);
        assert_eq!(again.of(&name()).position(), Position { private: true, muted: true });
        again.of(&name()).move_to(Position::default());
        again.keep().expect("there is room");
        assert_eq!(folder.read(FILE).expect("readable"), None);
        assert_eq!(Shutters::open(&folder, [name()]).of(&name()).position(), Position::default());
    }

    #[test]
    fn what_cannot_be_read_counts_as_shut_and_so_does_a_camera_by_another_name() {
        let base = tempfile::tempdir().expect("there is room");
        let folder = StateFolder::at(base.path().to_owned());
        for kept in [r#"{"main":{"priv"#, r#"{"main":{"privat":true}}"#, r#"{"front":{"private":true}}"#] {
            folder.write(FILE, kept.as_bytes()).expect("there is room");
            assert!(Shutters::open(&folder, [name()]).of(&name()).is_private(), "{kept}");
        }
        for kept in [r#"{"front":{"muted":true}}"#, r#"{"front":{"private":true},"main":{"muted":true}}"#] {
            folder.write(FILE, kept.as_bytes()).expect("there is room");
            assert!(!Shutters::open(&folder, [name()]).of(&name()).is_private(), "{kept}");
        }
        std::fs::remove_file(base.path().join(FILE)).expect("it was written");
        std::fs::create_dir(base.path().join(FILE)).expect("there is room");
        assert!(Shutters::open(&folder, [name()]).of(&name()).is_private(), "no file");
    }
}
