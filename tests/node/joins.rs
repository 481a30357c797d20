//! A hundred viewers who join within a second: each is served or told that there is no place, none is lost.

use std::sync::Arc;
use std::time::Duration;

use camera_node::config::Config;
use camera_node::node::{Node, State};
use camera_node::session::viewer::{Input, Output, Viewer, ViewerSetup};
use camera_node::session::{
    Body, CameraChoice, Empty, ErrorCode, Message, Outgoing, PeerCommand, PeerId, SessionId, TopicPrefix, Topics,
    WantsRequest,
};
use camera_node::signalling::config::Broker;
use camera_node::signalling::{BrokerUrl, Endpoint, Link, LinkEvent, LinkSetup, MqttLink, Profile, Publish};
use rumqttc::Packet;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::mosquitto::{Mosquitto, is_installed};
use crate::ports::free_ports;
use crate::recorder::{Entry, Recorder};
use crate::stage::{SMALL, Stage, alone, eventually};

const VIEWERS: usize = 100;
/// `[limits] max_viewers` of the default config.
const PLACES: usize = 16;
/// For one more answer. A `join` that nobody answers is repeated for 15.5 s; then it is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a viewer hears first.
#[derive(Debug, PartialEq)]
enum Answer {
    Offer,
    Error { code: u16, retry_after: Option<u32> },
}

/// Longer than a slow machine needs for all of them: whoever has a place keeps it until the end.
const KEPT: &str = "[limits]\nanswer_timeout_s = 120\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_joins_in_a_second_are_served_or_told_that_it_is_full() {
    let stage = Stage::start_alone(KEPT).await;
    let answers = join_all(&stage.broker_url().parse().expect("a URL")).await;
    assert_served_or_full(&answers);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_joins_in_a_second_are_all_answered_within_what_aws_iot_takes() {
    if !is_installed() {
        return;
    }
    let _alone = alone().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [port] = free_ports();
    let _broker = Mosquitto::open(folder.path(), port).await;
    // The node alone is recorded: each viewer has a connection, and so a budget, of its own.
    let recorder = Recorder::start(port).await;
    let text = format!("{SMALL}\n{KEPT}");
    let mut config = Config::from_text("stage.toml", &text, []).expect("the stage's config is good");
    let url = format!("mqtt://127.0.0.1:{}", recorder.port).parse().expect("a URL");
    config.broker = Broker { url, profile: Profile::AwsIot, ..Broker::default() };
    let node = Node::start(config).await.expect("the node starts");
    eventually("the node is at the broker", PATIENCE, || node.conditions()["broker"].state == State::Live).await;

    let answers = join_all(&BrokerUrl::plain("127.0.0.1", port)).await;
    assert_served_or_full(&answers);
    node.stop().await.expect("no thread is stuck");
    let most = most_sent_in_a_second(&recorder.seen());
    assert!(most <= 62, "{most} messages within a second");
}

fn assert_served_or_full(answers: &[Answer]) {
    let full = |answer: &Answer| matches!(answer, Answer::Error { code, retry_after: Some(1..) } if *code == ErrorCode::Busy.number());
    let offers = answers.iter().filter(|answer| **answer == Answer::Offer).count();
    let refused = answers.iter().filter(|answer| full(answer)).count();
    assert_eq!((offers, refused), (PLACES, VIEWERS - PLACES), "{answers:?}");
}

/// All connect first; then they join, one after the other, within a second. Gives what each has heard.
async fn join_all(broker: &BrokerUrl) -> Vec<Answer> {
    let ready = Arc::new(Barrier::new(VIEWERS));
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut joining = JoinSet::new();
    for n in 0..VIEWERS {
        let (broker, ready, tell) = (broker.clone(), Arc::clone(&ready), tell.clone());
        joining.spawn(async move {
            let mut joiner = Joiner::connect(n, &broker).await;
            ready.wait().await;
            sleep_until(now() + Duration::from_millis(10) * n as u32).await;
            let _ = tell.send(joiner.join().await);
            joiner.stay().await;
        });
    }
    let mut answers = Vec::new();
    while answers.len() < VIEWERS {
        match timeout(PATIENCE, told.recv()).await {
            Ok(Some(answer)) => answers.push(answer),
            _ => panic!("{} of {VIEWERS} were answered", answers.len()),
        }
    }
    answers
}

/// The viewer's own core at a broker, without a connection for pictures: it joins, and never answers an offer.
struct Joiner {
    core: Viewer,
    link: MqttLink,
    /// From it to the node.
    topic: String,
    begun: Instant,
    /// The latest message that has a number.
    unacknowledged: Option<(SessionId, u32)>,
}

impl Joiner {
    async fn connect(n: usize, broker: &BrokerUrl) -> Self {
        let topics = Topics::new(&TopicPrefix::default(), &"stage".parse().expect("a node id"));
        let peer: PeerId = format!("viewer-{n}").parse().expect("a peer id");
        let endpoint = Endpoint::from_config(&Broker { url: broker.clone(), ..Broker::default() });
        let setup = LinkSetup {
            client_id: peer.to_string(),
            subscriptions: topics.peer_subscriptions(&peer),
            ..LinkSetup::default()
        };
        let mut link = MqttLink::start(endpoint.expect("no files are needed"), setup, n as u64);
        let up = timeout(PATIENCE, link.next()).await.expect("in time");
        assert_eq!(up, Some(LinkEvent::Up { conn: 1 }), "viewer {n}");
        let mut bits = n as u64;
        let entropy = Box::new(move || {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bits
        });
        let wants = WantsRequest { video: CameraChoice::All, audio: CameraChoice::All, ..WantsRequest::default() };
        let topic = topics.to_node(&peer);
        let core = Viewer::new(ViewerSetup { topics, peer, wants, token: None, entropy });
        Self { core, link, topic, begun: now(), unacknowledged: None }
    }

    /// Until the first answer to a `join`.
    async fn join(&mut self) -> Answer {
        self.core.handle(Input::LinkUp, self.begun.elapsed());
        loop {
            if self.perform() {
                return Answer::Offer;
            }
            let due = self.core.poll_timeout().map_or(self.begun + PATIENCE, |due| self.begun + due);
            tokio::select! {
                event = self.link.next() => match event.expect("the link lasts") {
                    LinkEvent::Message { topic, payload, retained } => {
                        let message = self.hear(&payload);
                        self.core.handle(Input::Message { topic, payload, retained }, self.begun.elapsed());
                        if let Body::Error(failure) = message.body {
                            return Answer::Error { code: failure.code, retry_after: failure.retry_after };
                        }
                    }
                    other => panic!("{other:?}"),
                },
                () = sleep_until(due) => self.core.handle_timeout(self.begun.elapsed()),
            }
        }
    }

    /// Keeps the place: acknowledges what has come and whatever comes, and says nothing else.
    async fn stay(mut self) {
        loop {
            if let Some((session, seq)) = self.unacknowledged.take() {
                let ack = Some(seq);
                let message = Message { session: Some(session), seq: None, ack, re: None, body: Body::Ack(Empty {}) };
                let message = Publish { topic: self.topic.clone(), payload: message.to_bytes(), retain: false };
                self.link.publish(message).expect("up");
            }
            let Some(event) = self.link.next().await else { return };
            if let LinkEvent::Message { payload, .. } = event {
                self.hear(&payload);
            }
        }
    }

    fn hear(&mut self, payload: &[u8]) -> Message {
        let message = Message::read(payload).expect("a message of the node");
        self.unacknowledged = message.session.clone().zip(message.seq).or(self.unacknowledged.take());
        message
    }

    /// Says what the core says; whether an offer is to be answered.
    fn perform(&mut self) -> bool {
        let mut is_offered = false;
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Publish(Outgoing { topic, payload, retain }) => {
                    self.link.publish(Publish { topic, payload, retain }).expect("up");
                }
                Output::Peer(_, PeerCommand::Answer { .. }) => is_offered = true,
                _ => {}
            }
        }
        is_offered
    }
}

/// The most that the node sent within a second. What comes in beside it is counted too, but by a node that may be late to read
/// it on a busy machine: that sum is held in virtual time (`node::storm_tests`).
fn most_sent_in_a_second(seen: &[Entry]) -> usize {
    let is_sent = |entry: &&Entry| entry.from_client && matches!(entry.packet, Packet::Publish(_));
    let sent: Vec<Instant> = seen.iter().filter(is_sent).map(|entry| entry.at).collect();
    let within =
        |from: &Instant| sent.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(*at)).count();
    sent.iter().map(within).max().unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is asked")]
fn now() -> Instant {
    Instant::now()
}
