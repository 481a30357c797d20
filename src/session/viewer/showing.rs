//! The state a person sees, told when it changes.

use std::time::Duration;

use super::registration::Registration;
use super::{Manner, Output, Shown, Viewer, ViewerState};

impl Viewer {
    /// Whether the node takes what is said to it, by its latest offer; `None` before the first of a session.
    pub fn takes_talk(&self) -> Option<bool> {
        self.session.as_ref().and_then(|session| session.takes_talk)
    }

    pub(super) fn show_session(&mut self) {
        if let Some(session) = &self.session {
            let state = match session.live_since() {
                Some(_) => ViewerState::Live,
                None if session.is_silent() => ViewerState::Silent,
                None if session.is_calling() => ViewerState::Calling,
                None => ViewerState::Connecting,
            };
            self.show(state, None, None);
        } else if self.manner == Manner::Wait
            && self.registration.as_ref().is_some_and(Registration::is_granted)
            && self.incoming.is_none()
        {
            self.show(ViewerState::Waiting, None, None);
        }
        if self.incoming.is_some() {
            self.show(ViewerState::Ringing, None, None);
        }
    }

    pub(super) fn show(&mut self, state: ViewerState, detail: Option<String>, retry_in: Option<Duration>) {
        let shown = Shown { state, detail, retry_in };
        if self.shown != shown {
            self.shown = shown.clone();
            self.out.push_back(Output::State(shown));
        }
    }
}
