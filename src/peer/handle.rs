//! The two sides of a connection's task: the handle its owner holds, and the desk it works at.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;
use webrtc::peer_connection::PeerConnection;

use super::link::Failure;
use super::stats::{Counters, PeerStats};
use super::watch::Watch;
use crate::fanout::Fanout;
use crate::media::EncodedAudio;
use crate::session::{FailedStep, PeerCommand, PeerEvent, SessionKey};

/// Where a connection reports to.
pub type Reports = mpsc::UnboundedSender<(SessionKey, PeerEvent)>;

/// Closing in good order takes the crate a tenth of a second at most.
const GOODBYE: Duration = Duration::from_millis(300);
/// A task that needs longer to end is abandoned.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What a connection's task is asked.
pub(super) enum Order {
    Command(PeerCommand),
    RequestKeyFrame,
    OpenChannel(String),
    Speak(Arc<Fanout<EncodedAudio>>),
}

/// A connection's side of its handle.
pub(super) struct Desk {
    pub key: SessionKey,
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub counters: Counters,
    reports: Reports,
    stats: watch::Sender<PeerStats>,
    open: Open,
}

/// The crate's connection, kept where it can be closed even if the task panics: one that is only dropped goes on.
type Open = Arc<Mutex<Option<(Arc<dyn PeerConnection>, Arc<Watch>)>>>;

impl Desk {
    pub(super) fn report(&self, event: PeerEvent) {
        // Whoever listened may have gone; then the handle goes too, and ends this task.
        let _ = self.reports.send((self.key.clone(), event));
    }

    pub(super) fn fail(&self, failure: Failure) {
        let Failure { step, message } = failure;
        match step {
            // Made by the viewer, as fast as it can send descriptions; the desk sums them up.
            FailedStep::RemoteDescription | FailedStep::NoCommonCodec => {
                tracing::debug!(?step, message, "connection failed");
            }
            _ => tracing::info!(?step, message, "connection failed"),
        }
        self.report(PeerEvent::Failed { step, message });
    }

    /// What [`Desk::publish_stats`] publishes.
    pub(super) fn stats(&self) -> watch::Receiver<PeerStats> {
        self.stats.subscribe()
    }

    pub(super) fn publish_stats(&self) {
        self.stats.send_replace(self.counters.snapshot());
    }

    /// Remembers what to close at the end.
    pub(super) fn keep(&self, pc: Arc<dyn PeerConnection>, watch: Arc<Watch>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((pc, watch));
    }
}

/// Says goodbye and frees sockets and tasks.
async fn close(pc: Arc<dyn PeerConnection>, watch: &Watch) {
    // The crate waits without limit for room in the driver's queue, which a driver that is stuck never makes.
    match tokio::time::timeout(GOODBYE, pc.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not close in good order"),
        Err(_) => tracing::warn!("a connection was stuck and is ended without a goodbye"),
    }
    watch.abort_driver();
}

/// A running connection. Dropping it closes the connection.
pub struct PeerHandle {
    orders: mpsc::UnboundedSender<Order>,
    stats: watch::Receiver<PeerStats>,
    task: JoinHandle<()>,
    #[cfg(test)]
    open: Open,
}

impl PeerHandle {
    /// Starts the task that `run` makes of its desk.
    pub(super) fn spawn<F, R>(tasks: &Handle, key: SessionKey, reports: Reports, span: tracing::Span, run: F) -> Self
    where
        F: FnOnce(Desk) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let (orders, orders_rx) = mpsc::unbounded_channel();
        let (stats_tx, stats) = watch::channel(PeerStats::default());
        let open = Open::default();
        #[cfg(test)]
        let seen = Arc::clone(&open);
        let last_words = (key.clone(), reports.clone());
        let desk = Desk {
            key,
            orders: orders_rx,
            counters: Counters::default(),
            reports,
            stats: stats_tx,
            open: Arc::clone(&open),
        };
        let task = tasks.spawn(
            async move {
                let ended = AssertUnwindSafe(async move { run(desk).await }).catch_unwind().await;
                let left = open.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((pc, watch)) = left {
                    close(pc, &watch).await;
                }
                if ended.is_err() {
                    tracing::error!("a connection's task panicked");
                    let (key, reports) = last_words;
                    let message = "internal error".to_owned();
                    let _ = reports.send((key, PeerEvent::Failed { step: FailedStep::Internal, message }));
                }
            }
            .instrument(span),
        );
        Self {
            orders,
            stats,
            task,
            #[cfg(test)]
            open: seen,
        }
    }

    /// What passes its sockets, once it has some.
    #[cfg(test)]
    pub(super) fn watch(&self) -> Option<Arc<Watch>> {
        self.open.lock().expect("not poisoned").as_ref().map(|(_, watch)| Arc::clone(watch))
    }

    /// The crate's connection, once there is one.
    #[cfg(test)]
    pub(super) fn connection(&self) -> Option<Arc<dyn PeerConnection>> {
        self.open.lock().expect("not poisoned").as_ref().map(|(pc, _)| Arc::clone(pc))
    }

    /// Tells the connection; commands are carried out in order. One that has ended ignores them.
    pub fn command(&self, command: PeerCommand) {
        let _ = self.orders.send(Order::Command(command));
    }

    /// Viewer: asks the other side for a key frame (PLI).
    pub fn request_key_frame(&self) {
        let _ = self.orders.send(Order::RequestKeyFrame);
    }

    /// Viewer: opens a data channel, reliable and in order, in a session that has any. One that is asked for in the moment
    /// between the connection and its first channel never opens: the crate forgets it.
    pub fn open_channel(&self, label: impl Into<String>) {
        let _ = self.orders.send(Order::OpenChannel(label.into()));
    }

    /// Viewer: says this to the node; to be told before the node's first offer.
    pub fn speak(&self, sound: Arc<Fanout<EncodedAudio>>) {
        let _ = self.orders.send(Order::Speak(sound));
    }

    /// Its numbers, twice a second.
    pub fn stats(&self) -> watch::Receiver<PeerStats> {
        self.stats.clone()
    }

    /// Closes it and waits until its sockets and tasks are free, 2 s at most.
    pub async fn closed(self) {
        let Self { orders, mut task, .. } = self;
        drop(orders);
        if tokio::time::timeout(CLOSE_LIMIT, &mut task).await.is_err() {
            tracing::warn!("a connection did not close in time and is abandoned");
            task.abort();
        }
    }
}
