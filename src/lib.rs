//! camera-node: a WebRTC camera in one binary.
//!
//! ```text
//!  V4L2 ─▶ capture ─Frame─▶ encode ─Encoded─▶ fanout ─▶ peer ══SRTP══▶ viewer
//!  ALSA ─▶ capture ─pcm──▶ encode ─Opus─────▶ (rings)    │  ▲
//!                            ▲                           │  │ data channels ─▶ control ─▶ ports
//!                            └────── Feedback ───────────┘  │
//!  speaker ◀─ playback ◀─Opus── peer ◀════SRTP════ viewer   │
//!                                                           │
//!  MQTT broker ⇄ signalling ⇄ session (pure) ──PeerCommand──┘ / PeerEvent
//!  browser ⇄ http: the page, health, metrics
//! ```
//!
//! Media runs one way; what travels back is [`media::Feedback`]. Encode once, send to many: a viewer costs a
//! subscription, never an encoder.

#![warn(missing_docs)]

pub mod capture;
pub mod cli;
pub mod config;
pub mod encode;
pub mod fanout;
pub mod http;
pub mod media;
pub mod node;
pub mod peer;
pub mod rate;
pub mod session;
pub mod signalling;
pub mod sys;
