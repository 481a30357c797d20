//! Media through Debian's coturn, where it is installed, by every way that leads to it.

use std::net::SocketAddr;

use super::coturn::{Coturn, is_installed};
use super::*;
use crate::session::IceServer;

/// Every way out but relays is closed.
fn relay_only(turn: &Coturn) -> Ice {
    Ice { policy: config::IcePolicy::Relay, ca_file: Some(turn.ca.ca_file.clone()), ..loopback() }
}

fn free_ports() -> [u16; 2] {
    [(); 2]
        .map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .map(|listener| listener.local_addr().expect("bound").port())
}

async fn turn(ports: [u16; 2], more: &str) -> Coturn {
    let more = format!("allow-loopback-peers\n{more}");
    Coturn::start(&[], &["127.0.0.1"], ports, &["127.0.0.0-127.255.255.255"], &more).await
}

fn server(url: String, lifetime_s: u64) -> Vec<IceServer> {
    let (username, credential) = Coturn::login(lifetime_s);
    vec![IceServer { urls: vec![url], username: Some(username), credential: Some(credential) }]
}

/// What either told the other of candidates.
#[derive(Debug, Default)]
struct Told {
    candidates: Vec<String>,
    node_has_all: bool,
}

/// A node and its viewer, connected by candidates that trickle.
async fn connect_by_trickle(node: &mut End, viewer: &mut End, servers: &[IceServer]) -> Told {
    node.handle.command(PeerCommand::Offer { wants: everything(), ice_servers: servers.to_vec() });
    carry(node, viewer, servers, PeerEvent::Connected).await
}

/// Hands everything that one says to the other until both report `wanted`.
async fn carry(node: &mut End, viewer: &mut End, servers: &[IceServer], wanted: PeerEvent) -> Told {
    let mut told = Told::default();
    let mut connected = 0;
    let (mut described, mut answered, mut early) = (false, false, Vec::new());
    while connected < 2 {
        let (from_node, event) = tokio::select! {
            event = node.events.recv() => (true, event),
            event = viewer.events.recv() => (false, event),
            () = tokio::time::sleep(PATIENCE) => panic!("not connected in time: {told:?}"),
        };
        match event.expect("the task is alive").1 {
            PeerEvent::Offered { sdp, .. } => {
                told.candidates.extend(sdp.lines().filter(|line| line.contains("candidate:")).map(str::to_owned));
                viewer.handle.command(PeerCommand::Answer { sdp, ice_servers: servers.to_vec() });
                described = true;
            }
            PeerEvent::Answered { sdp } => {
                told.candidates.extend(sdp.lines().filter(|line| line.contains("candidate:")).map(str::to_owned));
                node.handle.command(PeerCommand::AcceptAnswer { sdp });
                early.drain(..).for_each(|command| node.handle.command(command));
                answered = true;
            }
            PeerEvent::Candidates { candidates, complete } => {
                told.node_has_all |= from_node && complete;
                told.candidates.extend(candidates.iter().map(|candidate| candidate.candidate.clone()));
                let command = PeerCommand::AddCandidates { candidates, complete };
                match (from_node, answered) {
                    (true, _) => {
                        assert!(described);
                        viewer.handle.command(command);
                    }
                    (false, true) => node.handle.command(command),
                    (false, false) => early.push(command),
                }
            }
            event if event == wanted => connected += 1,
            other => panic!("{other:?}"),
        }
    }
    told
}

async fn pictures_come_through(turn: &Coturn, url: String) {
    let connector = connector(&relay_only(turn));
    let mut camera = Camera::new();
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector, "viewer");
    let told = connect_by_trickle(&mut node, &mut viewer, &server(url, 600)).await;
    let told = told.candidates;
    assert!(!told.is_empty() && told.iter().all(|candidate| candidate.contains(" typ relay ")), "{told:?}");
    assert!(told.iter().all(|candidate| candidate.contains(" raddr 0.0.0.0 rport 9")), "our address is told: {told:?}");
    camera.hears(Feedback::ViewerJoined).await;
    // A server may lose some of what comes before it has bound a channel.
    let mut seen = Vec::new();
    for number in 0.. {
        camera.show(number, true);
        while let Ok(packet) = timeout(Duration::from_millis(300), next_packet(&mut packets)).await {
            assert_eq!(packet.payload.len(), 600, "as long as it was, on the stream and off it");
            if packet.payload[2..6] == number.to_be_bytes() && packet.marker {
                seen.push(number);
                break;
            }
        }
        if seen.len() == 20 {
            break;
        }
        assert!(number < 60, "too few arrive: {seen:?}");
    }
    node.handle.closed().await;
    viewer.handle.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_server_that_was_away_is_met_again_with_new_logins() {
    if !is_installed() {
        return;
    }
    let ports = free_ports();
    let mut turn = turn(ports, "").await;
    let url = format!("turns:localhost:{}", ports[1]);
    let connector = connector(&relay_only(&turn));
    let camera = Camera::new();
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, _packets) = viewer(&connector, "viewer");
    // Good until the relays are there; refused after that.
    let first = server(url.clone(), 5);
    connect_by_trickle(&mut node, &mut viewer, &first).await;
    turn.restart().await;
    node.expect(&PeerEvent::Silent).await;
    viewer.expect(&PeerEvent::Silent).await;
    let renewed = server(url, 600);
    for end in [&node, &viewer] {
        end.handle.command(PeerCommand::UseIceServers { ice_servers: renewed.clone() });
    }
    let over = std::time::Duration::from_secs(ends(&first) + 1);
    while std::time::UNIX_EPOCH.elapsed().expect("after 1970") < over {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    node.handle.command(PeerCommand::RestartIce);
    let told = carry(&mut node, &mut viewer, &renewed, PeerEvent::Recovered).await;
    let relays = told.candidates.iter().all(|candidate| candidate.contains(" typ relay "));
    assert!(relays, "{told:?}");
    turn.says(&format!("username=<{}>, lifetime=600", renewed[0].username.as_deref().expect("a login")), 2).await;
}

fn ends(servers: &[IceServer]) -> u64 {
    let username = servers[0].username.as_deref().expect("a login");
    username.split(':').next().expect("a time").parse().expect("seconds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tcp_connection_is_made_where_a_relay_is_had_over_udp() {
    if !is_installed() {
        return;
    }
    let [plain, tls] = free_ports();
    let turn = turn([plain, tls], "").await;
    let mut servers = server(format!("turn:127.0.0.1:{plain}"), 600);
    servers[0].urls.extend([format!("turn:127.0.0.1:{plain}?transport=tcp"), format!("turns:127.0.0.1:{tls}")]);
    let connector = connector(&relay_only(&turn));
    let camera = Camera::new();
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, _packets) = viewer(&connector, "viewer");
    let mut told = connect_by_trickle(&mut node, &mut viewer, &servers).await;
    // All is gathered once the two others have been given up.
    while !told.node_has_all {
        let (_, event) = timeout(PATIENCE, node.events.recv()).await.expect("in time").expect("the task is alive");
        let PeerEvent::Candidates { candidates, complete } = event else { continue };
        told.candidates.extend(candidates.into_iter().map(|candidate| candidate.candidate));
        told.node_has_all = complete;
    }
    // The viewer may be connected before it has told of its own.
    assert!((1..=2).contains(&told.candidates.len()), "one relay each: {told:?}");
    turn.says("new, realm=", 2).await;
    assert!(!turn.log().contains("tcp or tls connected"), "{}", turn.log());
}

#[tokio::test]
async fn what_is_wrong_with_a_turn_server_is_told_in_words() {
    use super::turn::{Authorities, ServerUrl, probe};
    if !is_installed() {
        return;
    }
    let ports = free_ports();
    let turn = turn(ports, "").await;
    let [plain, tls] = ports;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let chatty = silent.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = silent.accept().await {
            _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH\r\n").await;
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await.expect("it speaks");
        }
    });
    let ours = Authorities::new(Some(turn.ca.ca_file.clone()));
    let system = Authorities::new(None);
    let (username, password) = Coturn::login(600);
    let good = (username.as_str(), password.as_str());
    let said = async |url: String, login, authorities: &Authorities| {
        let url = ServerUrl::parse(&url).expect("a URL");
        let address = SocketAddr::from(([127, 0, 0, 1], url.port));
        probe(&url, address, login, authorities).await.map(|relay| relay.ip().to_string()).map_err(|e| e.to_string())
    };
    let relay = Ok("127.0.0.1".to_owned());
    assert_eq!(said(format!("turn:localhost:{plain}"), good, &ours).await, relay);
    assert_eq!(said(format!("turn:localhost:{plain}?transport=tcp"), good, &ours).await, relay);
    assert_eq!(said(format!("turns:localhost:{tls}"), good, &ours).await, relay);
    let wrong = said(format!("turns:localhost:{tls}"), (good.0, "guessed"), &ours).await;
    assert_eq!(wrong, Err("401: Unauthorized".to_owned()));
    let table = [
        (format!("turns:localhost:{tls}"), &system, "an authority that is not known here: set ca_file to its CA"),
        (format!("turns:127.0.0.2:{tls}"), &ours, "use that name in the URL"),
        (format!("turns:localhost:{chatty}"), &ours, "does not speak TLS: is that its plain port?"),
        (format!("turn:localhost:{chatty}?transport=tcp"), &ours, "something else than TURN"),
        ("turn:localhost:1?transport=tcp".to_owned(), &ours, "refused"),
    ];
    for (url, authorities, words) in table {
        let why = said(url.clone(), good, authorities).await.expect_err(&url);
        assert!(why.contains(words), "{url}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_server_is_reached_over_udp_tcp_and_tls() {
    if !is_installed() {
        return;
    }
    let [plain, tls] = free_ports();
    let turn = turn([plain, tls], "").await;
    pictures_come_through(&turn, format!("turn:127.0.0.1:{plain}?transport=udp")).await;
    pictures_come_through(&turn, format!("turn:localhost:{plain}?transport=tcp")).await;
    pictures_come_through(&turn, format!("turns:localhost:{tls}?transport=tcp")).await;
    turn.says("method=TLS", 2).await;
    // UDP says goodbye to its relays, and the others by closing the connection.
    turn.says("delete: realm=", 6).await;
}
