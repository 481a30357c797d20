//! A running node as it is seen by whoever watches over it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::feeds::Cameras;
use super::pulse::Reading;
use super::state::{Board, Condition};

/// How the node is. Cloning shares it; it outlives the node, and shows its end.
#[derive(Clone)]
pub struct View {
    pub(super) board: Arc<Board>,
    pub(super) cameras: Cameras,
    pub(super) about: Arc<Mutex<About>>,
}

/// What it is called and where it is found, which a reload can change.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) pages: Vec<String>,
}

impl View {
    /// The node's name for people.
    pub fn name(&self) -> String {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).name.clone()
    }

    /// Where browsers find the page, the best address first.
    pub fn pages(&self) -> Vec<String> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).pages.clone()
    }

    /// Viewers that are being sent a picture or sound.
    pub fn viewers(&self) -> usize {
        self.cameras.0.values().map(|camera| camera.viewers()).sum()
    }

    /// What every part is doing now, by the part's name (`camera:main`, `microphone:main`, `encoder:main`, `broker`).
    pub fn conditions(&self) -> BTreeMap<String, Condition> {
        self.board.conditions()
    }

    /// What every thread and task has done.
    pub fn pulses(&self) -> Vec<Reading> {
        self.board.pulses.readings()
    }
}
