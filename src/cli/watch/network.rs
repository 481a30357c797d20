//! The network that `watch` is on, as the kernel tells of it.

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::node::network;
use crate::signalling::MqttLink;

/// Tells of changes until it is dropped; the link is told by itself.
pub struct NetworkWatch {
    changes: watch::Receiver<u32>,
    task: AbortHandle,
}

impl NetworkWatch {
    pub fn start(link: &MqttLink) -> Self {
        let (tell, changes) = watch::channel(0);
        let task = tokio::spawn(network::watch(link.network_reports(), tell)).abort_handle();
        Self { changes, task }
    }

    /// Waits for the next change; for ever if the kernel tells of none.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for NetworkWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
