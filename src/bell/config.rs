//! The `[ring]` section: what rings the registered viewers, beside `camera-node ring`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::media::Bounded;

/// The doorbell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ring {
    /// The Unix socket through which `camera-node ring` reaches the node. Without it `camera-node-<id>.sock` in
    /// `/run/camera-node`, or else in `$XDG_RUNTIME_DIR`, whichever is there.
    pub socket: Option<PathBuf>,
    /// MQTT topic of which any message rings everyone, but for `hang-up`, which hangs up: whoever may publish there may do both.
    pub topic: Option<RingTopic>,
    /// File with the secret of `POST /ring` on the node's http; without it there is no such path.
    pub http_secret_file: Option<PathBuf>,
    /// URL that is told of every ring by a POST, for phones whose browser is closed.
    pub webhook: Option<WebhookUrl>,
    /// PEM file with the certificates of the authorities that the webhook's certificate may come from. Without it, those
    /// the system trusts; if the system has none, Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// The page's address as the webhook tells it; without it the address at which http listens.
    pub link: Option<String>,
    /// Line of the GPIO chip that a push button is wired to.
    pub gpio_line: Option<Bounded<0, 1023>>,
    /// The chip's device.
    pub gpio_chip: PathBuf,
    /// Resistor that holds the line while nobody presses.
    pub gpio_pull: Pull,
    /// Whether a press pulls the line low, as a button to ground does.
    pub gpio_active_low: bool,
    /// Milliseconds for which the line must be steady before it counts.
    pub gpio_debounce_ms: Bounded<0, 1000>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            socket: None,
            topic: None,
            http_secret_file: None,
            webhook: None,
            ca_file: None,
            link: None,
            gpio_line: None,
            gpio_chip: PathBuf::from("/dev/gpiochip0"),
            gpio_pull: Pull::Up,
            gpio_active_low: true,
            gpio_debounce_ms: const { Bounded::new(30) },
        }
    }
}

/// A resistor inside the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// Holds it high.
    #[default]
    Up,
    /// Holds it low.
    Down,
    /// None: there is one outside.
    None,
    /// As the board has set it.
    AsIs,
}

/// A topic to subscribe to: one, not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RingTopic(String);

/// A text that is no topic for this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an MQTT topic of 1 to 256 characters, without '+', '#' and a '$' in front, not {0:?}")]
pub struct BadTopic(String);

impl RingTopic {
    /// The message that rings nobody, but hangs up.
    pub const HANG_UP: &str = "hang-up";

    /// Whether a message on it hangs up; every other one rings.
    pub fn hangs_up(payload: &[u8]) -> bool {
        payload.trim_ascii() == Self::HANG_UP.as_bytes()
    }

    /// The topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RingTopic {
    type Error = BadTopic;

    fn try_from(got: String) -> Result<Self, BadTopic> {
        let fits = (1..=256).contains(&got.len())
            && !got.starts_with('$')
            && got.chars().all(|c| !matches!(c, '+' | '#') && !c.is_control());
        if fits { Ok(Self(got)) } else { Err(BadTopic(got)) }
    }
}

impl From<RingTopic> for String {
    fn from(topic: RingTopic) -> Self {
        topic.0
    }
}

/// Where the webhook is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(String);

/// A text that is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("https://host/path, or http://host/path within a network of your own, not {0:?}")]
pub struct BadUrl(String);

impl WebhookUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether TLS is spoken there.
    pub fn is_https(&self) -> bool {
        self.uri().scheme_str() == Some("https")
    }

    /// Name or address; an IPv6 address without brackets.
    pub fn host(&self) -> String {
        self.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    /// The URL's port, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.uri().port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// `host:port`, without what a person may have hidden in the path.
    pub fn address(&self) -> String {
        format!("{}:{}", self.uri().host().unwrap_or_default(), self.port())
    }

    fn uri(&self) -> hyper::Uri {
        self.0.parse().expect("it has been read as one")
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = BadUrl;

    fn try_from(got: String) -> Result<Self, BadUrl> {
        let parsed = got.parse::<hyper::Uri>();
        let fits = parsed.is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if fits { Ok(Self(got)) } else { Err(BadUrl(got)) }
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_topic_and_a_url_is_one_that_can_be_posted_to() {
        for good in ["bell", "home/door/bell", "zigbee2mqtt/Door Bell/action"] {
            assert!(RingTopic::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "#", "home/+/bell", "$SYS/bell", "a\0b"] {
            assert!(RingTopic::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for ring in ["", "ring", "pressed", "hang-up now", "HANG-UP", "\"hang-up\"", "\u{fffd}"] {
            assert!(!RingTopic::hangs_up(ring.as_bytes()), "{ring}");
        }
        assert!(RingTopic::hangs_up(b"hang-up") && RingTopic::hangs_up(b"hang-up\n"));
        for good in ["https://ntfy.sh/door", "http://192.168.1.2:8123/api/webhook/x?y=z", "http://[::1]:80/"] {
            assert!(WebhookUrl::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "ntfy.sh/door", "/ring", "ftp://a/b", "https://", "https:///x", "mailto:a@b"] {
            assert!(WebhookUrl::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
