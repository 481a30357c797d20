//! The page's server, with what belongs to it: its certificate, kept fresh, and the node's name on the LAN.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use tokio::task::JoinHandle;

use crate::config::Config;
use crate::http::{self, Announcement, Bound, Extras, HttpServer};

use super::brokers::Brokers;
use super::doorbell::Doorbell;
use super::https::Https;
use super::lan;
use super::metrics::Metrics;
use super::photographer::{Questions, Studio};
use super::report::Report;
use super::view::{About, View};

/// What is served, if anything is.
#[derive(Default)]
pub struct Page {
    http: Option<HttpServer>,
    announcement: Option<Announcement>,
    freshness: Option<JoinHandle<()>>,
}

impl Page {
    /// Serves what `config` says.
    ///
    /// # Errors
    /// An address in use, a bell's secret that cannot be read.
    pub async fn serve(
        config: &Config,
        https: Option<Https>,
        broker: &Brokers,
        (view, metrics, questions): (&View, &Metrics, &Questions),
        doorbell: Option<&Doorbell>,
    ) -> anyhow::Result<Self> {
        let mut page = Self::default();
        if config.http.enabled {
            let bell = doorbell.map(|doorbell| doorbell.behind_http(&config.ring)).transpose()?.flatten();
            let report = Report {
                node: config.node.id(),
                prefix: config.broker.prefix.to_string(),
                broker: broker.page.clone(),
                board: Arc::clone(&view.board),
                metrics: metrics.clone(),
                cameras: view.cameras.clone(),
                bell,
                photographer: Arc::new(Studio {
                    cameras: view.cameras.clone(),
                    questions: questions.clone(),
                    is_open_to_all: !config.embedded_reach().is_empty() && !config.asks_for_password(),
                }),
            };
            let certificate = https.as_ref().map(|https| Arc::clone(&https.certificate));
            let extras = Extras { door: broker.door(), certificate };
            let served = http::serve(&config.http, Arc::new(report), extras).await?;
            page.announcement = lan::announce(config, &served);
            page.http = Some(served);
            page.freshness = https.map(|https| tokio::spawn(https.keep_fresh()));
        }
        page.tell(config, view);
        Ok(page)
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::addr)
    }

    /// Notes where browsers find it, and what the node is called there.
    pub fn tell(&self, config: &Config, view: &View) {
        let bound = self.http.as_ref().map(|http| Bound { plain: Some(http.addr()), tls: http.tls_addr() });
        let about = About { name: config.node.name(), pages: lan::pages(config, &bound.unwrap_or_default()) };
        *view.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
    }

    /// Finishes the requests that are under way, within a second.
    pub async fn end(mut self) {
        self.announcement = None;
        if let Some(http) = self.http.take() {
            http.stop().await;
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if let Some(freshness) = &self.freshness {
            freshness.abort();
        }
    }
}
