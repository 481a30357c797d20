//! The options of `watch` that say who calls whom.

use std::time::Duration;

use crate::media::Bounded;
use crate::session::Text;
use crate::session::viewer::{Input, Viewer};

/// Renewed every half a minute; forgotten a minute after a viewer that was killed.
const REGISTERED_S: Bounded<1, 3600> = Bounded::new(60);

/// Calling instead of joining, or being called.
#[derive(Debug, Clone, clap::Args)]
pub struct CallArgs {
    /// Call the node instead of joining it.
    #[arg(long, conflicts_with = "register")]
    call: bool,
    /// Register under this name, and watch when the node rings.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Text::<1, 64>::try_from(text))]
    register: Option<Text<1, 64>>,
    /// What to do with a ring.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnRing::Accept, requires = "register")]
    on_ring: OnRing,
}

/// What to do with a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnRing {
    /// Take it and watch.
    Accept,
    /// Say no, and wait for the next.
    Decline,
    /// Let it ring.
    Ignore,
}

impl CallArgs {
    /// The viewer as it was asked for.
    pub fn apply(&self, viewer: Viewer) -> Viewer {
        match &self.register {
            Some(name) => viewer.registered(name.clone(), REGISTERED_S),
            None if self.call => viewer.calling(),
            None => viewer,
        }
    }

    /// It rings.
    pub fn decide(&self, viewer: &mut Viewer, now: Duration) {
        match self.on_ring {
            OnRing::Accept => viewer.handle(Input::Accept, now),
            OnRing::Decline => viewer.handle(Input::Decline, now),
            OnRing::Ignore => {}
        }
    }
}
