//! The way to the broker, with what belongs to it: the kernel's word on the network, and how its connections count.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::session::node::Will;
use crate::session::{Outgoing, Topics};
use crate::signalling::{Endpoint, Link, LinkSetup, LoopbackBroker, MqttLink, Publish};
use crate::sys;

use super::network;

/// A link at work. Dropped, it vanishes, and the broker publishes its will.
pub struct Line {
    /// The link itself; it counts its own connections from 1.
    pub link: Box<dyn Link>,
    /// Connections of the run before this link's first.
    before: u32,
    /// The latest of the run.
    conn: u32,
    network: Option<JoinHandle<()>>,
}

/// What every link of a node has in common.
pub struct Caller {
    /// Where it speaks.
    pub topics: Topics,
    /// What the broker is to say when a connection is lost.
    pub will: Will,
    /// Counts the changes of this machine's network.
    pub changes: watch::Sender<u32>,
}

impl Caller {
    /// Begins to connect to `endpoint` (none for `loopback:`, where nobody else is), and wishes for `more` besides the
    /// node's own topics. `before` connections were made earlier in this run.
    pub fn call(&self, endpoint: Option<Endpoint>, more: Option<String>, before: u32) -> Line {
        let will = self.will.clone();
        let setup = LinkSetup {
            client_id: self.topics.node().to_string(),
            subscriptions: self.topics.node_subscriptions(),
            wishes: more.into_iter().collect(),
            will: Some(Box::new(move |conn| publish(will.of_connection(before.saturating_add(conn))))),
        };
        let (link, network): (Box<dyn Link>, _) = match endpoint {
            Some(endpoint) => {
                let link = MqttLink::start(endpoint, setup, sys::random_bits());
                let network = tokio::spawn(network::watch(link.network_reports(), self.changes.clone()));
                (Box::new(link), Some(network))
            }
            None => (Box::new(LoopbackBroker::new().link(setup)), None),
        };
        Line { link, before, conn: before, network }
    }

    /// Ends `line` in order, so that whoever is at that broker knows that nobody is there any more.
    pub async fn hang_up(&self, line: &mut Line) {
        let goodbye = (line.conn > line.before).then(|| publish(self.will.of_connection(line.conn)));
        line.link.close(goodbye.into_iter().collect()).await;
    }
}

impl Line {
    /// The link is up for the `conn`-th time: for the how manieth time in this run.
    pub fn is_up(&mut self, conn: u32) -> u32 {
        self.conn = self.before.saturating_add(conn);
        self.conn
    }

    /// Connections in this run so far.
    pub fn conn(&self) -> u32 {
        self.conn
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(network) = &self.network {
            network.abort();
        }
    }
}

fn publish(Outgoing { topic, payload, retain }: Outgoing) -> Publish {
    Publish { topic, payload, retain }
}
