//! A camera's own controls and sizes, asked for and set beside its stream.
//!
//! V4L2 lets a device be opened as often as one likes for this. A handle of its own keeps a control that takes a sick camera
//! seconds from holding up the pictures, and works while nobody watches.

use v4l::Device;

use super::config::{Video, VideoSourceKind};
use super::modes::Asked;
use super::v4l2::opening;
use super::{CaptureError, devices};
use crate::sys;

/// What most cameras have, and what a pattern is drawn in.
const USUAL_SIZES: [(u32, u32); 6] = [(320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080), (2560, 1440)];

/// The controls of the camera that `video` names; none where its pictures come from elsewhere.
///
/// # Errors
/// [`CaptureError::NotFound`], [`CaptureError::Io`].
pub fn controls(video: &Video) -> Result<Vec<sys::Control>, CaptureError> {
    match open(video)? {
        Some((device, _)) => Ok(sys::controls(&device)),
        None => Ok(Vec::new()),
    }
}

/// Sets one of them.
///
/// # Errors
/// As [`controls`]; what the driver says of the value is [`CaptureError::Io`].
pub fn set_control(video: &Video, id: u32, value: i32) -> Result<(), CaptureError> {
    match open(video)? {
        Some((device, name)) => sys::set_control(&device, id, value).map_err(|e| opening(&name, "set a control", e)),
        None => Ok(()),
    }
}

/// The sizes that may be asked of what `video` names, smallest first; none where there is no choice.
///
/// # Errors
/// As [`controls`].
pub fn sizes(video: &Video) -> Result<Vec<(u32, u32)>, CaptureError> {
    let Some((device, name)) = open(video)? else {
        let is_drawn = matches!(video.source, VideoSourceKind::TestPattern | VideoSourceKind::Still);
        return Ok(if is_drawn { USUAL_SIZES.to_vec() } else { Vec::new() });
    };
    let asked = Asked {
        width: video.width.value(),
        height: video.height.value(),
        fps: video.fps.value(),
        format: video.format,
    };
    let modes = devices::modes(&device, &asked).map_err(|error| opening(&name, "list formats", error))?;
    let mut sizes: Vec<(u32, u32)> = modes.iter().map(|mode| (mode.width, mode.height)).collect();
    sizes.sort_unstable_by_key(|(width, height)| (u64::from(*width) * u64::from(*height), *width));
    sizes.dedup();
    Ok(sizes)
}

fn open(video: &Video) -> Result<Option<(Device, String)>, CaptureError> {
    if video.source != VideoSourceKind::V4l2 {
        return Ok(None);
    }
    let path = devices::find(&video.device, video.format)?;
    let name = path.display().to_string();
    let device = sys::open_video_device(&path).map_err(|error| opening(&name, "open", error))?;
    Ok(Some((device, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_camera_has_controls_and_one_that_is_away_says_so() {
        let pattern = Video { source: VideoSourceKind::TestPattern, ..Video::default() };
        assert!(controls(&pattern).expect("nothing to open").is_empty());
        assert!(sizes(&pattern).expect("nothing to open").contains(&(1280, 720)));
        let away =
            Video { source: VideoSourceKind::V4l2, device: "/dev/video-not-there".to_owned(), ..Video::default() };
        assert!(matches!(controls(&away), Err(CaptureError::NotFound { .. })));
        assert!(matches!(set_control(&away, 1, 1), Err(CaptureError::NotFound { .. })));
    }
}
