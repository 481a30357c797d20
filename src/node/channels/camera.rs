//! What is asked of a camera.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::board::wait_for;
use super::{Services, settings};
use crate::capture::{self, CaptureError, config::Video};
use crate::control::{ControlError, ErrorCode, Range, SettingsChange, page};
use crate::media::{CameraName, Feedback};
use crate::node::camera::{Camera, Exchanged};
use crate::node::state::State;
use crate::node::story::whole_story;
use crate::sys::{Control, ControlKind};

/// For a camera's threads to let go of their devices, as at a reload.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(4);
/// For the shutter: a USB camera may take two seconds to close.
const SHUT_WITHIN: Duration = Duration::from_secs(6);

/// What `describe` tells of it.
pub fn describe(camera: &Camera) -> Value {
    let mut told = json!({"name": camera.name().as_str(), "privacy": camera.shutter().is_private()});
    if camera.sound().is_some() {
        told["muted"] = json!(camera.shutter().is_muted());
    }
    if let Some((config, _)) = camera.config() {
        told["settings"] = settings::told(&config);
    }
    told
}

/// A page of its own controls.
pub async fn controls(all: &Services, name: &CameraName, after: u32) -> Result<Value, ControlError> {
    let video = open_video(all, name)?;
    let _one = all.device.lock().await;
    seen(all, name)?;
    let (controls, next) = page(listed(video).await?, after);
    let mut reply = json!({"controls": controls});
    if let Some(next) = next {
        reply["next"] = json!(next);
    }
    Ok(reply)
}

/// Sets one of them; tells which have changed with it.
pub async fn set_control(
    all: &Services,
    name: &CameraName,
    id: u32,
    value: Option<i64>,
) -> Result<Value, ControlError> {
    let video = open_video(all, name)?;
    let _one = all.device.lock().await;
    seen(all, name)?;
    let before = listed(video.clone()).await?;
    let control = before.iter().find(|control| control.id == id);
    let control = control
        .ok_or_else(|| ControlError::new(ErrorCode::NoSuchControl, format!("the camera {name} has no control {id}")))?;
    let value = checked(control, value)?;
    let asked = video.clone();
    let set = tokio::task::spawn_blocking(move || capture::set_control(&asked, id, value)).await;
    set.map_err(|_| defect())?.map_err(|error| refused(&control.name, &error))?;
    let after = listed(video).await?;
    let changed = after.into_iter().filter(|control| control.id == id || !before.contains(control));
    Ok(json!({"controls": page(changed.collect(), 0).0}))
}

/// What a driver is given, if the control takes it.
fn checked(control: &Control, value: Option<i64>) -> Result<i32, ControlError> {
    if control.read_only || control.inactive {
        let why = if control.read_only { "can only be read" } else { "is held by another control, an automatic mode" };
        return Err(ControlError::new(ErrorCode::NotSettable, format!("{} {why}", control.name)));
    }
    if control.kind == ControlKind::Button {
        return Ok(0);
    }
    let range = Range { minimum: control.minimum, maximum: control.maximum, step: control.step };
    let value = value.ok_or_else(|| {
        ControlError::new(ErrorCode::BadMessage, format!("{} takes a value, and there is none", control.name))
    })?;
    let step = i64::try_from(control.step.max(1)).unwrap_or(i64::MAX);
    let off = value.checked_sub(control.minimum).is_none_or(|above| above % step != 0);
    let no_item = control.kind == ControlKind::Menu && !control.items.iter().any(|item| i64::from(item.value) == value);
    if !(control.minimum..=control.maximum).contains(&value) || off || no_item {
        return Err(ControlError::out_of_range(&control.name, value, range));
    }
    i32::try_from(value).map_err(|_| ControlError::out_of_range(&control.name, value, range))
}

async fn listed(video: Video) -> Result<Vec<Control>, ControlError> {
    let listed = tokio::task::spawn_blocking(move || capture::controls(&video)).await.map_err(|_| defect())?;
    listed.map_err(|error| away(&error))
}

/// Size, rate and bit rate, and the sizes there are.
pub async fn settings(all: &Services, name: &CameraName) -> Result<Value, ControlError> {
    let camera = camera(all, name)?;
    let (config, video) = camera.config().ok_or_else(stopping)?;
    let mut told = settings::told(&config);
    // Of a camera that is shut nothing is asked.
    let _one = all.device.lock().await;
    if !camera.shutter().is_private() {
        let sizes = tokio::task::spawn_blocking(move || capture::sizes(&video)).await.map_err(|_| defect())?;
        // A camera that is away has no sizes to tell.
        let sizes = sizes.unwrap_or_default();
        told["sizes"] = sizes.into_iter().map(|(width, height)| json!({"width": width, "height": height})).collect();
    }
    Ok(told)
}

/// Begins the camera's pipeline anew with other settings. Viewers stay, unless what they were offered is not true any more.
pub async fn set_settings(
    all: &Arc<Services>,
    name: &CameraName,
    change: SettingsChange,
) -> Result<Value, ControlError> {
    let camera = Arc::clone(camera(all, name)?);
    let _one = all.device.lock().await;
    let (before, _) = camera.config().ok_or_else(stopping)?;
    let after = settings::changed(&before, change)?;
    let told = settings::told(&after);
    if after == before {
        return Ok(told);
    }
    let exchange = move || -> anyhow::Result<Exchanged> {
        let prepared = camera.prepare(&after)?;
        Ok(camera.exchange(prepared, EXCHANGE_WITHIN)?)
    };
    // Threads of the pipeline are begun on the runtime's.
    let exchanged = tokio::task::spawn_blocking(exchange).await.map_err(|_| defect())?;
    let exchanged = exchanged.map_err(|error| ControlError::new(ErrorCode::CameraFailed, whole_story(&error)))?;
    tracing::info!(camera = %name, settings = %told, "settings changed by a viewer");
    if exchanged == Exchanged::Other {
        all.wishes.stream_changed.notify_one();
    }
    Ok(told)
}

/// The next picture that is encoded, or the one after, is a key frame.
pub fn key_frame(all: &Services, name: &CameraName) -> Result<Value, ControlError> {
    camera(all, name)?.feedback(Feedback::KeyFrameWanted);
    Ok(json!({}))
}

/// Lets the microphone be heard or not.
pub async fn mute(all: &Services, name: &CameraName, muted: bool) -> Result<Value, ControlError> {
    let camera = camera(all, name)?;
    if camera.sound().is_none() {
        return Err(ControlError::new(ErrorCode::Unsupported, format!("the camera {name} has no microphone")));
    }
    camera.shutter().set_muted(muted);
    let kept = keep(all).await;
    Ok(json!({"muted": muted, "kept": kept}))
}

/// Closes the shutter or lifts it; answers when the devices are closed, or opened again where somebody wants them.
pub async fn privacy(all: &Services, name: &CameraName, private: bool) -> Result<Value, ControlError> {
    let camera = camera(all, name)?;
    camera.set_private(private);
    // Before it is waited for: a driver that takes long must not make it forgotten.
    let kept = keep(all).await;
    let parts = [Some("camera"), camera.sound().map(|_| "microphone")].into_iter().flatten();
    let parts: Vec<String> = parts.map(|part| format!("{part}:{name}")).collect();
    let done = wait_for(&all.board, |conditions| {
        parts
            .iter()
            .all(|part| conditions.get(part).is_none_or(|condition| (condition.state == State::Private) == private))
    });
    if timeout(SHUT_WITHIN, done).await.is_err() {
        let message = "the camera's driver takes long: it closes as soon as that lets go";
        return Err(ControlError::new(ErrorCode::TimedOut, message));
    }
    // Whoever asked for its controls in the meantime has closed it too.
    drop(all.device.lock().await);
    tracing::info!(camera = %name, private, "privacy");
    Ok(json!({"privacy": private, "kept": kept}))
}

/// Whether it will be so after a restart.
async fn keep(all: &Services) -> bool {
    let shutters = Arc::clone(&all.shutters);
    match tokio::task::spawn_blocking(move || shutters.keep()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!("it will not be so after a restart: {}", whole_story(&error));
            false
        }
        Err(_) => false,
    }
}

fn camera<'a>(all: &'a Services, name: &CameraName) -> Result<&'a Arc<Camera>, ControlError> {
    let found = all.cameras.0.get(name);
    found.ok_or_else(|| ControlError::new(ErrorCode::NoSuchCamera, format!("there is no camera {name} here")))
}

fn open_video(all: &Services, name: &CameraName) -> Result<Video, ControlError> {
    let (_, video) = camera(all, name)?.config().ok_or_else(stopping)?;
    Ok(video)
}

/// Whether its device may be opened.
fn seen(all: &Services, name: &CameraName) -> Result<(), ControlError> {
    if camera(all, name)?.shutter().is_private() {
        let message = format!("the camera {name} is shut: its device stays closed until privacy is off");
        return Err(ControlError::new(ErrorCode::NotSettable, message));
    }
    Ok(())
}

fn away(error: &CaptureError) -> ControlError {
    let code = match error {
        CaptureError::NotFound { .. } | CaptureError::Gone { .. } => ErrorCode::CameraAway,
        _ => ErrorCode::CameraFailed,
    };
    ControlError::new(code, error.to_string())
}

/// What the driver says of a value.
fn refused(control: &str, error: &CaptureError) -> ControlError {
    match error {
        CaptureError::Busy { .. } => {
            ControlError::new(ErrorCode::NotSettable, format!("{control} cannot be set while the camera streams"))
        }
        CaptureError::Io { source, .. } if source.raw_os_error() == Some(libc::EACCES) => {
            ControlError::new(ErrorCode::NotSettable, format!("{control} cannot be set now"))
        }
        other => away(other),
    }
}

fn stopping() -> ControlError {
    ControlError::new(ErrorCode::CameraFailed, "the node is stopping")
}

fn defect() -> ControlError {
    ControlError::new(ErrorCode::Internal, "this is a defect, please report it with the log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::MenuItem;

    fn control(kind: ControlKind) -> Control {
        Control {
            id: 1,
            name: "Zoom".to_owned(),
            kind,
            minimum: 2,
            maximum: 10,
            step: 4,
            default: 2,
            value: Some(2),
            items: vec![MenuItem { value: 2, name: "two".to_owned() }],
            read_only: false,
            inactive: false,
        }
    }

    fn code(checked: Result<i32, ControlError>) -> u16 {
        checked.expect_err("refused").code()
    }

    #[test]
    fn a_value_is_checked_against_range_step_and_items_before_the_driver_has_it() {
        let zoom = control(ControlKind::Integer);
        assert_eq!(checked(&zoom, Some(6)), Ok(6));
        for beside in [1, 11, 3, i64::MAX, i64::MIN] {
            let error = checked(&zoom, Some(beside)).expect_err("refused");
            assert_eq!(error.code(), 61, "{beside}");
            assert!(error.message.starts_with("Zoom must be 2 to 10 in steps of 4, not "), "{error}");
        }
        assert_eq!(code(checked(&zoom, None)), 10);
        let menu = control(ControlKind::Menu);
        assert_eq!(checked(&menu, Some(2)), Ok(2));
        assert_eq!(code(checked(&menu, Some(6))), 61, "no such item");
        assert_eq!(checked(&control(ControlKind::Button), None), Ok(0));
    }

    #[test]
    fn what_a_device_says_has_the_number_that_the_protocol_gives_it() {
        let device = || "/dev/video0".to_owned();
        let io = |errno| CaptureError::Io {
            device: device(),
            operation: "set a control of",
            source: std::io::Error::from_raw_os_error(errno),
        };
        let busy = || CaptureError::Busy { device: device() };
        for (error, read, set) in [
            (CaptureError::NotFound { device: device() }, 31, 31),
            (CaptureError::Gone { device: device() }, 31, 31),
            (busy(), 32, 62),
            (io(libc::EACCES), 32, 62),
            (io(libc::EIO), 32, 32),
        ] {
            assert_eq!((away(&error).code(), refused("Zoom", &error).code()), (read, set), "{error}");
        }
        assert_eq!((stopping().code(), defect().code()), (32, 59));
    }

    #[test]
    fn what_is_read_only_or_held_by_another_is_not_set() {
        let held = Control { inactive: true, ..control(ControlKind::Integer) };
        let fixed = Control { read_only: true, ..control(ControlKind::Integer) };
        assert_eq!((code(checked(&held, Some(2))), code(checked(&fixed, Some(2)))), (62, 62));
    }
}
