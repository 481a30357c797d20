//! Carries the messages of one channel between the crate and the channel's service.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::{ChannelEnd, Delivery, Ends, MAX_MESSAGE_BYTES, Message, Outward};

/// What may lie in the crate's buffer for a viewer, a channel: a tenth of a second at 20 Mbit/s.
pub(crate) const SEND_BUFFER: usize = 262_144;

/// Of what is worth nothing late so much may lie there: two messages of telemetry.
const FLEETING_BUFFER: usize = 4_096;

/// How long each side is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A viewer that is silent is kept for so long as well.
    read_within: Duration,
    /// A service that takes nothing for so long stands in the way of all other channels.
    served_within: Duration,
    /// The crate's buffer is empty within this time, or the viewer is not there.
    flushed_within: Duration,
}

impl Patience {
    /// What the protocol says.
    pub(super) const USUAL: Self = Self {
        read_within: Duration::from_secs(30),
        served_within: Duration::from_secs(5),
        flushed_within: Duration::from_secs(2),
    };
}

const FLUSH_LOOK: Duration = Duration::from_millis(20);

/// Waits until the channel is open; false if it never will be.
pub(super) async fn opened(raw: &dyn DataChannel) -> bool {
    loop {
        match raw.poll().await {
            Some(DataChannelEvent::OnOpen) => return true,
            Some(DataChannelEvent::OnClose) | None => return false,
            Some(_) => {}
        }
    }
}

/// What is needed of an open channel. The crate's own trait is sealed: no test could have one that does not read.
pub(super) trait Wire: Send + Sync {
    /// The viewer's next message, of any length; `None` once it is closed.
    fn next(&self) -> impl Future<Output = Option<Message>> + Send;

    /// Waits for room in the buffer; whether the message could be sent.
    fn send(&self, message: Message) -> impl Future<Output = bool> + Send;

    /// Bytes that the viewer has not acknowledged.
    fn outstanding(&self) -> impl Future<Output = usize> + Send;

    /// Closes it.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// The crate's channel.
pub(super) struct Raw(pub(super) Arc<dyn DataChannel>);

impl Wire for Raw {
    async fn next(&self) -> Option<Message> {
        loop {
            match self.0.poll().await? {
                DataChannelEvent::OnMessage(message) => {
                    return Some(Message { text: message.is_string, data: message.data.freeze() });
                }
                DataChannelEvent::OnClose => return None,
                _ => {}
            }
        }
    }

    async fn send(&self, message: Message) -> bool {
        let sent = match std::str::from_utf8(&message.data) {
            Ok(text) if message.text => self.0.send_text(text).await,
            _ => self.0.send(BytesMut::from(message.data)).await,
        };
        sent.inspect_err(|error| tracing::debug!(%error, "a channel takes nothing more")).is_ok()
    }

    async fn outstanding(&self) -> usize {
        self.0.outstanding_bytes().await.unwrap_or(0)
    }

    async fn close(&self) {
        close(self.0.as_ref()).await;
    }
}

/// Carries messages both ways until one side has enough, then closes the channel.
pub(super) async fn carry(raw: impl Wire, delivery: Delivery, ends: Ends, patience: Patience) {
    let Ends { to_service, mut from_service, end } = ends;
    let inward = async {
        while let Some(message) = raw.next().await {
            if message.data.len() > MAX_MESSAGE_BYTES {
                return ChannelEnd::TooLong;
            }
            match timeout(patience.served_within, to_service.send(message)).await {
                Ok(Ok(())) => {}
                // The service listens no more, but may still have something to say.
                Ok(Err(_)) => {}
                Err(_) => return ChannelEnd::NotServed,
            }
        }
        ChannelEnd::Closed
    };
    let outward = async {
        while let Some(outward) = from_service.recv().await {
            let message = match outward {
                Outward::Say(message) => message,
                Outward::Tell(tell) => {
                    flushed(&raw, patience.flushed_within).await;
                    // Nobody may wait for it any more.
                    let _ = tell.send(());
                    continue;
                }
            };
            if delivery == Delivery::Fleeting && raw.outstanding().await > FLEETING_BUFFER {
                continue;
            }
            match timeout(patience.read_within, send(&raw, message)).await {
                Ok(true) => {}
                Ok(false) => return Some(ChannelEnd::Closed),
                Err(_) => return Some(ChannelEnd::NotRead),
            }
        }
        None
    };
    let why = tokio::select! {
        why = inward => Some(why),
        why = outward => why,
    };
    if let Some(why) = why {
        // Told before the queues end, so that whoever sees them end finds it.
        let _ = end.set(why);
    }
    // Whoever hears that nothing more comes finds that nothing more can be said.
    drop(from_service);
    drop(to_service);
    if why.is_none() {
        flushed(&raw, patience.flushed_within).await;
    }
    raw.close().await;
}

/// Whether it could be sent; waits for room in the crate's buffer.
async fn send(raw: &impl Wire, message: Message) -> bool {
    if message.data.len() > MAX_MESSAGE_BYTES {
        tracing::error!(
            bytes = message.data.len(),
            "a message to a viewer is too long: this is a defect, please report it"
        );
        return true;
    }
    raw.send(message).await
}

/// What was sent last goes out before the channel is reset.
async fn flushed(raw: &impl Wire, within: Duration) {
    let empty = async {
        while raw.outstanding().await > 0 {
            tokio::time::sleep(FLUSH_LOOK).await;
        }
    };
    // One that is not read is closed all the same.
    let _ = timeout(within, empty).await;
}

pub(super) async fn close(raw: &dyn DataChannel) {
    if let Err(error) = raw.close().await {
        tracing::debug!(%error, "a channel did not close");
    }
}

/// Reads a channel nobody listens to: one that is not read stops all channels of its connection.
pub(super) async fn drain(raw: Arc<dyn DataChannel>) {
    while raw.poll().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::{Semaphore, mpsc, oneshot, watch};

    use super::super::{Channel, Opener, QUEUE, channel};
    use super::*;
    use crate::peer::stats::PeerStats;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(3_600);
    const PATIENT: Patience = Patience { read_within: LONG, served_within: LONG, flushed_within: LONG };
    /// What comes surely is waited for so long.
    const SOON: Duration = Duration::from_secs(60);

    /// A viewer's end that says what it is told to, has room for as much as it is given, and acknowledges nothing.
    struct Scripted {
        says: tokio::sync::Mutex<mpsc::UnboundedReceiver<Message>>,
        room: Arc<Semaphore>,
        sent: Arc<Mutex<usize>>,
        closed: Mutex<Option<oneshot::Sender<()>>>,
    }

    /// The test's hold of it.
    struct Viewer {
        say: mpsc::UnboundedSender<Message>,
        room: Arc<Semaphore>,
        sent: Arc<Mutex<usize>>,
        closed: oneshot::Receiver<()>,
    }

    impl Wire for Scripted {
        async fn next(&self) -> Option<Message> {
            self.says.lock().await.recv().await
        }

        async fn send(&self, message: Message) -> bool {
            self.room.acquire().await.expect("never closed").forget();
            *self.sent.lock().expect("not poisoned") += message.data.len();
            true
        }

        async fn outstanding(&self) -> usize {
            *self.sent.lock().expect("not poisoned")
        }

        async fn close(&self) {
            let closed = self.closed.lock().expect("not poisoned").take().expect("closed once");
            closed.send(()).expect("the test waits for it");
        }
    }

    /// A channel that is carried, between its service and a viewer.
    fn carried(delivery: Delivery, patience: Patience) -> (Channel, Viewer) {
        let (say, says) = mpsc::unbounded_channel();
        let (room, sent) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(0)));
        let (close, closed) = oneshot::channel();
        let (_, stats) = watch::channel(PeerStats::default());
        let (ours, ends) = channel("app:ptz".to_owned(), Opener::Them, stats);
        let closing = Mutex::new(Some(close));
        let wire = Scripted { says: says.into(), room: Arc::clone(&room), sent: Arc::clone(&sent), closed: closing };
        tokio::spawn(carry(wire, delivery, ends, patience));
        (ours, Viewer { say, room, sent, closed })
    }

    impl Viewer {
        async fn sees_it_close(self) {
            timeout(SOON, self.closed).await.expect("it is closed").expect("the pump lives");
        }
    }

    fn word() -> Message {
        Message::text("left")
    }

    #[test]
    fn the_times_are_those_of_the_protocol() {
        let text = include_str!("../../session/PROTOCOL.md");
        let Patience { read_within, served_within, .. } = Patience::USUAL;
        assert!(text.contains(&format!("not read for {} s", read_within.as_secs())));
        assert!(text.contains(&format!("for {} s is closed too", served_within.as_secs())));
    }

    #[tokio::test]
    async fn a_service_that_takes_nothing_for_too_long_loses_the_channel_and_finds_out_why() {
        let (mut ours, viewer) = carried(Delivery::Reliable, Patience { served_within: SHORT, ..PATIENT });
        // The queue takes some; the next one waits in vain, and those behind it are not even looked at.
        for _ in 0..QUEUE + 5 {
            viewer.say.send(word()).expect("it is heard");
        }
        viewer.sees_it_close().await;
        for _ in 0..QUEUE {
            assert_eq!(ours.next().await, Ok(word()));
        }
        assert_eq!(ours.next().await, Err(ChannelEnd::NotServed));
        assert!(ours.outgoing().send(word()).await.is_err());
    }

    #[tokio::test]
    async fn a_viewer_that_reads_nothing_for_too_long_loses_the_channel() {
        let (mut ours, viewer) = carried(Delivery::Reliable, Patience { read_within: SHORT, ..PATIENT });
        viewer.room.add_permits(3);
        for _ in 0..5 {
            ours.outgoing().send(word()).await.expect("there is room in the queue");
        }
        let sent = Arc::clone(&viewer.sent);
        viewer.sees_it_close().await;
        assert_eq!(*sent.lock().expect("not poisoned"), 3 * word().data.len(), "what it had room for");
        assert_eq!(ours.next().await, Err(ChannelEnd::NotRead));
        assert!(ours.outgoing().send(word()).await.is_err());
    }

    #[tokio::test]
    async fn whoever_takes_at_once_what_comes_is_never_too_late() {
        let impatient = Patience { read_within: Duration::ZERO, served_within: Duration::ZERO, ..PATIENT };
        let (mut ours, viewer) = carried(Delivery::Reliable, impatient);
        viewer.room.add_permits(100);
        for _ in 0..100 {
            viewer.say.send(word()).expect("it is heard");
            assert_eq!(timeout(SOON, ours.next()).await.expect("it comes"), Ok(word()));
            ours.outgoing().send(word()).await.expect("open");
        }
    }

    #[tokio::test]
    async fn what_is_worth_nothing_late_is_left_out_where_it_is_not_acknowledged() {
        let (ours, viewer) = carried(Delivery::Fleeting, Patience { flushed_within: SHORT, ..PATIENT });
        viewer.room.add_permits(100);
        for _ in 0..100 {
            ours.outgoing().send(Message::binary(vec![0; 1_024])).await.expect("open");
        }
        drop(ours);
        let sent = Arc::clone(&viewer.sent);
        viewer.sees_it_close().await;
        assert_eq!(*sent.lock().expect("not poisoned"), FLEETING_BUFFER + 1_024);
    }

    #[tokio::test]
    async fn whoever_waits_until_the_viewer_has_it_all_waits_for_its_acknowledgement() {
        let (ours, viewer) = carried(Delivery::Reliable, PATIENT);
        ours.outgoing().send(word()).await.expect("open");
        let mut flushed = std::pin::pin!(ours.outgoing().flushed());
        // Not even with the crate yet, then with the crate, then acknowledged.
        assert!(timeout(SHORT, &mut flushed).await.is_err());
        viewer.room.add_permits(1);
        assert!(timeout(SHORT, &mut flushed).await.is_err());
        *viewer.sent.lock().expect("not poisoned") = 0;
        timeout(SOON, flushed).await.expect("it is there");
        let Viewer { say, closed, .. } = viewer;
        drop(say);
        timeout(SOON, ours.outgoing().flushed()).await.expect("nobody is there any more");
        timeout(SOON, closed).await.expect("it is closed").expect("the pump lives");
    }

    #[tokio::test]
    async fn what_was_said_last_is_not_waited_for_for_ever() {
        let (ours, viewer) = carried(Delivery::Reliable, Patience { flushed_within: SHORT, ..PATIENT });
        viewer.room.add_permits(1);
        ours.outgoing().send(word()).await.expect("open");
        drop(ours);
        viewer.sees_it_close().await;
    }
}
