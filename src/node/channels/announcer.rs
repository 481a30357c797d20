//! What a viewer is told without having asked: events on its channel `control`, if it has one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::control::{ControlError, ErrorCode, event};
use crate::peer::{ChannelEnd, Refused};

/// Channels are opened in no order: so many events wait for a `control` that opens after those they are about.
const MAX_WAITING: usize = 8;

/// The way to one viewer.
#[derive(Default)]
pub struct Announcer(Mutex<Way>);

enum Way {
    /// Its channel may open yet; what it is to be told then.
    Awaited(Vec<String>),
    Open(Say),
    /// It has had one.
    Over,
}

/// Says it, if the viewer takes it.
type Say = Box<dyn Fn(String) + Send>;

impl Default for Way {
    fn default() -> Self {
        Self::Awaited(Vec::new())
    }
}

impl Announcer {
    /// Events go there from now on, those first that wait.
    pub fn attach(&self, say: impl Fn(String) + Send + 'static) {
        let mut way = self.way();
        if let Way::Awaited(waiting) = &mut *way {
            waiting.drain(..).for_each(&say);
        }
        *way = Way::Open(Box::new(say));
    }

    /// They go nowhere.
    pub fn detach(&self) {
        *self.way() = Way::Over;
    }

    /// A channel was closed, or not let in, for this reason.
    pub fn channel_closed(&self, label: &str, why: &ControlError) {
        tracing::info!(label, why = %why, "a data channel was closed");
        let event = event("channelClosed", &json!({"label": label, "error": why}));
        match &mut *self.way() {
            Way::Open(say) => say(event),
            Way::Awaited(waiting) if waiting.len() < MAX_WAITING => waiting.push(event),
            Way::Awaited(_) | Way::Over => {}
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An announcer, and the labels of channels that its viewer has heard of.
    fn told(announcer: &Announcer) -> impl Fn() -> Vec<String> + use<> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&heard);
        announcer.attach(move |event| {
            let event: serde_json::Value = serde_json::from_str(&event).expect("JSON");
            let label = event["params"]["label"].as_str().expect("text").to_owned();
            said.lock().expect("nobody panics").push(label);
        });
        move || heard.lock().expect("nobody panics").clone()
    }

    fn close(announcer: &Announcer, label: &str) {
        announcer.channel_closed(label, &error_of_refusal(Refused::BadLabel));
    }

    #[test]
    fn what_was_closed_before_control_has_opened_is_told_then_and_only_once() {
        let announcer = Announcer::default();
        close(&announcer, "files");
        let heard = told(&announcer);
        close(&announcer, "snapshot");
        assert_eq!(heard(), ["files", "snapshot"]);
        announcer.detach();
        close(&announcer, "nobody hears it");
        assert!(told(&announcer)().is_empty());
        assert_eq!(heard().len(), 2);
    }

    #[test]
    fn each_end_has_the_number_that_the_protocol_gives_it() {
        let number = |end| error_of(end).map(|error| error.code());
        assert_eq!(number(ChannelEnd::Closed), None, "it knows");
        assert_eq!(number(ChannelEnd::TooLong), Some(72));
        assert_eq!(number(ChannelEnd::NotServed), Some(74));
        assert_eq!(number(ChannelEnd::NotRead), Some(74));
        assert_eq!(error_of_refusal(Refused::TooMany).code(), 71);
        assert_eq!(error_of_refusal(Refused::BadLabel).code(), 70);
    }

    #[test]
    fn a_viewer_without_control_costs_no_more_than_a_few_events() {
        let announcer = Announcer::default();
        for n in 0..100 {
            close(&announcer, &n.to_string());
        }
        assert_eq!(told(&announcer)().len(), MAX_WAITING);
    }
}
