//! Offers, answers, and what is wrong with some.

use super::*;
use crate::session::{Candidate, FailedStep};

async fn offered(connector: &Arc<Connector>, camera: &Camera, wants: Wants) -> (End, String, Mids) {
    let mut node = publisher(connector, camera, "node");
    node.handle.command(offer(wants));
    let PeerEvent::Offered { sdp, mids } = node.event().await else { panic!("no offer") };
    (node, sdp, mids)
}

#[tokio::test]
async fn an_offer_says_what_is_sent_and_where_from() {
    let camera = Camera::new();
    let (_node, sdp, mids) = offered(&connector(&loopback()), &camera, everything()).await;
    let kinds: Vec<(&str, TrackKind)> = mids.iter().map(|(mid, track)| (mid.as_str(), track.kind)).collect();
    assert_eq!(kinds, [("0", TrackKind::Video), ("1", TrackKind::Audio)]);
    assert!(mids.values().all(|track| track.camera == front()));

    let has = |line: &str| assert!(sdp.lines().any(|l| l == line), "no {line} in\n{sdp}");
    has("m=video 9 UDP/TLS/RTP/SAVPF 96 97");
    has("a=rtpmap:96 H264/90000");
    has("a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e028");
    for feedback in ["nack", "nack pli", "ccm fir"] {
        has(&format!("a=rtcp-fb:96 {feedback}"));
    }
    has("a=rtpmap:97 rtx/90000");
    has("a=fmtp:97 apt=96");
    has("a=rtpmap:111 opus/48000/2");
    has("a=fmtp:111 minptime=10;useinbandfec=1");
    assert_eq!(sdp.matches("a=sendonly").count(), 2);
    assert_eq!(sdp.matches("m=application").count(), 1);
    assert!(sdp.contains("a=msid:front front-video") && sdp.contains("a=msid:front front-audio"));
    let cnames: Vec<&str> = sdp.lines().filter_map(|line| line.split_once(" cname:")).map(|(_, name)| name).collect();
    assert!(cnames.len() >= 2 && cnames.iter().all(|name| *name == "front"), "one name for both: {cnames:?}");
    let hosts: Vec<&str> = sdp.lines().filter(|line| line.starts_with("a=candidate")).collect();
    assert_eq!(hosts.len(), 1, "the host candidate stands in the offer, once: {hosts:?}");
    assert!(hosts[0].contains(" 127.0.0.1 ") && hosts[0].ends_with("typ host"), "{hosts:?}");
}

#[tokio::test]
async fn the_end_of_candidates_follows_the_offer() {
    let camera = Camera::new();
    let mut node = publisher(&connector(&loopback()), &camera, "node");
    node.handle.command(offer(everything()));
    let offered = timeout(PATIENCE, node.events.recv()).await.expect("in time").expect("alive").1;
    assert!(matches!(offered, PeerEvent::Offered { .. }));
    let end = timeout(PATIENCE, node.events.recv()).await.expect("in time").expect("alive").1;
    assert_eq!(end, PeerEvent::Candidates { candidates: Vec::new(), complete: true });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_channels_alone_connects_and_its_end_is_noticed() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, _packets) = viewer(&connector, "viewer");
    let wants = Wants { channels: vec!["control".to_owned()], ..Wants::default() };
    connect(&mut node, &mut viewer, wants).await;
    viewer.handle.closed().await;
    node.expect(&PeerEvent::ClosedByPeer).await;
}

#[tokio::test]
async fn what_cannot_be_offered_fails_at_the_offer() {
    let camera = Camera::new();
    let nobody: CameraName = "attic".to_owned().try_into().expect("a valid name");
    for wants in [Wants::default(), Wants { video: vec![nobody], ..Wants::default() }] {
        let mut node = publisher(&connector(&loopback()), &camera, "node");
        node.handle.command(offer(wants));
        let event = node.event().await;
        assert!(matches!(event, PeerEvent::Failed { step: FailedStep::Offer, .. }), "{event:?}");
    }
}

#[tokio::test]
async fn broken_answers_and_offers_fail_at_the_step_they_break() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let (_node, good, _) = offered(&connector, &camera, everything()).await;
    let no_fingerprint: String =
        good.lines().filter(|l| !l.contains("fingerprint")).map(|l| format!("{l}\r\n")).collect();
    let cut = good[..good.len() / 2].to_owned();
    for broken in ["", "v=0", "nonsense\r\n", "v=0\r\nm=video\r\n", no_fingerprint.as_str(), cut.as_str()] {
        let (mut node, _, _) = offered(&connector, &camera, everything()).await;
        node.handle.command(PeerCommand::AcceptAnswer { sdp: broken.to_owned() });
        let event = node.event().await;
        assert!(
            matches!(event, PeerEvent::Failed { step: FailedStep::RemoteDescription, .. }),
            "{broken:?}: {event:?}"
        );
        if broken == cut {
            // As an offer it is one of fewer sections, and in order.
            continue;
        }
        let (mut viewer, _packets) = viewer(&connector, "viewer");
        viewer.handle.command(answer(broken.to_owned()));
        let event = viewer.event().await;
        assert!(
            matches!(event, PeerEvent::Failed { step: FailedStep::RemoteDescription, .. }),
            "{broken:?}: {event:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_nothing_has_no_common_codec() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let mut node = publisher(&connector, &camera, "node");
    let (mut viewer, _packets) = viewer(&connector, "viewer");
    node.handle.command(offer(Wants { video: vec![front()], ..Wants::default() }));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    viewer.handle.command(answer(sdp.replace("H264/90000", "VP8/90000")));
    let event = viewer.event().await;
    assert!(matches!(event, PeerEvent::Failed { step: FailedStep::NoCommonCodec, .. }), "{event:?}");
}

/// Descriptions and candidates with bytes changed, doubled and left out: none may panic or hang the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_descriptions_and_candidates_never_panic() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let (mut node, good, _) = offered(&connector, &camera, everything()).await;
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..150 {
        let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
        for _ in 0..random.usize(1..5) {
            let at = random.usize(..lines.len());
            match random.u8(..5) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => {
                    let len = random.usize(..=lines[at].len());
                    lines[at].truncate(len);
                }
                3 => lines[at] = lines[at].replace(|c: char| c.is_ascii_digit(), "99999999999"),
                _ => lines[at].push_str("\u{0}\u{fffd} :=;"),
            }
        }
        let damaged: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let (mut viewer, _packets) = viewer(&connector, "viewer");
        viewer.handle.command(answer(damaged.clone()));
        let event = viewer.event().await;
        let internal = matches!(&event, PeerEvent::Failed { step: FailedStep::Internal, .. });
        assert!(!internal, "round {round}: {event:?} for\n{damaged}");
    }
    let candidates =
        ["", "candidate:", "candidate:1 1 udp 1 x 1 typ host", "candidate:1 1 udp 99999999999 1.2.3.4 99999 typ host"];
    let candidates = candidates.iter().map(|candidate| Candidate {
        candidate: (*candidate).to_owned(),
        sdp_mid: None,
        sdp_m_line_index: Some(u16::MAX),
        username_fragment: None,
    });
    let candidates = PeerCommand::AddCandidates { candidates: candidates.collect(), complete: true };
    let (mut viewer, _packets) = viewer(&connector, "viewer");
    viewer.handle.command(answer(good));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("the undamaged one is answered") };
    node.handle.command(candidates.clone());
    node.handle.command(PeerCommand::AcceptAnswer { sdp });
    node.handle.command(candidates.clone());
    viewer.handle.command(candidates);
    node.expect(&PeerEvent::Connected).await;
}
