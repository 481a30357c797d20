//! `camera-node run`: the daemon. SIGHUP makes it read its config again.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigFile;
use super::logging::Logging;
use crate::config::Config;
use crate::node::service::{Service, Starts};
use crate::node::{Node, Reloaded, whole_story};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs the node until a signal stops it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut config = args.file.load()?;
    let logging = super::logging::start(&config.log)?;
    let mut signals = Signals::new()?;
    let starts = Starts::of_service();
    if !starts.pause().is_zero() {
        starts.tell_pause();
        tokio::select! {
            () = tokio::time::sleep(starts.pause()) => {}
            () = signals.until_stop() => {
                starts.ended_well();
                return Ok(ExitCode::SUCCESS);
            }
        }
        // Somebody may have mended it meanwhile.
        config = args.file.load()?;
    }
    starts.begin();
    let code = serve(config, &args, &logging, signals).await?;
    starts.ended_well();
    Ok(code)
}

async fn serve(config: Config, args: &Args, logging: &Logging, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let mut node = Node::start(config).await?;
    for url in node.pages() {
        tracing::info!(url, "page");
    }
    let service = Service::start(&node).context("no thread to watch over the node")?;
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => return signals.stop(node, Some(service)).await,
                Told::HangUp => {
                    service.reloading();
                    reload(&args.file, &mut node, logging).await;
                    service.ready();
                }
            },
            () = node.restart_wanted() => {
                signals.stop(node, Some(service)).await?;
                return Ok(ExitCode::from(RESTART));
            }
            () = node.ended() => return Err(ended()),
        }
    }
}

/// Ended in order because a viewer asked for a restart: whoever started the program is to start it again. `EX_TEMPFAIL` of
/// sysexits.h, for those who start again only what has failed; the unit counts it as a success.
const RESTART: u8 = 75;

/// Goes over to what the config file says now, or says why not.
async fn reload(file: &ConfigFile, node: &mut Node, logging: &Logging) {
    let reloaded = async {
        let config = file.load()?;
        let log = config.log.clone();
        let reloaded = node.reload(config).await?;
        logging.exchange(&log)?;
        anyhow::Ok(reloaded)
    };
    match reloaded.await {
        Ok(Reloaded { applied, left, troubles }) => {
            if applied.is_empty() {
                tracing::info!("the config was read again: there is nothing new to apply");
            } else {
                tracing::info!(applied = applied.join(", "), "the config was read again");
            }
            troubles.iter().for_each(|trouble| tracing::warn!("{trouble}"));
            if !left.is_empty() {
                tracing::warn!(keys = left.join(", "), "start the program anew to apply the rest");
            }
        }
        Err(error) => {
            let why = whole_story(&error);
            tracing::error!("the config before stays in force: {why}");
            node.refused(&why);
        }
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the node ended by itself: this is a defect, please report it with its log")
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    HangUp,
}

/// SIGINT, SIGTERM and SIGHUP, caught from the moment this is made: a node that is still starting is stopped in order too.
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

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::HangUp,
        }
    }

    /// Waits for one, then stops the node in order; a second one ends the process at once. That the terminal was closed
    /// (SIGHUP) ends what was started from it.
    pub async fn until(mut self, mut node: Node) -> anyhow::Result<ExitCode> {
        tokio::select! {
            _ = self.next() => {}
            () = node.restart_wanted() => {
                self.stop(node, None).await?;
                return Ok(ExitCode::from(RESTART));
            }
            () = node.ended() => return Err(ended()),
        }
        self.stop(node, None).await
    }

    async fn stop(mut self, node: Node, service: Option<Service>) -> anyhow::Result<ExitCode> {
        tracing::info!("stopping");
        if let Some(service) = service {
            service.stopping();
        }
        tokio::select! {
            stopped = node.stop() => stopped.map(|()| ExitCode::SUCCESS),
            () = self.until_stop() => Ok(at_once()),
        }
    }

    /// Until it is told to stop; a reload that comes too late, or too early, is none.
    async fn until_stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

/// What a second signal asks for. Threads may be stuck in a driver, so returning from `main` would not be enough.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "the user asked twice")]
fn at_once() -> ExitCode {
    std::process::exit(130)
}
