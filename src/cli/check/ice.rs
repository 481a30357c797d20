//! Whether STUN and TURN servers answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::report::Finding;
use super::stun::{Answer, Transaction, allocate_request, binding_request, read_answer};
use crate::peer::config::Ice;
use crate::peer::media_addresses;
use crate::session::IceServer;

/// A server that has not answered by then is of no use to a viewer who waits.
const LIMIT: Duration = Duration::from_secs(3);
/// UDP loses packets: so long is each try waited for, as RFC 8489 §6.2.1 has it, within [`LIMIT`].
const TRIES: [Duration; 3] = [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(1500)];
/// No STUN answer that we ask for is larger.
const ANSWER_BYTES: usize = 1500;

/// Where a URL of an ICE server leads (RFC 7064, RFC 7065).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    turn: bool,
    tls: bool,
    tcp: bool,
    host: String,
    port: u16,
}

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

/// Asks each server of the config, one after the other.
pub async fn check(servers: &[IceServer]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in servers {
        for url in &server.urls {
            findings.push(check_url(url, server.username.is_some()).await);
        }
    }
    findings
}

async fn check_url(url: &str, has_login: bool) -> Finding {
    let part = format!("ice {url}");
    let Some(target) = parse(url) else {
        return Finding::bad(
            part,
            "not the URL of a STUN or TURN server",
            "write stun:host:3478 or turn:host:3478?transport=udp",
        );
    };
    if target.tls {
        return check_tls(part, &target).await;
    }
    let answer = match timeout(LIMIT, ask(&target)).await {
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(answer) => answer,
    };
    judge(part, &target, has_login, answer)
}

fn judge(part: String, target: &Target, has_login: bool, answer: io::Result<Answer>) -> Finding {
    let Target { host, port, .. } = target;
    match answer {
        Ok(Answer::Mapped(address)) => Finding::good(part, format!("answers; it sees us at {address}")),
        Ok(Answer::Granted) => Finding::good(part, "relays for anyone").with_advice(
            "this TURN server asks for no password: whoever finds it can send traffic through it; set one on the server",
        ),
        Ok(Answer::Refused { code: 401, .. }) if target.turn && has_login => {
            Finding::good(part, "answers and asks for the user name and password, which are tried when a viewer connects")
        }
        Ok(Answer::Refused { code: 401, .. }) if target.turn => Finding::bad(
            part,
            "answers and asks for a user name and password; the config has none",
            "set `username` and `credential_file` of this server",
        ),
        Ok(Answer::Refused { code, reason }) => Finding::bad(
            part,
            format!("answers and refuses: {code} {reason}"),
            "see the server's log; a TURN server must allow allocations from this address",
        ),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Finding::bad(
            part,
            format!("no answer within {} s", LIMIT.as_secs()),
            format!("is the server running, and does every firewall on the way let {} port {port} through?", transport(target)),
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Finding::bad(part, "refused", format!("nothing listens on {} port {port} of {host}", transport(target)))
        }
        Err(error) => Finding::bad(
            part,
            error.to_string(),
            format!("check that the name {host} is right and that this machine has DNS and a route there"),
        ),
    }
}

fn transport(target: &Target) -> &'static str {
    if target.tcp { "TCP" } else { "UDP" }
}

/// The certificate is judged when a viewer connects; here only that something listens.
async fn check_tls(part: String, target: &Target) -> Finding {
    let connected = match timeout(LIMIT, TcpStream::connect((target.host.as_str(), target.port))).await {
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(connected) => connected,
    };
    match connected {
        Ok(_) => Finding::good(part, "something listens there; TLS and login are tried when a viewer connects"),
        Err(error) => judge(part, target, true, Err(error)),
    }
}

async fn ask(target: &Target) -> io::Result<Answer> {
    let transaction: Transaction = std::array::from_fn(|_| fastrand::u8(..));
    let request = if target.turn { allocate_request(transaction) } else { binding_request(transaction) };
    let address = lookup_host((target.host.as_str(), target.port))
        .await?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    if target.tcp {
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

fn parse(url: &str) -> Option<Target> {
    let (scheme, rest) = url.split_once(':')?;
    let (turn, tls) = match scheme {
        "stun" => (false, false),
        "stuns" => (false, true),
        "turn" => (true, false),
        "turns" => (true, true),
        _ => return None,
    };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, "transport=udp"));
    let tcp = match query {
        "transport=udp" => tls,
        "transport=tcp" => true,
        _ => return None,
    };
    let default_port = if tls { 5349 } else { 3478 };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(default_port), str::parse).ok()?;
    (!host.is_empty()).then(|| Target { turn, tls, tcp, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_the_rfcs_say() {
        let target = |turn, tls, tcp, host: &str, port| Some(Target { turn, tls, tcp, host: host.to_owned(), port });
        assert_eq!(parse("stun:stun.example.org"), target(false, false, false, "stun.example.org", 3478));
        assert_eq!(parse("turn:192.0.2.7:80?transport=tcp"), target(true, false, true, "192.0.2.7", 80));
        assert_eq!(parse("turns:[2001:db8::1]"), target(true, true, true, "2001:db8::1", 5349));
        for bad in ["", "http://x", "stun:", "stun:x:port", "turn:x?transport=quic"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

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
        let found = check_url(&format!("stun:127.0.0.1:{port}"), false).await;
        answering.await.expect("the server did its part");
        assert_eq!(found.detail, "answers; it sees us at 192.0.2.1:32853");
        let gone = check_url(&format!("stun:127.0.0.1:{port}"), false).await;
        assert!(!gone.ok && gone.detail == "refused", "{gone:?}");
    }
}
