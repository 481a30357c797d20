//! `camera-node check`: every part of a node tried out, one by one, with what to do about those that fail.

mod advice;
mod http;
mod ice;
mod report;
mod stun;
mod surroundings;

use std::process::ExitCode;

use super::{ConfigFile, out};
use report::Finding;

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one line of JSON: a list of {part, ok, detail, advice}.
    #[arg(long)]
    json: bool,
}

/// Tries all parts, also after one has failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.file.load()?;
    let mut findings: Vec<Finding> = Vec::new();
    let mut say = |found: Vec<Finding>| -> std::io::Result<()> {
        for finding in found {
            if !args.json {
                out::line(&finding.text())?;
            }
            findings.push(finding);
        }
        Ok(())
    };
    say(vec![http::check(&config.http).await])?;
    if args.json {
        out::json(&findings)?;
    }
    let all_good = findings.iter().all(|finding| finding.ok);
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
