//! What one kind of broker demands beyond MQTT.

use serde::{Deserialize, Serialize};

use super::budget::Rate;
use super::config::{Alpn, Broker};
use super::url::{BrokerUrl, Scheme};
use std::net::IpAddr;
use std::time::Duration;

/// A kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Any that speaks MQTT 3.1.1.
    #[default]
    Any,
    /// [AWS IoT Core](https://docs.aws.amazon.com/general/latest/gr/iot-core.html#limits_iot).
    AwsIot,
}

impl Profile {
    /// How many messages and bytes a second a connection may carry, both directions together.
    pub(crate) fn rate(self) -> Option<Rate> {
        match self {
            Self::Any => None,
            Self::AwsIot => Some(AWS_RATE),
        }
    }

    /// The protocols to offer, where the config names none.
    pub(super) fn alpn(self, url: &BrokerUrl) -> &'static [&'static str] {
        match (self, url) {
            (Self::AwsIot, BrokerUrl::Mqtt { scheme: Scheme::Mqtts, port: 443, .. }) => &[AWS_ALPN],
            _ => &[],
        }
    }

    /// The keys that this broker would refuse, and why.
    pub(super) fn broken(self, broker: &Broker) -> Vec<(&'static str, String)> {
        match self {
            Self::Any => Vec::new(),
            Self::AwsIot => aws(broker),
        }
    }
}

fn aws(broker: &Broker) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    if broker.embedded {
        return vec![("embedded", "the embedded broker is not AWS IoT Core: leave `profile` out".to_owned())];
    }
    let BrokerUrl::Mqtt { scheme: Scheme::Mqtts, host, port, .. } = &broker.url else {
        let message = format!("AWS IoT Core takes nodes at mqtts://…-ats.iot.REGION.amazonaws.com, not {}", broker.url);
        return vec![("url", message)];
    };
    if host.parse::<IpAddr>().is_ok() && broker.server_name.is_none() {
        let message = "AWS IoT Core finds the account by its host's name (SNI), and this is an address: use the name";
        broken.push(("url", message.to_owned()));
    }
    let offers = |name: &str| broker.alpn.iter().any(|offered| offered.as_str() == name);
    if ![443, 8883].contains(port) {
        broken.push(("url", format!("AWS IoT Core speaks MQTT on ports 8883 and 443, not {port}")));
    } else if *port == 443 && !broker.alpn.is_empty() && !offers(AWS_ALPN) && !offers(AWS_ALPN_LOGIN) {
        let names: Vec<&str> = broker.alpn.iter().map(Alpn::as_str).collect();
        let message = format!(
            "AWS IoT Core on port 443 takes \"{AWS_ALPN}\" (or \"{AWS_ALPN_LOGIN}\" for a custom authorizer), not \"{}\"",
            names.join("\", \"")
        );
        broken.push(("alpn", message));
    }
    if broker.client_cert_file.is_none() && !offers(AWS_ALPN_LOGIN) {
        let message = "AWS IoT Core knows a node by its certificate: set `client_cert_file` and `client_key_file`";
        broken.push(("profile", message.to_owned()));
    }
    let keep_alive = broker.keep_alive_s.value();
    if keep_alive < AWS_KEEP_ALIVE_S {
        let message = format!("AWS IoT Core takes {AWS_KEEP_ALIVE_S} to 1200 seconds, not {keep_alive}");
        broken.push(("keep_alive_s", message));
    }
    broken
}

/// Tells port 443 that MQTT is spoken, with a client certificate.
const AWS_ALPN: &str = "x-amzn-mqtt-ca";
/// The same, with user name and password for a custom authorizer.
const AWS_ALPN_LOGIN: &str = "mqtt";
/// Shorter ones are made longer by AWS, and then the two sides differ.
const AWS_KEEP_ALIVE_S: u32 = 30;
/// AWS throttles at 100 a second, both directions together, and drops what is beyond. A second may see the burst and forty
/// more, so sixty at most: room is left for what others send us all at once. When that alone fills the second, eighteen go all
/// the same: a hundred viewers who join in one second and hear nothing would join again, and again.
///
/// It takes 512 KB a second too: a second sees at most what flows, the burst, and one message of the largest size, 460 KB in
/// all.
const AWS_RATE: Rate = Rate {
    each: Duration::from_millis(25),
    burst: 20,
    both: 60,
    least: 18,
    bytes_per_s: 256 * 1024,
    burst_bytes: 64 * 1024,
};
