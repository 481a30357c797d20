//! Waiting for what a part of the node says of itself.

use std::collections::BTreeMap;

use crate::node::state::{Board, Condition};

/// Waits until this is true of the parts' conditions.
pub async fn wait_for(board: &Board, is_so: impl Fn(&BTreeMap<String, Condition>) -> bool) {
    let mut news = board.watch();
    while !is_so(&board.conditions()) {
        if news.changed().await.is_err() {
            return;
        }
    }
}
