//! Later in a session: restarts and offers from either side, offers that cross, and offers that nobody asked for.

use super::*;

/// A connection of both ends, with what they agreed on at first.
struct Pair {
    camera: Camera,
    node: End,
    viewer: End,
    packets: mpsc::Receiver<ReceivedPacket>,
    first_answer: String,
    shown: u32,
}

impl Pair {
    async fn connected() -> Self {
        let mut camera = Camera::new();
        let connector = connector(&loopback());
        let mut node = publisher(&connector, &camera, "node");
        let (mut viewer, packets) = viewer(&connector, "viewer");
        node.handle.command(offer(everything()));
        let (sdp, _) = offered(&mut node).await;
        viewer.handle.command(answer(sdp));
        let first_answer = answered(&mut viewer).await;
        node.handle.command(PeerCommand::AcceptAnswer { sdp: first_answer.clone() });
        node.expect(&PeerEvent::Connected).await;
        viewer.expect(&PeerEvent::Connected).await;
        camera.hears(Feedback::ViewerJoined).await;
        let mut pair = Self { camera, node, viewer, packets, first_answer, shown: 0 };
        pair.shows_pictures().await;
        pair
    }

    /// Pictures that are shown from now on come through.
    async fn shows_pictures(&mut self) {
        let first = self.shown;
        let arrives = async {
            loop {
                self.camera.show(self.shown, true);
                self.shown += 1;
                while let Ok(Some(packet)) = timeout(Duration::from_millis(20), self.packets.recv()).await {
                    if packet.kind == TrackKind::Video && number(&packet) >= first {
                        return;
                    }
                }
            }
        };
        timeout(PATIENCE, arrives).await.expect("pictures come");
    }

    /// The viewer's offer in words the crate's viewer would have to be asked for: without new credentials.
    fn plain_offer(&self) -> String {
        self.first_answer.replace("a=setup:active", "a=setup:actpass")
    }

    fn sockets(&self) -> [Vec<std::net::SocketAddr>; 2] {
        [&self.node, &self.viewer].map(|end| end.handle.watch().expect("open").addresses())
    }

    async fn end(self) {
        self.node.handle.closed().await;
        self.viewer.handle.closed().await;
    }
}

fn number(packet: &ReceivedPacket) -> u32 {
    u32::from_be_bytes(packet.payload[2..6].try_into().expect("four bytes"))
}

async fn offered(end: &mut End) -> (String, Mids) {
    match end.event().await {
        PeerEvent::Offered { sdp, mids } => (sdp, mids),
        other => panic!("no offer: {other:?}"),
    }
}

async fn answered(end: &mut End) -> String {
    match end.event().await {
        PeerEvent::Answered { sdp } => sdp,
        other => panic!("no answer: {other:?}"),
    }
}

fn ufrag(sdp: &str) -> &str {
    sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("credentials")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_side_restarts_ice_and_the_pictures_go_over_new_sockets() {
    let mut pair = Pair::connected().await;
    for node_offers in [false, true, false, false] {
        let before = pair.sockets();
        let (offerer, answerer) =
            if node_offers { (&mut pair.node, &mut pair.viewer) } else { (&mut pair.viewer, &mut pair.node) };
        offerer.handle.command(PeerCommand::RestartIce);
        let (sdp, _) = offered(offerer).await;
        assert_eq!(sdp.matches("typ host").count(), 1, "its own socket, and none of before:\n{sdp}");
        answerer.handle.command(answer(sdp.clone()));
        let reply = answered(answerer).await;
        assert_ne!(ufrag(&sdp), ufrag(&reply));
        // As in the first exchange, in which the node offered and the crate's viewer chose to be active.
        let side = if node_offers { "a=setup:active" } else { "a=setup:passive" };
        assert_eq!(reply.matches(side).count(), reply.matches("a=setup:").count(), "{reply}");
        assert_eq!(reply.matches("typ host").count(), 1, "{reply}");
        offerer.handle.command(PeerCommand::AcceptAnswer { sdp: reply });
        pair.camera.hears(Feedback::KeyFrameWanted).await;
        pair.shows_pictures().await;
        let after = pair.sockets();
        assert!(before.iter().flatten().all(|address| !after.concat().contains(address)), "{before:?}, {after:?}");
        // The path is the new one: that is where packets come in.
        assert_eq!(pair.node.handle.watch().expect("open").path(), after[0]);
        assert_eq!(pair.viewer.handle.watch().expect("open").path(), after[1]);
    }
    for end in [&mut pair.node, &mut pair.viewer] {
        while let Ok((_, event)) = end.events.try_recv() {
            assert!(matches!(event, PeerEvent::Candidates { .. }), "nobody falls silent: {event:?}");
        }
    }
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_go_on_across_a_restart_once_and_without_a_gap_after_the_first_new_one() {
    let mut pair = Pair::connected().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let first = pair.shown;
    let video = Arc::clone(&pair.camera.video);
    let feed = tokio::spawn(async move {
        let mut next = first;
        while matches!(stopped.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
            video.publish(picture(next, next % 30 == 0));
            next += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    pair.viewer.handle.command(PeerCommand::RestartIce);
    let (sdp, _) = offered(&mut pair.viewer).await;
    pair.node.handle.command(answer(sdp));
    let reply = answered(&mut pair.node).await;
    while pair.packets.try_recv().is_ok() {}
    pair.viewer.handle.command(PeerCommand::AcceptAnswer { sdp: reply });
    // Packets of each picture. What was sent while there was no pair, the crate's viewer does not ask for again: a
    // description makes it forget what it has numbered.
    let mut came: std::collections::BTreeMap<u32, usize> = std::collections::BTreeMap::new();
    let enough = async {
        let whole = |came: &std::collections::BTreeMap<u32, usize>| {
            let first = came.keys().next().copied().unwrap_or_default() + 1;
            (first..first + 100).all(|number| came.get(&number) == Some(&3))
        };
        while !whole(&came) {
            let packet = pair.packets.recv().await.expect("the viewer is alive");
            if packet.kind == TrackKind::Video {
                *came.entry(number(&packet)).or_default() += 1;
            }
        }
    };
    let all = timeout(PATIENCE, enough).await;
    assert!(all.is_ok(), "{came:?}");
    drop(stop);
    feed.await.expect("no panic");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cross_end_in_the_viewers_restart() {
    let mut pair = Pair::connected().await;
    for node_has_offered in [true, false] {
        pair.node.handle.command(PeerCommand::RestartIce);
        if node_has_offered {
            offered(&mut pair.node).await;
        }
        pair.viewer.handle.command(PeerCommand::RestartIce);
        let (sdp, _) = offered(&mut pair.viewer).await;
        pair.node.handle.command(answer(sdp));
        let reply = loop {
            match pair.node.event().await {
                PeerEvent::Answered { sdp } => break sdp,
                // It was under way.
                PeerEvent::Offered { .. } if !node_has_offered => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(reply.matches("typ host").count(), 1, "{reply}");
        pair.viewer.handle.command(PeerCommand::AcceptAnswer { sdp: reply });
        pair.shows_pictures().await;
    }
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_without_new_credentials_changes_nothing_and_one_that_crosses_a_restart_is_followed_by_another() {
    let mut pair = Pair::connected().await;
    let before = pair.sockets();
    let plain = pair.plain_offer();
    pair.node.handle.command(answer(plain.clone()));
    let reply = answered(&mut pair.node).await;
    assert_eq!(reply.matches("a=sendonly").count(), 2, "{reply}");
    pair.shows_pictures().await;
    assert_eq!(pair.sockets(), before);

    pair.node.handle.command(PeerCommand::RestartIce);
    offered(&mut pair.node).await;
    pair.node.handle.command(answer(plain));
    answered(&mut pair.node).await;
    pair.node.handle.command(PeerCommand::RestartIce);
    let (sdp, mids) = offered(&mut pair.node).await;
    assert_eq!(mids.len(), 2);
    pair.viewer.handle.command(answer(sdp));
    let reply = answered(&mut pair.viewer).await;
    pair.node.handle.command(PeerCommand::AcceptAnswer { sdp: reply });
    pair.shows_pictures().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_viewer_asks_for_on_top_is_refused_and_keeps_its_place() {
    let mut pair = Pair::connected().await;
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\na=mid:9\r\na=rtcp-mux\r\n\
        a=rtpmap:96 H264/90000\r\n";
    pair.node.handle.command(answer(pair.plain_offer() + video));
    let reply = answered(&mut pair.node).await;
    let refused = "m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:9\r\n";
    assert!(reply.ends_with(refused), "{reply}");
    pair.shows_pictures().await;

    pair.node.handle.command(PeerCommand::RestartIce);
    let (sdp, mids) = offered(&mut pair.node).await;
    assert!(sdp.ends_with(refused), "{sdp}");
    assert_eq!(mids.len(), 2);
    // The crate's viewer does not know of the section that was asked for in its name.
    pair.viewer.handle.command(answer(sdp.replace(refused, "")));
    let reply = answered(&mut pair.viewer).await;
    pair.node.handle.command(PeerCommand::AcceptAnswer { sdp: reply + refused });
    pair.shows_pictures().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_goes_on_with_nothing_is_declined_and_disturbs_nothing() {
    let mut pair = Pair::connected().await;
    let plain = pair.plain_offer();
    let other_fingerprint: String = plain
        .lines()
        .map(|line| match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(value) => format!("a=fingerprint:sha-256 {}\r\n", value.chars().rev().collect::<String>()),
            None => format!("{line}\r\n"),
        })
        .collect();
    for offer in [
        "nonsense".to_owned(),
        "v=0\r\n".to_owned(),
        plain.replace("m=audio 9", "m=audio 0"),
        plain.replacen("a=recvonly", "a=inactive", 1),
        plain.replace("a=mid:1", "a=mid:7"),
        plain[..plain.find("m=audio").expect("sound")].to_owned(),
        other_fingerprint,
    ] {
        pair.node.handle.command(answer(offer.clone()));
        let event = pair.node.event().await;
        assert!(matches!(event, PeerEvent::Declined { .. }), "{event:?} for\n{offer}");
    }
    pair.shows_pictures().await;
    pair.node.handle.command(PeerCommand::NetworkChanged);
    pair.shows_pictures().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_nobody_answers_counts_as_silence_and_the_next_one_mends_it() {
    let mut pair = Pair::connected().await;
    pair.node.handle.command(PeerCommand::RestartIce);
    offered(&mut pair.node).await;
    pair.node.expect(&PeerEvent::Silent).await;
    assert!(!pair.node.handle.stats().borrow().connected);
    pair.node.handle.command(PeerCommand::RestartIce);
    let (sdp, _) = offered(&mut pair.node).await;
    pair.viewer.handle.command(answer(sdp));
    let reply = loop {
        match pair.viewer.event().await {
            PeerEvent::Answered { sdp } => break sdp,
            // It has not been heard of either.
            PeerEvent::Silent => {}
            other => panic!("{other:?}"),
        }
    };
    pair.node.handle.command(PeerCommand::AcceptAnswer { sdp: reply });
    pair.node.expect(&PeerEvent::Recovered).await;
    pair.shows_pictures().await;
    pair.end().await;
}
