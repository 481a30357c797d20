//! What to do about a camera or microphone that cannot be opened. Pure: the surroundings are an argument.

use std::io::ErrorKind;

use super::surroundings::Holder;
use crate::capture::CaptureError;

/// What there is to know about a device before one can say what to do.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `camera` or `microphone`.
    pub what: &'static str,
    /// The config key that chooses the device.
    pub key: &'static str,
    /// Devices that could be used instead.
    pub present: Vec<String>,
    /// Programs that hold the device.
    pub holders: Vec<Holder>,
    /// The group that may open it.
    pub group: String,
    /// The user that we run as.
    pub user: String,
}

/// One sentence or two: what a person can do about `error`.
pub fn advise(error: &CaptureError, around: &Surroundings) -> String {
    let Surroundings { what, key, present, holders, group, user } = around;
    match error {
        CaptureError::NotFound { .. } if present.is_empty() => format!(
            "no {what} is plugged in: check cable and power; in a container, hand the device in (--device); \
             `source = \"auto\"` goes on without one"
        ),
        CaptureError::NotFound { .. } => format!("set `{key}` to one that is there: {}", present.join(", ")),
        CaptureError::Gone { .. } => {
            format!("the {what} went away while being read: check cable, hub and power supply")
        }
        CaptureError::Busy { .. } if holders.is_empty() => {
            "another program uses it; run this check as root to see which one, or stop other users' programs".to_owned()
        }
        CaptureError::Busy { .. } => {
            let holders: Vec<_> = holders.iter().map(|h| format!("{} (process {})", h.name, h.pid)).collect();
            format!("stop the program that uses it: {}", holders.join(", "))
        }
        CaptureError::Denied { .. } => format!(
            "let the user {user} in: `sudo usermod -aG {group} {user}`, then log in again (a service: \
             SupplementaryGroups={group})"
        ),
        CaptureError::Unsupported { .. } => {
            format!(
                "`camera-node devices` shows what it can do; choose that in the config, or another {what} in `{key}`"
            )
        }
        CaptureError::Stalled { .. } => format!(
            "the {what} is open and gives nothing: plug it in anew, into a port of its own or a powered hub; \
             try a smaller size or rate"
        ),
        CaptureError::Io { source, .. } => match source.kind() {
            ErrorKind::NotFound => {
                "check the path in the config; it is taken from the directory the node starts in".to_owned()
            }
            ErrorKind::ResourceBusy => "another program uses it".to_owned(),
            _ => format!("the {what} or its driver refuses: plug it in anew, and see `dmesg` for the driver's words"),
        },
    }
}

/// The same about a file that is played in the place of a device; `key` names it in the config.
pub fn advise_on_file(error: &CaptureError, key: &str, user: &str) -> String {
    match error {
        CaptureError::NotFound { .. } => {
            format!("set `{key}` to a file that is there; a path is taken from the directory the node starts in")
        }
        CaptureError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            format!("let the user {user} read it, and enter the folders above it")
        }
        CaptureError::Unsupported { .. } => {
            "give a picture as .y4m or, encoded, as .h264 in Annex B, and sound as .wav".to_owned()
        }
        _ => "the file could be opened and not be read: see whether its disk is well".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            what: "camera",
            key: "camera[0].video.device",
            group: "video".to_owned(),
            user: "ada".to_owned(),
            ..Surroundings::default()
        }
    }

    fn io_error(kind: ErrorKind) -> CaptureError {
        CaptureError::Io { device: "/dev/video0".to_owned(), operation: "open", source: io::Error::from(kind) }
    }

    #[test]
    fn a_file_is_no_device_that_could_be_plugged_in() {
        let missing = CaptureError::NotFound { device: "/clip.y4m".to_owned() };
        assert!(advise_on_file(&missing, "camera.video.file", "ada").starts_with("set `camera.video.file` to"));
        let locked = advise_on_file(&io_error(ErrorKind::PermissionDenied), "camera.video.file", "ada");
        assert_eq!(locked, "let the user ada read it, and enter the folders above it");
    }

    #[test]
    fn a_missing_right_names_the_group_and_the_user() {
        let denied = CaptureError::Denied { device: "/dev/video0".to_owned() };
        let advice = advise(&denied, &around());
        assert!(advice.contains("sudo usermod -aG video ada"), "{advice}");
    }

    #[test]
    fn a_busy_device_names_who_holds_it() {
        let busy = CaptureError::Busy { device: "/dev/video0".to_owned() };
        let holders = vec![Holder { name: "cheese".to_owned(), pid: 412 }];
        assert_eq!(
            advise(&busy, &Surroundings { holders, ..around() }),
            "stop the program that uses it: cheese (process 412)"
        );
        assert!(advise(&busy, &around()).contains("as root"));
    }

    #[test]
    fn a_missing_device_is_answered_with_those_that_are_there() {
        let missing = CaptureError::NotFound { device: "/dev/video7".to_owned() };
        let present = vec!["/dev/video0 (C920)".to_owned(), "/dev/video2 (Loopback)".to_owned()];
        assert_eq!(
            advise(&missing, &Surroundings { present, ..around() }),
            "set `camera[0].video.device` to one that is there: /dev/video0 (C920), /dev/video2 (Loopback)"
        );
        assert!(advise(&missing, &around()).starts_with("no camera is plugged in"));
    }
}
