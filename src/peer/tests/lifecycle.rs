//! Silence, restart, and every way to end.

use std::sync::atomic::Ordering;

use super::*;

/// Sockets this process has open on loopback.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("linux").flatten();
    links.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_is_noticed_at_the_other_end_at_once_from_either_side() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    for node_closes in [true, false] {
        let mut node = publisher(&connector, &camera, "node");
        let (mut viewer, _packets) = viewer(&connector, "viewer");
        connect(&mut node, &mut viewer, everything()).await;
        let (closing, mut noticing) = if node_closes { (node, viewer) } else { (viewer, node) };
        let before = now();
        closing.handle.command(PeerCommand::Close);
        noticing.expect(&PeerEvent::ClosedByPeer).await;
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
        closing.handle.closed().await;
        noticing.handle.closed().await;
    }
    assert_eq!(camera.video.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_is_killed_falls_silent_and_leaves_nothing_behind() {
    let (camera, mut node, viewer, _packets) = watched(&connector(&loopback())).await;
    // Not a packet more leaves it: no DTLS alert, no RTCP BYE.
    viewer.handle.watch().expect("it has sockets").stalled.store(true, Ordering::Relaxed);
    let killed = now();
    node.expect(&PeerEvent::Silent).await;
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    assert!(!node.handle.stats().borrow().connected);
    camera.show(0, true);
    node.handle.closed().await;
    assert_eq!(camera.video.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ice_restart_keeps_the_pictures_coming() {
    let mut camera = Camera::new();
    let connector = connector(&loopback());
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, mut packets) = viewer(&connector, "viewer");
    node.handle.command(offer(everything()));
    let PeerEvent::Offered { sdp: first, .. } = node.event().await else { panic!("no offer") };
    viewer.handle.command(answer(first.clone()));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp });
    node.expect(&PeerEvent::Connected).await;
    viewer.expect(&PeerEvent::Connected).await;
    camera.hears(Feedback::ViewerJoined).await;
    camera.show(0, true);
    next_packet(&mut packets).await;

    node.handle.command(PeerCommand::RestartIce);
    let PeerEvent::Offered { sdp: second, mids } = node.event().await else { panic!("no offer") };
    let ufrag = |sdp: &str| sdp.lines().find(|l| l.starts_with("a=ice-ufrag")).map(str::to_owned);
    assert_ne!(ufrag(&first), ufrag(&second), "new credentials");
    assert_eq!(mids.len(), 2);
    assert!(second.contains("typ host"), "with the addresses of now:\n{second}");
    viewer.handle.command(answer(second));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp });
    let arrives = async {
        for number in 1.. {
            camera.show(number, true);
            if let Ok(Some(packet)) = timeout(Duration::from_millis(20), packets.recv()).await
                && packet.payload[2..6] != 0u32.to_be_bytes()
            {
                break;
            }
        }
    };
    timeout(PATIENCE, arrives).await.expect("pictures come over the new pair");
    node.handle.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_leave_no_socket_open() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let mut ports = Vec::new();
    for round in 0..5 {
        let mut node = publisher(&connector, &camera, "node");
        let (mut viewer, _packets) = viewer(&connector, "viewer");
        connect(&mut node, &mut viewer, everything()).await;
        ports.extend(node.handle.watch().expect("open").addresses());
        ports.extend(viewer.handle.watch().expect("open").addresses());
        if round % 2 == 0 {
            drop(node.handle);
            viewer.handle.closed().await;
        } else {
            drop(viewer.handle);
            node.handle.closed().await;
        }
    }
    assert_eq!(ports.len(), 10);
    assert!(sockets() > 0, "the count sees sockets at all");
    let all_free = async {
        while ports.iter().any(|address| std::net::UdpSocket::bind(address).is_err()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all_free).await.expect("every port can be bound again");
}
