//! Which broker, how to get there, and how to introduce oneself.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::tls::{Tls, TlsError};
use crate::signalling::config::Broker;
use crate::signalling::{BrokerUrl, Profile};

/// Which broker, and how to introduce oneself.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What is spoken on top of TCP.
    pub(super) transport: Transport,
    /// User name and password, where the broker asks for them.
    pub login: Option<Login>,
    /// Silence after which the connection is probed; whole seconds, at least one.
    pub keep_alive: Duration,
    /// Whether messages and wills may be retained; when false the flag is never set, whatever a message says.
    pub retain: bool,
    /// What the broker demands beyond MQTT.
    pub profile: Profile,
    /// The files behind it, if there are any.
    files: Option<Files>,
}

/// The files of a broker's TLS, and when they were written as they were last read.
#[derive(Debug, Clone)]
struct Files {
    broker: Arc<Broker>,
    stamps: Vec<Option<SystemTime>>,
}

impl Files {
    fn of(broker: &Broker) -> Option<Self> {
        let broker = Arc::new(broker.clone());
        let stamps = Self::stamps(&broker);
        (!stamps.is_empty()).then_some(Self { broker, stamps })
    }

    fn stamps(broker: &Broker) -> Vec<Option<SystemTime>> {
        let files = [&broker.ca_file, &broker.client_cert_file, &broker.client_key_file];
        let stamp = |path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
        files.into_iter().flatten().map(stamp).collect()
    }
}

/// What carries MQTT over the TCP connection.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    /// First of all, if any.
    pub tls: Option<Tls>,
    /// Then, if any: the request's URL.
    pub websocket: Option<String>,
}

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// MQTT user name.
    pub username: String,
    /// MQTT password; never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why the configured broker cannot be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The password file cannot be read.
    #[error("broker.password_file {}: {source}", path.display())]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// MQTT 3.1.1 has no password without a user name (section 3.1.2.9).
    #[error("broker has a password_file but no username")]
    NoUsername,
    /// What TLS needs is not there.
    #[error("broker.{0}")]
    Tls(#[from] TlsError),
    /// `loopback:` has no address.
    #[error("loopback: is not an MQTT broker")]
    Loopback,
}

impl Endpoint {
    /// A broker on plain TCP, without a login.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            transport: Transport { tls: None, websocket: None },
            login: None,
            keep_alive: KEEP_ALIVE,
            retain: true,
            profile: Profile::Any,
            files: None,
        }
    }

    /// The same, with a login.
    #[must_use]
    pub fn with_login(self, login: Option<Login>) -> Self {
        Self { login, ..self }
    }

    /// The same, probed after another silence.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// `host:port`, for people.
    pub(super) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The broker of the config; reads the files it names.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn from_config(broker: &Broker) -> Result<Self, EndpointError> {
        let BrokerUrl::Mqtt { scheme, host, port, .. } = &broker.url else { return Err(EndpointError::Loopback) };
        let transport = Transport {
            tls: scheme.is_tls().then(|| Tls::from_config(broker, host)).transpose()?,
            websocket: scheme.is_websocket().then(|| broker.url.to_string()),
        };
        let password = match &broker.password_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| EndpointError::PasswordFile { path: path.clone(), source })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
        };
        let login = match (&broker.username, password) {
            (None, None) => None,
            (None, Some(_)) => return Err(EndpointError::NoUsername),
            (Some(username), password) => {
                Some(Login { username: username.clone(), password: password.unwrap_or_default() })
            }
        };
        Ok(Self {
            host: host.clone(),
            port: *port,
            transport,
            login,
            keep_alive: Duration::from_secs(broker.keep_alive_s.value().into()),
            retain: broker.retain,
            profile: broker.profile,
            files: scheme.is_tls().then(|| Files::of(broker)).flatten(),
        })
    }

    /// Reads certificates and keys again if their files have changed: a node is not restarted for a new certificate.
    pub(super) fn refresh(&mut self) {
        let Some(files) = &mut self.files else { return };
        let stamps = Files::stamps(&files.broker);
        if stamps == files.stamps {
            return;
        }
        match Tls::from_config(&files.broker, &self.host) {
            Ok(tls) => {
                info!("the files of [broker] were read again");
                files.stamps = stamps;
                self.transport.tls = Some(tls);
            }
            // Perhaps half of them is written: the next connection looks again.
            Err(error) => warn!(%error, "broker: what was read before stays in use"),
        }
    }
}

/// Short enough to keep a router's NAT entry, and what AWS IoT Core takes at least.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_its_file_without_the_newline_and_is_never_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "s3cret \n").expect("written");
        let mut broker = Broker { password_file: Some(path), ..Broker::default() };
        assert!(matches!(Endpoint::from_config(&broker), Err(EndpointError::NoUsername)));
        broker.username = Some("node".to_owned());
        let endpoint = Endpoint::from_config(&broker).expect("complete");
        assert_eq!(endpoint.login.as_ref().expect("a login").password, "s3cret ");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        broker.password_file = Some(folder.path().join("missing"));
        let missing = Endpoint::from_config(&broker).expect_err("no such file").to_string();
        assert!(missing.contains("missing") && missing.contains("No such file"), "{missing}");
    }
}
