//! `[ice]` settings do what they say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::*;

async fn candidates(ice: &Ice) -> Vec<String> {
    let camera = Camera::new();
    let mut node = publisher(&connector(ice), &camera, "node");
    node.handle.command(offer(everything()));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:")).map(str::to_owned).collect()
}

fn fields(candidate: &str) -> (IpAddr, u16, String) {
    let fields: Vec<&str> = candidate.split(' ').collect();
    (fields[4].parse().expect("an address"), fields[5].parse().expect("a port"), fields[7].to_owned())
}

#[tokio::test]
async fn bind_and_interfaces_choose_the_addresses() {
    let bind = Ice { bind: vec![IpAddr::from([127, 0, 0, 3])], ..Ice::default() };
    let found = candidates(&bind).await;
    assert_eq!(found.len(), 1);
    assert_eq!(fields(&found[0]).0, IpAddr::from([127, 0, 0, 3]));

    let lo = Ice { interfaces: vec!["lo".to_owned()], ..Ice::default() };
    let found = candidates(&lo).await;
    assert!(!found.is_empty() && found.iter().all(|c| fields(c).0.is_loopback()), "{found:?}");

    let both = Ice { include_loopback: true, ..Ice::default() };
    assert!(candidates(&both).await.iter().any(|c| fields(c).0.is_loopback()));
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_an_error_in_words() {
    let camera = Camera::new();
    let ice = Ice { interfaces: vec!["nosuch0".to_owned()], ..Ice::default() };
    let mut node = publisher(&connector(&ice), &camera, "node");
    node.handle.command(offer(everything()));
    let PeerEvent::Failed { message, .. } = node.event().await else { panic!("it cannot work") };
    assert!(message.contains("no local address fits"), "{message}");
}

#[tokio::test]
async fn ports_come_from_the_range_until_it_is_used_up() {
    let camera = Camera::new();
    let first = free_udp_ports(3, &[[127, 0, 0, 1].into()]);
    let range = format!("{first}-{}", first + 2);
    let connector = connector(&Ice { port_range: range.clone().try_into().expect("a valid range"), ..loopback() });
    let mut nodes = Vec::new();
    let mut ports = Vec::new();
    for number in 0..3 {
        let mut node = publisher(&connector, &camera, &format!("node{number}"));
        node.handle.command(offer(everything()));
        let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
        let candidate = sdp.lines().find_map(|line| line.strip_prefix("a=candidate:")).expect("a candidate");
        ports.push(fields(candidate).1);
        nodes.push(node);
    }
    ports.sort_unstable();
    assert_eq!(ports, [first, first + 1, first + 2]);
    let mut fourth = publisher(&connector, &camera, "fourth");
    fourth.handle.command(offer(everything()));
    let PeerEvent::Failed { message, .. } = fourth.event().await else { panic!("there is no port") };
    assert!(message.contains(&format!("no free udp port in {range}")), "{message}");
    nodes.remove(0).handle.closed().await;
    let mut fifth = publisher(&connector, &camera, "fifth");
    fifth.handle.command(offer(everything()));
    assert!(matches!(fifth.event().await, PeerEvent::Offered { .. }), "a closed connection gives its port back");
}

/// The first of `count` UDP ports in a row that nobody has on any of these addresses.
fn free_udp_ports(count: u16, addresses: &[IpAddr]) -> u16 {
    let is_free = |port| addresses.iter().all(|ip| std::net::UdpSocket::bind((*ip, port)).is_ok());
    let all_free = |first: &u16| (*first..first + count).all(is_free);
    ports::free_ports::<32>().into_iter().find(all_free).expect("some of so many are")
}

/// A router with its public address on 127.0.0.1: forwards a port, unchanged, to `inside`, and hides who asked.
async fn router(port: u16, inside: IpAddr, open: Arc<AtomicBool>) {
    let public = Arc::new(UdpSocket::bind(("127.0.0.1", port)).await.expect("the public port is free"));
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut backs = JoinSet::new();
    let mut buffer = vec![0; 2_048];
    while let Ok((len, viewer)) = public.recv_from(&mut buffer).await {
        let way = match ways.get(&viewer) {
            Some(way) => Arc::clone(way),
            None => {
                let way = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
                way.connect((inside, port)).await.expect("it is local");
                let (back, public, open) = (Arc::clone(&way), Arc::clone(&public), Arc::clone(&open));
                backs.spawn(async move {
                    let mut buffer = vec![0; 2_048];
                    while let Ok(len) = back.recv(&mut buffer).await {
                        if open.load(Ordering::Relaxed) {
                            let _ = public.send_to(&buffer[..len], viewer).await;
                        }
                    }
                });
                ways.insert(viewer, Arc::clone(&way));
                way
            }
        };
        if open.load(Ordering::Relaxed) {
            let _ = way.send(&buffer[..len]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_reaches_the_node_through_its_public_address_and_comes_back_after_silence() {
    let inside = IpAddr::from([127, 0, 0, 2]);
    // Free for the router, and for the node behind it.
    let port = free_udp_ports(1, &[inside, [127, 0, 0, 1].into()]);
    let ice = Ice {
        bind: vec![inside],
        port_range: format!("{port}-{port}").try_into().expect("a valid range"),
        public_address: "127.0.0.1".to_owned().try_into().expect("a valid address"),
        ..Ice::default()
    };
    let open = Arc::new(AtomicBool::new(true));
    let router = tokio::spawn(router(port, inside, Arc::clone(&open)));
    let mut camera = Camera::new();
    let mut node = publisher(&connector(&ice), &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector(&loopback()), "viewer");
    node.handle.command(offer(everything()));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    let twin = sdp.lines().find(|line| line.contains("typ srflx")).expect("the public address is offered");
    let ends = format!(" 127.0.0.1 {port} typ srflx raddr 127.0.0.2 rport {port}");
    assert!(twin.contains(&ends), "{twin}");
    // Only the way through the router is left, as for a viewer elsewhere; and it does not say where it can be reached.
    let outside = |sdp: &str, own: &str| -> String {
        sdp.lines().filter(|line| !line.contains(own)).map(|line| format!("{line}\r\n")).collect()
    };
    viewer.handle.command(answer(outside(&sdp, "typ host")));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp: outside(&sdp, "a=candidate") });
    node.expect(&PeerEvent::Connected).await;
    viewer.expect(&PeerEvent::Connected).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload.len(), 600);

    open.store(false, Ordering::Relaxed);
    node.expect(&PeerEvent::Silent).await;
    viewer.expect(&PeerEvent::Silent).await;
    camera.show(1, true);
    open.store(true, Ordering::Relaxed);
    node.expect(&PeerEvent::Recovered).await;
    viewer.expect(&PeerEvent::Recovered).await;
    camera.hears(Feedback::KeyFrameWanted).await;
    camera.show(2, false);
    camera.show(3, true);
    let packet = loop {
        let packet = next_packet(&mut packets).await;
        if packet.payload[2..6] != 0u32.to_be_bytes() {
            break packet;
        }
    };
    assert_eq!(
        packet.payload[2..6],
        3u32.to_be_bytes(),
        "nothing was sent into the silence, nor a picture nobody can show"
    );
    router.abort();
}

/// Chromium hides its addresses behind names that only its own machine answers for (mDNS), unless the page may use the
/// microphone. It reaches us all the same, by the addresses we tell, and is known from then on by where it came from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_hides_its_addresses_behind_local_names_connects_without_their_being_resolved() {
    let mut camera = Camera::new();
    let mut node = publisher(&connector(&loopback()), &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector(&loopback()), "viewer");
    node.handle.command(offer(everything()));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    viewer.handle.command(answer(sdp));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    let hidden = sdp.replace(" 127.0.0.1 ", " 3f8c1a52-6b0e-4c8e-9d6f-0123456789ab.local ");
    assert!(hidden.contains(".local ") && !hidden.contains(" 127.0.0.1 "), "{hidden}");
    node.handle.command(PeerCommand::AcceptAnswer { sdp: hidden });
    node.expect(&PeerEvent::Connected).await;
    viewer.expect(&PeerEvent::Connected).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload.len(), 600);
}
