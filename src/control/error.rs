//! Why a request is not done, or a channel ends.

use serde::Serialize;

/// A kind of error. Those that a session has too have its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not JSON, not a request, or its params are not the method's.
    BadMessage,
    /// No such method, or this camera cannot do it.
    Unsupported,
    /// The viewer's scopes do not cover it.
    NotAllowed,
    /// Too many requests wait for their answers.
    Busy,
    /// No camera of this name.
    NoSuchCamera,
    /// The camera is unplugged.
    CameraAway,
    /// The camera does not do what it should.
    CameraFailed,
    /// Somebody has shut the camera.
    CameraShut,
    /// The camera has no such control.
    NoSuchControl,
    /// A value outside of its range.
    OutOfRange,
    /// It cannot be set now: read-only, held by an automatic mode, or privacy is on.
    NotSettable,
    /// It was not done in time.
    TimedOut,
    /// Anything else.
    Internal,
    /// A label that no channel has, or no plain text.
    NoSuchChannel,
    /// A channel more than a viewer may have.
    TooManyChannels,
    /// A message over the limit.
    MessageTooLong,
    /// The process behind an `app:` channel is not there, or has gone.
    AppAway,
    /// The other end takes no messages.
    NotRead,
    /// No plain file of this name.
    NoSuchFile,
    /// The node's file system refuses.
    FileFailed,
}

impl ErrorCode {
    /// All there are.
    pub const ALL: [Self; 20] = [
        Self::BadMessage,
        Self::Unsupported,
        Self::NotAllowed,
        Self::Busy,
        Self::NoSuchCamera,
        Self::CameraAway,
        Self::CameraFailed,
        Self::CameraShut,
        Self::NoSuchControl,
        Self::OutOfRange,
        Self::NotSettable,
        Self::TimedOut,
        Self::Internal,
        Self::NoSuchChannel,
        Self::TooManyChannels,
        Self::MessageTooLong,
        Self::AppAway,
        Self::NotRead,
        Self::NoSuchFile,
        Self::FileFailed,
    ];

    /// Number, slug and `DOMException` name.
    pub const fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadMessage => (10, "badMessage", "SyntaxError"),
            Self::Unsupported => (12, "unsupported", "NotSupportedError"),
            Self::NotAllowed => (20, "notAllowed", "NotAllowedError"),
            Self::Busy => (25, "busy", "QuotaExceededError"),
            Self::NoSuchCamera => (30, "noSuchCamera", "NotFoundError"),
            Self::CameraAway => (31, "cameraAway", "NotReadableError"),
            Self::CameraFailed => (32, "cameraFailed", "NotReadableError"),
            Self::CameraShut => (33, "cameraShut", "InvalidStateError"),
            Self::TimedOut => (51, "timedOut", "TimeoutError"),
            Self::Internal => (59, "internal", "UnknownError"),
            Self::NoSuchControl => (60, "noSuchControl", "NotFoundError"),
            Self::OutOfRange => (61, "outOfRange", "ConstraintError"),
            Self::NotSettable => (62, "notSettable", "InvalidStateError"),
            Self::NoSuchChannel => (70, "noSuchChannel", "NotFoundError"),
            Self::TooManyChannels => (71, "tooManyChannels", "QuotaExceededError"),
            Self::MessageTooLong => (72, "messageTooLong", "QuotaExceededError"),
            Self::AppAway => (73, "appAway", "NetworkError"),
            Self::NotRead => (74, "notRead", "NetworkError"),
            Self::NoSuchFile => (80, "noSuchFile", "NotFoundError"),
            Self::FileFailed => (81, "fileFailed", "NotReadableError"),
        }
    }
}

/// What a value must lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// Smallest value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// Distance of values.
    pub step: u64,
}

/// An error as the viewer gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    code: u16,
    name: &'static str,
    /// For a person.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Range>,
}

/// The longest message for a person, in characters: that of a session's errors.
const MAX_MESSAGE_CHARS: usize = 512;

impl ControlError {
    /// An error with this message for a person.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let (code, _, name) = code.words();
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
            message.truncate(end);
        }
        Self { code, name, message, range: None }
    }

    /// A value that is not in its range.
    pub fn out_of_range(what: &str, got: i64, range: Range) -> Self {
        let Range { minimum, maximum, step } = range;
        let steps = if step > 1 { format!(" in steps of {step}") } else { String::new() };
        let message = format!("{what} must be {minimum} to {maximum}{steps}, not {got}");
        Self { range: Some(range), ..Self::new(ErrorCode::OutOfRange, message) }
    }

    /// Its number.
    pub fn code(&self) -> u16 {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_each_error_as_it_is() {
        let reference = include_str!("../session/PROTOCOL.md");
        for code in ErrorCode::ALL {
            let (number, slug, name) = code.words();
            let beginning = format!("| {number} | `{slug}` | {name} | ");
            assert!(reference.lines().any(|line| line.starts_with(&beginning)), "{beginning}");
        }
    }

    #[test]
    fn a_message_is_cut_at_a_character() {
        let error = ControlError::new(ErrorCode::Internal, "ä".repeat(600));
        assert_eq!(error.message.chars().count(), 512);
    }

    #[test]
    fn a_value_out_of_range_is_told_the_range() {
        let error = ControlError::out_of_range("brightness", 300, Range { minimum: 0, maximum: 255, step: 1 });
        assert_eq!(
            serde_json::to_value(&error).expect("plain data"),
            serde_json::json!({"code": 61, "name": "ConstraintError", "message": "brightness must be 0 to 255, not 300",
                "range": {"minimum": 0, "maximum": 255, "step": 1}})
        );
    }
}
