//! `camera-node check`: every part of a node tried out, one by one, with what to do about those that fail.
//!
//! Parts are tried as the node would use them, with its config, but beside a node that may be running: under a client
//! id of our own at the broker, and letting everything go again. What the running node of the same config has is in use,
//! and no fault.

mod access;
mod advice;
mod apps;
mod broker;
mod capture;
mod certificates;
mod doorbell;
mod http;
mod ice;
mod report;
mod running;
mod speaker;
mod state_folder;
mod stun;
mod surroundings;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{ConfigFile, out};
use crate::bell::config::RingTopic;
use crate::config::Config;
use crate::playback::config::SinkKind;
use report::Finding;
use running::Running;

/// A driver that has not come back by then hangs: each part's own limit is shorter.
const WEDGED_AFTER: Duration = Duration::from_secs(15);

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Print one line of JSON: a list of {part, ok, detail, advice}.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether a program reads what is said.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Tries all parts, also after one has failed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.file.load()?;
    let running = Running::with(&args.file.config);
    let findings =
        check_all(&config, &running, |finding| if args.json { Ok(()) } else { out::line(&finding.text()) }).await?;
    if args.json {
        out::json(&findings)?;
    }
    let all_good = findings.iter().all(|finding| finding.ok);
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `say` hears of each finding when it is made: a person sees what is being waited for.
async fn check_all(
    config: &Config,
    running: &Running,
    say: impl Fn(&Finding) -> io::Result<()>,
) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut add = |found: Vec<Finding>| {
        found.into_iter().try_for_each(|finding| {
            say(&finding)?;
            findings.push(finding);
            Ok::<_, io::Error>(())
        })
    };
    for camera in &config.camera {
        let ours = || (camera.clone(), running.clone());
        let (of, node) = ours();
        add(vec![blocking("camera", move || capture::check_video(&of, &node)).await])?;
        let (of, node) = ours();
        add(vec![blocking("microphone", move || capture::check_audio(&of, &node)).await])?;
        if camera.speaker.sink != SinkKind::None {
            let (of, node) = ours();
            add(vec![blocking("speaker", move || speaker::check(&of, &node)).await])?;
        }
    }
    let ring_topic = config.ring.topic.as_ref().map(RingTopic::as_str);
    add(broker::check(&config.broker, &config.node.id(), ring_topic, running).await)?;
    add(certificates::check(config))?;
    add(access::check(&config.access, &config.node.id()))?;
    add(vec![ice::check_addresses(&config.ice)])?;
    add(ice::check_entrances(&config.ice, running).await)?;
    add(ice::check(&config.ice).await)?;
    add(http::check(config, running).await)?;
    add(state_folder::check(config))?;
    add(doorbell::check(config).await)?;
    add(apps::check(&config.app))?;
    Ok(findings)
}

async fn blocking(part: &str, check: impl FnOnce() -> Finding + Send + 'static) -> Finding {
    match timeout(WEDGED_AFTER, spawn_blocking(check)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(_)) => {
            Finding::bad(part, "the check failed by a bug of ours", "please report it, with the message above")
        }
        Err(_) => Finding::bad(
            part,
            format!("its driver has not answered for {} s", WEDGED_AFTER.as_secs()),
            "plug the device in anew, or restart the machine; `dmesg` has the driver's words",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_of_stand_ins_is_all_good() {
        let text = "[[camera]]\nvideo.source = 'test-pattern'\naudio.source = 'tone'\n[broker]\nurl = 'loopback:'\n\
                    [http]\nbind = '127.0.0.1:0'\n";
        let config = Config::from_text("stand-ins", text, []).expect("right");
        let said = std::cell::Cell::new(0);
        let findings = check_all(&config, &Running::default(), |_| {
            said.set(said.get() + 1);
            Ok(())
        })
        .await
        .expect("nothing to write to");
        let parts: Vec<_> = findings.iter().map(|finding| (finding.part.as_str(), finding.ok)).collect();
        assert_eq!(
            parts,
            [
                ("camera main", true),
                ("microphone of main", true),
                ("broker", true),
                ("ice addresses", true),
                ("http", true)
            ]
        );
        assert_eq!(said.get(), findings.len());
    }
}
