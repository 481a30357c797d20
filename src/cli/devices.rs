//! `camera-node devices`: what could be captured from, and played to.

use std::process::ExitCode;

/// Options of `devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Lists the devices.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}", args.json)
}
