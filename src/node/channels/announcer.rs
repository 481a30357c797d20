//! What a viewer is told without having asked: events on its channel `control`, if it has one.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::control::{ControlError, ErrorCode, event};
use crate::peer::{ChannelEnd, Message, Outgoing, Refused};

/// The way to one viewer.
#[derive(Debug, Default)]
pub struct Announcer(Mutex<Option<Outgoing>>);

impl Announcer {
    /// Events go there from now on.
    pub fn attach(&self, control: Outgoing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(control);
    }

    /// They go nowhere.
    pub fn detach(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A channel was closed, or not let in, for this reason.
    pub fn channel_closed(&self, label: &str, why: &ControlError) {
        tracing::info!(label, why = %why, "a data channel was closed");
        let event = event("channelClosed", &json!({"label": label, "error": why}));
        if let Some(control) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // A viewer that does not read has no use for it.
            let _ = control.offer(Message::text(event));
        }
    }
}

/// What a viewer is told of such an end; nothing where it has ended the channel itself.
pub fn error_of(end: ChannelEnd) -> Option<ControlError> {
    let (code, message) = match end {
        ChannelEnd::Closed => return None,
        ChannelEnd::TooLong => (ErrorCode::MessageTooLong, "a message has 16384 bytes at most"),
        ChannelEnd::NotServed => (ErrorCode::NotRead, "the other end has taken no message for 5 s"),
        ChannelEnd::NotRead => (ErrorCode::NotRead, "the viewer has read no message for 30 s"),
    };
    Some(ControlError::new(code, message))
}

/// What a viewer is told of such a refusal.
pub fn error_of_refusal(why: Refused) -> ControlError {
    match why {
        Refused::TooMany => ControlError::new(ErrorCode::TooManyChannels, "there are 16 channels already"),
        Refused::BadLabel => ControlError::new(ErrorCode::NoSuchChannel, "a label is plain text of 1 to 64 characters"),
    }
}
