//! `camera-node run`: the daemon.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::ConfigFile;
use crate::node::Node;

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
    let node = Node::start(config).await?;
    if let Some(page) = node.page() {
        tracing::info!(url = %format_args!("http://{page}/"), "page");
    }
    until_signal(node).await
}

/// Waits for SIGINT or SIGTERM, then stops the node in order; a second signal ends the process at once.
pub async fn until_signal(mut node: Node) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = node.ended() => anyhow::bail!("the node ended by itself: this is a defect, please report it with its log"),
    }
    tracing::info!("stopping");
    tokio::select! {
        stopped = node.stop() => stopped.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(at_once()),
        _ = terminate.recv() => Ok(at_once()),
    }
}

/// What a second signal asks for. Threads may be stuck in a driver, so returning from `main` would not be enough.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "the user asked twice")]
fn at_once() -> ExitCode {
    std::process::exit(130)
}
