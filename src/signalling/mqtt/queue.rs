//! The outbox between whoever publishes and the link's own task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::driver::now;
use crate::signalling::outbox::Outbox;
use crate::signalling::{Publish, PublishError};

/// An [`Outbox`] that two tasks share.
#[derive(Debug, Default)]
pub(super) struct Queue {
    outbox: Mutex<Outbox>,
    put: Notify,
}

impl Queue {
    pub(super) fn put(&self, message: Publish) -> Result<(), PublishError> {
        self.outbox().put(message, now().into_std())?;
        self.put.notify_one();
        Ok(())
    }

    pub(super) fn take(&self) -> Option<Publish> {
        self.outbox().take(now().into_std())
    }

    pub(super) fn clear(&self) {
        self.outbox().clear();
    }

    /// Waits for a message and takes it. Cancel-safe. For one task.
    pub(super) async fn next(&self) -> Publish {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.put.notified().await;
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
