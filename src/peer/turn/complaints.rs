//! What is wrong with servers, said once and not for every viewer.

use crate::peer::troubles::{Sheet, Trouble};

/// What was last said of each server, by its URL.
#[derive(Debug)]
pub(super) struct Complaints {
    sheet: Sheet,
    kind: fn(String) -> Trouble,
}

impl Complaints {
    /// Complaints of one kind.
    pub(super) fn new(sheet: Sheet, kind: fn(String) -> Trouble) -> Self {
        Self { sheet, kind }
    }

    /// A server cannot be used.
    pub(super) fn failed(&self, url: &str, why: &str) {
        if self.sheet.note((self.kind)(url.to_owned()), why) {
            tracing::warn!(url, why, "turn server cannot be used");
        } else {
            tracing::debug!(url, why, "turn server still cannot be used");
        }
    }

    /// A server let us in: what is wrong next is said again.
    pub(super) fn is_well(&self, url: &str) {
        if self.sheet.strike(&(self.kind)(url.to_owned())) {
            tracing::info!(url, "turn server can be used again");
        }
    }
}
