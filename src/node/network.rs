//! Tells the link to the broker, and who has connections, of what changes in this machine's network.

use std::io;

use tokio::sync::watch::Sender;
use tracing::{debug, warn};

use crate::signalling::{NetworkChange, NetworkReports};
use crate::sys::{self, NetworkChanges};

/// Reports until the link has ended, and counts the changes for those whom `changes` reaches. Without the kernel's word, a
/// lost way is noticed by the link's keep-alive, and by a connection's silence.
pub async fn watch(reports: NetworkReports, changes: Sender<u32>) {
    match follow(&reports, &changes).await {
        Ok(()) => debug!("the link has ended"),
        Err(error) => warn!(%error, "changes of the network are not noticed at once"),
    }
}

async fn follow(reports: &NetworkReports, changes: &Sender<u32>) -> io::Result<()> {
    let network = NetworkChanges::open()?;
    loop {
        for change in network.next().await? {
            let change = match change {
                sys::NetworkChange::AddressGone(address) => NetworkChange::AddressGone(address),
                sys::NetworkChange::Other => NetworkChange::Other,
            };
            if !reports.tell(change) {
                return Ok(());
            }
        }
        changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
