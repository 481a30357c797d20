//! Tells the link to the broker of what changes in this machine's network.

use std::io;

use tracing::{debug, warn};

use crate::signalling::{NetworkChange, NetworkReports};
use crate::sys::{self, NetworkChanges};

/// Reports until the link has ended. Without the kernel's word, a lost way is noticed by the link's keep-alive.
pub async fn watch(reports: NetworkReports) {
    match follow(&reports).await {
        Ok(()) => debug!("the link has ended"),
        Err(error) => warn!(%error, "changes of the network are not noticed at once"),
    }
}

async fn follow(reports: &NetworkReports) -> io::Result<()> {
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
    }
}
