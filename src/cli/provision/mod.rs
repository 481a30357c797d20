//! `camera-node provision`: makes this board a thing of AWS IoT Core, with a claim certificate that many boards share.
//!
//! The key is made here and stays here. Each step is kept before the next begins (`progress`), and the config is completed
//! last and at once (`config_file`): a run that is cut off leaves the old config, and the next one goes on.

mod claim;
mod config_file;
mod progress;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

use super::{ConfigFile, out};
use crate::access::WallClock;
use crate::config::{Config, ConfigError, read_small_file};
use crate::node::{StateFolder, wall_clock};
use crate::session::NodeId;
use crate::signalling::config::Broker;
use crate::signalling::{BrokerUrl, Endpoint, Link, LinkSetup, MqttLink, Profile};
use claim::{ClaimError, TemplateName};
use config_file::Settings;
use progress::{Files, Progress, Thing};

/// Options of `provision`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// The account's endpoint, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it; port 8883 unless :443.
    #[arg(long, value_name = "HOST", value_parser = endpoint)]
    endpoint: BrokerUrl,
    /// The provisioning template.
    #[arg(long, value_name = "NAME", default_value = "camera-node")]
    template: TemplateName,
    /// The claim certificate that boards come with (PEM).
    #[arg(long, value_name = "FILE")]
    claim_cert: PathBuf,
    /// The key of the claim certificate (PEM).
    #[arg(long, value_name = "FILE")]
    claim_key: PathBuf,
    /// The authorities that AWS's certificate may come from (PEM), if not those of the system; written into the config too.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The template's parameter SerialNumber; without it the board's own, or else the node's id.
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
    /// One more parameter of the template; may be repeated. NodeId and SerialNumber are always sent.
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<Parameter>,
    /// Write key and certificate into this folder, in place of the node's state folder.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one line of JSON: {changed, node, url, certificate, key, config, certificate_id, configuration}.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn json(&self) -> bool {
        self.json
    }
}

/// How it ended well.
#[derive(Debug, Serialize)]
struct Outcome {
    /// False if all was there already.
    changed: bool,
    /// The thing's name, which is the node's id.
    node: NodeId,
    url: String,
    certificate: PathBuf,
    key: PathBuf,
    config: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_id: Option<String>,
    /// What the template says besides (`DeviceConfiguration`).
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    configuration: serde_json::Value,
}

/// Makes the board a thing, unless it is one.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let outcome = provision(&args).await?;
    if args.json {
        out::json(&outcome)?;
    } else {
        let (node, url, config) = (&outcome.node, &outcome.url, outcome.config.display());
        out::line(&if outcome.changed {
            format!(
                "{node} is a thing of {url}\nkey: {} (made here, and only here)\ncertificate: {}\n{config} is complete; next: \
                 camera-node check --config {config}",
                outcome.key.display(),
                outcome.certificate.display()
            )
        } else {
            format!("{node} is a thing of {url} already: nothing was changed")
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn provision(args: &Args) -> anyhow::Result<Outcome> {
    let config = args.file.load()?;
    let url = args.endpoint.to_string();
    if let Some(outcome) = already(&config, args)? {
        return Ok(outcome);
    }
    let id = config.node.id();
    let folder = match &args.dir {
        Some(dir) => StateFolder::at(std::path::absolute(dir)?),
        None => StateFolder::at(std::path::absolute(StateFolder::of(&config.node).path())?),
    };
    let files = Files::in_folder(folder, id.clone());
    let work = Work { args, url, files };
    // A config that would not do is told before AWS hears of the board.
    let broker = work.completed(&id)?.1.broker;
    let mut progress = work.files.progress(&work.url, &args.template)?;
    // The two files are written one after the other: a pair from two runs is none.
    if Endpoint::from_config(&broker).is_err() {
        progress = None;
    }
    let progress = match progress {
        Some(progress) if progress.thing.is_some() => progress,
        progress => work.claim(&config, &broker, progress).await?,
    };
    let Progress { certificate_id, thing: Some(thing), .. } = progress else { bail!("no thing was made") };
    let text = work.completed(&thing.name)?.0;
    let path = &args.file.config;
    config_file::replace(path, &text).with_context(|| {
        format!(
            "{} cannot be written (run it as root, or as the file's owner); the next run goes on here",
            path.display()
        )
    })?;
    work.files.done()?;
    Ok(Outcome {
        changed: true,
        node: thing.name,
        certificate: work.files.cert(),
        key: work.files.key(),
        url: work.url,
        config: path.clone(),
        certificate_id: Some(certificate_id),
        configuration: thing.configuration,
    })
}

/// What there is to say where the config names a certificate of AWS's already.
fn already(config: &Config, args: &Args) -> anyhow::Result<Option<Outcome>> {
    let broker = &config.broker;
    if broker.profile != Profile::AwsIot {
        if broker.username.is_some() || broker.client_cert_file.is_some() {
            bail!(
                "the config logs in at another broker ({}): take username, password_file, client_cert_file and \
                 client_key_file out of [broker]",
                broker.url
            );
        }
        return Ok(None);
    }
    let (Some(certificate), Some(key)) = (&broker.client_cert_file, &broker.client_key_file) else {
        bail!("the config is for AWS IoT with a login of its own (broker.alpn): there is nothing to provision");
    };
    let anew = "to provision anew, take profile, client_cert_file and client_key_file out of [broker]";
    if broker.url != args.endpoint {
        bail!("the config is for {} already; {anew}", broker.url);
    }
    Endpoint::from_config(broker).with_context(|| format!("what the config names cannot be used; {anew}"))?;
    Ok(Some(Outcome {
        changed: false,
        node: config.node.id(),
        url: broker.url.to_string(),
        certificate: certificate.clone(),
        key: key.clone(),
        config: args.file.config.clone(),
        certificate_id: None,
        configuration: serde_json::Value::Null,
    }))
}

/// One board's way.
struct Work<'a> {
    args: &'a Args,
    url: String,
    files: Files,
}

impl Work<'_> {
    /// The config as it will be, in text and read.
    fn completed(&self, id: &NodeId) -> anyhow::Result<(String, Config)> {
        let path = &self.args.file.config;
        let file = path.display().to_string();
        let read = read_small_file(path).map_err(|source| ConfigError::Unreadable { file: path.clone(), source })?;
        let ca = self.args.ca_file.as_deref().map(std::path::absolute).transpose()?;
        let (cert, key) = (self.files.cert(), self.files.key());
        let to = Settings { id: id.as_str(), url: &self.url, cert: &cert, key: &key, ca: ca.as_deref() };
        let text = config_file::completed(&String::from_utf8_lossy(&read), to).with_context(|| file.clone())?;
        let config = Config::from_text(&format!("{file} (completed)"), &text, std::env::vars_os())
            .context("the config would not do for AWS IoT, and nothing was done")?;
        let broker = &config.broker;
        let is_as_meant = broker.url == self.args.endpoint
            && broker.profile == Profile::AwsIot
            && config.node.id() == *id
            && (broker.client_cert_file.as_ref(), broker.client_key_file.as_ref()) == (Some(&cert), Some(&key));
        // A variable lies over the file, and a text of several lines may look like a section.
        if !is_as_meant {
            bail!(
                "{file} cannot be completed by itself: take variables such as CAMERA_NODE__BROKER__URL away, and write [node] \
                 and [broker] as the reference config does"
            );
        }
        Ok((text, config))
    }

    /// Gets a certificate, unless an earlier run has one, and a thing for it.
    async fn claim(&self, config: &Config, later: &Broker, earlier: Option<Progress>) -> anyhow::Result<Progress> {
        if let WallClock::Unset { .. } = wall_clock() {
            bail!(
                "this machine's clock is not set, and certificates are good from one day to another: set it (timedatectl \
                 set-ntp true), then run this again"
            );
        }
        let claim = Broker {
            client_cert_file: Some(self.args.claim_cert.clone()),
            client_key_file: Some(self.args.claim_key.clone()),
            ..later.clone()
        };
        let endpoint = Endpoint::from_config(&claim).context("--claim-cert, --claim-key, --ca-file")?;
        let client_id = format!("provision-{}", config.node.id());
        let subscriptions = claim::subscriptions(&self.args.template);
        let setup = LinkSetup { client_id, subscriptions, ..LinkSetup::default() };
        let mut link = MqttLink::start(endpoint, setup, fastrand::u64(..));
        let claimed = self.claim_over(&mut link, config, later, earlier).await;
        link.close(Vec::new()).await;
        claimed
    }

    async fn claim_over(
        &self,
        link: &mut impl Link,
        config: &Config,
        later: &Broker,
        earlier: Option<Progress>,
    ) -> anyhow::Result<Progress> {
        claim::enter(link).await?;
        if let Some(earlier) = earlier {
            match self.register(link, config, earlier).await {
                // Its token has ended, or was used: a new certificate has a new one.
                Err(error) if matches!(error.downcast_ref(), Some(ClaimError::Rejected { .. })) => {}
                registered => return registered,
            }
        }
        let request = self.files.new_request()?;
        let issued = claim::create(link, &request).await?;
        let progress = self.files.keep_issued(&self.url, issued)?;
        Endpoint::from_config(later).context("AWS IoT sent a certificate that cannot be used")?;
        self.register(link, config, progress).await
    }

    async fn register(
        &self,
        link: &mut impl Link,
        config: &Config,
        mut progress: Progress,
    ) -> anyhow::Result<Progress> {
        let template = &self.args.template;
        let registered = claim::register(link, template, &progress.ownership_token, &self.parameters(config)).await?;
        let name = registered.thing_name.parse().with_context(|| {
            format!(
                "the template {template} made a thing whose name cannot be a node's id; let it take the parameter NodeId \
                 (deploy/aws-iot/template.json)"
            )
        })?;
        let configuration = registered.device_configuration;
        progress.thing = Some(Thing { name, template: template.to_string(), configuration });
        self.files.keep(&progress)?;
        Ok(progress)
    }

    fn parameters(&self, config: &Config) -> BTreeMap<String, String> {
        let id = config.node.id().to_string();
        let serial = self.args.serial.clone().or_else(|| board_serial(Path::new(BOARD_SERIAL)));
        let mut parameters = BTreeMap::from([
            ("SerialNumber".to_owned(), serial.unwrap_or_else(|| id.clone())),
            ("NodeId".to_owned(), id),
        ]);
        parameters.extend(self.args.parameters.iter().map(|Parameter(key, value)| (key.clone(), value.clone())));
        parameters
    }
}

/// What the firmware says, with a zero byte at its end.
fn board_serial(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let serial = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!serial.is_empty()).then(|| serial.to_owned())
}

const BOARD_SERIAL: &str = "/proc/device-tree/serial-number";

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq)]
struct Parameter(String, String);

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self(key.to_owned(), value.to_owned())),
            _ => Err(format!("a parameter is KEY=VALUE, not {text:?}")),
        }
    }
}

/// `HOST` or `HOST:PORT`, as AWS prints it; the URL of a config will do too.
fn endpoint(text: &str) -> Result<BrokerUrl, String> {
    let host = text.strip_prefix("mqtts://").unwrap_or(text);
    if host.contains('/') {
        return Err(format!("an endpoint is a host's name, like EXAMPLE-ats.iot.REGION.amazonaws.com, not {text:?}"));
    }
    format!("mqtts://{host}").parse().map_err(|error: crate::signalling::BadBrokerUrl| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_shipped_template_takes_what_is_always_sent_and_names_the_thing_by_the_nodes_id() {
        let template: Value =
            serde_json::from_str(include_str!("../../../deploy/aws-iot/template.json")).expect("JSON");
        let declared: Vec<&String> = template["Parameters"].as_object().expect("a table").keys().collect();
        assert_eq!(declared, ["AWS::IoT::Certificate::Id", "NodeId", "SerialNumber"]);
        assert_eq!(template["Resources"]["thing"]["Properties"]["ThingName"]["Ref"], "NodeId");
        assert_eq!(template["Resources"]["certificate"]["Properties"]["Status"], "Active");
    }

    #[test]
    fn an_endpoint_is_a_host_with_or_without_a_port_and_a_parameter_has_a_name() {
        for (text, url) in [
            ("x-ats.iot.eu-central-1.amazonaws.com", "mqtts://x-ats.iot.eu-central-1.amazonaws.com:8883"),
            ("x.example:443", "mqtts://x.example:443"),
            ("mqtts://x.example:443", "mqtts://x.example:443"),
        ] {
            assert_eq!(endpoint(text).expect(text).to_string(), url);
        }
        for bad in ["", "https://x", "mqtt://x", "a b", "x:y"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        assert_eq!("a=b=c".parse(), Ok(Parameter("a".to_owned(), "b=c".to_owned())));
        assert!("=x".parse::<Parameter>().is_err() && "x".parse::<Parameter>().is_err());
    }

    #[test]
    fn a_boards_serial_is_read_without_its_zero() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        fs::write(file.path(), "10000000abcdef01\0").expect("there is room");
        assert_eq!(board_serial(file.path()).as_deref(), Some("10000000abcdef01"));
        fs::write(file.path(), "\0").expect("there is room");
        assert_eq!(board_serial(file.path()), None);
        assert_eq!(board_serial(Path::new("/nowhere")), None);
    }
}
