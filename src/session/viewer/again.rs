//! What comes after the end of a session, or after the node has gone: trying again, waiting, or giving up.

use std::time::Duration;

use super::super::{Boot, CancelReason, Failure, LeaveReason, RejectReason, Rejection};
use super::registration::Registration;
use super::{Manner, Plan, Viewer, ViewerState};

/// The longest wait between two attempts.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// Peers of a node that has started anew come back spread over this time.
pub(super) const REBOOT_SPREAD: Duration = Duration::from_secs(5);

impl Viewer {
    pub(super) fn after_reboot(&mut self, boot: Boot, now: Duration) {
        let wait = self.random_share(REBOOT_SPREAD);
        self.failures = 0;
        self.last_boot = Some(boot);
        self.plan = Plan::At(now + wait);
        self.show(ViewerState::Lost, Some("The camera has started anew.".to_owned()), Some(wait));
    }

    pub(super) fn node_is_away(&mut self) {
        if self.session.is_none() && self.plan != Plan::Nothing {
            self.plan = Plan::WhenThere;
            self.show(ViewerState::Offline, None, None);
        }
    }

    pub(super) fn after_leave(&mut self, reason: LeaveReason, now: Duration) {
        match reason {
            LeaveReason::Closed => self.retry("The camera has ended the session.", Duration::ZERO, now),
            LeaveReason::Replaced => self.retry("Another session has taken this one's place.", Duration::ZERO, now),
            LeaveReason::Failed => self.retry("The camera has lost the session.", Duration::ZERO, now),
            LeaveReason::Shutdown => {
                self.lookout.said_goodbye();
                self.plan = Plan::WhenThere;
                self.show(ViewerState::Offline, Some("The camera is shutting down.".to_owned()), None);
            }
            LeaveReason::Expired => self.give_up("The right to watch has ended."),
            LeaveReason::Limit => self.give_up("The limit for this session is reached."),
        }
    }

    pub(super) fn after_failure(&mut self, failure: &Failure, now: Duration) {
        if failure.retry() {
            let at_least = Duration::from_secs(failure.retry_after.unwrap_or(0).into());
            self.retry(failure.message.as_str(), at_least, now);
        } else {
            self.give_up(failure.message.as_str());
        }
    }

    pub(super) fn retry(&mut self, why: &str, at_least: Duration, now: Duration) {
        let wait = at_least.min(Duration::from_secs(3_600)) + self.back_off(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.plan = Plan::At(now + wait);
        if self.lookout.online().is_some() {
            self.show(ViewerState::Lost, Some(why.to_owned()), Some(wait));
        } else {
            self.show(ViewerState::Offline, Some(why.to_owned()), None);
        }
    }

    /// The wait after so many failures in a row.
    pub(super) fn back_off(&mut self, failures: u32) -> Duration {
        let full = MAX_BACK_OFF.min(Duration::from_secs(1) * (1 << failures.min(5)));
        // Half of it is chance, so that viewers that were lost together do not come back together.
        full / 2 + self.random_share(full / 2)
    }

    pub(super) fn give_up(&mut self, why: &str) {
        self.plan = Plan::Nothing;
        self.show(ViewerState::Refused, Some(why.to_owned()), None);
    }

    pub(super) fn random_share(&mut self, of: Duration) -> Duration {
        let thousandths = u32::try_from((self.setup.entropy)() % 1_001).unwrap_or(0);
        of * thousandths / 1_000
    }

    /// The node has rejected our call.
    pub(super) fn after_rejection(&mut self, rejection: &Rejection, now: Duration) {
        let why = match (&rejection.message, rejection.reason) {
            (Some(message), _) => message.as_str(),
            (None, RejectReason::Busy) => "The camera is busy.",
            (None, RejectReason::Declined) => "The camera takes no calls.",
            (None, RejectReason::Timeout) => "Nobody answered.",
            (None, RejectReason::NotAllowed) => "This call is not allowed.",
            (None, RejectReason::Unsupported) => "The camera cannot take this call.",
        };
        match rejection.retry_after {
            Some(seconds) => self.retry(why, Duration::from_secs(seconds.into()), now),
            None => self.give_up(why),
        }
    }

    /// The node has hung up, and nobody wants another session: a registered viewer waits for the next call.
    pub(super) fn after_call(&mut self, reason: CancelReason) {
        self.lost = None;
        if self.registration.as_ref().is_some_and(Registration::is_wanted) {
            self.manner = Manner::Wait;
            self.plan = Plan::WhenThere;
        } else if reason == CancelReason::Closed {
            self.give_up("The camera has hung up.");
        } else {
            self.give_up("The camera has taken its call back.");
        }
    }
}
