//! Whom the guard lets in, in the protocol's terms, and the wall clock as far as this core knows it.

use std::time::Duration;

use super::super::message::is_app_channel;
use super::super::{AccessMode, ErrorCode, Failure, PeerId, Token, WantsRequest};
use crate::access::{Denied, Grant, Guard, Mode, Scope, Scopes, WallClock};

/// A clock that is not set may be at any moment: the network has just come up.
const ASK_AGAIN_S: u32 = 10;

/// Decides who comes in, and when they must go.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    guard: Guard,
    clock: WallClock,
    /// When we were told what the clock shows; it counts on from there.
    told_at: Duration,
}

impl Doorkeeper {
    /// One that has not been told the time yet.
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, clock: WallClock::Unset { floor_s: 0 }, told_at: Duration::ZERO }
    }

    pub(super) fn set_guard(&mut self, guard: Guard) {
        self.guard = guard;
    }

    /// The wall clock shows this at `now`.
    pub(super) fn set_clock(&mut self, clock: WallClock, now: Duration) {
        // Once it was set, time does not become unknown again: it went on since, however the clock is turned back.
        if !matches!((self.clock, clock), (WallClock::Set { .. }, WallClock::Unset { .. })) {
            (self.clock, self.told_at) = (clock, now);
        }
    }

    /// Seconds since 1970, as far as they are known: at least so many.
    pub(super) fn unix_s(&self, now: Duration) -> u64 {
        let (WallClock::Set { unix_s } | WallClock::Unset { floor_s: unix_s }) = self.clock;
        unix_s.saturating_add(now.saturating_sub(self.told_at).as_secs())
    }

    /// What `status` says.
    pub(super) fn mode(&self) -> AccessMode {
        match self.guard.mode() {
            Mode::Open => AccessMode::Open,
            Mode::Token => AccessMode::Token,
        }
    }

    /// What `peer` may do, if that covers what it `needs`.
    pub(super) fn admit(
        &self,
        peer: &PeerId,
        token: Option<&Token>,
        needs: Scopes,
        now: Duration,
    ) -> Result<Grant, Failure> {
        let clock = match self.clock {
            WallClock::Set { .. } => WallClock::Set { unix_s: self.unix_s(now) },
            unset => unset,
        };
        let token = token.map(Token::as_str);
        let grant = self.guard.check(token, peer.as_str(), clock).map_err(|denied| failure(&denied))?;
        let lacking = grant.scopes.lacking(needs);
        if lacking.is_empty() {
            return Ok(grant);
        }
        Err(Failure::with_message(ErrorCode::NotAllowed, &format!("The token lacks the scope: {lacking}.")))
    }

    /// Whether what was granted has not been taken back.
    pub(super) fn upholds(&self, grant: &Grant) -> bool {
        self.guard.upholds(grant)
    }

    /// When a grant ends; `None` for never, and while the time is not known.
    pub(super) fn ends_at(&self, grant: &Grant) -> Option<Duration> {
        let WallClock::Set { unix_s } = self.clock else { return None };
        let left = grant.expires_unix_s?.saturating_sub(unix_s);
        Some(self.told_at.saturating_add(Duration::from_secs(left)))
    }
}

/// The rights that these wishes need. Labels of channels that nobody knows need none: they are not granted anyway.
pub(super) fn needs(wants: &WantsRequest) -> Scopes {
    let channel = |label: &str| wants.channels.iter().any(|wanted| wanted.as_str() == label);
    let view = !wants.video.is_none() || !wants.audio.is_none() || channel("telemetry") || channel("snapshot");
    let needed = [
        (view, Scope::View),
        (wants.talk, Scope::Talk),
        (channel("control") || wants.channels.iter().any(|label| is_app_channel(label.as_str())), Scope::Control),
        (channel("files"), Scope::Files),
    ];
    needed.into_iter().filter_map(|(is_needed, scope)| is_needed.then_some(scope)).collect()
}

fn failure(denied: &Denied) -> Failure {
    match denied {
        Denied::Missing => Failure::new(ErrorCode::TokenMissing),
        Denied::Expired => Failure::new(ErrorCode::TokenExpired),
        Denied::NotYetValid { in_s } => {
            Failure::new(ErrorCode::TokenNotYetValid).after(u32::try_from(*in_s).unwrap_or(u32::MAX))
        }
        Denied::ClockUnknown => Failure::new(ErrorCode::ClockUnknown).after(ASK_AGAIN_S),
        other => Failure::with_message(ErrorCode::NotAllowed, &format!("The token is refused: {other}.")),
    }
}
