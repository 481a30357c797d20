//! `camera-node ring`: makes the running node ring its registered viewers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::{load, out};
use crate::bell::socket::{Answer, Client, Request, default_path};

/// Options of `ring`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The running node's config file, which tells its socket.
    #[arg(long, value_name = "FILE", required_unless_present = "socket")]
    config: Option<PathBuf>,
    /// The running node's socket (`ring.socket`).
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Ring only the viewer that has registered under this name.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Wait until somebody answers or the ring is over; without it only until it rings.
    #[arg(long)]
    wait: bool,
    /// Print each answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Rings; success when it rings, with `--wait` when somebody has answered.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = match args.socket {
        Some(path) => path,
        None => {
            let config = load(args.config.as_deref())?;
            let path = config.ring.socket.clone().or_else(|| default_path(&config.node.id()));
            path.context("there is neither /run/camera-node nor $XDG_RUNTIME_DIR: set ring.socket in the config")?
        }
    };
    let mut client = Client::ask(&path, &Request { peer: args.peer, wait: args.wait }).await?;
    loop {
        let answer = client.answer().await?;
        if args.json {
            out::json(&answer)?;
        } else if !matches!(answer, Answer::Error(_)) {
            out::line(&in_words(&answer))?;
        }
        match answer {
            Answer::Rung(_) if args.wait => {}
            Answer::Rung(_) | Answer::Answered(_) => return Ok(ExitCode::SUCCESS),
            Answer::Error(_) | Answer::Unanswered(_) if args.json => return Ok(ExitCode::FAILURE),
            Answer::Unanswered(_) => return Ok(ExitCode::FAILURE),
            Answer::Error(why) => bail!("not rung: {why}"),
        }
    }
}

fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Rung(names) => format!("rings {}", names.join(", ")),
        Answer::Error(why) => format!("not rung: {why}"),
        Answer::Answered(name) => format!("answered by {name}"),
        Answer::Unanswered(by) => {
            let by: Vec<String> = by.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            format!("nobody answered ({})", by.join(", "))
        }
    }
}
