//! Stand-in for a broker: topics, retained messages and wills in memory, for one process and for tests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Link, LinkEvent, LinkSetup, MAX_PAYLOAD_BYTES, Publish, PublishError};

/// A broker in memory; its clones are the same broker.
#[derive(Clone, Default)]
pub struct LoopbackBroker {
    state: Arc<Mutex<State>>,
}

/// A client of a [`LoopbackBroker`]. Dropped without [`Link::close`], its will is published.
pub struct LoopbackLink {
    broker: LoopbackBroker,
    id: usize,
    arrived: Arc<Notify>,
}

impl LoopbackBroker {
    /// A running broker without clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new client, connected at once unless the broker is stopped. As with MQTT, one that has the same id is thrown
    /// off, for good.
    pub fn link(&self, setup: LinkSetup) -> LoopbackLink {
        let arrived = Arc::new(Notify::new());
        let mut state = self.lock();
        let earlier = state.clients.iter().find(|(_, c)| c.setup.client_id == setup.client_id).map(|(id, _)| *id);
        if let Some(earlier) = earlier {
            state.lose(earlier, "another client came with this client id");
            if let Some(client) = state.clients.get_mut(&earlier) {
                client.displaced = true;
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        let client = Client {
            setup,
            conn: 0,
            up: false,
            displaced: false,
            inbox: VecDeque::new(),
            arrived: Arc::clone(&arrived),
        };
        state.clients.insert(id, client);
        if !state.stopped {
            state.connect(id);
        }
        LoopbackLink { broker: self.clone(), id, arrived }
    }

    /// Cuts one client's connection as a lost network would: its will is published, and it connects again at once.
    pub fn cut(&self, client_id: &str) {
        let mut state = self.lock();
        let ids: Vec<usize> =
            state.clients.iter().filter(|(_, c)| c.up && c.setup.client_id == client_id).map(|(id, _)| *id).collect();
        for id in ids {
            state.lose(id, "connection cut");
            if !state.stopped {
                state.connect(id);
            }
        }
    }

    /// Goes away: every client loses its connection; nobody is told of anybody's will, retained messages are forgotten.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.retained.clear();
        for client in state.clients.values_mut().filter(|client| client.up) {
            client.up = false;
            client.push(LinkEvent::Down { reason: "broker stopped".to_owned() });
        }
    }

    /// Comes back; every client connects again.
    pub fn start(&self) {
        let mut state = self.lock();
        state.stopped = false;
        let away: Vec<usize> = state.clients.iter().filter(|(_, c)| !c.up && !c.displaced).map(|(id, _)| *id).collect();
        for id in away {
            state.connect(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LoopbackLink {
    fn drop(&mut self) {
        let mut state = self.broker.lock();
        state.lose(self.id, "dropped");
        state.clients.remove(&self.id);
    }
}

#[async_trait]
impl Link for LoopbackLink {
    fn publish(&self, message: Publish) -> Result<(), PublishError> {
        if message.payload.len() > MAX_PAYLOAD_BYTES {
            return Err(PublishError::TooLarge { bytes: message.payload.len(), topic: message.topic });
        }
        let mut state = self.broker.lock();
        if !state.clients.get(&self.id).is_some_and(|client| client.up) {
            return Err(PublishError::Away { topic: message.topic });
        }
        state.deliver(&message);
        Ok(())
    }

    async fn next(&mut self) -> Option<LinkEvent> {
        loop {
            let arrived = self.arrived.notified();
            match self.broker.lock().clients.get_mut(&self.id) {
                None => return None,
                Some(client) => {
                    if let Some(event) = client.inbox.pop_front() {
                        return Some(event);
                    }
                }
            }
            arrived.await;
        }
    }

    async fn close(&mut self, last: Vec<Publish>) {
        let mut state = self.broker.lock();
        if state.clients.get(&self.id).is_some_and(|client| client.up) {
            for message in last.iter().filter(|message| message.payload.len() <= MAX_PAYLOAD_BYTES) {
                state.deliver(message);
            }
        }
        state.clients.remove(&self.id);
    }
}

#[derive(Default)]
struct State {
    stopped: bool,
    next_id: usize,
    clients: BTreeMap<usize, Client>,
    retained: BTreeMap<String, Publish>,
}

struct Client {
    setup: LinkSetup,
    conn: u32,
    up: bool,
    /// Another client took its id; it never connects again.
    displaced: bool,
    inbox: VecDeque<LinkEvent>,
    arrived: Arc<Notify>,
}

impl Client {
    fn push(&mut self, event: LinkEvent) {
        // A real broker's queue ends too. Up and Down always fit.
        if self.inbox.len() < INBOX_EVENTS || !matches!(event, LinkEvent::Message { .. }) {
            self.inbox.push_back(event);
            self.arrived.notify_one();
        }
    }

    fn wants(&self, topic: &str) -> bool {
        self.setup.subscriptions.iter().chain(&self.setup.wishes).any(|filter| matches(filter, topic))
    }
}

impl State {
    fn connect(&mut self, id: usize) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.conn += 1;
        client.up = true;
        client.push(LinkEvent::Up { conn: client.conn });
        for (topic, message) in &self.retained {
            if client.wants(topic) {
                let payload = message.payload.clone();
                client.push(LinkEvent::Message { topic: topic.clone(), payload, retained: true });
            }
        }
    }

    fn lose(&mut self, id: usize, reason: &str) {
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.up) else { return };
        client.up = false;
        client.push(LinkEvent::Down { reason: reason.to_owned() });
        let will = client.setup.will.as_ref().map(|will| will(client.conn));
        if let Some(will) = will {
            self.deliver(&will);
        }
    }

    fn deliver(&mut self, message: &Publish) {
        if message.retain {
            // An empty retained message takes the kept one back (MQTT 3.1.1, 3.3.1.3).
            if message.payload.is_empty() {
                self.retained.remove(&message.topic);
            } else {
                self.retained.insert(message.topic.clone(), message.clone());
            }
        }
        for client in self.clients.values_mut().filter(|client| client.up && client.wants(&message.topic)) {
            let (topic, payload) = (message.topic.clone(), message.payload.clone());
            client.push(LinkEvent::Message { topic, payload, retained: false });
        }
    }
}

/// Whether `topic` matches the filter, with `+` for one level and `#` for the rest (MQTT 3.1.1, 4.7).
fn matches(filter: &str, topic: &str) -> bool {
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        match (level, topic_levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

/// Events that wait for a client; more messages are lost.
const INBOX_EVENTS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_in_mqtt() {
        for (filter, topic, fits) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/#", "a/b/c", true),
            ("a/#", "a", true),
            ("+/+/in", "a/b/in", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(filter, topic), fits, "{filter} and {topic}");
        }
    }

    fn setup(id: &str, filter: &str) -> LinkSetup {
        let topic = format!("{id}/status");
        let will =
            move |conn: u32| Publish { topic: topic.clone(), payload: format!("offline {conn}").into(), retain: true };
        LinkSetup {
            client_id: id.to_owned(),
            subscriptions: vec![filter.to_owned()],
            will: Some(Box::new(will)),
            ..LinkSetup::default()
        }
    }

    fn text(event: Option<LinkEvent>) -> String {
        match event {
            None => "end".to_owned(),
            Some(LinkEvent::Up { conn }) => format!("up {conn}"),
            Some(LinkEvent::Down { .. }) => "down".to_owned(),
            Some(LinkEvent::Contested(_)) => "contested".to_owned(),
            Some(LinkEvent::Refused(filters)) => format!("refused {filters:?}"),
            Some(LinkEvent::Message { topic, payload, retained }) => {
                format!("{topic}: {}{}", String::from_utf8_lossy(&payload), if retained { " (retained)" } else { "" })
            }
        }
    }

    #[tokio::test]
    async fn a_cut_link_leaves_its_will_and_comes_back_with_the_next_number() {
        let broker = LoopbackBroker::new();
        let mut node = broker.link(setup("node", "node/in/+"));
        let mut peer = broker.link(setup("peer", "node/#"));
        assert_eq!(text(node.next().await), "up 1");
        assert_eq!(text(peer.next().await), "up 1");
        broker.cut("node");
        assert_eq!(text(node.next().await), "down");
        assert_eq!(text(node.next().await), "up 2");
        assert_eq!(text(peer.next().await), "node/status: offline 1");
        let mut late = broker.link(setup("late", "+/status"));
        assert_eq!(text(late.next().await), "up 1");
        assert_eq!(text(late.next().await), "node/status: offline 1 (retained)");
    }

    #[tokio::test]
    async fn a_stopped_broker_takes_nothing_and_a_started_one_knows_nothing() {
        let broker = LoopbackBroker::new();
        let mut node = broker.link(setup("node", "a/#"));
        assert_eq!(text(node.next().await), "up 1");
        let message = Publish { topic: "a/b".to_owned(), payload: "x".into(), retain: true };
        node.publish(message.clone()).expect("up");
        assert_eq!(text(node.next().await), "a/b: x");
        broker.stop();
        assert_eq!(node.publish(message), Err(PublishError::Away { topic: "a/b".to_owned() }));
        broker.start();
        assert_eq!(text(node.next().await), "down");
        assert_eq!(text(node.next().await), "up 2");
        let mut other = broker.link(setup("other", "#"));
        assert_eq!(text(other.next().await), "up 1");
        let last = Publish { topic: "a/c".to_owned(), payload: "bye".into(), retain: false };
        node.close(vec![last]).await;
        assert_eq!(text(node.next().await), "end");
        drop(node);
        assert_eq!(text(other.next().await), "a/c: bye", "and no will after it");
        drop(broker);
    }
}
