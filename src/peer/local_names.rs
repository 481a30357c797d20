//! The addresses behind the `.local` names that browsers tell in place of their own
//! ([draft-ietf-mmusic-mdns-ice-candidates](https://datatracker.ietf.org/doc/draft-ietf-mmusic-mdns-ice-candidates/)).
//!
//! The crate has a resolver, which costs a socket for each connection, hears one network alone, and without a way for
//! multicast takes the whole connection with it. So there is one for all, that asks on every network the machine is in, and
//! the crate is told of addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use tokio::time::timeout;

/// A browser answers at once; its first answer may be lost.
const LIMIT: Duration = Duration::from_secs(3);
/// Names that are asked for at a time, for all connections together.
const MAX_ASKED: usize = 64;

type Answer = Shared<BoxFuture<'static, Option<IpAddr>>>;

/// Asks for names. The thread that does starts with the first of them.
#[derive(Default)]
pub(super) struct LocalNames {
    daemon: Mutex<Option<ServiceDaemon>>,
    asked: Mutex<HashMap<String, Answer>>,
}

impl LocalNames {
    /// The address of this name, if somebody answers for it within three seconds.
    pub(super) async fn resolve(&self, name: &str) -> Option<IpAddr> {
        let answer = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.retain(|_, answer| answer.peek().is_none());
            match asked.get(name) {
                Some(answer) => answer.clone(),
                None if asked.len() == MAX_ASKED => return None,
                None => {
                    let answer = self.ask(name.to_owned())?.shared();
                    asked.insert(name.to_owned(), answer.clone());
                    answer
                }
            }
        };
        answer.await
    }

    fn ask(&self, name: String) -> Option<BoxFuture<'static, Option<IpAddr>>> {
        let mut daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = match &*daemon {
            Some(daemon) => daemon.clone(),
            None => match ServiceDaemon::new() {
                Ok(started) => daemon.insert(started).clone(),
                Err(error) => {
                    tracing::warn!(%error, "viewers' .local names cannot be asked for");
                    return None;
                }
            },
        };
        let host = format!("{name}.");
        let millis = u64::try_from(LIMIT.as_millis()).ok();
        let events = match daemon.resolve_hostname(&host, millis) {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(name, %error, "a .local name is not asked for");
                return None;
            }
        };
        let answer = async move {
            let found = async {
                while let Ok(event) = events.recv_async().await {
                    let HostnameResolutionEvent::AddressesFound(_, addresses) = event else { continue };
                    let found = addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).find(can_be_told);
                    if found.is_some() {
                        return found;
                    }
                }
                None
            };
            let found = timeout(LIMIT, found).await.ok().flatten();
            let _ = daemon.stop_resolve_hostname(&host);
            match found {
                Some(address) => tracing::debug!(name, %address, "a .local name is known"),
                None => tracing::debug!(name, "nobody answers for a .local name"),
            }
            found
        };
        Some(answer.boxed())
    }
}

impl Drop for LocalNames {
    fn drop(&mut self) {
        let daemon = self.daemon.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = daemon.map(|daemon| daemon.shutdown());
    }
}

/// Whether a candidate can have this address: one of an IPv6 link means nothing without its zone, which there is no place for.
fn can_be_told(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 != 0xfe80,
    }
}

/// The name in a UDP host candidate that hides its address behind one: a single label before `.local`, as the draft wants it.
pub(super) fn hidden_name(candidate: &str) -> Option<&str> {
    let fields: Vec<&str> = candidate.split_ascii_whitespace().collect();
    let [_, _, transport, _, name, _, "typ", "host", ..] = fields[..] else { return None };
    let label = name.strip_suffix(".local")?;
    let is_label = (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (transport.eq_ignore_ascii_case("udp") && is_label).then_some(name)
}

/// The names that a description's candidates hide behind, each with its candidate.
pub(super) fn hidden_candidates(sdp: &str) -> Vec<String> {
    let candidates =
        sdp.lines().filter_map(|line| line.strip_prefix("a=")).filter(|line| line.starts_with("candidate:"));
    candidates.filter(|candidate| hidden_name(candidate).is_some()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browsers_name_is_asked_for() {
        let name = "3f8c1a52-6b0e-4c8e-9d6f-0123456789ab.local";
        let of = |host: &str, transport: &str, kind: &str| {
            format!("candidate:1 1 {transport} 7 {host} 5 typ {kind} generation 0")
        };
        assert_eq!(hidden_name(&of(name, "udp", "host")), Some(name));
        for (host, transport, kind) in [
            (name, "tcp", "host"),
            (name, "udp", "srflx"),
            ("192.0.2.4", "udp", "host"),
            ("a.b.local", "udp", "host"),
            (".local", "udp", "host"),
            ("a_b.local", "udp", "host"),
            ("example.org", "udp", "host"),
        ] {
            assert_eq!(hidden_name(&of(host, transport, kind)), None, "{host}");
        }
        assert_eq!(hidden_name("candidate:1 1 udp"), None);
        let sdp = format!("v=0\r\na={}\r\na={}\r\n", of(name, "udp", "host"), of("192.0.2.4", "udp", "host"));
        assert_eq!(hidden_candidates(&sdp), [of(name, "udp", "host")]);
    }

    #[tokio::test]
    async fn a_name_that_nobody_answers_for_ends_in_nothing_for_all_who_ask() {
        let names = LocalNames::default();
        let name = "00000000-0000-4000-8000-000000000000.local";
        assert_eq!(tokio::join!(names.resolve(name), names.resolve(name)), (None, None));
    }
}
