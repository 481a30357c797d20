//! Reading the config again while the node runs.
//!
//! All that can be refused is tried first, beside what runs; then it is exchanged. `deploy/reload.md` has the table of what
//! a key takes.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::access::Guard;
use crate::config::Config;
use crate::peer::Connector;
use crate::peer::config::ReadServer;
use crate::signalling::Endpoint;

use super::access::AccessFiles;
use super::brokers::Brokers;
use super::camera::{Camera, Exchanged};
use super::doorbell::{self, Bells, Doorbell};
use super::https::Https;
use super::page::Page;
use super::pipeline::Prepared;
use super::renewal::Renewal;
use super::state::State;
use super::story::whole_story;
use super::{Node, connector, ice_source, keeper};
use plan::{Means, Plan};

/// The part of the board that tells how the config is.
const PART: &str = "config";
/// For the desk to take over what is new; with another broker it says goodbye to the one before.
const DESK_WITHIN: Duration = Duration::from_secs(5);
/// For a camera's threads to let go of their devices: closing a USB camera may take a second or two.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(4);
/// A button's line is free a moment after it was let go.
const BELL_WITHIN: Duration = Duration::from_millis(500);
const BELL_AGAIN: Duration = Duration::from_millis(50);

/// What a reload has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Keys that hold their new values.
    pub applied: Vec<String>,
    /// Keys that keep their old ones until the program is started anew.
    pub left: Vec<String>,
    /// What could not be exchanged after all, and why.
    pub troubles: Vec<String>,
}

/// What was tried beside what runs, and can be exchanged for it.
struct Ready {
    access: (AccessFiles, Guard),
    servers: Vec<ReadServer>,
    connector: Option<Arc<Connector>>,
    /// How it is told of, and the way there if it is to be connected to anew.
    broker: Option<(Brokers, Option<Option<Endpoint>>)>,
    /// The page is to be served anew, with https or without.
    page: Option<Option<Https>>,
    cameras: Vec<(Arc<Camera>, Prepared)>,
}

impl Node {
    /// Goes over to `new` as far as a running node can.
    ///
    /// # Errors
    /// What cannot be applied, such as a key file that is not there; the config before stays in force.
    pub async fn reload(&mut self, new: Config) -> anyhow::Result<Reloaded> {
        let plan = Plan::between(&self.config, &new);
        let before = Arc::clone(&self.config);
        let ready = self.ready(&plan)?;
        let troubles = self.exchange(&plan, ready).await?;
        let applied = Plan::between(&before, &self.config).applied().map(str::to_owned).collect();
        let reloaded = Reloaded { applied, left: plan.left, troubles };
        let board = &self.view.board;
        if !reloaded.troubles.is_empty() {
            board.note(PART, State::Refused, reloaded.troubles.join("; "));
        } else if !reloaded.left.is_empty() {
            let keys = reloaded.left.join(", ");
            board.note(PART, State::Restart, format!("start the program anew to apply {keys}"));
        } else {
            board.note(PART, State::Live, "");
        }
        Ok(reloaded)
    }

    /// A config was refused; the one before stays in force.
    pub fn refused(&self, why: &str) {
        self.view.board.note(PART, State::Refused, format!("the config before stays in force: {why}"));
    }

    /// Tries everything that can be tried beside what runs.
    fn ready(&self, plan: &Plan) -> anyhow::Result<Ready> {
        let config = &plan.config;
        let access = AccessFiles::open(&config.access, &config.node.id())?;
        let servers = config.ice.read_servers()?;
        // Those there are carry their viewers on.
        let needs_connector = plan.applied().any(|key| key.starts_with("ice.") && !key.starts_with("ice.servers"));
        let connector = needs_connector.then(|| connector(config, &self.view.board)).transpose()?;
        let calls = !config.broker.embedded && (plan.takes(Means::Broker) || plan.touches("ring.topic"));
        let tells = !config.broker.embedded && plan.touches("broker.");
        let broker = (calls || tells).then(|| Brokers::elsewhere(config)).transpose()?;
        let broker = broker.map(|(brokers, endpoint)| (brokers, calls.then_some(endpoint)));
        let posts = |config: &Config| config.ring.http_secret_file.is_some();
        let serves = plan.takes(Means::Page) || (plan.takes(Means::Bell) && (posts(config) || posts(&self.config)));
        let page = serves.then(|| Https::open(config, &self.folder)).transpose()?;
        let mut cameras = Vec::new();
        for (n, camera) in config.camera.iter().enumerate() {
            let running = self.view.cameras.0.get(&camera.name).filter(|_| plan.touches(&format!("camera[{n}].")));
            if let Some(running) = running {
                let prepared = running.prepare(camera).with_context(|| format!("camera {}", camera.name))?;
                cameras.push((Arc::clone(running), prepared));
            }
        }
        Ok(Ready { access, servers, connector, broker, page, cameras })
    }

    /// Exchanges what is ready for what runs; says what could not be exchanged after all, and stays as it was.
    async fn exchange(&mut self, plan: &Plan, ready: Ready) -> anyhow::Result<Vec<String>> {
        let Ready { access, servers, connector, broker, page, cameras } = ready;
        let mut config = plan.config.clone();
        let mut troubles = Vec::new();
        let mut bells = None;
        if plan.takes(Means::Bell) {
            let mut exchanged = self.exchange_doorbell(&config).await;
            if let Err(refused) = exchanged {
                troubles.push(format!("{}: [ring] stays as it was", whole_story(&refused)));
                config.ring = self.config.ring.clone();
                exchanged = self.exchange_doorbell(&config).await;
            }
            bells =
                exchanged.map_err(|error| troubles.push(format!("{}: there is no bell now", whole_story(&error)))).ok();
        }
        let mut endpoint = None;
        if let Some((brokers, calls)) = broker {
            self.broker = brokers;
            endpoint = calls;
        }
        if let Some(https) = page {
            std::mem::take(&mut self.page).end().await;
            if let Err(refused) = self.serve_page(&config, https).await {
                troubles.push(format!("{}: [http] stays as it was", whole_story(&refused)));
                config.http = self.config.http.clone();
                let before = Https::open(&config, &self.folder);
                let served = match before {
                    Ok(https) => self.serve_page(&config, https).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    troubles.push(format!("{}: there is no page now", whole_story(&error)));
                }
            }
        }
        let mut stream_changed = false;
        for (camera, prepared) in cameras {
            let exchanged = tokio::task::spawn_blocking(move || camera.exchange(prepared, EXCHANGE_WITHIN));
            stream_changed |= exchanged.await?? == Exchanged::Other;
        }
        let ice_servers = (servers != self.servers).then(|| servers.iter().cloned().map(ice_source).collect());
        self.servers = servers;
        self.config = Arc::new(config);
        let webhook = doorbell::webhook(&self.config, self.page.address())?;
        let (done, taken_over) = oneshot::channel();
        let renewal = Renewal {
            config: Arc::clone(&self.config),
            access,
            ice_servers,
            connector,
            broker: endpoint,
            bells,
            webhook,
            stream_changed,
            done,
        };
        let sent = self.renewals.send(renewal).await.is_ok();
        if !sent || !matches!(timeout(DESK_WITHIN, taken_over).await, Ok(Ok(()))) {
            bail!("the sessions' desk does not answer: this is a defect, please report it with the log");
        }
        self.services.set_apps(&self.config.app);
        self.services.set_files(&self.config.files);
        self.page.tell(&self.config, &self.view);
        self.keeper.abort();
        self.keeper = keeper(&self.config, &self.folder, &self.view.board);
        Ok(troubles)
    }

    async fn serve_page(&mut self, config: &Config, https: Option<Https>) -> anyhow::Result<()> {
        let seen = (&self.view, &self.metrics, &self.questions);
        self.page = Page::serve(config, https, &self.broker, seen, self.doorbell.as_ref()).await?;
        Ok(())
    }

    async fn exchange_doorbell(&mut self, config: &Config) -> anyhow::Result<Bells> {
        let id = config.node.id();
        self.doorbell = None;
        let mut left = BELL_WITHIN;
        loop {
            match Doorbell::start(&config.ring, &id).await {
                Ok((doorbell, bells)) => {
                    self.doorbell = Some(doorbell);
                    return Ok(bells);
                }
                // The line may not have been let go yet by our own button.
                Err(_) if !left.is_zero() => {
                    sleep(BELL_AGAIN).await;
                    left = left.saturating_sub(BELL_AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
