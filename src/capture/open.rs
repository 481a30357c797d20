//! From a section of the config to an open source.

use std::path::PathBuf;

use super::config::{AUTO, Audio, AudioSourceKind, Video, VideoSourceKind};
use super::{AudioSource, CaptureError, VideoSource, alsa, devices, file, test_pattern, tone, v4l2};
use crate::sys;

/// Opens the source that `video` names; `auto` is decided now (see [`resolve_video`]).
///
/// # Errors
/// Why it cannot be opened; [`CaptureError::NotFound`], [`CaptureError::Busy`], [`CaptureError::Denied`] and
/// [`CaptureError::Io`] may pass.
pub fn open_video(video: &Video) -> Result<Box<dyn VideoSource>, CaptureError> {
    open_video_by_steps(video, &|| {})
}

/// [`open_video`], which tells `step` of each step that is done: a sick camera's driver may take seconds for each, and
/// opening has half a dozen.
///
/// # Errors
/// As [`open_video`].
pub fn open_video_by_steps(video: &Video, step: &dyn Fn()) -> Result<Box<dyn VideoSource>, CaptureError> {
    match video.source {
        VideoSourceKind::Auto => {
            let resolved = resolve_video(video);
            // Resolving never leaves `auto`, so this goes one step deep.
            open_video_by_steps(&resolved, step)
        }
        VideoSourceKind::V4l2 => Ok(Box::new(v4l2::open(video, step)?)),
        VideoSourceKind::TestPattern => Ok(Box::new(test_pattern::open(video, false)?)),
        VideoSourceKind::Still => Ok(Box::new(test_pattern::open(video, true)?)),
        VideoSourceKind::File => file::open_video(video),
    }
}

/// Opens the source that `audio` names, `None` for no sound; `auto` is decided now (see [`resolve_audio`]).
///
/// # Errors
/// As [`open_video`].
pub fn open_audio(audio: &Audio) -> Result<Option<Box<dyn AudioSource>>, CaptureError> {
    match audio.source {
        AudioSourceKind::Auto => {
            let resolved = resolve_audio(audio);
            open_audio(&resolved)
        }
        AudioSourceKind::Alsa => Ok(Some(Box::new(alsa::open(&audio.device)?))),
        AudioSourceKind::Tone => Ok(Some(Box::new(tone::open()))),
        AudioSourceKind::File => Ok(Some(file::open_audio(audio)?)),
        AudioSourceKind::None => Ok(None),
    }
}

/// Decides `auto`: the camera (or the first one) by its stable id, else the test pattern. What is named stays as it is.
///
/// A node decides once, so that a camera that is unplugged later is waited for and not replaced; of a stand-in it says so, and
/// looks on ([`Chosen`](super::Chosen)).
pub fn resolve_video(video: &Video) -> Video {
    match video.source {
        VideoSourceKind::Auto => match camera(video) {
            Some(device) => Video { source: VideoSourceKind::V4l2, device, ..video.clone() },
            None => Video { source: VideoSourceKind::TestPattern, ..video.clone() },
        },
        VideoSourceKind::V4l2 if video.device == AUTO => {
            // With no camera yet, "the first one" stays open until there is one.
            let device = devices::first(video.format).unwrap_or_else(|| AUTO.to_owned());
            Video { device, ..video.clone() }
        }
        _ => video.clone(),
    }
}

/// Decides `auto`: the first microphone (or the one named), else the tone. What is named stays as it is.
pub fn resolve_audio(audio: &Audio) -> Audio {
    match audio.source {
        AudioSourceKind::Auto if audio.device != AUTO => Audio { source: AudioSourceKind::Alsa, ..audio.clone() },
        AudioSourceKind::Auto => match alsa::first() {
            Some(device) => Audio { source: AudioSourceKind::Alsa, device, ..audio.clone() },
            None => Audio { source: AudioSourceKind::Tone, ..audio.clone() },
        },
        AudioSourceKind::Alsa if audio.device == AUTO => {
            let device = alsa::first().unwrap_or_else(|| AUTO.to_owned());
            Audio { device, ..audio.clone() }
        }
        _ => audio.clone(),
    }
}

/// The node of the camera that `video` names by `device`, where it is plugged in now. Opens nothing for long.
///
/// # Errors
/// [`CaptureError::NotFound`].
pub fn locate_camera(video: &Video) -> Result<PathBuf, CaptureError> {
    devices::find(&video.device, video.format)
}

/// Whether what `video` names is plugged in now; what makes its own pictures always is.
pub fn is_there(video: &Video) -> bool {
    match video.source {
        VideoSourceKind::V4l2 => locate_camera(video).is_ok_and(|path| path.exists()),
        VideoSourceKind::File => video.file.exists(),
        VideoSourceKind::Auto | VideoSourceKind::TestPattern | VideoSourceKind::Still => true,
    }
}

/// Whether the sound card that `audio` names is plugged in now, as far as its name tells which card that is.
pub fn is_card_there(audio: &Audio) -> bool {
    match audio.source {
        AudioSourceKind::Alsa => sys::is_sound_card_there(&audio.device),
        AudioSourceKind::File => audio.file.exists(),
        AudioSourceKind::Auto | AudioSourceKind::Tone | AudioSourceKind::None => true,
    }
}

/// A camera that is named is meant, there or not.
fn camera(video: &Video) -> Option<String> {
    if video.device == AUTO { devices::first(video.format) } else { Some(video.device.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_camera_is_never_replaced_by_the_pattern() {
        let video = Video { device: "usb-cam".to_owned(), ..Video::default() };
        let resolved = resolve_video(&video);
        assert_eq!((resolved.source, resolved.device.as_str()), (VideoSourceKind::V4l2, "usb-cam"));
        let audio = Audio { device: "plughw:CARD=Mic".to_owned(), ..Audio::default() };
        assert_eq!(resolve_audio(&audio).source, AudioSourceKind::Alsa);
    }

    #[test]
    fn what_is_named_stays() {
        for source in [VideoSourceKind::TestPattern, VideoSourceKind::Still, VideoSourceKind::File] {
            let video = Video { source, ..Video::default() };
            assert_eq!(resolve_video(&video), video);
        }
    }

    #[test]
    fn what_is_plugged_in_is_told_from_what_is_not() {
        let of = |source, device: &str, file: &str| {
            is_there(&Video { source, device: device.to_owned(), file: file.into(), ..Video::default() })
        };
        assert!(of(VideoSourceKind::TestPattern, AUTO, ""));
        assert!(of(VideoSourceKind::V4l2, "/dev/null", "") && !of(VideoSourceKind::V4l2, "/dev/video-not-there", ""));
        let card = |device: &str| {
            is_card_there(&Audio { source: AudioSourceKind::Alsa, device: device.to_owned(), ..Audio::default() })
        };
        assert!(!card("plughw:CARD=NoSuchCard,DEV=0") && !card("hw:CARD=NoSuchCard") && !card("hw:31") && card("null"));
        assert!(!of(VideoSourceKind::V4l2, "usb-nothing", "") && !of(VideoSourceKind::File, AUTO, "/nowhere/a.y4m"));
    }

    #[test]
    fn a_file_is_known_by_its_ending_and_its_absence_is_said() {
        let of = |file: &str| {
            let video = Video { source: VideoSourceKind::File, file: file.into(), ..Video::default() };
            open_video(&video).map(|_| ()).expect_err(file).to_string()
        };
        assert_eq!(of("/nowhere/a.y4m"), "/nowhere/a.y4m: not there");
        assert_eq!(of("/nowhere/a.mp4"), "/nowhere/a.mp4: a picture file ends in .y4m, .h264 or .264");
        let silent = Audio { source: AudioSourceKind::None, ..Audio::default() };
        assert!(open_audio(&silent).expect("nothing to fail").is_none());
    }
}
