//! The doorbell's sources, started and ended with the node, and its way to the desk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::Context;
use async_trait::async_trait;
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bell::config::Ring;
use crate::bell::{BellSocket, Button, Press, PushButton, Told, Webhook, Wish, socket};
use crate::config::Config;
use crate::http::Bell;
use crate::session::NodeId;
use crate::session::node::{NotRung, RingTo};

/// A secret shorter than this can be guessed by somebody who is patient.
const MIN_SECRET_BYTES: usize = 16;

/// What can be pressed, for as long as this lives.
pub struct Doorbell {
    button: Button,
    _socket: Option<BellSocket>,
    _gpio: Option<PushButton>,
}

/// The desk's end of it.
pub struct Bells {
    /// What was pressed.
    pub presses: mpsc::Receiver<Press>,
    /// Any message on this topic is a press.
    pub topic: Option<String>,
    /// Who is told of every ring.
    pub webhook: Option<Arc<Webhook>>,
    /// Telling, under way.
    pub telling: JoinSet<()>,
    /// Who waits for the end of the ring there is.
    pub told: Option<mpsc::UnboundedSender<Told>>,
    /// How many are registered, for whoever asks the node.
    pub registered: Arc<AtomicUsize>,
}

impl Doorbell {
    /// Listens to all that the config names.
    ///
    /// # Errors
    /// A socket that was asked for and cannot be made, a GPIO line that cannot be had.
    pub async fn start(config: &Ring, node: &NodeId) -> anyhow::Result<(Self, Bells)> {
        let (button, presses) = Button::new();
        let gpio = PushButton::listen(config, button.clone())?;
        let socket = match &config.socket {
            Some(path) => Some(BellSocket::listen(path, button.clone()).await?),
            None => match socket::default_path(node) {
                Some(path) => BellSocket::listen(&path, button.clone())
                    .await
                    .inspect_err(|error| tracing::info!(%error, "`camera-node ring` cannot reach this node"))
                    .ok(),
                None => None,
            },
        };
        let bells = Bells {
            presses,
            topic: config.topic.as_ref().map(|topic| topic.as_str().to_owned()),
            webhook: None,
            telling: JoinSet::new(),
            told: None,
            registered: Arc::default(),
        };
        Ok((Self { button, _socket: socket, _gpio: gpio }, bells))
    }

    /// What `POST /ring` presses, if the config has a secret for it.
    ///
    /// # Errors
    /// A file that cannot be read, or a secret that is too short.
    pub fn behind_http(&self, config: &Ring) -> anyhow::Result<Option<Arc<dyn Bell>>> {
        let Some(path) = &config.http_secret_file else { return Ok(None) };
        let secret = read_secret(path).with_context(|| format!("ring.http_secret_file {}", path.display()))?;
        Ok(Some(Arc::new(SecretBell { secret, button: self.button.clone() })))
    }
}

/// The secret of `POST /ring`.
///
/// # Errors
/// A file that cannot be read, or a secret that is too short.
pub fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)?;
    let secret = text.trim().to_owned();
    anyhow::ensure!(
        secret.len() >= MIN_SECRET_BYTES,
        "holds a secret of {} characters, {MIN_SECRET_BYTES} are needed: `openssl rand -hex 16` makes one",
        secret.len()
    );
    Ok(secret)
}

/// What tells phones of a ring, if the config has one; `page` is where http listens.
///
/// # Errors
/// `ring.ca_file` cannot be used.
pub fn webhook(config: &Config, page: Option<SocketAddr>) -> anyhow::Result<Option<Arc<Webhook>>> {
    let Some(url) = config.ring.webhook.clone() else { return Ok(None) };
    // An address that listens everywhere leads nowhere.
    let page = page.filter(|page| !page.ip().is_unspecified()).map(|page| format!("http://{page}/"));
    let link = config.ring.link.clone().or(page);
    let ca_file = config.ring.ca_file.as_deref();
    Ok(Some(Arc::new(Webhook::new(url, ca_file, config.node.id(), config.node.name(), link)?)))
}

struct SecretBell {
    secret: String,
    button: Button,
}

#[async_trait]
impl Bell for SecretBell {
    fn is_secret(&self, said: &str) -> bool {
        self.secret.as_bytes().ct_eq(said.as_bytes()).into()
    }

    async fn ring(&self, to: Option<String>) -> Result<Vec<String>, NotRung> {
        match self.button.press(Wish::Ring(to.map_or(RingTo::All, RingTo::Name)), "http").recv().await {
            Some(Told::Rung(names)) => Ok(names),
            Some(Told::NotRung(why)) => Err(why),
            // Nothing else is told first; and a desk that is busy with other presses rings already.
            Some(Told::Over(_) | Told::HungUp(_)) | None => Err(NotRung::Ringing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_only_itself() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        std::fs::write(file.path(), "short\n").expect("there is room");
        assert!(read_secret(file.path()).is_err());
        std::fs::write(file.path(), "0123456789abcdef\n").expect("there is room");
        let secret = read_secret(file.path()).expect("long enough");
        let bell = SecretBell { secret, button: Button::new().0 };
        assert!(bell.is_secret("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef ", "0123456789abcdeF"] {
            assert!(!bell.is_secret(wrong), "{wrong:?}");
        }
    }
}
