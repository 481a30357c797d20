//! `camera-node demo`: everything in one process, on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::out;
use super::run::Signals;
use crate::capture;
use crate::config::Config;
use crate::http::config::Tls;
use crate::node::Node;
use crate::session::NodeId;

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

/// What one needs to know to use the demo.
#[derive(Debug, Serialize)]
struct Addresses<'a> {
    page: String,
    broker: &'a str,
    broker_ws: &'a str,
    node: &'a NodeId,
}

/// Runs the demo until a signal stops it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = on_loopback(super::load(args.config.as_deref())?, &args);
    super::logging::start(&config.log)?;
    let id = config.node.id();
    let signals = Signals::new()?;
    let node = Node::start(config).await.context(
        "the demo did not start (--http-port, --mqtt-port and --ws-port choose its ports; 0 takes any free one)",
    )?;
    let addresses = Addresses {
        page: node.page().map(|page| format!("http://{page}/")).unwrap_or_default(),
        broker: node.broker_url(),
        broker_ws: node.broker_websocket_url().unwrap_or_default(),
        node: &id,
    };
    if args.json {
        out::json(&addresses)?;
    } else {
        out::line(&format!("page    {}", addresses.page))?;
        out::line(&format!("broker  {}  (browsers: {})", addresses.broker, addresses.broker_ws))?;
        out::line(&format!("node    {}", addresses.node))?;
        out::line("Open the page in a browser on this machine; Ctrl-C ends the demo.")?;
    }
    signals.until(node).await
}

/// The config with everything that leaves the machine brought back to loopback.
fn on_loopback(mut config: Config, args: &Args) -> Config {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    config.broker.embedded = true;
    config.broker.embedded_bind = loopback(args.mqtt_port);
    config.broker.embedded_websocket_bind = loopback(args.ws_port);
    config.http.enabled = true;
    config.http.bind = loopback(args.http_port);
    config.http.tls = Tls::default();
    config.ice.bind = Vec::new();
    config.ice.interfaces = Vec::new();
    config.ice.include_loopback = true;
    // What stands in for a camera is what many a demo is to show: decided once, it is nothing amiss.
    for camera in &mut config.camera {
        camera.video = capture::resolve_video(&camera.video);
        camera.audio = capture::resolve_audio(&camera.audio);
    }
    config
}
