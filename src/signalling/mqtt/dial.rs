//! The way to a broker, layer by layer: name, TCP, TLS, WebSocket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::race::{HEAD_START, first_to_answer};
use super::websocket;
use crate::signalling::NetworkChange;

/// What MQTT is spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open way.
pub(super) struct Dialled {
    pub stream: Box<dyn Stream>,
    pub ends: Ends,
}

/// The two ends of a TCP connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    here: SocketAddr,
    there: SocketAddr,
}

impl Ends {
    /// Whether `change` leaves the connection without a way: its address is gone, or the kernel would now use another
    /// to get there, or knows no way at all.
    pub(super) fn are_cut_by(&self, change: NetworkChange) -> bool {
        let ours = self.here.ip();
        match change {
            NetworkChange::AddressGone(address) if address == ours => true,
            // Many changes are none to us: IPv6 routes are renewed every few minutes.
            NetworkChange::AddressGone(_) | NetworkChange::Other => self.source_now().is_none_or(|now| now != ours),
        }
    }

    /// The address that a packet to the other end would leave from; sends nothing.
    fn source_now(&self) -> Option<IpAddr> {
        let any: IpAddr =
            if self.there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let probe = UdpSocket::bind((any, 0)).ok()?;
        probe.connect(self.there).ok()?;
        probe.local_addr().ok().map(|address| address.ip())
    }
}

/// Opens a way to `endpoint`; there is no time limit in here.
pub(super) async fn dial(endpoint: Endpoint) -> Result<Dialled, Failure> {
    let tcp = connect(&endpoint).await.map_err(Failure::Io)?;
    let (here, there) = (tcp.local_addr().map_err(Failure::Io)?, tcp.peer_addr().map_err(Failure::Io)?);
    let mut stream: Box<dyn Stream> = Box::new(tcp);
    if let Some(tls) = &endpoint.transport.tls {
        let connector = TlsConnector::from(tls.config.clone());
        stream = Box::new(connector.connect(tls.server_name.clone(), stream).await.map_err(Failure::Handshake)?);
    }
    if let Some(url) = &endpoint.transport.websocket {
        stream = Box::new(websocket::upgrade(url, stream).await?);
    }
    Ok(Dialled { stream, ends: Ends { here, there } })
}

/// The first of the name's addresses that takes us.
async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let addresses = lookup_host((endpoint.host.as_str(), endpoint.port)).await?;
    let connect = async |address: SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Small messages wait for nothing (Nagle and delayed acknowledgements together cost 40 ms).
        socket.set_nodelay(true)?;
        socket.connect(address).await
    };
    first_to_answer(addresses, connect, || sleep(HEAD_START)).await
}
