//! `camera-node ring`: makes the running node ring its registered viewers, or hang up on them, by its socket on this
//! machine, or by its `ring.topic` from any.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ArgGroup;
use tokio::time::timeout;

use super::broker::WayIn;
use super::{load, out};
use crate::bell::config::RingTopic;
use crate::bell::socket::{Answer, Client, Request, default_path};
use crate::signalling::{BrokerUrl, Link, LinkEvent, LinkSetup, MqttLink, Publish};
use crate::sys;

/// Longer than the link's own limits, whose words say more than ours.
const CONNECT_WITHIN: Duration = Duration::from_secs(11);

/// Options of `ring`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("bell").args(["config", "socket", "broker"]).required(true)))]
pub struct Args {
    /// The running node's config file, which tells its socket.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The running node's socket (`ring.socket`).
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Publish to the node's `ring.topic` at this broker instead, from any machine: mqtt://host:port, mqtts://, ws://… It rings
    /// everyone, and what becomes of it is not told. Needs the right to publish there.
    #[arg(long, value_name = "URL", requires = "topic", conflicts_with_all = ["peer", "wait"])]
    broker: Option<BrokerUrl>,
    /// The node's `ring.topic`.
    #[arg(long, value_name = "TOPIC", requires = "broker", value_parser = |text: &str| RingTopic::try_from(text.to_owned()))]
    topic: Option<RingTopic>,
    #[command(flatten)]
    way_in: WayIn,
    /// Ring only the viewer that has registered under this name.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Ring nobody: end the ring there is, and every call, whoever had called. Success also where there was none.
    #[arg(long, conflicts_with_all = ["peer", "wait"])]
    hang_up: bool,
    /// Wait until somebody answers or the ring is over; without it only until it rings.
    #[arg(long)]
    wait: bool,
    /// Print each answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether a program reads what is said.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Rings, or hangs up; success when it rings, with `--wait` when somebody has answered.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let (Some(url), Some(topic)) = (&args.broker, &args.topic) {
        let (payload, does) = if args.hang_up { (RingTopic::HANG_UP, "hangs up") } else { ("ring", "rings") };
        publish(url, &args.way_in, topic.as_str(), payload).await?;
        if args.json {
            out::json(&serde_json::json!({ "published": topic }))?;
        } else {
            out::line(&format!("the broker has it, on {}: a node whose ring.topic that is {does}", topic.as_str()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = match args.socket {
        Some(path) => path,
        None => {
            let config = load(args.config.as_deref())?;
            let path = config.ring.socket.clone().or_else(|| default_path(&config.node.id()));
            path.context("there is neither /run/camera-node nor $XDG_RUNTIME_DIR: set ring.socket in the config")?
        }
    };
    let mut client = Client::ask(&path, &Request { peer: args.peer, wait: args.wait, hang_up: args.hang_up }).await?;
    loop {
        let answer = client.answer().await?;
        if args.json {
            out::json(&answer)?;
        } else if !matches!(answer, Answer::Error(_)) {
            out::line(&in_words(&answer))?;
        }
        match answer {
            Answer::Rung(_) if args.wait => {}
            Answer::Rung(_) | Answer::Answered(_) | Answer::HungUp { .. } => return Ok(ExitCode::SUCCESS),
            Answer::Error(_) | Answer::Unanswered(_) if args.json => return Ok(ExitCode::FAILURE),
            Answer::Unanswered(_) => return Ok(ExitCode::FAILURE),
            Answer::Error(why) if args.hang_up => bail!("not hung up: {why}"),
            Answer::Error(why) => bail!("not rung: {why}"),
        }
    }
}

/// Presses a bell that hangs at a broker.
async fn publish(url: &BrokerUrl, way_in: &WayIn, topic: &str, payload: &'static str) -> anyhow::Result<()> {
    let client_id = format!("ring-{:016x}", sys::random_bits());
    let endpoint = way_in.to(url, &client_id)?;
    let mut link = MqttLink::start(endpoint, LinkSetup { client_id, ..LinkSetup::default() }, sys::random_bits());
    match timeout(CONNECT_WITHIN, link.next()).await {
        Ok(Some(LinkEvent::Up { .. })) => {}
        Ok(Some(LinkEvent::Down { reason })) => bail!("not published: {reason}"),
        _ => bail!("not published: {url} did not let us in within {} s", CONNECT_WITHIN.as_secs()),
    }
    link.publish(Publish { topic: topic.to_owned(), payload: payload.into(), retain: false })?;
    link.close(Vec::new()).await;
    Ok(())
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
        Answer::HungUp { rung, calls } => match (rung.as_slice(), calls.as_slice()) {
            ([], []) => "nobody was in a call, and nothing rang".to_owned(),
            (rung, []) => format!("rings {} no more", rung.join(", ")),
            ([], calls) => format!("hung up on {}", calls.join(", ")),
            (rung, calls) => format!("hung up on {}; rings {} no more", calls.join(", "), rung.join(", ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_has_hung_up_on_is_said() {
        let said = |rung: &[&str], calls: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            in_words(&Answer::HungUp { rung: names(rung), calls: names(calls) })
        };
        assert_eq!(said(&[], &[]), "nobody was in a call, and nothing rang");
        assert_eq!(said(&["Hall", "Study"], &[]), "rings Hall, Study no more");
        assert_eq!(said(&[], &["Kitchen"]), "hung up on Kitchen");
        assert_eq!(said(&["Hall"], &["Kitchen", "tab-1"]), "hung up on Kitchen, tab-1; rings Hall no more");
    }
}
