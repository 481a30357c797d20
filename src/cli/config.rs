//! `camera-node config`: is this config right, and what is in it?

use std::path::PathBuf;
use std::process::ExitCode;

use super::{load, out};

/// Options of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file (TOML); without it, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print every key with the value it has after file and environment.
    #[arg(long)]
    print: bool,
}

/// Reads the config; prints it if asked to.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = load(args.config.as_deref())?;
    if args.print {
        out::line(toml::to_string(&config)?.trim_end())?;
    } else {
        out::line("the config is right")?;
    }
    Ok(ExitCode::SUCCESS)
}
