//! What the node tells over HTTP: where the broker is, how it is, what it has counted.

use std::sync::Arc;

use crate::http::{Bell, Health, PageBroker, PageConfig, PartState, Photographer, Probe};
use crate::session::NodeId;

use super::feeds::Cameras;
use super::metrics::{Metrics, write_latency};
use super::state::{Board, State};

const SINCE_CAPTURE: (&str, &str) =
    ("camera_node_capture_to_wire_seconds", "From a delta frame's capture stamp to its last packet at the socket");
const SINCE_ENCODED: (&str, &str) = (
    "camera_node_encoded_to_wire_seconds",
    "From a delta frame's leaving the encoder to its last packet at the socket",
);

/// The node's answers to `http`.
pub struct Report {
    /// Its id.
    pub node: NodeId,
    /// What stands before it in topics.
    pub prefix: String,
    /// The broker as browsers reach it, where that is known.
    pub broker: Option<PageBroker>,
    /// Everybody's states.
    pub board: Arc<Board>,
    /// What was counted.
    pub metrics: Metrics,
    /// For the time to the wire.
    pub cameras: Cameras,
    /// What `POST /ring` presses.
    pub bell: Option<Arc<dyn Bell>>,
    /// Who takes pictures for `GET /snapshot.jpg`.
    pub photographer: Arc<dyn Photographer>,
}

impl Probe for Report {
    fn health(&self) -> Health {
        let mut health = Health::default();
        for (name, condition) in self.board.conditions() {
            let state = match condition.state {
                State::Idle | State::Private | State::Live => PartState::Ok,
                State::Missing | State::Expiring | State::Expired | State::Refused | State::Full | State::Restart => {
                    PartState::Degraded
                }
                State::Starting
                | State::Away
                | State::Busy
                | State::Denied
                | State::Stalled
                | State::Contested
                | State::Unsupported => PartState::Waiting,
                State::Failed => PartState::Failed,
            };
            let word = condition.state.word();
            let detail =
                if condition.detail.is_empty() { word.to_owned() } else { format!("{word}: {}", condition.detail) };
            health.set(name, state, Some(detail));
        }
        health
    }

    fn metrics(&self) -> String {
        self.metrics.set_states(&self.board.conditions());
        self.metrics.count_tasks();
        let mut text = self.metrics.text();
        for camera in self.cameras.0.values() {
            let (name, latency) = (camera.name(), camera.latency());
            write_latency(&mut text, SINCE_CAPTURE, name, &latency.since_capture());
            write_latency(&mut text, SINCE_ENCODED, name, &latency.since_encoded());
        }
        text
    }

    fn bell(&self) -> Option<Arc<dyn Bell>> {
        self.bell.clone()
    }

    fn photographer(&self) -> Option<Arc<dyn Photographer>> {
        Some(Arc::clone(&self.photographer))
    }

    fn page(&self) -> PageConfig {
        PageConfig { node: self.node.clone(), prefix: self.prefix.clone(), broker: self.broker.clone() }
    }
}
