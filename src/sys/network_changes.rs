//! What the kernel says of addresses, routes and links as they change (rtnetlink).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkChange {
    /// This machine has lost an address.
    AddressGone(IpAddr),
    /// Something else: a new address, a route, a link going up or down.
    Other,
}

/// A socket on which the kernel tells of changes.
#[derive(Debug)]
pub struct NetworkChanges {
    socket: AsyncFd<OwnedFd>,
}

impl NetworkChanges {
    /// Of the network namespace that this thread is in; needs no right, but a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says: a sandbox may forbid such sockets.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is NETLINK_ROUTE, which is number 0.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        // SAFETY: an `OwnedFd` is open as long as it lives, always the same, and `AsyncFd` owns this one.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket })
    }

    /// Waits for the next ones. Cancel-safe.
    ///
    /// # Errors
    /// The socket is of no use any more.
    pub async fn next(&self) -> io::Result<Vec<NetworkChange>> {
        loop {
            let mut ready = self.socket.readable().await?;
            if let Ok(found) = ready.try_io(|socket| read(socket.get_ref())) {
                return found;
            }
        }
    }
}

/// The changes of one datagram; `WouldBlock` when there is none.
fn read(socket: &OwnedFd) -> io::Result<Vec<NetworkChange>> {
    let mut buffer = [0; 16 * 1024];
    match recv(socket, &mut buffer, RecvFlags::empty()) {
        Ok((length, _)) => Ok(changes(&buffer[..length])),
        // There were more than the socket holds: what they were is lost, that they were is not.
        Err(rustix::io::Errno::NOBUFS) => Ok(vec![NetworkChange::Other]),
        Err(error) => Err(error.into()),
    }
}

/// Links, and addresses and routes of both families.
const GROUPS: u32 = (libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV6_ROUTE)
    .cast_unsigned();

/// `struct nlmsghdr`: length, type, flags, sequence, sender.
const HEADER_BYTES: usize = 16;
/// `struct ifaddrmsg`.
const ADDRESS_BYTES: usize = 8;
/// `struct rtattr`: length, type.
const ATTRIBUTE_BYTES: usize = 4;

/// A datagram holds several messages, each at a multiple of four bytes (netlink(7), rtnetlink(7)).
fn changes(mut datagram: &[u8]) -> Vec<NetworkChange> {
    let mut found = Vec::new();
    while let Some((header, _)) = datagram.split_at_checked(HEADER_BYTES) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(body) = datagram.get(HEADER_BYTES..length) else { break };
        let gone = (kind == libc::RTM_DELADDR).then(|| address(body)).flatten();
        found.push(gone.map_or(NetworkChange::Other, NetworkChange::AddressGone));
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The address of a message about one: the local end where it has two.
fn address(body: &[u8]) -> Option<IpAddr> {
    let mut rest = body.get(ADDRESS_BYTES..)?;
    let mut found = None;
    while let Some((header, _)) = rest.split_at_checked(ATTRIBUTE_BYTES) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        let value = rest.get(ATTRIBUTE_BYTES..length)?;
        let read = <[u8; 4]>::try_from(value)
            .map(|octets| Ipv4Addr::from(octets).into())
            .or_else(|_| <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).into()));
        match (kind, read) {
            (libc::IFA_LOCAL, Ok(address)) => return Some(address),
            (libc::IFA_ADDRESS, Ok(address)) => found = Some(address),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEADER_BYTES + body.len()) as u32;
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (ATTRIBUTE_BYTES + value.len()) as u16;
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_lost_address_is_named_and_all_else_is_a_change() {
        let name = attribute(libc::IFA_LABEL, b"eth0\0");
        let four = [
            &[0; ADDRESS_BYTES][..],
            &attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]),
            &name,
            &attribute(libc::IFA_LOCAL, &[10, 0, 0, 2]),
        ]
        .concat();
        let six = [&[0; ADDRESS_BYTES][..], &attribute(libc::IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets())].concat();
        let datagram = [
            message(libc::RTM_DELADDR, &four),
            message(libc::RTM_NEWADDR, &four),
            message(libc::RTM_DELADDR, &six),
            message(libc::RTM_DELADDR, &[]),
        ]
        .concat();
        assert_eq!(
            changes(&datagram),
            [
                NetworkChange::AddressGone(Ipv4Addr::new(10, 0, 0, 2).into()),
                NetworkChange::Other,
                NetworkChange::AddressGone(Ipv6Addr::LOCALHOST.into()),
                NetworkChange::Other,
            ]
        );
        for cut in 0..datagram.len() {
            assert!(changes(&datagram[..cut]).len() <= 4, "no cut is read past its end");
        }
    }

    #[test]
    fn a_length_of_nothing_ends_the_reading() {
        assert_eq!(changes(&[0; 64]), []);
        let endless = [&[0; ADDRESS_BYTES][..], &[0; 64]].concat();
        assert_eq!(changes(&message(libc::RTM_DELADDR, &endless)), [NetworkChange::Other]);
    }
}
