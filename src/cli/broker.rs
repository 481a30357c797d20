//! The options that say which broker, and how to get in.

use std::path::PathBuf;

use anyhow::bail;

use crate::signalling::config::{Alpn, Broker, ServerName};
use crate::signalling::{BrokerUrl, Endpoint, Profile};

/// As the keys of `[broker]`, from the command line.
#[derive(Debug, clap::Args)]
pub struct BrokerArgs {
    /// The broker: mqtt://host:port, mqtts://host:port (TLS), ws://host:port/path or wss://host:port/path.
    #[arg(long = "broker", value_name = "URL")]
    url: BrokerUrl,
    #[command(flatten)]
    way_in: WayIn,
}

/// What lets a client in at a broker.
#[derive(Debug, clap::Args)]
pub struct WayIn {
    /// MQTT user name; without it, but with a password, the client's id.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File that holds the MQTT password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// PEM file with the authorities that the broker's certificate may come from; else the system's.
    #[arg(long, value_name = "FILE.pem")]
    ca_file: Option<PathBuf>,
    /// PEM file with this client's certificate.
    #[arg(long, value_name = "FILE.pem")]
    client_cert_file: Option<PathBuf>,
    /// PEM file with its key.
    #[arg(long, value_name = "FILE.pem")]
    client_key_file: Option<PathBuf>,
    /// Name in the broker's certificate, when it is not the URL's host.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| ServerName::try_from(text.to_owned()))]
    server_name: Option<ServerName>,
    /// What the broker demands beyond MQTT: any or aws-iot.
    #[arg(long, value_name = "KIND", value_parser = ["any", "aws-iot"], default_value = "any")]
    profile: String,
    /// Protocol offered in the TLS handshake; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Alpn::try_from(text.to_owned()))]
    alpn: Vec<Alpn>,
}

impl BrokerArgs {
    /// How the client of this id gets there; reads the files.
    pub fn endpoint(&self, client_id: &str) -> anyhow::Result<Endpoint> {
        self.way_in.to(&self.url, client_id)
    }
}

impl WayIn {
    /// How the client of this id gets to `url`; reads the files.
    pub fn to(&self, url: &BrokerUrl, client_id: &str) -> anyhow::Result<Endpoint> {
        // An embedded broker's clients share a password, and their user name is their client id.
        let own_name = || self.password_file.is_some().then(|| client_id.to_owned());
        let broker = Broker {
            url: url.clone(),
            username: self.username.clone().or_else(own_name),
            password_file: self.password_file.clone(),
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.clone(),
            client_key_file: self.client_key_file.clone(),
            server_name: self.server_name.clone(),
            alpn: self.alpn.clone(),
            profile: if self.profile == "aws-iot" { Profile::AwsIot } else { Profile::Any },
            ..Broker::default()
        };
        if let Some((key, problem)) = broker.broken().into_iter().next() {
            bail!("--{}: {problem}", key.replace('_', "-"));
        }
        Ok(Endpoint::from_config(&broker)?)
    }
}
