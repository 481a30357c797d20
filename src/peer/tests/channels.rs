//! Data channels between a node and its viewer.

use bytes::BytesMut;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::*;

/// Hands on the channels that open, and the refusals.
struct Hands {
    channels: mpsc::UnboundedSender<Channel>,
    refusals: mpsc::UnboundedSender<(String, Refused)>,
}

impl ChannelServices for Hands {
    fn opens(&self, label: &str) -> Option<Delivery> {
        match label {
            "control" => Some(Delivery::Reliable),
            "telemetry" => Some(Delivery::Fleeting),
            _ => None,
        }
    }

    fn serve(&self, channel: Channel) {
        let _ = self.channels.send(channel);
    }

    fn refused(&self, label: &str, why: Refused) {
        let _ = self.refusals.send((label.to_owned(), why));
    }
}

/// One side with the channels it gets.
struct Side {
    end: End,
    channels: mpsc::UnboundedReceiver<Channel>,
    refusals: mpsc::UnboundedReceiver<(String, Refused)>,
}

impl Side {
    fn of(start: impl FnOnce(Arc<dyn ChannelServices>, Reports) -> PeerHandle) -> Self {
        let (reports, events) = mpsc::unbounded_channel();
        let (tell, channels) = mpsc::unbounded_channel();
        let (refuse, refusals) = mpsc::unbounded_channel();
        let handle = start(Arc::new(Hands { channels: tell, refusals: refuse }), reports);
        Self { end: End { handle, events }, channels, refusals }
    }

    /// The next channel that opens, which has this label.
    async fn channel(&mut self, label: &str) -> Channel {
        let channel = timeout(PATIENCE, self.channels.recv()).await.expect("a channel in time").expect("it lives");
        assert_eq!(channel.label(), label);
        channel
    }

    /// Opens a channel that the crate alone reads, if anybody does.
    async fn raw(&self, label: &str) -> Arc<dyn DataChannel> {
        let pc = self.end.handle.connection().expect("it is connected");
        let raw = pc.create_data_channel(label, None).await.expect("it has a data section");
        let open = async {
            loop {
                if let DataChannelEvent::OnOpen = raw.poll().await.expect("it lives") {
                    return;
                }
            }
        };
        timeout(PATIENCE, open).await.expect("it opens");
        raw
    }
}

/// A node and a viewer that have these channels and nothing else.
async fn pair(labels: &[&str]) -> (Side, Side) {
    let connector = connector(&loopback());
    let camera = Camera::new();
    let feeds: Arc<dyn Feeds> = Arc::clone(&camera.feeds) as _;
    let mut node = Side::of(|services, reports| connector.publisher(key("node"), feeds, services, reports));
    let (media, _) = mpsc::channel(1);
    let mut viewer = Side::of(|services, reports| connector.viewer(key("viewer"), media, services, reports));
    let channels = labels.iter().map(|label| (*label).to_owned()).collect();
    connect(&mut node.end, &mut viewer.end, Wants { channels, ..Wants::default() }).await;
    (node, viewer)
}

async fn next(channel: &mut Channel) -> Result<Message, ChannelEnd> {
    timeout(PATIENCE, channel.next()).await.expect("a message or the end in time")
}

#[tokio::test]
async fn messages_go_both_ways_in_order_on_several_channels_whoever_opened_them() {
    let (mut node, mut viewer) = pair(&["control"]).await;
    let mut of_node = vec![node.channel("control").await];
    let mut of_viewer = vec![viewer.channel("control").await];
    assert_eq!((of_node[0].opener(), of_viewer[0].opener()), (Opener::Us, Opener::Them));
    for label in ["app:one", "app:two"] {
        viewer.end.handle.open_channel(label);
        of_node.push(node.channel(label).await);
        of_viewer.push(viewer.channel(label).await);
        assert_eq!(of_node.last().map(Channel::opener), Some(Opener::Them));
    }
    let messages: Vec<Message> = vec![
        Message::text("grüß"),
        Message::binary(vec![0, 255, 1]),
        Message::binary(vec![7; MAX_MESSAGE_BYTES]),
        Message::text("x".repeat(MAX_MESSAGE_BYTES)),
    ];
    for (ours, theirs) in of_node.iter_mut().zip(&mut of_viewer) {
        for message in &messages {
            ours.outgoing().send(message.clone()).await.expect("open");
            theirs.outgoing().send(message.clone()).await.expect("open");
        }
        for message in &messages {
            assert_eq!(next(ours).await.as_ref(), Ok(message), "{}", ours.label());
            assert_eq!(next(theirs).await.as_ref(), Ok(message), "{}", theirs.label());
        }
    }
}

#[tokio::test]
async fn what_was_said_last_is_heard_before_the_channel_ends() {
    let (mut node, mut viewer) = pair(&["control"]).await;
    let (ours, mut theirs) = (node.channel("control").await, viewer.channel("control").await);
    for n in 0..40 {
        ours.outgoing().send(Message::text(format!("{n}"))).await.expect("open");
    }
    drop(ours);
    for n in 0..40 {
        assert_eq!(next(&mut theirs).await, Ok(Message::text(format!("{n}"))));
    }
    assert_eq!(next(&mut theirs).await, Err(ChannelEnd::Closed));
    assert_eq!(theirs.outgoing().send(Message::text("late")).await, Err(Closed));
}

#[tokio::test]
async fn a_message_over_the_limit_ends_its_channel_and_no_other() {
    let (mut node, mut viewer) = pair(&["control"]).await;
    let (mut control, theirs) = (node.channel("control").await, viewer.channel("control").await);
    let raw = viewer.raw("app:loud").await;
    let mut loud = node.channel("app:loud").await;
    raw.send(BytesMut::from(&[1; MAX_MESSAGE_BYTES][..])).await.expect("open");
    assert_eq!(next(&mut loud).await.map(|message| message.data.len()), Ok(MAX_MESSAGE_BYTES));
    raw.send(BytesMut::from(&[1; MAX_MESSAGE_BYTES + 1][..])).await.expect("open");
    assert_eq!(next(&mut loud).await, Err(ChannelEnd::TooLong));
    let ended = async { while raw.poll().await.is_some_and(|event| !matches!(event, DataChannelEvent::OnClose)) {} };
    timeout(PATIENCE, ended).await.expect("the viewer sees it end");
    theirs.outgoing().send(Message::text("still there")).await.expect("open");
    assert_eq!(next(&mut control).await, Ok(Message::text("still there")));
}

#[tokio::test]
async fn a_viewer_that_does_not_read_makes_the_sender_wait() {
    let (mut node, mut viewer) = pair(&["control"]).await;
    let _control = (node.channel("control").await, viewer.channel("control").await);
    // Its reader is never asked again.
    let _raw = viewer.raw("app:sleepy").await;
    let sleepy = node.channel("app:sleepy").await;
    let mut sent = 0;
    // What fits into the crate's queue, the window, both buffers and the queue in between, and not more.
    let message = Message::binary(vec![9; MAX_MESSAGE_BYTES]);
    while timeout(Duration::from_secs(2), sleepy.outgoing().send(message.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 2_000, "there is no end to it");
    }
    assert_eq!(sleepy.outgoing().offer(message), Ok(false));
}

#[tokio::test]
async fn what_is_worth_nothing_late_is_lost_for_a_viewer_that_does_not_read_and_never_waits() {
    let (mut node, mut viewer) = pair(&["telemetry"]).await;
    let telemetry = node.channel("telemetry").await;
    let mut theirs = viewer.channel("telemetry").await;
    telemetry.outgoing().send(Message::text("first")).await.expect("open");
    assert_eq!(next(&mut theirs).await, Ok(Message::text("first")));
    viewer.end.handle.connection().expect("there").close().await.expect("closes");
    let all = async {
        for _ in 0..2_000 {
            if telemetry.outgoing().send(Message::text("x".repeat(1_000))).await.is_err() {
                return;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("nobody waits");
}

#[tokio::test]
async fn a_viewer_has_a_limited_number_of_channels() {
    let (mut node, mut viewer) = pair(&["control"]).await;
    let mut kept = vec![node.channel("control").await];
    let _control = viewer.channel("control").await;
    for n in 1..MAX_CHANNELS {
        viewer.end.handle.open_channel(format!("app:{n}"));
        kept.push(node.channel(&format!("app:{n}")).await);
    }
    viewer.end.handle.open_channel("app:more");
    let refused = timeout(PATIENCE, node.refusals.recv()).await.expect("refused in time");
    assert_eq!(refused, Some(("app:more".to_owned(), Refused::TooMany)));
    drop(kept.pop());
    // The place is free once the channel is closed.
    let again = async {
        loop {
            viewer.end.handle.open_channel("app:again");
            tokio::select! {
                channel = node.channels.recv() => return channel.map(|channel| channel.label().to_owned()),
                _ = node.refusals.recv() => {}
            }
        }
    };
    assert_eq!(timeout(PATIENCE, again).await.expect("in time").as_deref(), Some("app:again"));
}

#[tokio::test]
async fn a_session_whose_channels_are_all_the_viewers_has_a_section_for_them() {
    let (mut node, mut viewer) = pair(&["app:ptz"]).await;
    let mut again = tokio::time::interval(Duration::from_millis(200));
    let opened = async {
        loop {
            tokio::select! {
                channel = node.channels.recv() => return channel.expect("the node lives"),
                // There is nothing to wait for that tells when the crate takes it.
                _ = again.tick() => viewer.end.handle.open_channel("app:ptz"),
            }
        }
    };
    let mut ours = timeout(PATIENCE, opened).await.expect("it opens");
    let theirs = viewer.channel("app:ptz").await;
    theirs.outgoing().send(Message::text("up")).await.expect("open");
    assert_eq!(next(&mut ours).await, Ok(Message::text("up")));
    assert_eq!(theirs.opener(), Opener::Us);
}
