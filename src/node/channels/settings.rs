//! A camera's size, rate and bit rate, as a viewer sees and changes them. The rules are those of the config file.

use serde_json::{Value, json};

use crate::config::{self, Config, ConfigError};
use crate::control::{ControlError, ErrorCode, Range, SettingsChange};
use crate::media::Bounded;

/// What is asked of the camera now.
pub fn told(config: &config::Camera) -> Value {
    json!({
        "width": config.video.width.value(),
        "height": config.video.height.value(),
        "fps": config.video.fps.value(),
        "bitrateKbps": config.h264.bitrate_kbps.value(),
        "limits": {
            "width": range_of(&config.video.width),
            "height": range_of(&config.video.height),
            "fps": range_of(&config.video.fps),
            "bitrateKbps": range_of(&config.h264.bitrate_kbps),
        },
    })
}

/// The same camera with this changed.
///
/// # Errors
/// Out of range, or against a rule of the config.
pub fn changed(config: &config::Camera, change: SettingsChange) -> Result<config::Camera, ControlError> {
    let mut after = config.clone();
    set("width", &mut after.video.width, change.width)?;
    set("height", &mut after.video.height, change.height)?;
    set("fps", &mut after.video.fps, change.fps)?;
    set("bitrateKbps", &mut after.h264.bitrate_kbps, change.bitrate_kbps)?;
    let whole = Config { camera: vec![after.clone()], ..Config::default() };
    let text = toml::to_string(&whole).expect("sections are plain data");
    match Config::from_text("settings", &text, []) {
        Ok(_) => Ok(after),
        Err(ConfigError::Invalid(problems)) => {
            let said: Vec<String> = problems
                .into_iter()
                .map(|problem| {
                    let key = problem.key.unwrap_or_default();
                    format!("{} {}", key.rsplit('.').next().unwrap_or_default(), problem.message)
                })
                .collect();
            Err(ControlError::new(ErrorCode::OutOfRange, said.join("; ")))
        }
        Err(other) => Err(ControlError::new(ErrorCode::Internal, other.to_string())),
    }
}

fn set<const MIN: u32, const MAX: u32>(
    what: &str,
    value: &mut Bounded<MIN, MAX>,
    to: Option<u32>,
) -> Result<(), ControlError> {
    let Some(to) = to else { return Ok(()) };
    let to = i64::from(to);
    *value = Bounded::try_from(to).map_err(|_| ControlError::out_of_range(what, to, range_of(value)))?;
    Ok(())
}

fn range_of<const MIN: u32, const MAX: u32>(_: &Bounded<MIN, MAX>) -> Range {
    Range { minimum: MIN.into(), maximum: MAX.into(), step: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::config::VideoSourceKind;

    fn change(width: u32, height: u32) -> SettingsChange {
        SettingsChange { width: Some(width), height: Some(height), ..SettingsChange::default() }
    }

    #[test]
    fn what_is_not_named_stays() {
        let config = config::Camera::default();
        let after = changed(&config, SettingsChange { fps: Some(10), ..SettingsChange::default() }).expect("in range");
        assert_eq!((after.video.fps.value(), after.video.width), (10, config.video.width));
        assert_eq!(told(&after)["fps"], 10);
    }

    #[test]
    fn the_configs_rules_hold_and_say_why() {
        let mut config = config::Camera::default();
        let error = changed(&config, change(5, 720)).expect_err("too small");
        assert_eq!(error.message, "width must be 64 to 4096, not 5");
        config.video.source = VideoSourceKind::TestPattern;
        let error = changed(&config, change(641, 360)).expect_err("odd");
        assert_eq!((error.code(), error.message.as_str()), (61, "width must be even for the test pattern, not 641"));
        assert!(changed(&config, change(640, 360)).is_ok());
    }
}
