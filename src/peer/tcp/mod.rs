//! ICE over TCP ([RFC 6544](https://www.rfc-editor.org/rfc/rfc6544)), for viewers whose network lets no UDP out.
//!
//! The crate has some of it, and waits for a stream to take what it writes: one viewer who stops reading would stop all that
//! its connection does. So it is told of UDP alone. An [`Entrance`], shared by all connections, listens; who comes in shows
//! with a signed check whose guest it is; and from then on the [`CarryingSocket`](super::carrying::CarryingSocket) that has
//! the address it came to hands what it sends to the crate, as if it were a datagram from there, and what the crate sends
//! there goes onto the connection. The viewer without a screen has the other side of it: it dials what the node listens on,
//! which has an [alias](super::alias) before the crate.

mod candidates;
mod entrance;
mod flow;
mod framing;
mod knock;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use self::candidates::passive;
pub(super) use self::candidates::{description_for_crate, for_crate, with_candidates};
use self::entrance::Admission;
pub(super) use self::entrance::Entrance;
use self::flow::Arrival;
pub(super) use self::flow::Flows;
#[cfg(any(test, fuzzing))]
pub(super) use self::framing::{FRAMING, Unframer};
#[cfg(any(test, fuzzing))]
pub(super) use self::knock::Knock;
#[cfg(test)]
pub(super) use self::knock::tests::check;
use super::alias::{alias, is_alias};
use super::clock::now;
use super::description::ice_credentials;
use super::stream::Inbox;

/// UDP gets this much of a start: once the crate has chosen a pair it stays with it, and TCP makes late of what is lost.
const UDP_FIRST: Duration = Duration::from_millis(200);
/// Connections let in for one set of ICE credentials. Each is a candidate to the crate, which forgets none; a browser needs
/// one for each of its networks.
const MAX_ENTERED: usize = 64;
/// Addresses that are dialled in one connection.
const MAX_TARGETS: usize = 8;
/// Aliases of servers have smaller ports.
const FIRST_TARGET_PORT: u16 = 1_024;

/// ICE over TCP as one link has it.
pub(super) struct Tcp {
    /// Its connections.
    pub paths: Arc<Paths>,
    /// Where peers come in, if they may.
    entrance: Option<Arc<Entrance>>,
    admission: Option<Admission>,
}

impl Tcp {
    pub(super) fn new(paths: Arc<Paths>, entrance: Option<Arc<Entrance>>) -> Self {
        Self { paths, entrance, admission: None }
    }

    /// The candidates to be told beside those of a description of the crate's whose sockets have these addresses; whoever
    /// knows its ICE credentials is let in from now on.
    pub(super) fn candidates(&mut self, sdp: &str, ips: &[IpAddr], public: Option<IpAddr>) -> Vec<String> {
        let (Some(entrance), Some((ufrag, password))) = (&self.entrance, ice_credentials(sdp)) else {
            return Vec::new();
        };
        if self.admission.as_ref().is_none_or(|admission| admission.ufrag() != ufrag) {
            self.admission = Some(entrance.admit(ufrag, password, &self.paths));
        }
        passive(&entrance.listen(ips), public)
    }
}

/// What one connection of the crate has of paths over TCP.
#[derive(Debug, Default)]
pub(super) struct Paths {
    sockets: Mutex<Vec<Weak<Flows>>>,
    /// From when on the crate hears what comes in; `None` while the two sides have not agreed.
    opens: Mutex<Option<Instant>>,
    entered: AtomicUsize,
    /// What stands behind aliases; `None` where nobody is dialled.
    targets: Mutex<Option<Vec<SocketAddr>>>,
}

impl Paths {
    /// The paths that begin at one socket of the crate's, with this local address.
    pub(super) fn from(self: &Arc<Self>, local: IpAddr, inbox: Arc<Inbox>) -> Arc<Flows> {
        let flows = Arc::new(Flows::new(local, inbox, Arc::clone(self)));
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&flows));
        flows
    }

    /// New ICE credentials are on their way: nobody comes in until the two sides agree again.
    pub(super) fn hold(&self) {
        *self.opens.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.entered.store(0, Ordering::Relaxed);
    }

    /// Both sides have each other's description.
    pub(super) fn agreed(&self, now: Instant) {
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now + UDP_FIRST);
    }

    fn is_open(&self) -> bool {
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| now() >= at)
    }

    /// Lets somebody in who has proved to be this connection's guest; whether there was room.
    fn enter(&self, arrival: Arrival, stream: TcpStream) -> bool {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |socket: &Arc<Flows>| socket.local() == arrival.to;
        let Some(socket) = sockets.iter().filter_map(Weak::upgrade).find(at) else { return false };
        let room = self.entered.fetch_add(1, Ordering::Relaxed) < MAX_ENTERED;
        if room {
            socket.enter(arrival, stream);
        }
        room
    }

    /// From now on the other side's addresses are dialled.
    pub(super) fn allow_dialling(&self) {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// The alias of an address to dial; `None` where nobody is dialled, or it is one too many.
    pub(super) fn to_dial(&self, target: SocketAddr) -> Option<SocketAddr> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = targets.as_mut()?;
        let number = targets.iter().position(|known| *known == target).unwrap_or(targets.len());
        if number == MAX_TARGETS {
            return None;
        }
        if number == targets.len() {
            targets.push(target);
        }
        Some(alias(target.ip(), FIRST_TARGET_PORT + u16::try_from(number).ok()?))
    }

    /// What stands behind an alias, if it is one of [`Paths::to_dial`].
    fn target(&self, address: SocketAddr) -> Option<SocketAddr> {
        let number = address.port().checked_sub(FIRST_TARGET_PORT).filter(|_| is_alias(address))?;
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.as_ref()?.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_dials_nobody_and_a_viewer_a_few() {
        let target = |port| SocketAddr::from(([192, 0, 2, 4], port));
        let paths = Paths::default();
        assert_eq!(paths.to_dial(target(1)), None);
        paths.allow_dialling();
        let first = paths.to_dial(target(1)).expect("it dials");
        assert_eq!(paths.to_dial(target(1)), Some(first));
        assert_eq!(paths.target(first), Some(target(1)));
        let six = paths.to_dial("[2001:db8::4]:7".parse().expect("valid")).expect("it dials");
        assert!(six.is_ipv6() && is_alias(six));
        let all: Vec<_> = (0..100).filter_map(|port| paths.to_dial(target(port))).collect();
        assert_eq!(all.len(), MAX_TARGETS - 1, "the IPv6 address is the eighth");
        assert_eq!(paths.target(alias(first.ip(), 3)), None, "a server's");
        assert_eq!(paths.target(target(FIRST_TARGET_PORT)), None, "no alias");
    }

    #[test]
    fn nothing_comes_in_before_the_sides_agree_and_udp_had_its_start() {
        let paths = Paths::default();
        assert!(!paths.is_open());
        paths.agreed(now());
        assert!(!paths.is_open(), "udp first");
        paths.hold();
        paths.agreed(now() - UDP_FIRST);
        assert!(paths.is_open());
        paths.agreed(now());
        assert!(paths.is_open(), "the same description again");
    }
}
