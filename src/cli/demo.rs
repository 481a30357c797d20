//! `camera-node demo`: everything in one process, on loopback.

use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Port of the page on loopback; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    http_port: u16,
    /// Port of the embedded broker's MQTT listener on loopback; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 1883)]
    mqtt_port: u16,
    /// Port of the embedded broker's WebSocket listener on loopback; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 9001)]
    ws_port: u16,
    /// Take camera, microphone and encoders from this config file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the demo until a signal stops it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = super::load(args.config.as_deref())?;
    super::logging::start(&config.log)?;
    anyhow::bail!(
        "not built in yet (pages on port {}, brokers on {} and {})",
        args.http_port,
        args.mqtt_port,
        args.ws_port
    )
}
