//! A relay asked for and given back at once, to see that a TURN server would let a viewer in.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc::turn::client::{Client, ClientConfig, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::dial::{Authorities, DialError, Stream, dial};
use super::framing::{Unframer, frame};
use super::url::{ServerUrl, Transport};
use crate::peer::clock::now;

/// Longer waits are of no use to a viewer.
const LIMIT: Duration = Duration::from_secs(5);
/// No answer to these questions is longer.
const ANSWER_BYTES: usize = 2_048;

/// Why there would be no relay.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The way there.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// What the server says, such as `401: Unauthorized`.
    #[error("{0}")]
    Refused(String),
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::Dial(DialError::Tcp(error))
    }
}

/// Asks `server` at `address` for a relay as the node does for a session, and gives it back: the relay's address.
///
/// # Errors
/// Each [`ProbeError`].
pub async fn probe(
    server: &ServerUrl,
    address: SocketAddr,
    (username, password): (&str, &str),
    authorities: &Authorities,
) -> Result<SocketAddr, ProbeError> {
    let asked = timeout(LIMIT, async {
        let mut way = Way::open(server, address, authorities).await?;
        let provider = rtc::crypto::default_provider().map_err(refused)?;
        let config = ClientConfig {
            stun_serv_addr: String::new(),
            turn_serv_addr: address.to_string(),
            // Only told to the client; the way has an address of its own.
            local_addr: any(address),
            transport_protocol: TransportProtocol::UDP,
            username: username.to_owned(),
            password: password.to_owned(),
            realm: String::new(),
            software: String::new(),
            rto_in_ms: 0,
            allocation_refresh_interval_cap: None,
        };
        let mut client = Client::new(config, provider).map_err(refused)?;
        client.allocate(now()).map_err(refused)?;
        loop {
            way.send_all(&mut client).await?;
            let wait = client.poll_timeout().map_or(LIMIT, |at| at.saturating_duration_since(now()));
            match timeout(wait, way.receive()).await {
                Ok(message) => {
                    let transport = TransportContext {
                        local_addr: any(address),
                        peer_addr: address,
                        ecn: None,
                        transport_protocol: TransportProtocol::UDP,
                    };
                    let message = BytesMut::from(&message?[..]);
                    client.handle_read(TaggedBytesMut { now: now(), transport, message }).map_err(refused)?;
                }
                Err(_) => client.handle_timeout(now()).map_err(refused)?,
            }
            while let Some(event) = client.poll_event() {
                match event {
                    Event::AllocateResponse(_, relay) => {
                        // It frees itself sooner or later; the goodbye is only polite.
                        if client.relay(relay).and_then(|mut relay| relay.close(now())).is_ok() {
                            way.send_all(&mut client).await?;
                        }
                        return Ok(relay);
                    }
                    Event::AllocateError(_, error) => return Err(refused(error)),
                    Event::TransactionTimeout(_) => return Err(io::Error::from(ErrorKind::TimedOut).into()),
                    _ => {}
                }
            }
        }
    });
    asked.await.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
}

fn refused(error: impl ToString) -> ProbeError {
    // "Allocate error response (error 401: Unauthorized)"
    let text = error.to_string();
    let code = text.split_once("(error ").and_then(|(_, rest)| rest.strip_suffix(')'));
    ProbeError::Refused(code.unwrap_or(&text).to_owned())
}

fn any(like: SocketAddr) -> SocketAddr {
    if like.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() }
}

enum Way {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>, Unframer),
}

impl Way {
    async fn open(server: &ServerUrl, address: SocketAddr, authorities: &Authorities) -> Result<Self, ProbeError> {
        if server.transport == Transport::Udp {
            let socket = UdpSocket::bind(any(address)).await?;
            socket.connect(address).await?;
            return Ok(Self::Datagrams(socket));
        }
        Ok(Self::Stream(dial(server, address, None, authorities).await?, Unframer::default()))
    }

    async fn send_all(&mut self, client: &mut Client) -> io::Result<()> {
        while let Some(message) = client.poll_write() {
            match self {
                Self::Datagrams(socket) => {
                    socket.send(&message.message).await?;
                }
                Self::Stream(stream, _) => {
                    let mut bytes = Vec::new();
                    frame(&message.message, &mut bytes);
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Bytes> {
        let mut buffer = [0; ANSWER_BYTES];
        match self {
            Self::Datagrams(socket) => {
                let received = socket.recv(&mut buffer).await?;
                Ok(Bytes::copy_from_slice(&buffer[..received]))
            }
            Self::Stream(stream, unframer) => loop {
                if let Some(message) = unframer.next_message().map_err(io::Error::other)? {
                    return Ok(message);
                }
                match stream.read(&mut buffer).await? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    read => unframer.extend(&buffer[..read]),
                }
            },
        }
    }
}
