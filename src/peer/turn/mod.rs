//! TURN over TCP and TLS (RFC 8656 §3.1), which the crate does not do: it skips such URLs.
//!
//! The crate sees an ordinary TURN server over UDP, at an [alias](super::alias) that is nobody's address. All its sockets are
//! [`CarryingSocket`](super::carrying::CarryingSocket)s, which put what goes to an alias onto a [`Line`] of their own to the
//! server, as a 5-tuple has an allocation of its own, and give what the server sends back to the crate as if it came from
//! there. So nothing listens anywhere for this, not even on loopback, and the other side sees the relayed address and no alias.
//!
//! A line that breaks stays broken, for the server's allocation is gone with it: the crate hears of it with the next
//! datagram, and an ICE restart, which binds new sockets, brings new lines.

mod complaints;
mod dial;
mod framing;
mod line;
mod passes;
mod probe;
mod refusals;
mod url;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use self::complaints::Complaints;
#[cfg(any(test, fuzzing))]
pub(super) use self::framing::FRAMING;
pub(super) use self::line::Line;
use self::line::Way;
use self::passes::Passes;
use self::refusals::{Answer, Refusals};
use super::alias::{alias, is_alias};
use super::clock::now;
use super::names::Names;
use super::troubles::{Sheet, Trouble};

pub use dial::{Authorities, DialError, Stream, dial};
pub use framing::{NotTurn, Unframer};
pub use probe::{ProbeError, probe};
pub use url::{ServerUrl, Transport};

/// What the crate is given to resolve.
const ALIAS_DOMAIN: &str = ".turn.invalid";
/// No session has more servers; they come from the config, or from the node's message.
const MAX_SERVERS: usize = 16;

/// What all connections share: whose certificates are good, names, and what was last said of a server.
#[derive(Debug)]
pub(super) struct Office {
    authorities: Authorities,
    complaints: Complaints,
    /// Of servers that can be reached, and let nobody in.
    refusals: Complaints,
    names: Names,
}

impl Office {
    /// What is wrong with servers is noted on the sheet.
    pub(super) fn new(authorities: Authorities, names: Names, sheet: &Sheet) -> Self {
        let complaints = Complaints::new(sheet.clone(), Trouble::Unreachable);
        let refusals = Complaints::new(sheet.clone(), Trouble::NoRelay);
        Self { authorities, complaints, refusals, names }
    }
}

/// The servers of one connection that are reached over TCP.
#[derive(Debug)]
pub(super) struct Carriage {
    office: Arc<Office>,
    servers: Mutex<Vec<Server>>,
    /// TURN servers over UDP, which the crate reaches itself.
    over_udp: Mutex<Vec<Server>>,
    passes: Passes,
    refusals: Refusals,
}

#[derive(Debug)]
struct Server {
    url: String,
    parsed: ServerUrl,
    /// Filled when the crate resolves the alias.
    addresses: Vec<SocketAddr>,
}

impl Carriage {
    pub(super) fn new(office: Arc<Office>) -> Self {
        Self {
            office,
            servers: Mutex::default(),
            over_udp: Mutex::default(),
            passes: Passes::default(),
            refusals: Refusals::default(),
        }
    }

    /// The URL that the crate is given for `url`; `None` for one that cannot be used.
    pub(super) fn url_for_crate(&self, url: &str) -> Option<String> {
        let parsed = ServerUrl::parse(url)?;
        match (parsed.turn, parsed.transport) {
            (false, Transport::Udp) => return Some(url.to_owned()),
            (true, Transport::Udp) => {
                let addresses = parsed.host.parse().map(|ip: IpAddr| (ip, parsed.port).into());
                let server = Server { url: url.to_owned(), parsed, addresses: addresses.into_iter().collect() };
                let mut over_udp = self.over_udp.lock().unwrap_or_else(PoisonError::into_inner);
                if over_udp.len() < MAX_SERVERS && over_udp.iter().all(|known| known.url != url) {
                    over_udp.push(server);
                }
                return Some(url.to_owned());
            }
            // Our address as seen by a TCP connection would be of no use to UDP.
            (false, Transport::Tcp | Transport::Tls) => return None,
            (true, Transport::Tcp | Transport::Tls) => {}
        }
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match servers.iter().position(|server| server.url == url) {
            Some(number) => number,
            None if servers.len() < MAX_SERVERS => {
                servers.push(Server { url: url.to_owned(), parsed, addresses: Vec::new() });
                servers.len() - 1
            }
            None => return None,
        };
        Some(format!("turn:{number}{ALIAS_DOMAIN}:{}?transport=udp", alias_port(number)))
    }

    /// Resolves a `host:port` of the crate's: aliases to themselves, one of each family that the server behind it has.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let number = host.split_once(ALIAS_DOMAIN).and_then(|(number, _)| number.parse::<usize>().ok());
        let Some(number) = number else {
            let found = self.office.names.resolve(host).await?;
            let mut over_udp = self.over_udp.lock().unwrap_or_else(PoisonError::into_inner);
            for server in over_udp.iter_mut().filter(|server| server.parsed.to_string() == host) {
                server.addresses.clone_from(&found);
            }
            return Ok(found);
        };
        let unknown = || io::Error::from(ErrorKind::NotFound);
        let server = |number| {
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.get(number).map(|server: &Server| (server.url.clone(), server.parsed.clone()))
        };
        let (url, parsed) = server(number).ok_or_else(unknown)?;
        let found = self.office.names.resolve(&parsed.to_string()).await;
        let addresses = found.inspect_err(|error| self.office.complaints.failed(&url, &error.to_string()))?;
        let port = alias_port(number);
        let mut aliases = Vec::new();
        for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
            aliases.extend(addresses.iter().find(|address| family(address)).map(|like| alias(like.ip(), port)));
        }
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get_mut(number).ok_or_else(unknown)?.addresses = addresses;
        Ok(aliases)
    }

    /// This went through a socket: to or from a TURN server, if it is one of TURN's messages.
    pub(super) fn saw(&self, datagram: &[u8]) {
        self.passes.saw(datagram, now());
    }

    /// Whether the driver, which is about to wait, should go [round again](passes) instead.
    pub(super) fn once_more(&self) -> bool {
        self.passes.once_more(now())
    }

    /// This goes out: to a TURN server, if it is one of TURN's requests.
    pub(super) fn asks(&self, datagram: &[u8], to: SocketAddr) {
        self.refusals.asks(datagram, to);
    }

    /// This came in: if a TURN server refuses a relay by it, that is said.
    pub(super) fn answered(&self, datagram: &[u8]) {
        let Some((server, answer)) = self.refusals.answered(datagram) else { return };
        let Some((url, parsed)) = self.server_at(server) else { return };
        match answer {
            Answer::Granted => self.office.refusals.is_well(&url),
            Answer::Refused(401, _) => self.office.refusals.failed(
                &url,
                &format!(
                    "{parsed} refuses the user name and password (401): those in [[ice.servers]] must be the server's; with \
                     `secret_file`, it must hold the server's `static-auth-secret`, and both clocks must be right"
                ),
            ),
            Answer::Refused(code, words) => {
                let why = format!("{parsed} refuses a relay: {code} {words}; the server's log may say more");
                self.office.refusals.failed(&url, &why);
            }
        }
    }

    /// The server at this address, or behind this alias.
    fn server_at(&self, address: SocketAddr) -> Option<(String, ServerUrl)> {
        let told = |server: &Server| (server.url.clone(), server.parsed.clone());
        if is_alias(address) {
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            return servers.get(usize::from(address.port()).checked_sub(1)?).map(told);
        }
        let over_udp = self.over_udp.lock().unwrap_or_else(PoisonError::into_inner);
        over_udp.iter().find(|server| server.addresses.contains(&address)).map(told)
    }

    /// The way from the local address `from` to the server behind `alias`.
    pub(super) fn way(&self, alias: SocketAddr, from: IpAddr) -> Option<Way> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.get(usize::from(alias.port()).checked_sub(1)?)?;
        let reachable = |address: &&SocketAddr| {
            address.is_ipv4() == from.is_ipv4() && (address.ip().is_loopback() || !from.is_loopback())
        };
        Some(Way {
            url: server.url.clone(),
            server: server.parsed.clone(),
            address: *server.addresses.iter().find(reachable)?,
            alias,
            from,
            udp_first: !self.over_udp.lock().unwrap_or_else(PoisonError::into_inner).is_empty(),
            office: Arc::clone(&self.office),
        })
    }
}

fn alias_port(number: usize) -> u16 {
    u16::try_from(number + 1).expect("there are no more than MAX_SERVERS")
}
