//! What is logged, and in which form.

use serde::{Deserialize, Serialize};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least severe messages to log. `CAMERA_NODE_LOG` overrides it, for single modules too
    /// (`info,camera_node::peer=debug`).
    pub level: Level,
    /// One line of text or one JSON object a message.
    pub format: Format,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What ended a part for good.
    Error,
    /// What someone would want to be woken for.
    Warn,
    /// Changes of state.
    #[default]
    Info,
    /// Steps on the way; may show addresses and session descriptions.
    Debug,
    /// Every packet and frame.
    Trace,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For log collectors.
    Json,
}

impl Level {
    /// As `tracing` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
