//! The shell around the session core: waits for the broker, the connections, the cameras and the clock, gives what
//! happened to the core, and does what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::access::Scopes;
use crate::config::Config;
use crate::peer::{Connector, PeerHandle, Reports, Troubles};
use crate::session::node::{self as core, Input, Output};
use crate::session::{Event, Outgoing, PeerCommand, PeerEvent, SessionKey, Step};
use crate::signalling::{LinkEvent, Publish};
use crate::sys;

use super::access::AccessFiles;
use super::channels::Services;
use super::clock::now;
use super::doorbell::Bells;
use super::feeds::Cameras;
use super::journal::Journal;
use super::line::{Caller, Line};
use super::metrics::Metrics;
use super::photographer::Question;
use super::renewal::Renewal;
use super::snapshots::{self, Taken};
use super::standing::Standing;
use super::state::{Board, State};

/// How long viewers have to acknowledge our `leave` when the node stops; with what the link and the threads take after
/// that, a stop stays under 3 s.
const FAREWELL: Duration = Duration::from_millis(700);

/// How often the wall clock and the files of `[access]` are looked at: what was revoked ends within this time.
const ACCESS_INTERVAL: Duration = Duration::from_secs(5);

/// How often each viewer's bit rate is taken, and the log gets the sum of what is not worth a line.
const BITRATE_INTERVAL: Duration = Duration::from_secs(1);

/// What the desk works with.
pub struct Desk {
    /// The protocol's node side.
    pub core: core::Node,
    /// The way to the broker.
    pub line: Line,
    /// Makes another one.
    pub caller: Caller,
    /// Makes connections.
    pub connector: Arc<Connector>,
    /// What they send.
    pub cameras: Cameras,
    /// Who serves viewers' data channels.
    pub services: Arc<Services>,
    /// Told when viewers were offered another stream than the one that comes.
    pub stream_changed: Arc<Notify>,
    /// The cameras' sizes and rates, from the config.
    pub config: Arc<Config>,
    /// Everybody's states.
    pub board: Arc<Board>,
    /// Where to count.
    pub metrics: Metrics,
    /// Keys and revoked tokens.
    pub access: AccessFiles,
    /// Counts the changes of this machine's network.
    pub network: watch::Receiver<u32>,
    /// The doorbell.
    pub bells: Bells,
    /// What holds once the config was read again.
    pub renewals: mpsc::Receiver<Renewal>,
    /// Whether who asks over HTTP may see.
    pub questions: mpsc::Receiver<Question>,
    /// Who follows the sessions' steps.
    pub events: broadcast::Sender<Event>,
}

/// One viewer's connection, what the viewer may do, and what it had been sent when its bit rate was last taken.
struct Viewer {
    handle: PeerHandle,
    scopes: watch::Sender<Scopes>,
    bytes_before: u64,
}

/// The desk in motion.
pub(super) struct Running {
    pub(super) desk: Desk,
    viewers: BTreeMap<SessionKey, Viewer>,
    reports: Reports,
    journal: Journal,
    closing: JoinSet<()>,
    /// Connections have closed since memory was given back.
    has_closed: bool,
    snapshots: mpsc::UnboundedSender<Taken>,
    begun: Instant,
    pub(super) standing: Standing,
    /// What the connector has met.
    pub(super) troubles: watch::Receiver<Troubles>,
}

impl Desk {
    /// Serves until `stop` is sent or dropped, then says goodbye to everybody.
    pub async fn run(self, stop: oneshot::Receiver<()>) {
        let (reports, reported) = mpsc::unbounded_channel();
        let (snapshots, taken) = mpsc::unbounded_channel();
        let begun = now();
        let running = Running {
            troubles: self.connector.troubles(),
            desk: self,
            viewers: BTreeMap::new(),
            reports,
            journal: Journal::default(),
            closing: JoinSet::new(),
            has_closed: false,
            snapshots,
            begun,
            standing: Standing::default(),
        };
        running.run(reported, taken, stop).await;
    }
}

impl Running {
    async fn run(
        mut self,
        mut reported: mpsc::UnboundedReceiver<(SessionKey, PeerEvent)>,
        mut taken: mpsc::UnboundedReceiver<Taken>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut news = self.desk.board.watch();
        let pulse = self.desk.board.pulses.begin("desk");
        let mut bitrates = tokio::time::interval(BITRATE_INTERVAL);
        let mut looks = tokio::time::interval(ACCESS_INTERVAL);
        self.tell_cameras();
        // Whoever joins at once finds the time known.
        self.look_at_access();
        self.look_at_network();
        self.show_troubles();
        loop {
            self.perform();
            let due = self.due();
            tokio::select! {
                _ = &mut stop => break,
                event = self.desk.line.link.next() => match event {
                    Some(event) => self.link_event(event),
                    None => break,
                },
                Some((key, event)) = reported.recv() => self.handle(Input::Peer(key, event)),
                Some((id, still)) = taken.recv() => self.handle(Input::Snapshot(id, still)),
                Some(press) = self.desk.bells.presses.recv() => {
                    let at = self.elapsed();
                    self.pressed(press, at);
                }
                () = changed(&mut news) => self.tell_cameras(),
                () = changed(&mut self.troubles) => self.show_troubles(),
                () = changed(&mut self.desk.network) => {
                    self.look_at_network();
                    self.handle(Input::NetworkChanged);
                }
                () = self.desk.stream_changed.notified() => self.handle(Input::StreamChanged),
                Some(Question { token, answer }) = self.desk.questions.recv() => {
                    let at = self.elapsed();
                    // Whoever has asked may have gone.
                    let _ = answer.send(self.desk.core.may_see(token.as_deref(), at));
                }
                Some(renewal) = self.desk.renewals.recv() => self.renew(renewal).await,
                _ = bitrates.tick() => {
                    pulse.beat();
                    self.take_bitrates();
                    self.tell_sum();
                }
                _ = looks.tick() => {
                    self.look_at_access();
                    self.give_back_memory();
                }
                Some(_) = self.closing.join_next() => self.has_closed = true,
                () = sleep_until(due) => {
                    let at = self.elapsed();
                    self.desk.core.handle_timeout(at);
                }
            }
        }
        self.say_goodbye(reported).await;
    }

    async fn say_goodbye(mut self, mut reported: mpsc::UnboundedReceiver<(SessionKey, PeerEvent)>) {
        self.remember_the_time(true);
        self.handle(Input::Shutdown);
        let end = now() + FAREWELL;
        loop {
            self.perform();
            if self.desk.core.is_settled() || now() >= end {
                break;
            }
            let due = self.due().map_or(end, |due| due.min(end));
            tokio::select! {
                event = self.desk.line.link.next() => match event {
                    Some(event) => self.link_event(event),
                    None => break,
                },
                Some((key, event)) = reported.recv() => self.handle(Input::Peer(key, event)),
                () = sleep_until(Some(due)) => {
                    let at = self.elapsed();
                    self.desk.core.handle_timeout(at);
                }
            }
        }
        self.tell_sum();
        for (_, viewer) in std::mem::take(&mut self.viewers) {
            self.closing.spawn(viewer.handle.closed());
        }
        tokio::join!(self.desk.line.link.close(Vec::new()), async {
            while self.closing.join_next().await.is_some() {}
        });
    }

    pub(super) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.begun)
    }

    fn due(&self) -> Option<Instant> {
        self.desk.core.poll_timeout().map(|at| self.begun + at)
    }

    pub(super) fn handle(&mut self, input: Input) {
        let at = self.elapsed();
        self.desk.core.handle(input, at);
    }

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { conn } => {
                let conn = self.desk.line.is_up(conn);
                if conn > 1 {
                    self.desk.metrics.mqtt_reconnects.inc();
                }
                self.note_broker(State::Live, "");
                self.show_ring_topic();
                self.handle(Input::LinkUp { conn });
            }
            LinkEvent::Down { reason } => {
                self.note_broker(State::Away, &reason);
                self.handle(Input::LinkDown);
            }
            LinkEvent::Contested(by) => self.contested_by_turns(by),
            LinkEvent::Refused(filters) => self.refused_topics(&filters),
            LinkEvent::Message { topic, retained, payload } if self.desk.bells.topic.as_ref() == Some(&topic) => {
                // What the broker has kept was meant for another time.
                if !retained {
                    let at = self.elapsed();
                    self.pressed_by_topic(&payload, at);
                }
            }
            LinkEvent::Message { topic, payload, retained } => {
                self.handle(Input::Message { topic, payload, retained });
            }
        }
    }

    /// Does what the core says.
    pub(super) fn perform(&mut self) {
        self.count_registered();
        while let Some(output) = self.desk.core.poll_output() {
            match output {
                Output::Publish(outgoing) => {
                    let Outgoing { topic, payload, retain } = outgoing;
                    if let Err(error) = self.desk.line.link.publish(Publish { topic, payload, retain }) {
                        tracing::debug!(%error, "not published");
                    }
                }
                Output::Peer(key, PeerCommand::Close) => {
                    if let Some(viewer) = self.viewers.remove(&key) {
                        self.desk.metrics.forget_viewer(&key.to_string());
                        self.closing.spawn(viewer.handle.closed());
                    }
                }
                Output::Peer(key, command) => {
                    self.viewer(key).handle.command(command);
                }
                Output::Allowed(key, scopes) => _ = self.viewer(key).scopes.send_replace(scopes),
                Output::Event(event) => {
                    let (session, step) = (&event.session, event.step.name());
                    let end = match event.step {
                        Step::Ended(end) => Some(tracing::field::debug(end)),
                        _ => None,
                    };
                    match self.journal.step(&event) {
                        true => tracing::info!(%session, step, end, "session"),
                        false => tracing::debug!(%session, step, end, "session"),
                    }
                    tracing::debug!(%session, full = ?event.step, "session in full");
                    // Nobody need follow.
                    let _ = self.desk.events.send(event);
                }
                Output::Ring(outcome) => self.rung(outcome),
                Output::Rival(boot) => self.contested_by_status(boot),
                Output::Unreadable(peer, malformed) => {
                    self.journal.unreadable(&peer, malformed.code);
                    tracing::debug!(%peer, problem = ?malformed, "a message could not be read");
                }
                Output::Snapshot(wish) => snapshots::begin(&self.desk.cameras, wish, self.snapshots.clone()),
                Output::Unread(peer) => self.journal.unread(&peer),
            }
        }
    }

    /// This viewer, whose connection is begun if it is new.
    fn viewer(&mut self, key: SessionKey) -> &mut Viewer {
        let (desk, reports) = (&self.desk, &self.reports);
        self.viewers.entry(key).or_insert_with_key(|key| {
            let scopes = watch::Sender::new(Scopes::NONE);
            let services = desk.services.of(key, scopes.subscribe());
            let feeds = Arc::new(desk.cameras.clone());
            let handle = desk.connector.publisher(key.clone(), feeds, services, reports.clone());
            Viewer { handle, scopes, bytes_before: 0 }
        })
    }

    fn tell_sum(&mut self) {
        if let Some(sum) = self.journal.sum() {
            tracing::info!(last = %sum.last, "{}", sum.text);
        }
    }

    /// A flood of joins takes tens of connections for a moment, with a tenth of a megabyte each, which the allocator would keep
    /// for ever.
    fn give_back_memory(&mut self) {
        if self.closing.is_empty() && std::mem::take(&mut self.has_closed) {
            tokio::task::spawn_blocking(sys::give_back_memory);
        }
    }

    fn take_bitrates(&mut self) {
        for (key, viewer) in &mut self.viewers {
            let bytes = viewer.handle.stats().borrow().bytes_sent;
            let since = bytes.saturating_sub(std::mem::replace(&mut viewer.bytes_before, bytes));
            let bits_per_second = since as f64 * 8.0 / BITRATE_INTERVAL.as_secs_f64();
            self.desk.metrics.viewer_bitrate.with_label_values(&[&key.to_string()]).set(bits_per_second);
        }
    }
}

/// Waits for news; for ever once there will be none.
async fn changed<T>(news: &mut watch::Receiver<T>) {
    if news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
