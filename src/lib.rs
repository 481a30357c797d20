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
//!
//! # Rooms
//!
//! | module | what it does | may use |
//! |---|---|---|
//! | [`media`] | plain data: frames, encoded pictures, time, H.264's byte formats | nothing of ours |
//! | [`sys`] | the only `unsafe`: V4L2, clocks, sockets; what sound cards have in common | nothing of ours |
//! | [`trust`] | whom TLS clients believe, and why they do not believe somebody | nothing of ours |
//! | [`access`] | pure: tokens, the keys behind them, scopes | `media` |
//! | [`session`] | pure: the protocol over MQTT, both ends of it; `src/session/PROTOCOL.md` is its text | `media`, `access` |
//! | [`rate`] | pure: what viewers say of the stream, made into what the encoder is asked | `media` |
//! | [`fanout`] | one publisher, many subscribers, no back-pressure | `media` |
//! | [`capture`] | seam: where pictures and sound come from | `media`, `sys` |
//! | [`encode`] | seam: raw pictures and sound to H.264 and Opus | `media`, `sys` |
//! | [`signalling`] | seam: carries session messages, understands none; the embedded broker | `media`, `session`, `trust` |
//! | [`peer`] | one WebRTC connection a viewer; the only place that knows the crate `webrtc` | `media`, `fanout`, `session`, `sys`, `trust` |
//! | [`control`] | pure: what viewers ask over data channels, telemetry, the words of local programs' sockets | `media`, `access`, `sys` (what a control is) |
//! | [`playback`] | talkback: what viewers say, from packets to the speaker | `media`, `sys` |
//! | [`bell`] | what makes the node ring: socket, GPIO, webhook | `media`, `sys`, `session`, `trust` |
//! | [`http`] | the page, `/healthz`, `/metrics` | `media`, `session`, `signalling` |
//! | [`config`] | the config file, composed of each module's own section | each module's `config` |
//! | [`node`] | builds the parts from the config, supervises them, stops them in order | all |
//! | [`cli`] | one file a subcommand | all |
//!
//! # Invariants
//!
//! 1. A slow viewer never slows the camera, nor another viewer.
//! 2. Latency never grows with time: every queue is bounded in time, raw ones at one frame.
//! 3. Cores read no clock and do no I/O.
//! 4. Only [`peer`] knows `webrtc`, only [`signalling`] knows MQTT, only [`sys`] has `unsafe`.
//! 5. The node runs and is tested without camera, microphone or broker: the stand-ins are ordinary config values.
//! 6. What comes from outside never panics, never opens a path it names, never grows memory without a bound.
//! 7. The SDP tells the truth about profile and level.
//! 8. What is started is owned, named and stopped in order, with a time limit; a second signal stops at once.
//!
//! # Glossary
//!
//! * **node**: this program on its board; **peer**: who talks to it over the broker, mostly a **viewer**.
//! * **camera**: a picture and its sound, by name; a node has a list of them.
//! * **frame**: a raw picture; **access unit**: an encoded one; **key frame**: one a decoder can start with.
//! * **source**: what a camera captures from, a device or a stand-in; **card**: a still picture that says what is wrong.
//! * **media time**: `CLOCK_MONOTONIC`, which cameras and sound cards stamp with; RTP and NTP times are made from it.
//! * **token**: what lets a peer in, signed by a **key** of the config; **scope**: one right that it gives.
//! * **session**: one viewer's way from `join` to `leave`; **link**: our connection to the broker.
//! * **call**: a session that begins with somebody being asked; **ring**: the node's calls to **registered** viewers.
//! * **offer**, **answer**, **candidate**: what the two ends of a session tell each other (SDP, ICE).
//! * **feedback**: what viewers say of the stream: a key frame is wanted, so much was lost.
//! * **core**: a pure state machine, told what happened and when; **shell**: what performs its outputs.
//! * **seam**: a small trait with a stand-in beside it, chosen by the config.

#![warn(missing_docs)]

pub mod access;
pub mod bell;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod encode;
pub mod fanout;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod media;
pub mod node;
pub mod peer;
pub mod playback;
pub mod rate;
pub mod session;
pub mod signalling;
pub mod sys;
pub mod trust;
