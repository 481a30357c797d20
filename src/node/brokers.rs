//! Where the broker is, seen from this machine: one elsewhere, or the embedded one, started here.

use std::sync::Arc;

use crate::config::Config;
use crate::http::PageBroker;
use crate::signalling::{BrokerUrl, Door, Endpoint};

use super::state_folder::StateFolder;

/// The broker, as the rest of the node needs to know it.
pub struct Brokers {
    /// For MQTT clients on this machine.
    pub url: String,
    /// For pages, if it is known.
    pub websocket_url: Option<String>,
    /// For the node's own page.
    pub page: Option<PageBroker>,
    #[cfg(feature = "embedded-broker")]
    embedded: Option<crate::signalling::embedded::EmbeddedBroker>,
}

impl Brokers {
    /// The broker of the config, and the way there: none for `loopback:`.
    ///
    /// # Errors
    /// An address in use, a password that cannot be read or kept, files of `[broker]` that cannot be used.
    pub async fn open(config: &Config, folder: &StateFolder) -> anyhow::Result<(Self, Option<Endpoint>)> {
        if config.broker.embedded { Self::embedded(config, folder).await } else { Self::elsewhere(config) }
    }

    #[cfg(feature = "embedded-broker")]
    async fn embedded(config: &Config, folder: &StateFolder) -> anyhow::Result<(Self, Option<Endpoint>)> {
        use crate::signalling::Login;
        use crate::signalling::embedded::{EmbeddedBroker, EmbeddedConfig};
        use crate::sys::random_bits;

        // Nobody else can pass for this node: its client id needs a password that only this process knows.
        let password = format!("{:016x}{:016x}", random_bits(), random_bits());
        let login = Login { username: config.node.id().to_string(), password };
        let password = config.asks_for_password().then(|| super::lan::broker_password(folder)).transpose()?;
        let setup =
            EmbeddedConfig { reserved: vec![login.clone()], password, ..EmbeddedConfig::from_config(&config.broker) };
        let embedded = EmbeddedBroker::start(setup).await?;
        let endpoint = embedded.endpoint(Some(login));
        let brokers = Self {
            url: format!("mqtt://{}", embedded.tcp_addr()),
            websocket_url: Some(embedded.ws_url()),
            page: Some(PageBroker::Here),
            embedded: Some(embedded),
        };
        Ok((brokers, Some(endpoint)))
    }

    #[cfg(not(feature = "embedded-broker"))]
    async fn embedded(_: &Config, _: &StateFolder) -> anyhow::Result<(Self, Option<Endpoint>)> {
        anyhow::bail!(
            "broker.embedded is true, but this build has no embedded broker: build it with the feature embedded-broker"
        )
    }

    /// A broker of others, by its URL.
    ///
    /// # Errors
    /// Files of `[broker]` that cannot be used.
    pub fn elsewhere(config: &Config) -> anyhow::Result<(Self, Option<Endpoint>)> {
        let endpoint = match config.broker.url {
            BrokerUrl::Mqtt { .. } => Some(Endpoint::from_config(&config.broker)?),
            BrokerUrl::Loopback => None,
        };
        let websocket_url = config.broker.websocket_url.as_ref().map(|url| url.as_str().to_owned());
        let brokers = Self {
            url: config.broker.url.to_string(),
            page: websocket_url.clone().map(PageBroker::At),
            websocket_url,
            #[cfg(feature = "embedded-broker")]
            embedded: None,
        };
        Ok((brokers, endpoint))
    }

    /// The embedded broker's way in for the page's server.
    pub fn door(&self) -> Option<Arc<dyn Door>> {
        #[cfg(feature = "embedded-broker")]
        return self.embedded.as_ref().map(crate::signalling::embedded::EmbeddedBroker::door);
        #[cfg(not(feature = "embedded-broker"))]
        None
    }

    /// Ends what was started here.
    pub async fn stop(self) {
        #[cfg(feature = "embedded-broker")]
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}
