//! A viewer who talks.

use super::*;
use crate::media::{MediaTime, SpokenPacket};
use crate::peer::Ear;
use crate::session::Mid;

/// A camera that has an ear.
struct Listening {
    camera: Arc<OneCamera>,
    ear: Ear,
}

impl Feeds for Listening {
    fn video(&self, camera: &CameraName) -> Option<VideoFeed> {
        self.camera.video(camera)
    }

    fn audio(&self, camera: &CameraName) -> Option<AudioFeed> {
        self.camera.audio(camera)
    }

    fn ear(&self, camera: &CameraName) -> Option<Ear> {
        (*camera == self.camera.name).then(|| Arc::clone(&self.ear))
    }
}

fn listening(connector: &Arc<Connector>, camera: &Camera) -> (End, mpsc::UnboundedReceiver<SpokenPacket>) {
    let (hear, heard) = mpsc::unbounded_channel();
    let (reports, events) = mpsc::unbounded_channel();
    let ear: Ear = Arc::new(move |packet| {
        let _ = hear.send(packet);
    });
    let feeds = Arc::new(Listening { camera: Arc::clone(&camera.feeds), ear });
    (End { handle: connector.publisher(key("node"), feeds, Arc::new(Deaf), reports), events }, heard)
}

/// The direction of a description's only audio section.
fn direction(sdp: &str) -> &str {
    let audio = sdp.split("m=audio ").nth(1).expect("an audio section");
    let audio = audio.split("\r\nm=").next().expect("its lines");
    let is_one = |line: &&str| matches!(*line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
    audio.lines().find(is_one).expect("a direction")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_heard_in_the_section_of_the_cameras_sound_or_in_one_of_its_own() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let sound_too = Wants { talk: vec![front()], ..everything() };
    let talk_alone = Wants { talk: vec![front()], ..Wants::default() };
    for (wants, ours, theirs) in [(sound_too, "a=sendrecv", "a=sendrecv"), (talk_alone, "a=recvonly", "a=sendonly")] {
        let (mut node, mut heard) = listening(&connector, &camera);
        let (mut viewer, _packets) = viewer(&connector, "viewer");
        let microphone = Arc::new(Fanout::new(50, Duration::from_secs(1)));
        viewer.handle.speak(Arc::clone(&microphone));

        node.handle.command(offer(wants));
        let PeerEvent::Offered { sdp, mids } = node.event().await else { panic!("no offer") };
        assert_eq!(direction(&sdp), ours, "{sdp}");
        assert!(sdp.contains("minptime=10;useinbandfec=1"), "{sdp}");
        let talks: Vec<_> = mids.values().filter(|mid| mid.talk).collect();
        assert!(matches!(talks[..], [Mid { kind: TrackKind::Audio, .. }]), "{mids:?}");
        viewer.handle.command(answer(sdp));
        let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
        assert_eq!(direction(&sdp), theirs, "{sdp}");
        node.handle.command(PeerCommand::AcceptAnswer { sdp });
        node.expect(&PeerEvent::Connected).await;
        viewer.expect(&PeerEvent::Connected).await;

        // Said until it is heard: what comes before the node's keys are there is lost.
        let say = async {
            for number in 0_u32.. {
                let captured = MediaTime::from_nanos(u64::from(number) * 20_000_000);
                microphone.publish(EncodedAudio { data: Bytes::from(vec![15 << 3, number as u8]), captured });
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let hear = async {
            let first = heard.recv().await.expect("the node is alive");
            (first, heard.recv().await.expect("the node is alive"))
        };
        let (first, second) = tokio::select! {
            () = say => panic!("never heard"),
            heard = timeout(PATIENCE, hear) => heard.expect("heard in time"),
        };
        assert_eq!((first.payload[0], first.ssrc), (15 << 3, second.ssrc));
        assert_eq!(second.sequence, first.sequence.wrapping_add(1));
        assert_eq!(second.rtp_time.wrapping_sub(first.rtp_time), 960);
        assert!(second.arrived >= first.arrived);
        node.handle.closed().await;
        viewer.handle.closed().await;
    }
}

#[tokio::test]
async fn who_does_not_want_to_talk_is_not_heard_and_a_camera_without_an_ear_says_so() {
    let camera = Camera::new();
    let connector = connector(&loopback());
    let (mut listening, _heard) = listening(&connector, &camera);
    let mut deaf = publisher(&connector, &camera, "deaf");
    let talk = Wants { talk: vec![front()], ..everything() };
    for (node, wants) in [(&mut listening, everything()), (&mut deaf, talk)] {
        node.handle.command(offer(wants));
        let PeerEvent::Offered { sdp, mids } = node.event().await else { panic!("no offer") };
        assert_eq!(direction(&sdp), "a=sendonly");
        assert!(mids.values().all(|mid| !mid.talk), "{mids:?}");
    }
}
