//! The command line: one file a subcommand, exit codes as values.
//!
//! 0: done, or all is well. 1: a check failed, or something went wrong while running. 2: the command line or the
//! config is wrong, and nothing was started.

mod bell;
mod broker;
mod check;
mod config;
mod demo;
mod devices;
mod keys;
mod link;
mod logging;
mod out;
mod provision;
mod run;
mod token;
mod viewer;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::node::whole_story;

pub use logging::BadFilter;
pub use out::complain;

/// A WebRTC camera in one binary: V4L2 and ALSA in, browsers out, MQTT between them.
#[derive(Debug, Parser)]
#[command(name = "camera-node", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a camera until told to stop: the daemon. SIGHUP makes it read its config again.
    Run(run::Args),
    /// Show what it does, with nothing but this machine: own broker, own page, a stand-in for what is not plugged in.
    Demo(demo::Args),
    /// List cameras and sound cards, as a browser's enumerateDevices would.
    Devices(devices::Args),
    /// Open camera, microphone, speaker, broker, STUN/TURN servers, page, doorbell and programs' sockets one by one, and say what
    /// is wrong and what to do.
    Check(check::Args),
    /// Make this board a thing of AWS IoT Core: key made here, certificate by a claim, config completed.
    Provision(Box<provision::Args>),
    /// Watch a node without a window: for monitoring and tests.
    Watch(Box<watch::Args>),
    /// Make a running node ring its registered viewers, as its bell button does, or hang up on them.
    Ring(Box<bell::Args>),
    /// Make keys for tokens, or show those of a config.
    Keys(keys::Args),
    /// Make a token that lets someone watch, or a link with one in it.
    Token(token::Args),
    /// Print where the page is, with what lets a viewer in, as links and as a QR code.
    Link(link::Args),
    /// Write the viewer page as files for any web host.
    Viewer(viewer::Args),
    /// Read the config and say what is wrong with it, or print all of it with its defaults.
    Config(config::Args),
}

/// A config file that a subcommand needs.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The config file (TOML). Variables such as CAMERA_NODE__BROKER__URL override single keys.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> Result<Config, ConfigError> {
        load(Some(&self.config))
    }
}

/// The config in `file`, or the defaults, with the environment's variables laid over it.
fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    Config::load(file, std::env::vars_os())
}

/// Runs one command line to its end.
pub async fn run(cli: Cli) -> ExitCode {
    let in_json = Failures::of(&cli.command);
    let outcome = match cli.command {
        Command::Run(args) => run::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Devices(args) => devices::run(args),
        Command::Check(args) => check::run(args).await,
        Command::Provision(args) => provision::run(*args).await,
        Command::Watch(args) => watch::run(*args).await,
        Command::Ring(args) => bell::run(*args).await,
        Command::Keys(args) => keys::run(args),
        Command::Token(args) => token::run(args),
        Command::Link(args) => link::run(args),
        Command::Viewer(args) => viewer::run(args),
        Command::Config(args) => config::run(args),
    };
    outcome.unwrap_or_else(|error| {
        out::complain(&error);
        in_json.say(&error);
        code_of(&error)
    })
}

/// What a command that was asked for JSON says on standard output in place of its result: whoever reads that need not read
/// standard error as well.
enum Failures {
    /// `{"error":…}`
    Object,
    /// `check`'s list, with one finding.
    List,
    Nothing,
}

impl Failures {
    fn of(command: &Command) -> Self {
        match command {
            Command::Check(args) if args.json() => Self::List,
            Command::Provision(args) if args.json() => Self::Object,
            Command::Watch(args) if args.json() => Self::Object,
            Command::Ring(args) if args.json() => Self::Object,
            Command::Token(args) if args.json() => Self::Object,
            Command::Link(args) if args.json() => Self::Object,
            _ => Self::Nothing,
        }
    }

    fn say(&self, error: &anyhow::Error) {
        let story = whole_story(error);
        let said = match self {
            Self::Object => out::json(&serde_json::json!({ "error": story })),
            Self::List => {
                let part = if error.is::<ConfigError>() { "config" } else { "check" };
                out::json(&serde_json::json!([{ "part": part, "ok": false, "detail": story, "advice": null }]))
            }
            Self::Nothing => Ok(()),
        };
        // Standard error has heard it already.
        let _ = said;
    }
}

/// What was asked for is wrong: 2. It went wrong while being done: 1.
fn code_of(error: &anyhow::Error) -> ExitCode {
    let asked_wrong = error.is::<ConfigError>() || error.is::<BadFilter>();
    ExitCode::from(if asked_wrong { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_told_from_a_wrong_run() {
        for wrong in [&["run"][..], &["devices", "--jsn"], &["nothing"], &["viewer"], &["watch", "--node", "a b"]] {
            let line = ["camera-node"].iter().chain(wrong);
            let error = Cli::try_parse_from(line).expect_err("refused");
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
        let missing = load(Some(Path::new("/nowhere/x.toml"))).expect_err("not there");
        assert_eq!(format!("{:?}", code_of(&missing.into())), format!("{:?}", ExitCode::from(2)));
        assert_eq!(format!("{:?}", code_of(&anyhow::anyhow!("broken"))), format!("{:?}", ExitCode::from(1)));
    }
}
