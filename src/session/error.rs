//! What can fail, as both sides name it: one number, one name and one sentence for each step.

use serde::{Deserialize, Serialize};

use super::{FailedStep, Text};

/// Why something was refused or failed. Numbers and slugs are those of `errors.json`, which the clients read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// Not JSON, not an object, a field missing or of the wrong kind, or more than 64 KB.
    BadMessage,
    /// `v` is not spoken; `versions` lists those that are.
    UnsupportedVersion,
    /// The type is unknown, or this side does not do it.
    Unsupported,
    /// No such session of this peer.
    UnknownSession,
    /// More than 32 messages or 64 KB ahead, or queued for a peer that acknowledges nothing.
    WindowOverflow,
    /// The token, or the lack of a right, forbids it.
    NotAllowed,
    /// No token where one is needed.
    TokenMissing,
    /// The token's time is over.
    TokenExpired,
    /// The token's time has not come.
    TokenNotYetValid,
    /// The node's clock is not set, so no token's time can be checked.
    ClockUnknown,
    /// The limit on viewers is reached.
    Busy,
    /// Too many requests of this peer.
    RateLimited,
    /// A live peer has registered this name.
    NameTaken,
    /// A camera that was asked for by name does not exist.
    NoSuchCamera,
    /// The camera is unplugged.
    CameraAway,
    /// The camera is there but delivers nothing.
    CameraFailed,
    /// Somebody has shut the camera.
    CameraShut,
    /// Making the offer failed.
    OfferFailed,
    /// Making the answer failed.
    AnswerFailed,
    /// Setting the local description failed.
    LocalDescriptionFailed,
    /// Setting the remote description failed.
    RemoteDescriptionFailed,
    /// The two sides share no codec for a section.
    NoCommonCodec,
    /// No candidate pair worked, or the path was lost for good.
    IceFailed,
    /// Messages stay unacknowledged.
    SignallingLost,
    /// A step was not taken within its time.
    TimedOut,
    /// Anything else.
    Internal,
}

/// One row of the table.
struct Row {
    code: ErrorCode,
    number: u16,
    slug: &'static str,
    name: &'static str,
    message: &'static str,
    retry: bool,
    ends: bool,
}

impl ErrorCode {
    /// Every code, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.code)
    }

    /// The code with this number; `None` for one of a later version.
    pub fn from_number(number: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.number == number).map(|row| row.code)
    }

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self.row().number
    }

    /// The name in documents, logs and metrics.
    pub fn slug(self) -> &'static str {
        self.row().slug
    }

    /// The W3C `DOMException` name that fits best.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// One sentence for a person.
    pub fn message(self) -> &'static str {
        self.row().message
    }

    /// Whether the same request may succeed later, unchanged but for a new session id.
    pub fn retry(self) -> bool {
        self.row().retry
    }

    /// Whether it ends the session it names. One that answers a `join` or `call` always does.
    pub fn ends(self) -> bool {
        self.row().ends
    }

    fn row(self) -> &'static Row {
        // The table is in the enum's order, which a test holds.
        &TABLE[self as usize]
    }
}

impl From<FailedStep> for ErrorCode {
    fn from(step: FailedStep) -> Self {
        match step {
            FailedStep::Offer => Self::OfferFailed,
            FailedStep::Answer => Self::AnswerFailed,
            FailedStep::LocalDescription => Self::LocalDescriptionFailed,
            FailedStep::RemoteDescription => Self::RemoteDescriptionFailed,
            FailedStep::NoCommonCodec => Self::NoCommonCodec,
            FailedStep::Ice => Self::IceFailed,
            FailedStep::Internal => Self::Internal,
        }
    }
}

/// Every step that can fail, and what the other side is told of it.
#[cfg(test)]
pub(in crate::session) const FAILED_STEPS: [(FailedStep, &str); 7] = [
    (FailedStep::Offer, "offerFailed"),
    (FailedStep::Answer, "answerFailed"),
    (FailedStep::LocalDescription, "localDescriptionFailed"),
    (FailedStep::RemoteDescription, "remoteDescriptionFailed"),
    (FailedStep::NoCommonCodec, "noCommonCodec"),
    (FailedStep::Ice, "iceFailed"),
    (FailedStep::Internal, "internal"),
];

/// The body of an `error` message. The code may be one of a later version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Number of an [`ErrorCode`].
    pub code: u16,
    /// The W3C `DOMException` name.
    pub name: Text<1, 64>,
    /// For a person.
    pub message: Text<0, 512>,
    /// Seconds to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// With [`ErrorCode::UnsupportedVersion`]: the versions that are spoken.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::text::at_most::<16, _, _>")]
    pub versions: Vec<u32>,
}

impl Failure {
    /// `code` with the table's own sentence.
    pub fn new(code: ErrorCode) -> Self {
        Self::with_message(code, code.message())
    }

    /// `code` with a sentence that says more.
    pub fn with_message(code: ErrorCode, message: &str) -> Self {
        let name = Text::try_from(code.name()).expect("names of the table are short, which a test holds");
        let versions = if code == ErrorCode::UnsupportedVersion { vec![super::VERSION] } else { Vec::new() };
        Self { code: code.number(), name, message: Text::clipped(message), retry_after: None, versions }
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The code, if this version knows it.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.code)
    }

    /// Whether it ends the session it names.
    pub fn ends(&self) -> bool {
        // A code of a later version ends it: going on as if nothing had happened would leave a person waiting.
        self.known().is_none_or(ErrorCode::ends)
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> bool {
        self.known().map_or(self.retry_after.is_some(), ErrorCode::retry)
    }
}

#[rustfmt::skip]
const TABLE: [Row; 26] = [
    Row { code: ErrorCode::BadMessage, number: 10, slug: "badMessage", name: "SyntaxError", message: "The message could not be read.", retry: false, ends: false },
    Row { code: ErrorCode::UnsupportedVersion, number: 11, slug: "unsupportedVersion", name: "NotSupportedError", message: "This protocol version is not spoken here.", retry: false, ends: true },
    Row { code: ErrorCode::Unsupported, number: 12, slug: "unsupported", name: "NotSupportedError", message: "This kind of message is not supported here.", retry: false, ends: false },
    Row { code: ErrorCode::UnknownSession, number: 13, slug: "unknownSession", name: "InvalidStateError", message: "This session is not known here. Join again.", retry: true, ends: true },
    Row { code: ErrorCode::WindowOverflow, number: 14, slug: "windowOverflow", name: "QuotaExceededError", message: "Too many messages came out of order or at once.", retry: true, ends: true },
    Row { code: ErrorCode::NotAllowed, number: 20, slug: "notAllowed", name: "NotAllowedError", message: "You are not allowed to do this.", retry: false, ends: true },
    Row { code: ErrorCode::TokenMissing, number: 21, slug: "tokenMissing", name: "NotAllowedError", message: "A token is needed to watch this camera.", retry: false, ends: true },
    Row { code: ErrorCode::TokenExpired, number: 22, slug: "tokenExpired", name: "NotAllowedError", message: "The token has expired.", retry: false, ends: true },
    Row { code: ErrorCode::TokenNotYetValid, number: 23, slug: "tokenNotYetValid", name: "NotAllowedError", message: "The token is not valid yet.", retry: true, ends: true },
    Row { code: ErrorCode::ClockUnknown, number: 24, slug: "clockUnknown", name: "InvalidStateError", message: "The camera does not know the time yet and cannot check tokens.", retry: true, ends: true },
    Row { code: ErrorCode::Busy, number: 25, slug: "busy", name: "QuotaExceededError", message: "All places are taken.", retry: true, ends: true },
    Row { code: ErrorCode::RateLimited, number: 26, slug: "rateLimited", name: "QuotaExceededError", message: "Too many requests. Wait a little.", retry: true, ends: false },
    Row { code: ErrorCode::NameTaken, number: 27, slug: "nameTaken", name: "InvalidStateError", message: "Another peer has this name.", retry: false, ends: false },
    Row { code: ErrorCode::NoSuchCamera, number: 30, slug: "noSuchCamera", name: "NotFoundError", message: "There is no camera of this name.", retry: false, ends: true },
    Row { code: ErrorCode::CameraAway, number: 31, slug: "cameraAway", name: "NotReadableError", message: "The camera is unplugged.", retry: true, ends: false },
    Row { code: ErrorCode::CameraFailed, number: 32, slug: "cameraFailed", name: "NotReadableError", message: "The camera has failed.", retry: true, ends: false },
    Row { code: ErrorCode::CameraShut, number: 33, slug: "cameraShut", name: "InvalidStateError", message: "Somebody has shut the camera.", retry: true, ends: false },
    Row { code: ErrorCode::OfferFailed, number: 40, slug: "offerFailed", name: "OperationError", message: "The offer could not be made.", retry: true, ends: true },
    Row { code: ErrorCode::AnswerFailed, number: 41, slug: "answerFailed", name: "OperationError", message: "The answer could not be made.", retry: false, ends: true },
    Row { code: ErrorCode::LocalDescriptionFailed, number: 42, slug: "localDescriptionFailed", name: "OperationError", message: "The local description could not be set.", retry: false, ends: true },
    Row { code: ErrorCode::RemoteDescriptionFailed, number: 43, slug: "remoteDescriptionFailed", name: "OperationError", message: "The remote description could not be set.", retry: false, ends: true },
    Row { code: ErrorCode::NoCommonCodec, number: 44, slug: "noCommonCodec", name: "NotSupportedError", message: "The two sides share no codec.", retry: false, ends: true },
    Row { code: ErrorCode::IceFailed, number: 45, slug: "iceFailed", name: "NetworkError", message: "No network path was found, or it was lost.", retry: true, ends: true },
    Row { code: ErrorCode::SignallingLost, number: 50, slug: "signallingLost", name: "NetworkError", message: "The other side no longer answers over the broker.", retry: true, ends: true },
    Row { code: ErrorCode::TimedOut, number: 51, slug: "timedOut", name: "TimeoutError", message: "The other side took too long.", retry: true, ends: true },
    Row { code: ErrorCode::Internal, number: 59, slug: "internal", name: "UnknownError", message: "Something went wrong inside.", retry: true, ends: true },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes_and_equals_the_file_that_clients_read() {
        let rows: Vec<_> = ErrorCode::all()
            .map(|code| {
                assert_eq!(code.row().code, code);
                assert_eq!(ErrorCode::from_number(code.number()), Some(code));
                assert_eq!(Failure::new(code).known(), Some(code));
                serde_json::json!({
                    "code": code.number(), "slug": code.slug(), "name": code.name(),
                    "message": code.message(), "retry": code.retry(), "ends": code.ends(),
                })
            })
            .collect();
        let file: serde_json::Value = serde_json::from_str(include_str!("errors.json")).expect("errors.json is JSON");
        assert_eq!(serde_json::Value::from(rows), file);
    }

    #[test]
    fn the_reference_has_the_same_table() {
        let reference = include_str!("PROTOCOL.md");
        let word = |flag| if flag { "yes" } else { "no" };
        for code in ErrorCode::all() {
            let (ends, retry) = (word(code.ends()), word(code.retry()));
            let row = format!("| {} | `{}` | {} | {ends} | {retry} |", code.number(), code.slug(), code.name());
            assert!(reference.contains(&row), "PROTOCOL.md has no row {row}");
        }
    }
}
