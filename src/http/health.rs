//! How the node is: each of its parts in a named state.

use std::collections::BTreeMap;

use serde::Serialize;

/// The state of every part, by the part's name: `broker`, `camera front`, `microphone front`, `encoder front` …
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The parts.
    pub parts: BTreeMap<String, Part>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// How it is.
    pub state: PartState,
    /// What a person should know: what it waits for, why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How a part is; the later the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    /// At work, or ready to be.
    Ok,
    /// At work, or of no weight for the rest, but somebody has something to do: a certificate that ends or has ended, a
    /// right that the node lacks.
    Degraded,
    /// Not at work for a reason that may pass by itself: a camera that is away, a broker that does not answer.
    Waiting,
    /// Not at work until somebody does something.
    Failed,
}

impl Health {
    /// Sets a part's state.
    pub fn set(&mut self, name: impl Into<String>, state: PartState, detail: Option<String>) {
        self.parts.insert(name.into(), Part { state, detail });
    }

    /// The worst state of all parts.
    pub fn state(&self) -> PartState {
        self.parts.values().map(|part| part.state).max().unwrap_or(PartState::Ok)
    }

    /// What `/healthz` says: `{"state":…,"parts":{…}}`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "state": self.state(), "parts": self.parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_as_well_as_its_worst_part() {
        let mut health = Health::default();
        assert_eq!(health.state(), PartState::Ok);
        health.set("broker", PartState::Ok, None);
        health.set("certificate", PartState::Degraded, Some("ended".to_owned()));
        assert_eq!(health.state(), PartState::Degraded);
        health.parts.remove("certificate");
        health.set("camera front", PartState::Waiting, Some("unplugged".to_owned()));
        assert_eq!(health.state(), PartState::Waiting);
        let json = r#"{"parts":{"broker":{"state":"ok"},"camera front":{"detail":"unplugged","state":"waiting"}},"state":"waiting"}"#;
        assert_eq!(health.to_json(), serde_json::from_str::<serde_json::Value>(json).expect("valid"));
        health.set("encoder front", PartState::Failed, None);
        assert_eq!(health.state(), PartState::Failed);
    }
}
