//! What makes the node ring its registered viewers and hang up on them, and tells phones whose browser is closed: the doorbell.
//!
//! ```text
//!  camera-node ring ─▶ socket ─┐
//!  a push button ────▶ gpio ───┼─▶ Button ─Press─▶ node ─▶ session (a ring) ─▶ registered viewers
//!  POST /ring, an MQTT topic ──┘                     └────▶ webhook
//! ```
//!
//! Nothing here decides whether it rings: the session core does, one ring at a time, and its answer comes back as [`Told`].

mod button;
pub mod config;
mod gpio;
pub mod socket;
mod webhook;

pub use button::{Button, Press, Told, Wish};
pub use gpio::{CONSUMER, GpioError, LineTrouble, PushButton, try_line};
pub use socket::{BellSocket, SocketError};
pub use webhook::{Visit, Webhook, WebhookError};
