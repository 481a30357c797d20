//! What is wrong with servers, said once and not for every viewer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The config's servers, and a mistake's worth of others.
const MAX_SERVERS: usize = 64;

/// What was last said of each server, by its URL.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, String>>);

impl Complaints {
    /// A server cannot be used.
    pub(super) fn failed(&self, url: &str, why: &str) {
        if self.is_new(url, why) {
            tracing::warn!(url, why, "turn server cannot be used");
        } else {
            tracing::debug!(url, why, "turn server still cannot be used");
        }
    }

    /// A server let us in: what is wrong next is said again.
    pub(super) fn is_well(&self, url: &str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(url).is_some() {
            tracing::info!(url, "turn server can be used again");
        }
    }

    fn is_new(&self, url: &str, why: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_SERVERS {
            said.clear();
        }
        said.insert(url.to_owned(), why.to_owned()).is_none_or(|before| before != why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_until_it_went_well() {
        let complaints = Complaints::default();
        assert!(complaints.is_new("turns:a", "refused"));
        assert!(!complaints.is_new("turns:a", "refused"));
        assert!(complaints.is_new("turns:b", "refused"));
        assert!(complaints.is_new("turns:a", "expired"));
        complaints.is_well("turns:a");
        assert!(complaints.is_new("turns:a", "expired"));
    }
}
