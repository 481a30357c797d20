//! Node and viewer against each other over real sockets on loopback.

mod addressing;
mod channels;
#[path = "../../../tests/node/coturn.rs"]
mod coturn;
mod descriptions;
mod later;
mod lifecycle;
mod media;
mod relaying;
mod talk;
mod tcp;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::clock::{media_now, now};
use super::config::Ice;
use super::*;
use crate::session::{Mids, PeerCommand, PeerEvent, SessionId, SessionKey, TrackKind, Wants};
use crate::trust::{certificates, lacking, ports};

/// Nothing awaited here takes a second when it works; a loaded machine may need more.
const PATIENCE: Duration = Duration::from_secs(20);

/// One camera with what its viewers said.
struct Camera {
    video: Arc<Fanout<Arc<VideoPackets>>>,
    audio: Arc<Fanout<EncodedAudio>>,
    heard: mpsc::UnboundedReceiver<Feedback>,
    feeds: Arc<OneCamera>,
}

struct OneCamera {
    name: CameraName,
    video: VideoFeed,
    audio: AudioFeed,
}

impl Feeds for OneCamera {
    fn video(&self, camera: &CameraName) -> Option<VideoFeed> {
        (camera == &self.name).then(|| self.video.clone())
    }

    fn audio(&self, camera: &CameraName) -> Option<AudioFeed> {
        (camera == &self.name).then(|| self.audio.clone())
    }
}

/// A picture of three packets whose bytes tell its number.
fn picture(number: u32, key: bool) -> Arc<VideoPackets> {
    let now = media_now();
    let payload = |part: u8| {
        let mut bytes = vec![0x61, part];
        bytes.extend(number.to_be_bytes());
        bytes.resize(600, part);
        Bytes::from(bytes)
    };
    let payloads: Vec<Bytes> = (0..3).map(payload).collect();
    Arc::new(VideoPackets { bytes: 1_800, payloads, key, captured: now, encoded: now, run: 3 })
}

fn front() -> CameraName {
    "front".to_owned().try_into().expect("a valid name")
}

impl Camera {
    fn new() -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let video = Arc::new(Fanout::new(30, Duration::from_secs(1)));
        let audio = Arc::new(Fanout::new(50, Duration::from_secs(1)));
        let sink = tell.clone();
        let video_feed = VideoFeed {
            // 4.0: nobody's default.
            profile_level: [0x42, 0xc0, 0x28],
            packets: Arc::clone(&video),
            feedback: Arc::new(move |feedback| {
                let _ = sink.send(feedback);
            }),
            latency: Arc::default(),
        };
        let audio_feed = AudioFeed { packets: Arc::clone(&audio), feedback: Arc::new(|_| ()) };
        let feeds = Arc::new(OneCamera { name: front(), video: video_feed, audio: audio_feed });
        Self { video, audio, heard, feeds }
    }

    fn show(&self, number: u32, key: bool) {
        self.video.publish(picture(number, key));
    }

    async fn hears(&mut self, wanted: Feedback) {
        let heard = async { while self.heard.recv().await.expect("the feed is alive") != wanted {} };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("{wanted:?} did not come"));
    }
}

fn key(peer: &str) -> SessionKey {
    SessionKey { peer: peer.parse().expect("a valid id"), session: SessionId::from_random(fastrand::u128(..)) }
}

fn loopback() -> Ice {
    Ice { bind: vec!["127.0.0.1".parse().expect("valid")], ..Ice::default() }
}

fn connector(ice: &Ice) -> Arc<Connector> {
    Arc::new(Connector::new(ice).expect("cryptography works"))
}

/// One end of a connection in a test.
struct End {
    handle: PeerHandle,
    events: mpsc::UnboundedReceiver<(SessionKey, PeerEvent)>,
}

impl End {
    /// The next event that is not about candidates.
    async fn event(&mut self) -> PeerEvent {
        loop {
            let (_, event) =
                timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the task is alive");
            if !matches!(event, PeerEvent::Candidates { .. }) {
                return event;
            }
        }
    }

    async fn expect(&mut self, wanted: &PeerEvent) {
        let event = self.event().await;
        assert_eq!(&event, wanted);
    }
}

fn publisher(connector: &Arc<Connector>, camera: &Camera, name: &str) -> End {
    let (reports, events) = mpsc::unbounded_channel();
    let feeds: Arc<dyn Feeds> = Arc::clone(&camera.feeds) as _;
    End { handle: connector.publisher(key(name), feeds, Arc::new(Deaf), reports), events }
}

fn viewer(connector: &Arc<Connector>, name: &str) -> (End, mpsc::Receiver<ReceivedPacket>) {
    let (reports, events) = mpsc::unbounded_channel();
    let (media, packets) = mpsc::channel(1_024);
    (End { handle: connector.viewer(key(name), media, Arc::new(Deaf), reports), events }, packets)
}

/// A camera that one viewer watches, its key frame already asked for.
async fn watched(connector: &Arc<Connector>) -> (Camera, End, End, mpsc::Receiver<ReceivedPacket>) {
    let mut camera = Camera::new();
    let mut node = publisher(connector, &camera, "node");
    let (mut viewer, packets) = viewer(connector, "viewer");
    connect(&mut node, &mut viewer, everything()).await;
    camera.hears(Feedback::ViewerJoined).await;
    (camera, node, viewer, packets)
}

fn everything() -> Wants {
    let channels = vec!["control".to_owned(), "telemetry".to_owned()];
    Wants { video: vec![front()], audio: vec![front()], channels, ..Wants::default() }
}

fn offer(wants: Wants) -> PeerCommand {
    PeerCommand::Offer { wants, ice_servers: Vec::new() }
}

fn answer(sdp: String) -> PeerCommand {
    PeerCommand::Answer { sdp, ice_servers: Vec::new() }
}

/// Offer and answer, until both report that they are connected.
async fn connect(node: &mut End, viewer: &mut End, wants: Wants) {
    node.handle.command(offer(wants));
    let PeerEvent::Offered { sdp, .. } = node.event().await else { panic!("no offer") };
    viewer.handle.command(answer(sdp));
    let PeerEvent::Answered { sdp } = viewer.event().await else { panic!("no answer") };
    node.handle.command(PeerCommand::AcceptAnswer { sdp });
    node.expect(&PeerEvent::Connected).await;
    viewer.expect(&PeerEvent::Connected).await;
}

async fn next_packet(packets: &mut mpsc::Receiver<ReceivedPacket>) -> ReceivedPacket {
    timeout(PATIENCE, packets.recv()).await.expect("a packet in time").expect("the viewer is alive")
}
