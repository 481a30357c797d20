//! Which local addresses and ports media uses: decided here, because the crate's own settings for it are read nowhere.
//!
//! The plan is resolved each time sockets are bound, so an ICE restart follows the machine to a new network.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::{Ice, PortRange};

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
}

/// More sockets than this for one viewer help nobody; machines with many bridges have more addresses.
const MAX_ADDRESSES: usize = 12;

/// The addresses to bind, of those the machine has.
pub(super) fn choose(ice: &Ice, local: &[LocalAddress]) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    let mut add = |ip: IpAddr| {
        if !chosen.contains(&ip) && chosen.len() < MAX_ADDRESSES {
            chosen.push(ip);
        }
    };
    let usable = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip);
    let loopback = || local.iter().map(|a| a.ip).filter(IpAddr::is_loopback);
    let all = || local.iter().map(|a| a.ip).filter(usable);

    if !ice.bind.is_empty() {
        for ip in &ice.bind {
            if ip.is_unspecified() {
                all().filter(|other| other.is_ipv4() == ip.is_ipv4()).for_each(&mut add);
            } else {
                add(*ip);
            }
        }
    } else if !ice.interfaces.is_empty() {
        // An IPv6 link-local address means nothing to a viewer without its zone, which a candidate cannot carry.
        let named = local.iter().filter(|a| ice.interfaces.contains(&a.interface));
        named.map(|a| a.ip).filter(|ip| ip.is_ipv4() || !is_link_local(ip)).for_each(&mut add);
    } else {
        all().for_each(&mut add);
        if all().next().is_none() {
            // A cable between two machines without DHCP.
            local.iter().map(|a| a.ip).filter(|ip| ip.is_ipv4() && is_link_local(ip)).for_each(&mut add);
        }
    }
    let alone = ice.bind.is_empty() && ice.interfaces.is_empty() && chosen.is_empty();
    if ice.include_loopback || alone {
        for ip in loopback() {
            if !chosen.contains(&ip) {
                chosen.push(ip);
            }
        }
    }
    chosen
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// The addresses of all interfaces that are there now.
///
/// # Errors
/// The system's refusal to list them.
pub(super) fn local_addresses() -> io::Result<Vec<LocalAddress>> {
    let interfaces = rtc::shared::ifaces::ifaces()?;
    let addresses = interfaces.into_iter().filter_map(|interface| {
        let ip = interface.addr?.ip();
        Some(LocalAddress { interface: interface.name, ip })
    });
    Ok(addresses.collect())
}

/// The addresses that media would use now, each of them tried.
///
/// # Errors
/// None is there, or the first that cannot be bound, in words.
pub fn media_addresses(ice: &Ice) -> io::Result<Vec<IpAddr>> {
    let ips = choose(ice, &local_addresses()?);
    if ips.is_empty() {
        return Err(none_fits());
    }
    for ip in &ips {
        UdpSocket::bind((*ip, 0)).map_err(|error| io::Error::new(error.kind(), format!("{ip}: {error}")))?;
    }
    Ok(ips)
}

fn none_fits() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "no local address fits [ice] bind and interfaces")
}

/// Where to bind, decided anew on each call of `to_socket_addrs`, which the crate makes before each binding.
#[derive(Debug, Clone)]
pub(super) struct BindPlan {
    ice: Arc<Ice>,
    /// Shared by all connections, so that two of them binding at once do not find the same port free.
    next_port: Arc<Mutex<u16>>,
}

impl BindPlan {
    /// A plan for all connections of a node; `seed` spreads the first port over the range.
    pub(super) fn new(ice: Arc<Ice>, seed: u16) -> Self {
        Self { ice, next_port: Arc::new(Mutex::new(seed)) }
    }

    /// The addresses to bind now.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        local_addresses().map(|local| choose(&self.ice, &local)).unwrap_or_default()
    }

    /// Whether there is any address to bind now.
    pub(super) fn has_address(&self) -> bool {
        self.addresses().iter().any(|ip| UdpSocket::bind((*ip, 0)).is_ok())
    }

    fn free_port(&self, range: PortRange, ips: &[IpAddr]) -> io::Result<u16> {
        let Some((first, last)) = range.bounds() else { return Ok(0) };
        let mut cursor = self.next_port.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = u32::from(last - first) + 1;
        for step in 0..ports {
            let offset = (u32::from(*cursor) + step) % ports;
            let port = first + u16::try_from(offset).expect("an offset in a range of u16 is a u16");
            if ips.iter().all(|ip| UdpSocket::bind((*ip, port)).is_ok()) {
                *cursor = u16::try_from((offset + 1) % ports).expect("an offset in a range of u16 is a u16");
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free udp port in {range}")))
    }
}

impl ToSocketAddrs for BindPlan {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let ips = choose(&self.ice, &local_addresses()?);
        if ips.is_empty() {
            return Err(none_fits());
        }
        let port = self.free_port(self.ice.port_range, &ips)?;
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect::<Vec<_>>().into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(addresses: &[(&str, &str)]) -> Vec<LocalAddress> {
        let parse = |(interface, ip): &(&str, &str)| LocalAddress {
            interface: (*interface).to_owned(),
            ip: ip.parse().expect("a valid address"),
        };
        addresses.iter().map(parse).collect()
    }

    fn chosen(ice: Ice, local: &[LocalAddress]) -> Vec<String> {
        choose(&ice, local).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_follow_the_config() {
        let local = machine(&[
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "192.0.2.4"),
            ("eth0", "2001:db8::4"),
            ("eth0", "fe80::1"),
            ("wlan0", "198.51.100.9"),
        ]);
        let everything = ["192.0.2.4", "2001:db8::4", "198.51.100.9"];
        assert_eq!(chosen(Ice::default(), &local), everything);
        let with_loopback = Ice { include_loopback: true, ..Ice::default() };
        assert_eq!(chosen(with_loopback, &local), [&everything[..], &["127.0.0.1", "::1"]].concat());
        let wlan = Ice { interfaces: vec!["wlan0".to_owned()], ..Ice::default() };
        assert_eq!(chosen(wlan, &local), ["198.51.100.9"]);
        let lo = Ice { interfaces: vec!["lo".to_owned()], ..Ice::default() };
        assert_eq!(chosen(lo, &local), ["127.0.0.1", "::1"]);
        let bind = |ip: &str| Ice { bind: vec![ip.parse().expect("valid")], ..Ice::default() };
        assert_eq!(chosen(bind("127.0.0.2"), &local), ["127.0.0.2"]);
        assert_eq!(chosen(bind("0.0.0.0"), &local), ["192.0.2.4", "198.51.100.9"]);
        let gone = Ice { interfaces: vec!["usb0".to_owned()], ..Ice::default() };
        assert!(chosen(gone, &local).is_empty());
    }

    #[test]
    fn a_machine_with_nothing_but_loopback_uses_it() {
        let local = machine(&[("lo", "127.0.0.1"), ("lo", "::1"), ("eth0", "fe80::1")]);
        assert_eq!(chosen(Ice::default(), &local), ["127.0.0.1", "::1"]);
        let cable = machine(&[("lo", "127.0.0.1"), ("eth0", "169.254.1.2")]);
        assert_eq!(chosen(Ice::default(), &cable), ["169.254.1.2"]);
    }

    #[test]
    fn ports_in_use_are_passed_over_until_none_is_left() {
        let taken: Vec<UdpSocket> = (0..3).filter_map(|i| UdpSocket::bind(("127.0.0.1", 42_610 + i)).ok()).collect();
        let ice = Ice {
            bind: vec![IpAddr::from([127, 0, 0, 1])],
            port_range: "42610-42614".to_owned().try_into().expect("a valid range"),
            ..Ice::default()
        };
        let plan = BindPlan::new(Arc::new(ice), 0);
        let port = || plan.to_socket_addrs().map(|mut a| a.next().expect("one address").port());
        let first = port().expect("two are free");
        let second = port().expect("two are free");
        assert_eq!((first, second), (42_613, 42_614), "two connections binding at once do not meet");
        let rest: Vec<UdpSocket> =
            [first, second].iter().filter_map(|p| UdpSocket::bind(("127.0.0.1", *p)).ok()).collect();
        assert_eq!(port().expect_err("none is free").kind(), io::ErrorKind::AddrInUse);
        drop((taken, rest));
    }
}
