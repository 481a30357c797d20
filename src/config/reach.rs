//! From how far the embedded broker can be reached, and who is let in then.

use std::net::SocketAddr;

use super::Config;

impl Config {
    /// The keys by which other machines reach the embedded broker, each as its path; the page's port carries it too.
    pub fn embedded_reach(&self) -> Vec<(&'static [&'static str], SocketAddr)> {
        let mut keys: Vec<(&'static [&'static str], SocketAddr)> = vec![
            (&["broker", "embedded_bind"], self.broker.embedded_bind),
            (&["broker", "embedded_websocket_bind"], self.broker.embedded_websocket_bind),
        ];
        if self.http.enabled {
            keys.push((&["http", "bind"], self.http.bind));
            keys.extend(self.http.tls.bind.map(|bind| (&["http", "tls", "bind"] as &'static [_], bind)));
        }
        keys.retain(|(_, address)| self.broker.embedded && !address.ip().is_loopback());
        keys
    }

    /// Whether the embedded broker asks its clients for a password.
    pub fn asks_for_password(&self) -> bool {
        self.broker.embedded_password && !self.embedded_reach().is_empty()
    }
}
