//! Media through Debian's coturn, where it is installed, by every way that leads to it.

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

fn server(url: String) -> Vec<IceServer> {
    let (username, credential) = Coturn::login(600);
    vec![IceServer { urls: vec![url], username: Some(username), credential: Some(credential) }]
}

/// A node and its viewer, connected by candidates that trickle, and all lines of either that speak of candidates.
async fn connect_by_trickle(node: &mut End, viewer: &mut End, servers: &[IceServer]) -> Vec<String> {
    node.handle.command(PeerCommand::Offer { wants: everything(), ice_servers: servers.to_vec() });
    let mut told = Vec::new();
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
                told.extend(sdp.lines().filter(|line| line.contains("candidate:")).map(str::to_owned));
                viewer.handle.command(PeerCommand::Answer { sdp, ice_servers: servers.to_vec() });
                described = true;
            }
            PeerEvent::Answered { sdp } => {
                told.extend(sdp.lines().filter(|line| line.contains("candidate:")).map(str::to_owned));
                node.handle.command(PeerCommand::AcceptAnswer { sdp });
                early.drain(..).for_each(|command| node.handle.command(command));
                answered = true;
            }
            PeerEvent::Candidates { candidates, complete } => {
                told.extend(candidates.iter().map(|candidate| candidate.candidate.clone()));
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
            PeerEvent::Connected => connected += 1,
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
    let told = connect_by_trickle(&mut node, &mut viewer, &server(url)).await;
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
