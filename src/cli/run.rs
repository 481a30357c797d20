//! `camera-node run`: the daemon.

use std::process::ExitCode;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigFile;
use crate::node::Node;
use crate::node::service::Service;

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs the node until a signal stops it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.file.load()?;
    super::logging::start(&config.log)?;
    let signals = Signals::new()?;
    let node = Node::start(config).await?;
    for url in node.pages() {
        tracing::info!(url, "page");
    }
    let service = Service::start(&node).context("no thread to watch over the node")?;
    signals.until(node, Some(service)).await
}

/// SIGINT, SIGTERM and SIGHUP (the terminal was closed), caught from the moment this is made: a node that is still starting is stopped in order too.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Waits for one, then stops the node in order; a second one ends the process at once.
    pub async fn until(mut self, mut node: Node, service: Option<Service>) -> anyhow::Result<ExitCode> {
        tokio::select! {
            () = self.next() => {}
            () = node.ended() => bail!("the node ended by itself: this is a defect, please report it with its log"),
        }
        tracing::info!("stopping");
        if let Some(service) = service {
            service.stopping();
        }
        tokio::select! {
            stopped = node.stop() => stopped.map(|()| ExitCode::SUCCESS),
            () = self.next() => Ok(at_once()),
        }
    }
}

/// What a second signal asks for. Threads may be stuck in a driver, so returning from `main` would not be enough.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "the user asked twice")]
fn at_once() -> ExitCode {
    std::process::exit(130)
}
