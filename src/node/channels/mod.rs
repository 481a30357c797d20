//! Who serves which data channel of a viewer.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::access::Scopes;
use crate::peer::{Channel, ChannelServices, Delivery, Refused};
use crate::session::SessionKey;

/// What the channels of all viewers are served with. Cloning shares it.
#[derive(Clone)]
pub struct Services {
    tasks: Handle,
}

impl Services {
    /// Serves channels on the runtime of whoever calls this.
    pub fn new() -> Self {
        Self { tasks: Handle::current() }
    }

    /// Those of one viewer, who may do what `scopes` say.
    pub fn of(&self, key: &SessionKey, scopes: watch::Receiver<Scopes>) -> Arc<dyn ChannelServices> {
        Arc::new(ViewerServices { all: self.clone(), key: key.clone(), scopes })
    }
}

/// The services of one viewer.
struct ViewerServices {
    all: Services,
    key: SessionKey,
    scopes: watch::Receiver<Scopes>,
}

impl ChannelServices for ViewerServices {
    fn opens(&self, label: &str) -> Option<Delivery> {
        match label {
            "control" => Some(Delivery::Reliable),
            "telemetry" => Some(Delivery::Fleeting),
            _ => None,
        }
    }

    fn serve(&self, channel: Channel) {
        match self.opens(channel.label()) {
            Some(_) => drop(self.all.tasks.spawn(listen(channel, self.scopes.clone()))),
            None => tracing::debug!(session = %self.key, label = channel.label(), "a channel that nobody waits for"),
        }
    }

    fn refused(&self, label: &str, why: Refused) {
        tracing::debug!(session = %self.key, label, ?why, "a channel was refused");
    }
}

/// Hears what is said, for as long as the viewer may do anything.
async fn listen(mut channel: Channel, scopes: watch::Receiver<Scopes>) {
    while channel.next().await.is_ok() && !scopes.borrow().is_empty() {}
}
