//! `camera-node run`: the daemon.

use std::process::ExitCode;

use super::ConfigFile;

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
    anyhow::bail!("not built in yet")
}
