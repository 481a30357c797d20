//! What the desk sees around it and tells the core: the cameras, certificates that end, the clock, and who may come in.

use crate::access::WallClock;
use crate::encode::Turn;
use crate::peer::media_addresses;
use crate::session::node::{self as core, Input};
use crate::session::{CameraDetail, CameraInfo, CameraState, Text};

use super::certificates;
use super::desk::Running;
use super::picture::Settled;
use super::state::{Condition, State};
use super::story::whole_story;
use super::troubles;

impl Running {
    /// Tells the core the time, and who may come in if that has changed.
    pub(super) fn look_at_access(&mut self) {
        if !self.desk.access.are_needed() {
            // The logins of TURN servers end by the clock as well.
            return self.handle(Input::WallClock(self.desk.access.clock()));
        }
        match self.desk.access.changed() {
            Ok(Some(guard)) => {
                tracing::info!("keys and revoked tokens were read again");
                self.handle(Input::Guard(guard));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = whole_story(&error), "not read again: what was known before stays in force");
            }
        }
        let clock = self.desk.access.clock();
        match clock {
            WallClock::Set { .. } => self.desk.board.note("clock", State::Live, ""),
            WallClock::Unset { .. } => {
                let why = "stands before a time that has passed: tokens cannot be checked until it is set (NTP)";
                self.desk.board.note("clock", State::Away, why);
            }
        }
        self.handle(Input::WallClock(clock));
        self.remember_the_time(false);
    }

    pub(super) fn remember_the_time(&mut self, at_once: bool) {
        if self.desk.access.are_needed()
            && let Err(error) = self.desk.access.remember(at_once)
        {
            tracing::warn!(error = whole_story(&error), "the time is not kept for the next start");
        }
    }

    /// Tells the core, and so `status`, how the cameras are, and what will want somebody's hand soon.
    pub(super) fn tell_cameras(&mut self) {
        let conditions = self.desk.board.conditions();
        let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let cameras = self.desk.config.camera.iter().map(|camera| {
            let condition = conditions.get(&format!("camera:{}", camera.name));
            let state = condition.map_or(CameraState::Idle, |condition| told(condition.state));
            let words = condition.filter(|_| matches!(state, CameraState::Away | CameraState::Failed));
            let fault = condition.filter(|_| state == CameraState::Failed);
            let video = &camera.video;
            // What was asked for, until the camera has said what it can.
            let settled =
                self.desk.cameras.0.get(&camera.name).and_then(|camera| camera.settled()).unwrap_or(Settled {
                    width: video.width.value(),
                    height: video.height.value(),
                    fps: video.fps.value(),
                });
            let (width, height) = Turn::of(video.rotate, video.flip).sides(settled.width, settled.height);
            core::Camera {
                info: CameraInfo {
                    name: camera.name.clone(),
                    width: small(width),
                    height: small(height),
                    fps: small(settled.fps),
                },
                detail: CameraDetail {
                    state,
                    fault: fault.map(|condition| Text::clipped(condition.state.word())),
                    message: words.map(|condition| Text::clipped(&condition.detail)),
                },
            }
        });
        let cameras = cameras.collect();
        self.handle(Input::Cameras(cameras));
        let warnings = conditions.iter().filter_map(|(part, condition)| warning(part, condition));
        self.handle(Input::Warnings(warnings.map(|words| Text::clipped(&words)).collect()));
    }

    /// Notes whether viewers can be given any address at all.
    pub(super) fn look_at_network(&self) {
        match media_addresses(&self.desk.config.ice) {
            Ok(_) => self.desk.board.note("network", State::Live, ""),
            Err(error) => self.desk.board.note("network", State::Away, format!("no viewer can be served: {error}")),
        }
    }
}

/// What `status` tells of a part besides cameras, which have a place of their own there: whoever may watch may read it.
fn warning(part: &str, condition: &Condition) -> Option<String> {
    let Condition { state, detail } = condition;
    if matches!(state, State::Idle | State::Private | State::Starting | State::Live)
        || part == "broker"
        // A stand-in's picture is none of the camera's states, and runs.
        || (part.starts_with("camera:") && *state != State::Missing)
    {
        return None;
    }
    Some(if part.starts_with(certificates::PART) {
        detail.clone()
    } else if part == "config" || troubles::is_private(part) {
        // What stands in a config is nobody's business but its owner's.
        format!("{} {}: the node's log says more", part.replace(':', " "), state.word())
    } else if detail.is_empty() {
        format!("{} {}", part.replace(':', " "), state.word())
    } else {
        format!("{} {}: {detail}", part.replace(':', " "), state.word())
    })
}

/// A camera's state as viewers are told it; of one that has failed, the state's own word is told beside it.
fn told(state: State) -> CameraState {
    match state {
        State::Idle | State::Starting => CameraState::Idle,
        State::Live | State::Missing | State::Expiring | State::Expired => CameraState::Running,
        State::Private => CameraState::Private,
        State::Away => CameraState::Away,
        // There, so nobody need look for a cable.
        State::Denied
        | State::Busy
        | State::Stalled
        | State::Contested
        | State::Unsupported
        | State::Refused
        | State::Restart
        | State::Full
        | State::Failed => CameraState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_told_and_a_config_keeps_its_secrets() {
        let of = |part: &str, state, detail: &str| warning(part, &Condition { state, detail: detail.to_owned() });
        for (part, state) in
            [("microphone:main", State::Live), ("encoder:main", State::Idle), ("camera:main", State::Away)]
        {
            assert_eq!(of(part, state, "x"), None, "{part}");
        }
        let said = [
            of("microphone:main", State::Away, "plughw:CARD=Mic: gone"),
            of("camera:main", State::Missing, "none was found"),
            of("storage", State::Full, "the disk is full"),
            of("certificate:http.tls.cert_file", State::Expiring, "the certificate in … ends on …"),
            of("config", State::Refused, "/etc/node.toml:3:1: must be 1 to 9, not 77"),
            of("ice:tcp", State::Refused, "192.0.2.7:8189: in use"),
        ];
        let expected = [
            "microphone main away: plughw:CARD=Mic: gone",
            "camera main missing: none was found",
            "storage full: the disk is full",
            "the certificate in … ends on …",
            "config refused: the node's log says more",
            "ice tcp refused: the node's log says more",
        ];
        assert_eq!(said, expected.map(|words| Some(words.to_owned())));
    }

    #[test]
    fn a_camera_that_may_not_be_opened_is_not_told_to_be_unplugged() {
        assert_eq!(told(State::Away), CameraState::Away);
        assert_eq!(told(State::Missing), CameraState::Running, "the test pattern does");
        for fault in [State::Denied, State::Busy, State::Stalled, State::Unsupported, State::Failed] {
            assert_eq!(told(fault), CameraState::Failed, "{}", fault.word());
        }
    }
}
