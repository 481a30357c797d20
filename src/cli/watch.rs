//! `camera-node watch`: a viewer without a window.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::session::NodeId;
use crate::signalling::BrokerUrl;

/// Options of `watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The broker: mqtt://host:port.
    #[arg(long, value_name = "URL")]
    broker: BrokerUrl,
    /// The node's id.
    #[arg(long, value_name = "ID")]
    node: NodeId,
    /// Stop after so many seconds of pictures; without it, at a signal.
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// Print the numbers as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Write the pictures to a file, H.264 in Annex B.
    #[arg(long, value_name = "FILE.h264")]
    out: Option<PathBuf>,
}

/// Watches until the time is up.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built in yet (node {} at {})", args.node, args.broker)
}
