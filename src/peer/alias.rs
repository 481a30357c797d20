//! Addresses that are nobody's: they stand before the crate, which knows UDP alone, for what is reached by TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The "IPv4 dummy address" (RFC 7600), and one of IPv6's discard-only prefix (RFC 6666): what would go there by mistake
/// goes nowhere.
const ALIAS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const ALIAS_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// The alias with this port, of the same family as `like`.
pub(super) fn alias(like: IpAddr, port: u16) -> SocketAddr {
    match like {
        IpAddr::V4(_) => (ALIAS_V4, port).into(),
        IpAddr::V6(_) => (ALIAS_V6, port).into(),
    }
}

/// Whether an address is an alias.
pub(super) fn is_alias(address: SocketAddr) -> bool {
    address.ip() == ALIAS_V4 || address.ip() == ALIAS_V6
}
