//! ICE over TCP: who comes in, and who does no harm.

use std::net::{IpAddr, SocketAddr};

use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::peer::tcp::check;
use crate::session::IceServer;

fn over_tcp() -> Ice {
    Ice { tcp: true, ..loopback() }
}

/// A description with its candidates over UDP left out, as if none of them led anywhere.
fn without_udp(sdp: &str) -> String {
    let over_udp = |line: &&str| !(line.starts_with("a=candidate:") && line.contains(" udp "));
    sdp.lines().filter(over_udp).map(|line| format!("{line}\r\n")).collect()
}

/// Where the node listens, by its description.
fn entrance(sdp: &str) -> SocketAddr {
    let line = sdp.lines().find(|line| line.ends_with(" typ host tcptype passive")).expect("it listens");
    let fields: Vec<&str> = line.split(' ').collect();
    SocketAddr::new(fields[4].parse().expect("an address"), fields[5].parse().expect("a port"))
}

fn credential<'a>(sdp: &'a str, name: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix(name)).expect("it has one")
}

/// A check that lets in whoever sends it, framed.
fn knock(sdp: &str) -> Vec<u8> {
    let username = format!("{}:theirs", credential(sdp, "a=ice-ufrag:"));
    framed(&check(BINDING_REQUEST, &username, credential(sdp, "a=ice-pwd:")))
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).expect("short").to_be_bytes();
    [&length, datagram].concat()
}

async fn offered(node: &mut End) -> String {
    node.handle.command(offer(everything()));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    sdp
}

/// The rest of the handshake, with no way but TCP.
async fn connect_over_tcp(node: &mut End, viewer: &mut End, sdp: &str) {
    viewer.handle.command(answer(without_udp(sdp)));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp: without_udp(&sdp) });
    node.expect(&PeerEvent::Connected).await;
    viewer.expect(&PeerEvent::Connected).await;
}

/// Whether the other side cuts the connection, whatever it says before.
async fn is_cut(stream: &mut TcpStream) -> bool {
    let end = async {
        let mut buffer = [0; 1_024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    timeout(PATIENCE, end).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_to_whom_no_udp_leads_watches_over_tcp_and_comes_back_by_an_ice_restart() {
    let mut camera = Camera::new();
    let mut node = publisher(&connector(&over_tcp()), &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector(&loopback()), "viewer");
    let sdp = offered(&mut node).await;
    connect_over_tcp(&mut node, &mut viewer, &sdp).await;
    camera.hears(Feedback::ViewerJoined).await;
    for number in 0..20 {
        camera.show(number, true);
        for _ in 0..3 {
            let packet = next_packet(&mut packets).await;
            assert_eq!((packet.payload.len(), &packet.payload[2..6]), (600, &number.to_be_bytes()[..]));
        }
    }
    node.handle.command(PeerCommand::RestartIce);
    let PeerEvent::Offered { sdp: again, .. } = node.event().await else { panic!("no offer") };
    assert_ne!(credential(&again, "a=ice-ufrag:"), credential(&sdp, "a=ice-ufrag:"));
    assert_eq!(entrance(&again), entrance(&sdp), "one port for all");
    viewer.handle.command(answer(without_udp(&again)));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp: without_udp(&sdp) });
    // Pictures come again on the new connection; those of the time between are lost.
    for number in 100.. {
        camera.show(number, true);
        let came = timeout(Duration::from_millis(200), packets.recv()).await;
        if came.is_ok_and(|packet| packet.is_some_and(|packet| packet.payload[2..6] == number.to_be_bytes())) {
            break;
        }
        assert!(number < 200, "no picture after the restart");
    }
    node.handle.closed().await;
    viewer.handle.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_comes_in_over_tcp_and_ipv6() {
    let six: IpAddr = "::1".parse().expect("valid");
    if std::net::UdpSocket::bind((six, 0)).is_err() {
        return;
    }
    let mut camera = Camera::new();
    let ice = Ice { bind: vec![six], tcp: true, ..Ice::default() };
    let mut node = publisher(&connector(&ice), &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector(&Ice { tcp: false, ..ice }), "viewer");
    let sdp = offered(&mut node).await;
    assert!(entrance(&sdp).is_ipv6());
    connect_over_tcp(&mut node, &mut viewer, &sdp).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload.len(), 600);
}

#[tokio::test]
async fn what_is_told_follows_the_config() {
    let camera = Camera::new();
    let told = async |ice: &Ice| {
        let mut node = publisher(&connector(ice), &camera, "node");
        let nowhere = IceServer {
            urls: vec!["turn:127.0.0.1:9".to_owned()],
            username: Some("a".to_owned()),
            credential: Some("b".to_owned()),
        };
        node.handle.command(PeerCommand::Offer { wants: everything(), ice_servers: vec![nowhere] });
        let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
        sdp.lines().filter(|line| line.contains(" tcp ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(told(&loopback()).await.is_empty(), "off by default");
    let relays = Ice { policy: config::IcePolicy::Relay, ..over_tcp() };
    assert!(told(&relays).await.is_empty(), "nothing but relays");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let public = "203.0.113.7".to_owned().try_into().expect("valid");
    let forwarded = Ice { tcp_port: port, public_address: public, ..over_tcp() };
    assert!(told(&forwarded).await.is_empty(), "no candidate for a port that is somebody else's");
    drop(taken);
    let told = told(&forwarded).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&format!(" 127.0.0.1 {port} typ host tcptype passive")), "{told:?}");
    assert!(told[1].contains(&format!(" 203.0.113.7 {port} typ srflx raddr 127.0.0.1 rport {port} ")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_no_check_of_ours_is_sent_away_and_keeps_nobody_out() {
    let mut camera = Camera::new();
    let mut node = publisher(&connector(&over_tcp()), &camera, "node");
    let sdp = offered(&mut node).await;
    let to = entrance(&sdp);
    let (ufrag, password) = (credential(&sdp, "a=ice-ufrag:"), credential(&sdp, "a=ice-pwd:"));
    let good = knock(&sdp);
    let bad: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        framed(b"\x16\xfe\xfd DTLS comes later"),
        framed(&check(BINDING_REQUEST, &format!("{ufrag}:theirs"), "guessed, and long enough")),
        framed(&check(BINDING_REQUEST, "nobody:theirs", password)),
        framed(&check(BINDING_SUCCESS, &format!("{ufrag}:theirs"), password)),
        framed(&good[2..good.len() - 1]),
        vec![0xff; 4_096],
    ];
    for (n, bytes) in bad.iter().enumerate() {
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        stream.write_all(bytes).await.expect("the kernel takes it");
        assert!(is_cut(&mut stream).await, "{n}");
    }
    // Many who say nothing, or half a check: the oldest make room, and the last have their time.
    let mut idle = Vec::new();
    for n in 0..150 {
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        if n % 2 == 0 {
            stream.write_all(&good[..good.len() / 2]).await.expect("the kernel takes it");
        }
        idle.push(stream);
    }
    assert!(is_cut(&mut idle[0]).await, "the oldest makes room");
    let (mut viewer, mut packets) = viewer(&connector(&loopback()), "viewer");
    connect_over_tcp(&mut node, &mut viewer, &sdp).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload.len(), 600);
    assert!(is_cut(&mut idle[149]).await, "nobody waits for ever");
}

/// Forwards TCP to `to` while it is `open`, and reads nothing while it is not.
async fn forward(listener: TcpListener, to: SocketAddr, open: watch::Receiver<bool>) {
    async fn one_way(
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        mut open: watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            open.wait_for(|open| *open).await.expect("the test goes on");
            match from.read(&mut buffer).await {
                Ok(read @ 1..) if to.write_all(&buffer[..read]).await.is_ok() => {}
                _ => return,
            }
        }
    }
    while let Ok((viewer, _)) = listener.accept().await {
        let node = TcpStream::connect(to).await.expect("it listens");
        let (from_viewer, to_viewer) = viewer.into_split();
        let (from_node, to_node) = node.into_split();
        tokio::spawn(one_way(from_viewer, to_node, open.clone()));
        tokio::spawn(one_way(from_node, to_viewer, open.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stops_reading_costs_itself_alone_and_sees_what_is_new_when_it_goes_on() {
    let node_connector = connector(&over_tcp());
    let mut camera = Camera::new();
    let mut node = publisher(&node_connector, &camera, "node");
    let (mut stalled, mut packets) = viewer(&connector(&loopback()), "stalled");
    let sdp = offered(&mut node).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (open, is_open) = watch::channel(true);
    let (to, by) = (entrance(&sdp), proxy.local_addr().expect("bound"));
    let proxy = tokio::spawn(forward(proxy, to, is_open));
    let sdp = sdp.replace(&format!(" {} {} typ", to.ip(), to.port()), &format!(" {} {} typ", by.ip(), by.port()));
    connect_over_tcp(&mut node, &mut stalled, &sdp).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload[2..6], 0u32.to_be_bytes());

    let mut other = publisher(&node_connector, &camera, "node2");
    let (mut watching, mut seen) = viewer(&connector(&loopback()), "watching");
    connect(&mut other, &mut watching, everything()).await;
    open.send_replace(false);
    // More than all buffers on the way hold, each picture seen by the other before the next.
    for number in 1..600 {
        camera.show(number, true);
        while next_packet(&mut seen).await.payload[2..6] != number.to_be_bytes() {}
    }
    // Its driver runs on, and tells that nothing comes any more.
    node.expect(&PeerEvent::Silent).await;
    open.send_replace(true);
    node.expect(&PeerEvent::Recovered).await;
    camera.hears(Feedback::KeyFrameWanted).await;
    let mut newest = 0;
    let last = 10_000u32;
    let mut arrived = 0;
    while newest != last {
        camera.show(last, true);
        let Ok(packet) = timeout(Duration::from_millis(200), next_packet(&mut packets)).await else { continue };
        newest = u32::from_be_bytes(packet.payload[2..6].try_into().expect("four bytes"));
        arrived += 1;
    }
    assert!(arrived < 1_200, "what waited too long was lost: {arrived} of 1,800 packets came");
    node.handle.closed().await;
    proxy.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_reads_nothing_and_says_no_more_does_not_hold_up_the_next() {
    let mut camera = Camera::new();
    let mut node = publisher(&connector(&over_tcp()), &camera, "node");
    let sdp = offered(&mut node).await;
    let mut guests = Vec::new();
    for _ in 0..40 {
        let mut guest = TcpStream::connect(entrance(&sdp)).await.expect("it listens");
        guest.write_all(&knock(&sdp)).await.expect("the kernel takes it");
        guests.push(guest);
    }
    assert!(is_cut(&mut guests[0]).await, "a few at a time");
    let (mut viewer, mut packets) = viewer(&connector(&loopback()), "viewer");
    connect_over_tcp(&mut node, &mut viewer, &sdp).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    assert_eq!(next_packet(&mut packets).await.payload.len(), 600);
    // Somebody who has the description, and comes again and again, is sent away in the end.
    let mut last = None;
    for _ in 0..60 {
        let mut guest = TcpStream::connect(entrance(&sdp)).await.expect("it listens");
        guest.write_all(&knock(&sdp)).await.expect("the kernel takes it");
        last = Some(guest);
    }
    assert!(is_cut(last.as_mut().expect("some came")).await);
    camera.show(1, true);
    while next_packet(&mut packets).await.payload[2..6] != 1u32.to_be_bytes() {}
    drop(guests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_dials_nobody() {
    let camera = Camera::new();
    let mut node = publisher(&connector(&over_tcp()), &camera, "node");
    let (mut viewer, _packets) = viewer(&connector(&loopback()), "viewer");
    let inside = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = inside.local_addr().expect("bound");
    let candidate =
        |ip: IpAddr| format!("candidate:1 1 tcp 1518280447 {ip} {} typ host tcptype passive", address.port());
    let sdp = offered(&mut node).await;
    viewer.handle.command(answer(sdp));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    let with = sdp.replacen("a=mid:", &format!("a={}\r\na=mid:", candidate(address.ip())), 1);
    node.handle.command(PeerCommand::AcceptAnswer { sdp: with });
    let trickled = crate::session::Candidate {
        candidate: candidate(address.ip()),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    node.handle.command(PeerCommand::AddCandidates { candidates: vec![trickled], complete: true });
    node.expect(&PeerEvent::Connected).await;
    // The crate would have dialled before it was connected.
    node.handle.closed().await;
    assert!(timeout(Duration::ZERO, inside.accept()).await.is_err(), "somebody was dialled");
}
