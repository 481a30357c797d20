//! What the desk is handed when the config was read again, all of it at once.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::access::Guard;
use crate::bell::Webhook;
use crate::config::Config;
use crate::peer::Connector;
use crate::session::node::{IceSource, Input};
use crate::signalling::Endpoint;

use super::access::AccessFiles;
use super::desk::Running;
use super::doorbell::Bells;
use super::state::State;

/// What holds from now on.
pub struct Renewal {
    /// The whole config.
    pub config: Arc<Config>,
    /// Who may come in.
    pub access: (AccessFiles, Guard),
    /// The STUN and TURN servers, if they are others than before.
    pub ice_servers: Option<Vec<IceSource>>,
    /// Makes the connections from now on; those there are keep theirs.
    pub connector: Option<Arc<Connector>>,
    /// The broker to be connected to anew, if it is to be; none in it for `loopback:`.
    pub broker: Option<Option<Endpoint>>,
    /// The doorbell's new sources, if it has new ones.
    pub bells: Option<Bells>,
    /// Who is told of rings.
    pub webhook: Option<Arc<Webhook>>,
    /// Viewers were offered another stream than the one that comes now.
    pub stream_changed: bool,
    /// Told when all of it holds.
    pub done: oneshot::Sender<()>,
}

impl Running {
    /// Takes it over; with another broker this takes as long as the goodbye to the one before, a second at most.
    pub(super) async fn renew(&mut self, renewal: Renewal) {
        let Renewal { config, access, ice_servers, connector, broker, bells, webhook, stream_changed, done } = renewal;
        self.handle(Input::Name(config.node.name()));
        self.handle(Input::Limits(config.limits.clone()));
        let (files, guard) = access;
        self.desk.access = files;
        self.handle(Input::Guard(guard));
        self.look_at_access();
        if let Some(servers) = ice_servers {
            self.handle(Input::IceServers(servers));
        }
        if let Some(connector) = connector {
            self.troubles = connector.troubles();
            self.desk.connector = connector;
        }
        if let Some(bells) = bells {
            let before = std::mem::replace(&mut self.desk.bells, bells);
            // A ring that is under way is told to whoever asked for it.
            self.desk.bells.told = before.told;
            self.desk.bells.telling = before.telling;
            self.desk.bells.registered = before.registered;
        }
        self.desk.bells.webhook = webhook;
        self.desk.config = config;
        self.show_troubles();
        self.tell_cameras();
        if stream_changed {
            self.handle(Input::StreamChanged);
        }
        // Goes to the broker there is, before that is left.
        self.perform();
        if let Some(endpoint) = broker {
            self.handle(Input::LinkDown);
            self.contested_by_turns(None);
            self.note_broker(State::Starting, "");
            self.desk.caller.hang_up(&mut self.desk.line).await;
            let before = self.desk.line.conn();
            self.desk.line = self.desk.caller.call(endpoint, self.desk.bells.topic.clone(), before);
        }
        // The reload may not wait for it any more.
        let _ = done.send(());
    }
}
