//! The addresses of STUN and TURN servers by name, looked up once for all connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock::now;

/// Resolved names of STUN and TURN servers, shared by all connections.
///
/// The crate resolves on its driver task, before it lists any candidate: a name server that does not answer would hold
/// up every new viewer for as long as the system's resolver tries.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, Answer>>>);

#[derive(Debug, Clone)]
struct Answer {
    at: Instant,
    addresses: Vec<SocketAddr>,
}

/// A name server on the same continent answers within this time.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer is believed.
const NAME_LIFETIME: Duration = Duration::from_secs(60);
/// How long the absence of an answer is believed: a network that comes up is noticed soon.
const NO_NAME_LIFETIME: Duration = Duration::from_secs(5);
/// Servers come from the config or the session's owner, never from a viewer; this only guards against a mistake.
const MAX_NAMES: usize = 64;

impl Names {
    /// # Errors
    /// Nobody knows the name, or nobody answers within a second.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let lifetime = |found: &[SocketAddr]| if found.is_empty() { NO_NAME_LIFETIME } else { NAME_LIFETIME };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        let addresses = match known {
            Some(Answer { at, addresses }) if now().saturating_duration_since(at) < lifetime(&addresses) => addresses,
            _ => {
                let found = tokio::time::timeout(RESOLVE_PATIENCE, tokio::net::lookup_host(host)).await;
                let addresses = match found {
                    Ok(Ok(found)) => found.collect(),
                    Ok(Err(_)) | Err(_) => Vec::new(),
                };
                let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if names.len() >= MAX_NAMES {
                    names.clear();
                }
                names.insert(host.to_owned(), Answer { at: now(), addresses: addresses.clone() });
                addresses
            }
        };
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_asked_for_once() {
        let names = Names::default();
        assert!(names.resolve("camera-node.invalid:3478").await.is_err());
        assert!(names.0.lock().expect("not poisoned").contains_key("camera-node.invalid:3478"));
        assert_eq!(names.resolve("127.0.0.1:3478").await.expect("an address").len(), 1);
    }
}
