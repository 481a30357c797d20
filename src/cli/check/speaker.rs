//! Whether the speaker opens and plays.

use std::path::Path;
use std::time::Duration;

use super::report::Finding;
use super::running::{Running, in_its_hands};
use super::surroundings::{group_of, holders, sound_playback_nodes, user};
use crate::config::Camera;
use crate::playback::{self, PlaybackError, SPEAKER_PERIOD, config::SinkKind};

/// A card takes a period every 10 ms.
const PERIOD_WITHIN: Duration = Duration::from_secs(1);
/// More than a card of 200 ms holds, so that it must have played some of it.
const PERIODS: usize = 30;

/// Plays a moment of silence. Blocks.
pub fn check(camera: &Camera, running: &Running) -> Finding {
    let part = format!("speaker of {}", camera.name);
    let name = match camera.speaker.sink {
        SinkKind::None => return Finding::good(part, "switched off"),
        SinkKind::File => return check_file(part, &camera.speaker.file),
        SinkKind::Alsa => camera.speaker.device.clone(),
    };
    let played = playback::open(&camera.speaker).and_then(|sink| {
        let Some(mut sink) = sink else { return Ok(()) };
        for _ in 0..PERIODS {
            sink.room(PERIOD_WITHIN)?;
            sink.play(&[0; SPEAKER_PERIOD])?;
        }
        Ok(())
    });
    match played {
        Ok(()) => Finding::good(part, format!("{name} plays")),
        Err(error) => {
            let is_busy = matches!(error, PlaybackError::Busy { .. });
            let holders = if is_busy { holders(&sound_playback_nodes()) } else { Vec::new() };
            match running.among(&holders).filter(|_| is_busy) {
                Some(pid) => in_its_hands(part, &name, pid),
                None => Finding::bad(part, error.to_string(), advise(&error)),
            }
        }
    }
}

/// To open it would take away what is in it.
fn check_file(part: String, path: &Path) -> Finding {
    match playback::try_file(path) {
        Ok(()) => Finding::good(part, format!("writes {}", path.display())),
        Err(error) => {
            let advice = match &error {
                PlaybackError::NotFound { .. } => {
                    "make its folder, or set `camera.speaker.file` to a file in one that is there"
                }
                PlaybackError::Unsupported { .. } => "set `camera.speaker.file` to a file of its own",
                _ => {
                    "set `camera.speaker.file` to a file that the node's user may write, in a folder where it may make files"
                }
            };
            Finding::bad(part, error.to_string(), advice)
        }
    }
}

fn advise(error: &PlaybackError) -> String {
    let words = match error {
        PlaybackError::Denied { .. } => {
            let (group, user) = (group_of(Path::new("/dev/snd/controlC0"), "audio"), user());
            return format!(
                "let the user {user} in: `sudo usermod -aG {group} {user}`, then log in again (a service: \
                 SupplementaryGroups={group})"
            );
        }
        PlaybackError::NotFound { .. } => {
            "`camera-node devices` lists the speakers there are: set `camera.speaker.device` to one of them, or plug it in"
        }
        PlaybackError::Busy { .. } => "stop the program that uses it: `fuser -v /dev/snd/*` names it",
        PlaybackError::Gone { .. } => "it went away while it played: check cable, hub and power supply",
        PlaybackError::Unsupported { .. } => {
            "choose another one in `camera.speaker.device`; names that begin with plughw: take any format"
        }
        PlaybackError::Stalled { .. } | PlaybackError::Io { .. } => "plug it in anew; `dmesg` has the driver's words",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::config::Speaker;

    #[test]
    fn a_speaker_that_plays_is_good_and_one_that_is_not_there_is_told_of() {
        let camera = |device: &str| {
            let speaker = Speaker { sink: SinkKind::Alsa, device: device.to_owned(), ..Speaker::default() };
            Camera { speaker, ..Camera::default() }
        };
        assert!(check(&Camera::default(), &Running::default()).ok, "none is wanted");
        assert!(check(&camera("null"), &Running::default()).ok);
        let missing = check(&camera("plughw:CARD=NoSuchCard,DEV=0"), &Running::default());
        assert!(!missing.ok && missing.text().contains("camera-node devices"), "{}", missing.text());
    }

    #[test]
    fn a_speaker_that_is_not_ours_names_the_user_and_its_group() {
        let denied = advise(&PlaybackError::Denied { device: "plughw:CARD=Jabra,DEV=0".to_owned() });
        assert!(denied.contains("sudo usermod -aG ") && denied.contains(&user()), "{denied}");
    }

    #[test]
    fn a_file_that_could_not_be_written_is_told_of_and_none_is_made() {
        let folder = tempfile::tempdir().expect("there is room");
        let of = |name: &str| {
            let file = folder.path().join(name);
            let speaker = Speaker { sink: SinkKind::File, file, ..Speaker::default() };
            check(&Camera { speaker, ..Camera::default() }, &Running::default())
        };
        assert!(of("talk.wav").ok && !folder.path().join("talk.wav").exists());
        let nowhere = of("no/talk.wav");
        assert!(!nowhere.ok && nowhere.text().contains("make its folder"), "{nowhere:?}");
        std::fs::write(folder.path().join("letter.txt"), "Dear Ada").expect("there is room");
        let taken = of("letter.txt");
        assert!(!taken.ok && taken.text().contains("to a file of its own"), "{taken:?}");
        assert!(of("").text().contains("is no file"), "a folder");
    }
}
