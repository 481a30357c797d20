//! What viewers ask of the node over data channels: pure. `src/session/PROTOCOL.md`, section 9, is its text.
//!
//! [`Requests`] reads the messages of one `control` channel, checks each against the table of [`Method`]s and the viewer's
//! scopes, and says what is to be done ([`Command`]) or answered. [`app`] is what a local process is told of its viewer.
//! Whoever performs the commands is the node.

pub mod app;
pub mod config;
mod error;
mod lists;
mod method;
mod requests;
mod telemetry;
mod transfer;

pub use error::{ControlError, ErrorCode, Range};
pub use lists::page;
pub use method::{Command, Method, SettingsChange};
pub use requests::{MAX_IN_FLIGHT, MAX_REPLY_BYTES, Requests, Step, Ticket, event};
pub use telemetry::{CameraFigures, Telemetry, Throttled, ViewerFigures};
pub use transfer::{
    FileInfo, FileName, FileRequest, StillRequest, deleted, file_header, listing, read as read_request, refusal,
    still_header,
};
