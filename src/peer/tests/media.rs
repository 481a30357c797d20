//! What is sent arrives, for everyone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_sound_arrive_whole_and_in_order_after_a_key_frame_was_asked_for() {
    let (mut camera, node, mut viewer, mut packets) = watched(&connector(&loopback())).await;

    let sender = async {
        for number in 0..200 {
            camera.show(number, number == 0);
            let data = Bytes::from(number.to_be_bytes().to_vec());
            camera.audio.publish(EncodedAudio { data, captured: media_now() });
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let receiver = async {
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        while pictures.len() < 600 || sounds.len() < 200 {
            let packet = next_packet(&mut packets).await;
            assert_eq!(&*packet.stream, "front");
            match packet.kind {
                TrackKind::Video => pictures.push(packet),
                TrackKind::Audio => sounds.push(packet),
            }
        }
        (pictures, sounds)
    };
    let ((), (pictures, sounds)) = tokio::join!(sender, receiver);
    for (at, packet) in (0u32..).zip(&pictures) {
        let (number, part) = (at / 3, at % 3);
        assert_eq!(packet.payload.len(), 600);
        assert_eq!(u32::from(packet.payload[1]), part);
        assert_eq!(packet.payload[2..6], number.to_be_bytes());
        assert_eq!(packet.marker, part == 2);
        assert_eq!(packet.rtp_time, pictures[(number * 3) as usize].rtp_time, "one time stamp a picture");
        assert_eq!(packet.sequence, pictures[0].sequence.wrapping_add(at as u16));
    }
    for (number, packet) in (0u32..).zip(&sounds) {
        assert_eq!(packet.payload[..], number.to_be_bytes());
    }
    let latency = camera.feeds.video.latency.since_capture();
    let runs = node.handle.watch().expect("it has sockets").runs.load(Ordering::Relaxed);
    assert!(runs >= 190, "a picture leaves with one system call: {runs} of 200");
    assert!(latency.count() >= 190, "every delta frame's way to the socket is measured: {}", latency.count());

    viewer.handle.request_key_frame();
    camera.hears(Feedback::KeyFrameWanted).await;
    node.handle.closed().await;
    viewer.expect(&PeerEvent::ClosedByPeer).await;
    viewer.handle.closed().await;
    assert_eq!(camera.video.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_viewers_one_whose_socket_blocks_slows_nobody() {
    let mut camera = Camera::new();
    let connector = connector(&loopback());
    let mut pairs = Vec::new();
    for number in 0..8 {
        let mut node = publisher(&connector, &camera, &format!("node{number}"));
        let (mut viewer, packets) = viewer(&connector, &format!("viewer{number}"));
        let wants = Wants { video: vec![front()], ..Wants::default() };
        connect(&mut node, &mut viewer, wants).await;
        camera.hears(Feedback::ViewerJoined).await;
        pairs.push((node, viewer, packets));
    }
    let stuck = pairs.remove(0);
    stuck.0.handle.watch().expect("it has sockets").stalled.store(true, Ordering::Relaxed);

    const PICTURES: u32 = 400;
    let sender = async {
        let mut worst = Duration::ZERO;
        for number in 0..PICTURES {
            let before = now();
            camera.show(number, number == 0);
            worst = worst.max(before.elapsed());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        worst
    };
    let receivers = pairs.iter_mut().map(|(_, _, packets)| async {
        let mut late = Duration::ZERO;
        for at in 0..PICTURES * 3 {
            let packet = next_packet(packets).await;
            assert_eq!(packet.payload[2..6], (at / 3).to_be_bytes());
            late = late.max(media_now().since(packet.arrived));
        }
        late
    });
    let (worst, _) = tokio::join!(sender, futures_util::future::join_all(receivers));
    // One that waited would wait for as long as the viewer is stuck, which is until the end.
    assert!(worst < Duration::from_secs(1), "publishing never waits for a viewer: {worst:?}");
    let stats = *stuck.0.handle.stats().borrow();
    assert!(stats.frames_sent < u64::from(PICTURES), "the blocked one got less: {stats:?}");

    // Its driver cannot say goodbye; it is ended all the same.
    let closing = now();
    stuck.0.handle.closed().await;
    assert!(closing.elapsed() < Duration::from_secs(1), "{:?}", closing.elapsed());
    for (node, ..) in pairs {
        node.handle.closed().await;
    }
    assert_eq!(camera.video.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_reports_are_answered_so_the_round_trip_is_known() {
    let (camera, node, viewer, _packets) = watched(&connector(&loopback())).await;
    let pictures = async {
        for number in 0.. {
            camera.show(number, true);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut stats = node.handle.stats();
    let known = timeout(PATIENCE, stats.wait_for(|stats| stats.rtt.is_some()));
    let rtt = tokio::select! {
        () = pictures => unreachable!("pictures never end"),
        known = known => known.expect("a report in time").expect("the node is alive").rtt,
    };
    assert!(rtt.expect("it was waited for") < Duration::from_millis(500), "{rtt:?}");
    let mut stats = viewer.handle.stats();
    let known = timeout(PATIENCE, stats.wait_for(|stats| stats.rtt.is_some())).await;
    assert!(known.is_ok(), "the viewer knows it too, from ICE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_asked_for_and_sent_again() {
    let (camera, node, _viewer, mut packets) = watched(&connector(&loopback())).await;
    node.handle.watch().expect("it has sockets").loses_one_of.store(10, Ordering::Relaxed);

    const PICTURES: u32 = 200;
    let mut missing: BTreeSet<(u32, u8)> = (0..PICTURES).flat_map(|n| (0..3).map(move |part| (n, part))).collect();
    let sender = async {
        // Pictures go on after the ones that count, so that the loss of the last is noticed too; and one of the first
        // packets may be lost before the viewer knows of the stream at all.
        for number in 0.. {
            camera.show(number, number == 0);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let receiver = async {
        while missing.range((2, 0)..).next().is_some() {
            let packet = next_packet(&mut packets).await;
            if packet.kind == TrackKind::Video {
                assert_eq!(packet.payload.len(), 600, "a packet sent again is as the first");
                let number = u32::from_be_bytes(packet.payload[2..6].try_into().expect("four bytes"));
                missing.remove(&(number, packet.payload[1]));
            }
        }
    };
    tokio::select! {
        () = sender => unreachable!("pictures never end"),
        received = timeout(PATIENCE, receiver) => received.expect("all arrive in the end"),
    }
}
