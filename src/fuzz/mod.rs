//! What bytes from outside reach, as functions of bytes: the targets of `tests/fuzz`, which also the ordinary tests call with
//! every input that is kept there.
//!
//! A target panics when an invariant is broken, and otherwise returns. Each is a pure function of its input: what it needs of
//! time and chance it takes from the bytes.

mod access;
mod broker;
mod control;
mod delivery;
mod media;
mod messages;
mod node;
mod script;
mod viewer;

pub use self::access::token;
pub use self::broker::rights;
pub use self::control::control;
pub use self::delivery::delivery;
pub use self::media::{annex_b, depacketize, sps};
pub use self::messages::{message, status, topic};
pub use self::node::node;
pub use self::viewer::viewer;
pub use crate::peer::fuzz::{answer, datagram, description, ice_server, offer, stream};

use self::script::Script;

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by the names of their files in `tests/fuzz/targets`.
pub const TARGETS: &[(&str, Target)] = &[
    ("annex_b", annex_b),
    ("answer", answer),
    ("control", control),
    ("datagram", datagram),
    ("delivery", delivery),
    ("depacketize", depacketize),
    ("description", description),
    ("ice_server", ice_server),
    ("message", message),
    ("node", node),
    ("offer", offer),
    ("rights", rights),
    ("sps", sps),
    ("status", status),
    ("stream", stream),
    ("token", token),
    ("topic", topic),
    ("viewer", viewer),
];

#[cfg(test)]
mod replay;
