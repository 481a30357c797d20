//! `camera-ID.local`: the node's name on a LAN without a name server (mDNS, RFC 6762), and the page as a service that home
//! automation can find (DNS-SD, RFC 6763).

use std::net::IpAddr;

use mdns_sd::{ServiceDaemon, ServiceInfo};
use tracing::debug;

use super::config::Http;
use crate::session::NodeId;

/// The answers to who asks for this node; they end when this is dropped. Addresses follow the machine's.
pub struct Announcement {
    daemon: ServiceDaemon,
    full_name: String,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[error("mdns: {0}")]
pub struct AnnouncementError(#[from] mdns_sd::Error);

/// `camera-porch-3fa92c.local`: a label of a host name has neither underscores nor capitals, and at most 63 characters.
pub fn host_name(node: &NodeId) -> String {
    let label: String = format!("camera-{node}").chars().take(63).collect();
    let label = label.to_ascii_lowercase().replace('_', "-");
    format!("{}.local", label.trim_end_matches('-'))
}

impl Http {
    /// Whether other machines are told of the page: one that they cannot reach is not worth a name.
    pub fn is_announced(&self) -> bool {
        self.enabled && self.mdns && self.binds().any(|bind| !bind.ip().is_loopback())
    }
}

impl Announcement {
    /// Begins to answer; `port` and `tls` are those of the page's listeners, `bind` is where it listens.
    ///
    /// # Errors
    /// No socket for it.
    pub fn start(
        node: &NodeId,
        name: &str,
        bind: IpAddr,
        port: u16,
        tls: Option<u16>,
    ) -> Result<Self, AnnouncementError> {
        let daemon = ServiceDaemon::new()?;
        daemon.set_ip_check_interval(IP_CHECK_INTERVAL_S)?;
        let mut properties = vec![("id", node.to_string()), ("name", clipped(name)), ("path", "/".to_owned())];
        properties.extend(tls.map(|port| ("https", port.to_string())));
        let host = format!("{}.", host_name(node));
        let service = if bind.is_unspecified() {
            ServiceInfo::new(SERVICE, node.as_str(), &host, "", port, &properties[..])?.enable_addr_auto()
        } else {
            ServiceInfo::new(SERVICE, node.as_str(), &host, bind, port, &properties[..])?
        };
        let full_name = service.get_fullname().to_owned();
        daemon.register(service)?;
        Ok(Self { daemon, full_name })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Says goodbye to whoever keeps the answers (RFC 6762 §10.1), then ends; without, they keep them for two minutes.
        let said = self.daemon.unregister(&self.full_name).and_then(|_| self.daemon.shutdown());
        if let Err(error) = said {
            debug!(%error, "mdns ended without a goodbye");
        }
    }
}

/// A string of a TXT record holds 255 bytes, its key included.
fn clipped(text: &str) -> String {
    let mut text = text.to_owned();
    while text.len() > 200 {
        text.pop();
    }
    text
}

/// Not registered with IANA; at most 15 characters.
const SERVICE: &str = "_camera-node._tcp.local.";
/// How soon a new address is answered with.
const IP_CHECK_INTERVAL_S: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_becomes_a_host_name() {
        let name = |id: &str| host_name(&id.parse().expect("an id"));
        assert_eq!(name("porch-3fa92c"), "camera-porch-3fa92c.local");
        assert_eq!(name("Front_Door"), "camera-front-door.local");
        let long = name(&"x".repeat(64));
        assert_eq!(long.len(), 63 + ".local".len());
        assert_eq!(name("x-"), "camera-x.local");
    }
}
