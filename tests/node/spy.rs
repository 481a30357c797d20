//! Somebody who hears what is said at a broker in a network namespace: needs root.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camera_node::signalling::{Endpoint, Link, LinkEvent, LinkSetup, MqttLink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What was said, and when.
#[derive(Debug, Clone)]
pub struct Heard {
    pub topic: String,
    pub message: Value,
    pub unix_s: u64,
}

/// Listens for as long as it lives.
pub struct Spy {
    heard: Arc<Mutex<Vec<Heard>>>,
    _gone: oneshot::Sender<()>,
}

impl Spy {
    /// Hears these topics from now on.
    pub async fn at(namespace: &str, host: &str, filter: &str) -> Self {
        let namespace = File::open(Path::new("/run/netns").join(namespace)).expect("it was made");
        let setup =
            LinkSetup { client_id: "spy".to_owned(), subscriptions: vec![filter.to_owned()], ..LinkSetup::default() };
        let endpoint = Endpoint::plain(host.to_owned(), 1883);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&heard);
        let (gone, ended) = oneshot::channel();
        let (up, is_up) = oneshot::channel();
        // A thread of its own: it never leaves the namespace.
        std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = listen(MqttLink::start(endpoint, setup, 1), up, &book) => {}
                    _ = ended => {}
                }
            });
        });
        timeout(Duration::from_secs(20), is_up).await.expect("in time").expect("it listens");
        Self { heard, _gone: gone }
    }

    /// All of it, so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(mut link: MqttLink, up: oneshot::Sender<()>, heard: &Mutex<Vec<Heard>>) {
    let mut up = Some(up);
    while let Some(event) = link.next().await {
        match event {
            LinkEvent::Up { .. } => {
                up.take().map(|up| up.send(()));
            }
            LinkEvent::Message { topic, payload, .. } => {
                let message = serde_json::from_slice(&payload).expect("the node says nothing but JSON");
                let unix_s = camera_node::sys::since_unix_epoch().as_secs();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { topic, message, unix_s });
            }
            _ => {}
        }
    }
}
