//! Whether STUN and TURN servers answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::http::check_listener;
use super::report::Finding;
use super::running::Running;
use super::stun::{Answer, Transaction, allocate_request, binding_request, read_answer};
use crate::access::TurnSecret;
use crate::peer::config::{Ice, Login};
use crate::peer::media_addresses;
use crate::peer::turn::{Authorities, DialError, ProbeError, ServerUrl, Transport, probe};
use crate::sys;

/// A server that has not answered by then is of no use to a viewer who waits.
const LIMIT: Duration = Duration::from_secs(3);
/// UDP loses packets: so long is each try waited for, as RFC 8489 §6.2.1 has it, within [`LIMIT`].
const TRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(1500)];
/// No STUN answer that we ask for is larger.
const ANSWER_BYTES: usize = 1500;

/// Whether there are addresses to send media from: without one every viewer fails.
pub fn check_addresses(ice: &Ice) -> Finding {
    const PART: &str = "ice addresses";
    match media_addresses(ice) {
        Ok(ips) => {
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            Finding::good(PART, format!("media can use {}", ips.join(", ")))
        }
        Err(error) => Finding::bad(
            PART,
            error.to_string(),
            "set `ice.bind` or `ice.interfaces` to what `ip address` lists, or leave both out to use all of it",
        ),
    }
}

/// Whether viewers could come in over TCP, where they may.
pub async fn check_entrances(ice: &Ice, running: &Running) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ip in media_addresses(ice).unwrap_or_default().into_iter().filter(|_| ice.tcp) {
        findings.push(check_listener("ice tcp", (ip, ice.tcp_port).into(), "ice.tcp_port", running).await);
    }
    findings
}

/// Asks each server of the config, one after the other.
pub async fn check(ice: &Ice) -> Vec<Finding> {
    let servers = match ice.read_servers() {
        Ok(servers) => servers,
        Err(error) => {
            let advice = "the file named by `credential_file` or `secret_file` must be there, readable for the user that runs the node";
            return vec![Finding::bad("ice", error.to_string(), advice)];
        }
    };
    let authorities = Authorities::new(ice.ca_file.clone());
    let mut findings = Vec::new();
    for server in servers {
        let login = match server.login {
            Login::None => None,
            Login::Fixed { username, credential } => Some((username, credential)),
            Login::PerSession { secret, lifetime_s } => {
                let ends_s = sys::since_unix_epoch().as_secs() + u64::from(lifetime_s);
                Some(TurnSecret::new(&secret).login("check", ends_s))
            }
        };
        for url in &server.urls {
            findings.push(check_url(url, login.as_ref(), &authorities).await);
        }
    }
    findings
}

async fn check_url(url: &str, login: Option<&(String, String)>, authorities: &Authorities) -> Finding {
    let part = format!("ice {url}");
    let Some(target) = ServerUrl::parse(url) else {
        return Finding::bad(
            part,
            "not the URL of a STUN or TURN server",
            "write stun:host:3478, turn:host:3478?transport=udp or tcp, or turns:host:5349?transport=tcp",
        );
    };
    match login {
        Some((username, password)) if target.turn => {
            let login = (username.as_str(), password.as_str());
            let relay = async { probe(&target, address_of(&target).await?, login, authorities).await };
            let relay = timeout(LIMIT, relay).await;
            match relay.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(relay) => judge(part, &target, Ok(Answer::Relay(relay))),
                Err(ProbeError::Refused(why)) if why.starts_with("401") => Finding::bad(
                    part,
                    format!("refuses the user name and password: {why}"),
                    "`username` and `credential_file` must be those of the server; with `secret_file`, the file must hold its \
                     `static-auth-secret`, and both clocks must be right",
                ),
                Err(ProbeError::Refused(why)) => Finding::bad(
                    part,
                    format!("answers and refuses: {why}"),
                    "see the server's log; a TURN server must allow allocations from this address",
                ),
                Err(ProbeError::Dial(DialError::Tls(words))) => Finding::bad(
                    part,
                    words,
                    "browsers check the certificate too, and do not read `ice.ca_file`: best is one that they trust",
                ),
                Err(ProbeError::Dial(DialError::Tcp(error))) => judge(part, &target, Err(error)),
            }
        }
        _ if target.transport == Transport::Tls => {
            Finding::bad(part, "STUN over TLS is of no use here", "write stun:host:3478 in its place")
        }
        _ => {
            let answer = match timeout(LIMIT, ask(&target)).await {
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
                Ok(answer) => answer,
            };
            judge(part, &target, answer)
        }
    }
}

fn judge(part: String, target: &ServerUrl, answer: io::Result<Answer>) -> Finding {
    let ServerUrl { host, port, transport, .. } = target;
    let transport = transport.of_port();
    match answer {
        Ok(Answer::Mapped(address)) => Finding::good(part, format!("answers; it sees us at {address}")),
        Ok(Answer::Relay(address)) => Finding::good(part, format!("gave us a relay at {address}, and took it back")),
        Ok(Answer::Granted) => Finding::good(part, "relays for anyone").with_advice(
            "this TURN server asks for no password: whoever finds it can send traffic through it; set one on the server",
        ),
        Ok(Answer::Refused { code: 401, .. }) if target.turn => Finding::bad(
            part,
            "answers and asks for a user name and password; the config has none",
            "set `username` and `credential_file` of this server, or `secret_file`",
        ),
        Ok(Answer::Refused { code, reason }) => Finding::bad(
            part,
            format!("answers and refuses: {code} {reason}"),
            "see the server's log; a TURN server must allow allocations from this address",
        ),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Finding::bad(
            part,
            format!("no answer within {} s", LIMIT.as_secs()),
            format!("is the server running, and does every firewall on the way let {transport} port {port} through?"),
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Finding::bad(part, "refused", format!("nothing listens on {transport} port {port} of {host}"))
        }
        Err(error) => Finding::bad(
            part,
            error.to_string(),
            format!("check that the name {host} is right and that this machine has DNS and a route there"),
        ),
    }
}

async fn address_of(target: &ServerUrl) -> io::Result<SocketAddr> {
    let mut found = lookup_host((target.host.as_str(), target.port)).await?;
    found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

async fn ask(target: &ServerUrl) -> io::Result<Answer> {
    let transaction: Transaction = std::array::from_fn(|_| fastrand::u8(..));
    let request = if target.turn { allocate_request(transaction) } else { binding_request(transaction) };
    let address = address_of(target).await?;
    if target.transport == Transport::Tcp {
        ask_tcp(address, &request, transaction).await
    } else {
        ask_udp(address, &request, transaction).await
    }
}

async fn ask_udp(server: SocketAddr, request: &[u8], transaction: Transaction) -> io::Result<Answer> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    for wait in TRIES {
        socket.send(request).await?;
        if let Ok(answer) = timeout(wait, answer_to(&socket, transaction)).await {
            return answer;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Waits for the answer, whatever else arrives at our port.
async fn answer_to(socket: &UdpSocket, transaction: Transaction) -> io::Result<Answer> {
    let mut buffer = [0; ANSWER_BYTES];
    loop {
        let received = socket.recv(&mut buffer).await?;
        if let Some(answer) = read_answer(&buffer[..received], transaction) {
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, request: &[u8], transaction: Transaction) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(request).await?;
    let mut buffer = [0; ANSWER_BYTES];
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await? {
            0 => break,
            read => filled += read,
        }
        if let Some(answer) = read_answer(&buffer[..filled], transaction) {
            return Ok(answer);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it answers with something else than STUN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_answers_is_told_from_one_that_is_not_there() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
        let port = server.local_addr().expect("bound").port();
        let answering = tokio::spawn(async move {
            let mut request = [0; 64];
            // The first request is lost, as it may be.
            server.recv_from(&mut request).await.expect("a request");
            let (length, from) = server.recv_from(&mut request).await.expect("the request again");
            assert_eq!(length, 20);
            let mut answer = request[..20].to_vec();
            answer[..4].copy_from_slice(&[1, 1, 0, 12]);
            answer.extend([0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
            server.send_to(b"not stun", from).await.expect("sent");
            server.send_to(&answer, from).await.expect("sent");
        });
        let found = check_url(&format!("stun:127.0.0.1:{port}"), None, &Authorities::new(None)).await;
        answering.await.expect("the server did its part");
        assert_eq!(found.detail, "answers; it sees us at 192.0.2.1:32853");
        let gone = check_url(&format!("stun:127.0.0.1:{port}"), None, &Authorities::new(None)).await;
        assert!(!gone.ok && gone.detail == "refused", "{gone:?}");
    }
}
