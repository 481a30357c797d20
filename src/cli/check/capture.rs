//! Whether camera and microphone open and deliver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::advice::{Surroundings, advise, advise_on_file};
use super::report::Finding;
use super::running::{Running, in_its_hands};
use super::surroundings::{group_of, holders, sound_capture_nodes, user, video_nodes};
use crate::capture::config::{Audio, AudioSourceKind, Video, VideoSourceKind};
use crate::capture::devices::{DeviceKind, cameras, sound_devices};
use crate::capture::{CaptureError, open_audio, open_video, resolve_audio, resolve_video};
use crate::config::Camera;
use crate::encode::{self, EncodeError, Turn};
use crate::media::{Frame, FrameFormat};

/// Slow cameras take two seconds to their first frame, those that wake from sleep longer.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(8);
const FIRST_PERIOD_WITHIN: Duration = Duration::from_secs(3);

/// Opens the camera until its first frame, and encodes that. Blocks.
pub fn check_video(camera: &Camera, running: &Running) -> Finding {
    let part = format!("camera {}", camera.name);
    let asked = &camera.video;
    let video = resolve_video(asked);
    let opened = open_video(&video).and_then(|mut source| {
        let frame = source.next(FIRST_FRAME_WITHIN)?;
        Ok((source.format(), frame))
    });
    match opened {
        Ok(((format, interval), frame)) => {
            let gives = format!("{} gives {}", name_of(&video), picture(&format, interval));
            if let Err(error) = encode_once(camera, &frame) {
                let advice = "choose another `format`, size, `rotate` or `flip` in [camera.video]";
                return Finding::bad(part, format!("{gives}: {error}"), advice);
            }
            let found = Finding::good(part, gives);
            picture_advice(asked, &video, &format).into_iter().fold(found, Finding::with_advice)
        }
        Err(error) if video.source == VideoSourceKind::File => {
            Finding::bad(part, error.to_string(), advise_on_file(&error, "camera.video.file", &user()))
        }
        Err(error) => {
            let around = around_camera(&error, &video);
            unless_ours(part, &error, &around, &name_of(&video), running)
        }
    }
}

/// One damaged frame is no fault of the settings; cameras often begin with some.
fn encode_once(camera: &Camera, frame: &Frame) -> Result<(), EncodeError> {
    let turn = Turn::of(camera.video.rotate, camera.video.flip);
    let mut encoder = encode::open_video(&camera.h264, frame.format, camera.video.fps.value(), turn)?;
    match encoder.encode(frame, true) {
        Ok(_) | Err(EncodeError::BadFrame(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens the microphone until its first period. Blocks.
pub fn check_audio(camera: &Camera, running: &Running) -> Finding {
    let part = format!("microphone of {}", camera.name);
    let audio = resolve_audio(&camera.audio);
    let name = match audio.source {
        AudioSourceKind::Alsa => audio.device.clone(),
        AudioSourceKind::File => audio.file.display().to_string(),
        AudioSourceKind::Tone => "the tone".to_owned(),
        AudioSourceKind::None => return Finding::good(part, "switched off"),
        AudioSourceKind::Auto => "the first microphone".to_owned(),
    };
    let opened = open_audio(&audio).and_then(|source| match source {
        Some(mut source) => source.next(FIRST_PERIOD_WITHIN).map(drop),
        None => Ok(()),
    });
    match opened {
        Ok(()) => {
            let found = Finding::good(part, format!("{name} gives sound"));
            let is_stand_in = camera.audio.source == AudioSourceKind::Auto && audio.source == AudioSourceKind::Tone;
            if is_stand_in {
                found.with_advice(stand_in("microphone", "audio", "tone", &sound_capture_nodes()))
            } else {
                found
            }
        }
        Err(error) if audio.source == AudioSourceKind::File => {
            Finding::bad(part, error.to_string(), advise_on_file(&error, "camera.audio.file", &user()))
        }
        Err(error) => {
            let around = around_microphone(&error, &audio);
            unless_ours(part, &error, &around, &name, running)
        }
    }
}

fn name_of(video: &Video) -> String {
    match video.source {
        VideoSourceKind::Auto => "the first camera".to_owned(),
        VideoSourceKind::V4l2 => video.device.clone(),
        VideoSourceKind::TestPattern => "the test pattern".to_owned(),
        VideoSourceKind::Still => "the still test card".to_owned(),
        VideoSourceKind::File => video.file.display().to_string(),
    }
}

fn picture(format: &FrameFormat, interval: Duration) -> String {
    let fps = if interval.is_zero() { 0.0 } else { 1.0 / interval.as_secs_f64() };
    format!("{}x{} {:?} at {fps:.1} fps", format.width, format.height, format.pixel)
}

/// It works, but perhaps not as it was meant.
fn picture_advice(asked: &Video, video: &Video, format: &FrameFormat) -> Option<String> {
    if asked.source == VideoSourceKind::Auto && video.source == VideoSourceKind::TestPattern {
        return Some(stand_in("camera", "video", "test-pattern", &video_nodes()));
    }
    let (width, height) = (asked.width.value(), asked.height.value());
    let is_other_size = video.source == VideoSourceKind::V4l2 && (format.width, format.height) != (width, height);
    is_other_size.then(|| {
        format!("{width}x{height} was asked for; `camera-node devices` shows which sizes and rates the camera has")
    })
}

/// `nodes` are the device nodes that a right would be needed for.
fn stand_in(what: &str, section: &str, source: &str, nodes: &[PathBuf]) -> String {
    let plugged = match nodes.first() {
        None => format!("no {what} is plugged in"),
        Some(node) => format!(
            "no {what} can be used; is there one behind {}, it wants its user in its group: `sudo usermod -aG {} {}`",
            node.display(),
            group_of(node, section),
            user()
        ),
    };
    format!("{plugged}; if none is meant, `{section}.source = \"{source}\"` says so")
}

fn around_camera(error: &CaptureError, video: &Video) -> Surroundings {
    let all = cameras();
    let known = all.iter().find(|camera| camera.id == video.device || camera.path == Path::new(&video.device));
    let path = known.map_or_else(|| PathBuf::from(&video.device), |camera| camera.path.clone());
    Surroundings {
        what: "camera",
        key: "camera.video.device",
        present: all.iter().map(|camera| format!("{} ({})", camera.id, camera.label)).collect(),
        holders: if is_busy(error) { holders(std::slice::from_ref(&path)) } else { Vec::new() },
        group: group_of(&path, "video"),
        user: user(),
    }
}

fn around_microphone(error: &CaptureError, audio: &Audio) -> Surroundings {
    let all = sound_devices();
    let devices = sound_capture_nodes();
    let microphones = all.iter().filter(|device| device.kind == DeviceKind::AudioInput && device.id != audio.device);
    Surroundings {
        what: "microphone",
        key: "camera.audio.device",
        present: microphones.map(|device| format!("{} ({})", device.id, device.label)).collect(),
        group: devices.first().map_or_else(|| "audio".to_owned(), |device| group_of(device, "audio")),
        holders: if is_busy(error) { holders(&devices) } else { Vec::new() },
        user: user(),
    }
}

/// A device that the running node has is where it should be.
fn unless_ours(part: String, error: &CaptureError, around: &Surroundings, name: &str, running: &Running) -> Finding {
    match running.among(&around.holders).filter(|_| is_busy(error)) {
        Some(pid) => in_its_hands(part, name, pid),
        None => Finding::bad(part, error.to_string(), advise(error, around)),
    }
}

/// Who holds a device is asked only then: it takes a look at every program there is.
fn is_busy(error: &CaptureError) -> bool {
    match error {
        CaptureError::Busy { .. } => true,
        CaptureError::Io { source, .. } => source.kind() == std::io::ErrorKind::ResourceBusy,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Rotation;

    #[test]
    fn the_stand_ins_work_everywhere() {
        let mut camera = Camera::default();
        camera.video.source = VideoSourceKind::TestPattern;
        camera.audio.source = AudioSourceKind::Tone;
        let picture = check_video(&camera, &Running::default());
        assert!(picture.ok && picture.detail.starts_with("the test pattern gives 1280x720"), "{picture:?}");
        assert!(check_audio(&camera, &Running::default()).ok);
    }

    #[test]
    fn h264_that_is_to_be_turned_is_found_out_before_the_node_runs() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("loop.h264");
        // 640 by 480, and the beginning of a key frame.
        let sps = [0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x84];
        let rest = [0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21];
        std::fs::write(&file, [&sps[..], &rest[..]].concat()).expect("written");
        let mut camera = Camera::default();
        camera.video.source = VideoSourceKind::File;
        camera.video.file = file;
        let upright = check_video(&camera, &Running::default());
        assert!(upright.ok, "{upright:?}");
        camera.video.rotate = Rotation::Half;
        let turned = check_video(&camera, &Running::default());
        assert!(
            !turned.ok && turned.detail.ends_with("cannot encode a camera's own h.264 turned or mirrored"),
            "{turned:?}"
        );
    }

    #[test]
    fn a_device_that_the_running_node_has_is_no_fault() {
        let busy = CaptureError::Busy { device: "/dev/video0".to_owned() };
        let around = Surroundings { what: "camera", ..Surroundings::default() };
        let ours = unless_ours("camera main".to_owned(), &busy, &around, "the first camera", &Running::of(&[7]));
        assert!(ours.ok && ours.detail.contains("process 7"), "{ours:?}");
        assert!(!unless_ours("camera main".to_owned(), &busy, &around, "it", &Running::default()).ok);
        let gone = CaptureError::Gone { device: "/dev/video0".to_owned() };
        assert!(!unless_ours("camera main".to_owned(), &gone, &around, "it", &Running::of(&[7])).ok);
    }

    #[test]
    fn a_camera_that_is_not_there_is_no_crash_but_an_answer() {
        let mut camera = Camera::default();
        camera.video.source = VideoSourceKind::V4l2;
        camera.video.device = "/dev/video-of-nobody".to_owned();
        let found = check_video(&camera, &Running::default());
        assert!(!found.ok && found.advice.is_some_and(|advice| !advice.is_empty()), "{}", found.detail);
    }
}
