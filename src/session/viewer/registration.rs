//! The viewer's registration: asked for, renewed when half of its time is over, and given back.

use std::time::Duration;

use super::super::{
    Body, Boot, Empty, Failure, Message, RESEND_WAITS, Register, Registration as Registered, Text, Token,
};
use super::again::REBOOT_SPREAD;
use super::{Viewer, ViewerState};
use crate::media::Bounded;

/// The wish to be called under a name.
#[derive(Debug)]
pub(super) struct Registration {
    name: Text<1, 64>,
    ttl: Bounded<1, 3600>,
    next_seq: u32,
    /// The node's run that was asked last.
    boot: Option<Boot>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no node.
    Away,
    /// Ask then.
    DueAt(Duration),
    /// Asked, so often; again then.
    Asked { seq: u32, sends: usize, due: Duration },
    /// Registered; renew then.
    Granted { renew_at: Duration },
    /// It was refused, and asking again would not help.
    Refused,
    /// Given back, so often; again then.
    Leaving { seq: u32, sends: usize, due: Duration },
    /// Over.
    Left,
}

/// What has become of a request.
enum Reply {
    Granted,
    Refused(Failure),
    Lost,
}

impl Registration {
    fn new(name: Text<1, 64>, ttl: Bounded<1, 3600>) -> Self {
        Self { name, ttl, next_seq: 0, boot: None, state: State::Away }
    }

    /// Whether the node knows of it.
    pub(super) fn is_granted(&self) -> bool {
        matches!(self.state, State::Granted { .. })
    }

    /// Whether calls are wanted.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.state, State::Refused | State::Leaving { .. } | State::Left)
    }

    /// Whether nothing more is to be said.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Left | State::Refused | State::Away)
    }

    /// When [`Viewer::register`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::DueAt(at) | State::Granted { renew_at: at } => Some(at),
            State::Asked { due, .. } | State::Leaving { due, .. } => Some(due),
            State::Away | State::Refused | State::Left => None,
        }
    }

    /// The node is there, or away.
    fn follow(&mut self, is_there: bool, now: Duration) {
        match self.state {
            State::Away if is_there => self.state = State::DueAt(now),
            State::DueAt(_) | State::Asked { .. } | State::Granted { .. } if !is_there => self.state = State::Away,
            State::Leaving { .. } if !is_there => self.state = State::Left,
            _ => {}
        }
    }

    /// Whether the node has started anew, and knows nothing of us.
    fn is_anew(&mut self, boot: &Boot) -> bool {
        let before = self.boot.replace(boot.clone());
        self.is_wanted() && before.is_some_and(|before| before != *boot)
    }

    fn leave(&mut self, now: Duration) {
        self.state = match self.state {
            State::Asked { .. } | State::Granted { .. } => State::Leaving { seq: self.number(), sends: 0, due: now },
            _ => State::Left,
        };
    }

    fn number(&mut self) -> u32 {
        self.next_seq = self.next_seq.wrapping_add(1);
        self.next_seq
    }

    /// The request to publish now; an error once it has been repeated for too long.
    fn poll(&mut self, token: Option<&Token>, now: Duration) -> Result<Option<Message>, Reply> {
        if let State::DueAt(at) | State::Granted { renew_at: at } = self.state
            && at <= now
        {
            self.state = State::Asked { seq: self.number(), sends: 0, due: now };
        }
        let wait = |sends: usize| RESEND_WAITS.get(sends).copied().unwrap_or(RESEND_WAITS[RESEND_WAITS.len() - 1]);
        let is_lost = |sends: usize| sends > RESEND_WAITS.len();
        match self.state {
            State::Asked { sends, due, .. } if due <= now && is_lost(sends) => Err(Reply::Lost),
            State::Leaving { sends, due, .. } if due <= now && is_lost(sends) => {
                self.state = State::Left;
                Ok(None)
            }
            State::Asked { seq, sends, due } if due <= now => {
                self.state = State::Asked { seq, sends: sends + 1, due: now + wait(sends) };
                let register = Register { name: self.name.clone(), ttl: self.ttl, token: token.cloned() };
                Ok(Some(Message::plain(Body::Register(register), Some(seq), None)))
            }
            State::Leaving { seq, sends, due } if due <= now => {
                self.state = State::Leaving { seq, sends: sends + 1, due: now + wait(sends) };
                Ok(Some(Message::plain(Body::Unregister(Empty {}), Some(seq), None)))
            }
            _ => Ok(None),
        }
    }

    /// An answer of the node's; `None` for one to something else.
    fn hear(&mut self, message: Message, now: Duration) -> Option<Reply> {
        match (self.state, message.body) {
            (State::Asked { seq, .. }, Body::Registered(Registered { ttl, .. })) if message.re == Some(seq) => {
                self.state = State::Granted { renew_at: now + Duration::from_secs(ttl.value().into()) / 2 };
                Some(Reply::Granted)
            }
            (State::Asked { seq, .. }, Body::Error(failure)) if message.re == Some(seq) => {
                Some(Reply::Refused(failure))
            }
            (State::Leaving { seq, .. }, Body::Unregistered(_) | Body::Error(_)) if message.re == Some(seq) => {
                self.state = State::Left;
                None
            }
            _ => None,
        }
    }
}

impl Viewer {
    /// Follows the registration: asks, asks again, renews.
    pub(super) fn register(&mut self, now: Duration) {
        let boot = self.lookout.online().cloned().filter(|_| self.node_can_hear());
        let Some(registration) = &mut self.registration else { return };
        registration.follow(boot.is_some(), now);
        if boot.is_some_and(|boot| registration.is_anew(&boot)) {
            let wait = self.random_share(REBOOT_SPREAD);
            self.ask_again_at(now + wait);
        }
        let Some(registration) = &mut self.registration else { return };
        match registration.poll(self.setup.token.as_ref(), now) {
            Ok(Some(message)) => self.publish(&message),
            Ok(None) => {}
            Err(reply) => self.registration_reply(reply, now),
        }
    }

    /// A message that belongs to no session.
    pub(super) fn outside_of_sessions(&mut self, message: Message, now: Duration) {
        if let Some(reply) = self.registration.as_mut().and_then(|registration| registration.hear(message, now)) {
            self.registration_reply(reply, now);
        }
    }

    fn registration_reply(&mut self, reply: Reply, now: Duration) {
        let at_least = match reply {
            Reply::Granted => {
                self.registration_failures = 0;
                return;
            }
            Reply::Refused(failure) if !failure.retry() => {
                if let Some(registration) = &mut self.registration {
                    registration.state = State::Refused;
                }
                return self.show(ViewerState::Refused, Some(failure.message.into()), None);
            }
            Reply::Refused(failure) => Duration::from_secs(failure.retry_after.unwrap_or(0).into()),
            Reply::Lost => Duration::ZERO,
        };
        let wait = at_least + self.back_off(self.registration_failures);
        self.registration_failures = self.registration_failures.saturating_add(1);
        self.ask_again_at(now + wait);
    }

    fn ask_again_at(&mut self, at: Duration) {
        if let Some(registration) = &mut self.registration {
            registration.state = State::DueAt(at);
        }
    }

    /// Nobody is here to be called any more.
    pub(super) fn unregister(&mut self, now: Duration) {
        if let Some(registration) = &mut self.registration {
            registration.leave(now);
        }
    }

    /// A viewer that waits to be called under `name`; the registration is renewed long before `ttl` seconds are over.
    #[must_use]
    pub fn registered(mut self, name: Text<1, 64>, ttl: Bounded<1, 3600>) -> Self {
        self.manner = super::Manner::Wait;
        self.registration = Some(Registration::new(name, ttl));
        self
    }
}
