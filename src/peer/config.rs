//! The `[ice]` section: which addresses viewers are told, and which servers help them to reach us.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::turn::{ServerUrl, Transport};
use crate::media::Bounded;

/// How media finds its way between node and viewers (ICE, RFC 8445).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ice {
    /// Local addresses to send and receive media on. Empty: all of the machine's, but for loopback.
    pub bind: Vec<IpAddr>,
    /// Network interfaces by name, instead of `bind`. Empty: all.
    pub interfaces: Vec<String>,
    /// Offer the loopback addresses too. They are offered anyway when the machine has no other, or when `bind` or
    /// `interfaces` names them.
    pub include_loopback: bool,
    /// UDP ports for media, such as `"40000-40100"`; a viewer takes one. Empty: any free port.
    pub port_range: PortRange,
    /// Let viewers come in over TCP too (ICE over TCP, RFC 6544), for those whose network lets no UDP out.
    pub tcp: bool,
    /// The TCP port for that, for all viewers; 0 for any that is free.
    pub tcp_port: u16,
    /// The address under which a router forwards `port_range`, and `tcp_port`, unchanged, to this machine. Empty: none.
    pub public_address: PublicAddress,
    /// `"all"`, or `"relay"` to send and receive through TURN servers only.
    pub policy: IcePolicy,
    /// Resolve viewers' `.local` names (mDNS). Needed where a firewall lets in nobody whom the node has not addressed
    /// itself; else such a viewer reaches us first. The names are asked for on all of the machine's networks.
    pub mdns: bool,
    /// PEM file with the certificates of the authorities that the certificates of `turns:` servers may come from. Without
    /// it, those the system trusts; if the system has none, Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// STUN and TURN servers, for us and for viewers.
    pub servers: Vec<IceServerConfig>,
}

/// One STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IceServerConfig {
    /// `stun:host:port`, `turn:host:port?transport=udp` and so on.
    pub urls: Vec<String>,
    /// TURN user name. Empty for STUN, and with `secret_file`.
    pub username: String,
    /// File whose first line is the TURN password. Empty for STUN, and with `secret_file`.
    pub credential_file: PathBuf,
    /// File whose first line is the secret that the TURN server makes passwords of (coturn: `static-auth-secret`): each
    /// session then has logins of its own, which end. Empty for none.
    pub secret_file: PathBuf,
    /// Seconds that such a login is good for. Sessions that last longer get new ones in time.
    pub lifetime_s: Bounded<30, 86_400>,
}

impl Default for IceServerConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            username: String::new(),
            credential_file: PathBuf::new(),
            secret_file: PathBuf::new(),
            lifetime_s: const { Bounded::new(3_600) },
        }
    }
}

/// A server with what its files hold.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadServer {
    /// Its URLs.
    pub urls: Vec<String>,
    /// How to get in.
    pub login: Login,
}

/// How to get into a server.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Just so.
    None,
    /// With one user name for all sessions.
    Fixed {
        /// The user name.
        username: String,
        /// Its password.
        credential: String,
    },
    /// With one for each session.
    PerSession {
        /// What logins are made with.
        secret: String,
        /// Seconds that they are good for.
        lifetime_s: u32,
    },
}

/// Which candidates may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcePolicy {
    /// Any.
    #[default]
    All,
    /// TURN only.
    Relay,
}

/// UDP ports from the first to the last, both included, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange(Option<(u16, u16)>);

/// A text that is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a port range is like \"40000-40100\", with ports from 1024 to 65535, not {0:?}")]
pub struct BadPortRange(String);

impl PortRange {
    /// First and last port, `None` for any.
    pub const fn bounds(self) -> Option<(u16, u16)> {
        self.0
    }
}

impl TryFrom<String> for PortRange {
    type Error = BadPortRange;

    fn try_from(text: String) -> Result<Self, BadPortRange> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let ports = text
            .split_once('-')
            .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
        match ports {
            Some((first, last)) if 1024 <= first && first <= last => Ok(Self(Some((first, last)))),
            _ => Err(BadPortRange(text)),
        }
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((first, last)) => write!(f, "{first}-{last}"),
            None => Ok(()),
        }
    }
}

/// An address outside of the router, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicAddress(Option<IpAddr>);

/// A text that is no IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public address is an IP address such as \"203.0.113.7\", not {0:?}")]
pub struct BadPublicAddress(String);

impl PublicAddress {
    /// The address, `None` for none.
    pub const fn ip(self) -> Option<IpAddr> {
        self.0
    }
}

impl TryFrom<String> for PublicAddress {
    type Error = BadPublicAddress;

    fn try_from(text: String) -> Result<Self, BadPublicAddress> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(ip) => Ok(Self(Some(ip))),
            Err(_) => Err(BadPublicAddress(text)),
        }
    }
}

impl From<PublicAddress> for String {
    fn from(address: PublicAddress) -> Self {
        address.0.map(|ip| ip.to_string()).unwrap_or_default()
    }
}

/// A TURN password or secret could not be read.
#[derive(Debug, thiserror::Error)]
#[error("ice.servers[{nth}].{key}: {path}: {source}")]
pub struct CredentialError {
    nth: usize,
    key: &'static str,
    path: String,
    #[source]
    source: std::io::Error,
}

impl Ice {
    /// The configured servers with what their files hold.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_servers(&self) -> Result<Vec<ReadServer>, CredentialError> {
        self.servers.iter().enumerate().map(|(nth, server)| server.read(nth)).collect()
    }
}

/// Why a server's URL is of no use; `None` if it is of use.
pub fn bad_url(url: &str) -> Option<String> {
    let Some(server) = ServerUrl::parse(url).filter(|server| !server.host.starts_with('/')) else {
        return Some(format!("must be like \"stun:host:3478\" or \"turn:host:3478?transport=udp\", not \"{url}\""));
    };
    if !server.turn && server.transport != Transport::Udp {
        return Some(format!(
            "asks for our address over TCP, where it is another than media has, which goes over UDP: write \"stun:{}\"",
            ServerUrl { port: 3478, ..server }
        ));
    }
    // Read by browsers too, and RFC 7064 has no such thing.
    if !server.turn && url.contains('?') {
        return Some(format!("a STUN server's URL has no \"?\": write \"stun:{server}\""));
    }
    None
}

impl IceServerConfig {
    fn read(&self, nth: usize) -> Result<ReadServer, CredentialError> {
        let first_line = |key: &'static str, path: &PathBuf| {
            let text = std::fs::read_to_string(path).map_err(|source| CredentialError {
                nth,
                key,
                path: path.display().to_string(),
                source,
            })?;
            let line = text.lines().next().unwrap_or_default().to_owned();
            if line.is_empty() {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "its first line is empty");
                return Err(CredentialError { nth, key, path: path.display().to_string(), source });
            }
            Ok(line)
        };
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        let login = if is_set(&self.secret_file) {
            let secret = first_line("secret_file", &self.secret_file)?;
            Login::PerSession { secret, lifetime_s: self.lifetime_s.value() }
        } else if is_set(&self.credential_file) {
            let credential = first_line("credential_file", &self.credential_file)?;
            Login::Fixed { username: self.username.clone(), credential }
        } else {
            Login::None
        };
        Ok(ReadServer { urls: self.urls.clone(), login })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_section_is_read_and_written_back() {
        let text = r#"
            bind = ["192.0.2.4", "::1"]
            interfaces = []
            include_loopback = true
            port_range = "40000-40100"
            tcp = true
            tcp_port = 8189
            public_address = "203.0.113.7"
            policy = "relay"
            mdns = true
            [[servers]]
            urls = ["stun:stun.example.org"]
        "#;
        let ice: Ice = toml::from_str(text).expect("the section is valid");
        assert_eq!(ice.port_range.bounds(), Some((40_000, 40_100)));
        assert_eq!(ice.public_address.ip(), Some(IpAddr::from([203, 0, 113, 7])));
        let again: Ice =
            toml::from_str(&toml::to_string(&ice).expect("it can be written")).expect("it can be read back");
        assert_eq!(again, ice);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_words() {
        let refused = |text: &str| toml::from_str::<Ice>(text).expect_err("refused").to_string();
        for range in ["40100-40000", "1-2", "40000", "a-b", "40000-70000"] {
            assert!(refused(&format!("port_range = {range:?}")).contains("a port range is like"), "{range}");
        }
        assert!(refused("public_address = \"home\"").contains("a public address is an IP address"));
        assert!(refused("nat = true").contains("unknown field"));
    }

    #[test]
    fn a_url_of_no_use_is_told_why() {
        for good in ["stun:h", "stun:h:19302", "turn:h?transport=tcp", "turns:[::1]:443", "turn:192.0.2.7"] {
            assert_eq!(bad_url(good), None, "{good}");
        }
        for (bad, words) in [
            ("stuns:h", "write \"stun:h:3478\""),
            ("stun:h:80?transport=tcp", "write \"stun:h:3478\""),
            ("stun:h?transport=udp", "has no \"?\": write \"stun:h:3478\""),
            ("turn:h?transport=quic", "must be like"),
            ("stun://h", "must be like"),
        ] {
            assert!(bad_url(bad).is_some_and(|why| why.contains(words)), "{bad}: {:?}", bad_url(bad));
        }
    }

    #[test]
    fn passwords_come_from_files() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "hunter2\n").expect("it is written");
        let server = IceServerConfig {
            urls: vec!["turn:turn.example.org".to_owned()],
            username: "node".to_owned(),
            credential_file: file.path().to_owned(),
            ..IceServerConfig::default()
        };
        let shared = IceServerConfig {
            urls: server.urls.clone(),
            secret_file: file.path().to_owned(),
            ..IceServerConfig::default()
        };
        let stun = IceServerConfig { urls: vec!["stun:stun.example.org".to_owned()], ..IceServerConfig::default() };
        let ice = Ice { servers: vec![server, shared, stun], ..Ice::default() };
        let logins: Vec<Login> =
            ice.read_servers().expect("the file is there").into_iter().map(|server| server.login).collect();
        let fixed = Login::Fixed { username: "node".to_owned(), credential: "hunter2".to_owned() };
        let per_session = Login::PerSession { secret: "hunter2".to_owned(), lifetime_s: 3_600 };
        assert!(logins == [fixed, per_session, Login::None]);
        std::fs::write(file.path(), "\n").expect("it is written");
        let empty = ice.read_servers().err().expect("it holds nothing").to_string();
        assert!(empty.ends_with("its first line is empty"), "{empty}");
        drop(file);
        let gone = |servers: &[IceServerConfig]| {
            let ice = Ice { servers: servers.to_vec(), ..Ice::default() };
            ice.read_servers().err().expect("it is gone").to_string()
        };
        assert!(gone(&ice.servers).starts_with("ice.servers[0].credential_file: /"), "{}", gone(&ice.servers));
        assert!(gone(&ice.servers[1..]).starts_with("ice.servers[0].secret_file: /"));
    }
}
