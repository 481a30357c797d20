//! What a node on a LAN without any other server has: its broker's password, and the addresses of its page.

use std::net::IpAddr;

use anyhow::Context;

use crate::config::Config;
use crate::http::{Announcement, Bound, HttpServer, host_name, page_urls};
use crate::peer::config::Ice;
use crate::peer::media_addresses;

use super::state_folder::StateFolder;

/// The name of its file in the state folder.
const PASSWORD: &str = "broker-password";

/// The password of the embedded broker's clients, made at the first start.
///
/// # Errors
/// It cannot be kept.
#[cfg(feature = "embedded-broker")]
pub(super) fn broker_password(folder: &StateFolder) -> anyhow::Result<String> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use crate::sys;

    if let Some(kept) = known_password(folder)? {
        return Ok(kept);
    }
    let random = [sys::random_bits().to_le_bytes(), sys::random_bits().to_le_bytes()].concat();
    // 128 bits, in characters that neither a link nor a config must escape.
    let made = URL_SAFE_NO_PAD.encode(random);
    folder.write(PASSWORD, format!("{made}\n").as_bytes())?;
    Ok(made)
}

/// The password, if the node has made one yet.
///
/// # Errors
/// It is there and cannot be read.
pub fn known_password(folder: &StateFolder) -> anyhow::Result<Option<String>> {
    let Some(content) = folder.read(PASSWORD)? else { return Ok(None) };
    let text = String::from_utf8(content).context("node.state_folder: broker-password is not text: delete it")?;
    let text = text.trim();
    anyhow::ensure!(
        !text.is_empty(),
        "node.state_folder: broker-password is empty: delete it, and the node makes a new one"
    );
    Ok(Some(text.to_owned()))
}

/// This machine's addresses, as far as others can use them.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    media_addresses(&Ice::default()).unwrap_or_default()
}

/// Answers for `camera-ID.local`, where others can reach the page; a machine that has no multicast is no error.
pub(super) fn announce(config: &Config, http: &HttpServer) -> Option<Announcement> {
    if !config.http.is_announced() {
        return None;
    }
    let id = config.node.id();
    let open =
        [Some(http.addr()), http.tls_addr()].into_iter().flatten().find(|address| !address.ip().is_loopback())?;
    let tls = http.tls_addr().map(|address| address.port());
    match Announcement::start(&id, &config.node.name(), open.ip(), http.addr().port(), tls) {
        Ok(announcement) => {
            tracing::info!(name = host_name(&id), "answering on the LAN (mDNS)");
            Some(announcement)
        }
        Err(error) => {
            tracing::warn!(%error, "the node is not found by its name on the LAN");
            None
        }
    }
}

/// Where browsers find the page of the node that `config` describes, the best address first.
pub fn pages(config: &Config, bound: &Bound) -> Vec<String> {
    let host = config.http.is_announced().then(|| host_name(&config.node.id()));
    page_urls(&config.http, bound, host.as_deref(), &own_addresses())
}

#[cfg(all(test, feature = "embedded-broker"))]
mod tests {
    use super::*;
    use crate::config::NodeSection;

    #[test]
    fn the_password_is_made_once_and_is_long() {
        let base = tempfile::tempdir().expect("there is room");
        let node = NodeSection { state_folder: Some(base.path().to_owned()), ..NodeSection::default() };
        let folder = StateFolder::of(&node);
        assert_eq!(known_password(&folder).expect("none yet"), None);
        let made = broker_password(&folder).expect("there is room");
        assert_eq!(made.len(), 22);
        assert_eq!(broker_password(&folder).expect("kept"), made);
        assert_eq!(known_password(&folder).expect("kept"), Some(made));
        folder.write(PASSWORD, b"\n").expect("there is room");
        assert!(broker_password(&folder).expect_err("empty").to_string().contains("delete it"));
    }
}
