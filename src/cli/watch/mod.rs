//! `camera-node watch`: a viewer without a window, for monitoring, tests and benches.

mod calls;
mod eyes;
mod ice;
mod network;
mod talk;
mod tally;
mod token_file;
mod words;

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::calls::CallArgs;
use self::eyes::Eyes;
use self::ice::IceArgs;
use self::network::NetworkWatch;
use self::talk::{Said, Talk};
use self::tally::{Report, Tally, Told};
use self::token_file::TokenFile;
use self::words::{in_short, in_words};
use super::broker::BrokerArgs;
use super::out;
use crate::config::Log;
use crate::peer::{Connector, Deaf, PeerHandle, ReceivedPacket};
use crate::session::viewer::{Input, Output, Shown, Viewer, ViewerSetup, ViewerState};
use crate::session::{
    CameraChoice, NodeId, Outgoing, PeerCommand, PeerEvent, PeerId, SessionKey, Step, TopicPrefix, Topics, WantsRequest,
};
use crate::signalling::{Link, LinkEvent, LinkSetup, MqttLink, Publish};
use crate::sys;

/// How long the node has to hear our `leave`.
const FAREWELL: Duration = Duration::from_millis(500);
/// Packets between the network and the decoder: a second at 2 Mbit/s; what does not fit is lost and counted.
const PACKETS: usize = 512;
/// How often the token's file is looked at.
const TOKEN_LOOKS: Duration = Duration::from_secs(1);

/// Options of `watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    ice: IceArgs,
    #[command(flatten)]
    calls: CallArgs,
    /// The node's id.
    #[arg(long, value_name = "ID")]
    node: NodeId,
    /// The topics' prefix.
    #[arg(long, value_name = "PREFIX", default_value_t)]
    prefix: TopicPrefix,
    /// A file that holds the token to come in with, as `camera-node token` prints it; a newer one written into it renews the
    /// session.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Stop after so many seconds of pictures; without it, at a signal.
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// Give up when there is no picture after so many seconds.
    #[arg(long, value_name = "N", default_value_t = 30)]
    patience: u32,
    /// Print the numbers as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Put pictures together without decoding them: for many viewers on one machine.
    #[arg(long)]
    no_decode: bool,
    /// Talk: say the sound of a file, 16-bit PCM, again and again, or "tone".
    #[arg(long, value_name = "FILE.wav|tone")]
    talk: Option<Said>,
    /// Write the pictures to a file, H.264 in Annex B.
    #[arg(long, value_name = "FILE.h264")]
    out: Option<PathBuf>,
}

impl Args {
    /// Whether a program reads what is said.
    pub fn json(&self) -> bool {
        self.json
    }
}

/// Watches until the time is up, a signal comes, or the node refuses.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    super::logging::start(&Log::default())?;
    let file = match &args.out {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (packets_in, packets) = mpsc::channel(PACKETS);
    let (want_key_frame, key_frames_wanted) = mpsc::channel(1);
    let eyes =
        Eyes { packets, tally: Arc::clone(&tally), file, want_key_frame, clock: elapsed, decode: !args.no_decode };
    let eyes = tokio::task::spawn_blocking(move || eyes.run());

    let watching = Watching::new(&args, packets_in, Arc::clone(&tally))?;
    let outcome = watching.run(&args, key_frames_wanted).await;
    eyes.await??;
    let report = outcome?;
    if args.json {
        out::json(&report)?;
    } else {
        out::line(&in_words(&report))?;
    }
    let is_heard = report.talk_heard != Some(false);
    if let Some(why) = &report.error {
        out::complain(&anyhow!("{why}"));
    }
    Ok(if report.frames > 0 && is_heard && report.error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program's time: any beginning will do for the core and the tally.
fn elapsed() -> Duration {
    Duration::from_nanos(sys::monotonic_nanos())
}

/// A viewer in motion.
struct Watching {
    core: Viewer,
    calls: CallArgs,
    link: MqttLink,
    connector: Arc<Connector>,
    tokens: TokenFile,
    network: NetworkWatch,
    peer: Option<(SessionKey, PeerHandle)>,
    packets: mpsc::Sender<ReceivedPacket>,
    talk: Option<Talk>,
    /// What the node has said of it.
    talk_heard: bool,
    tally: Arc<Mutex<Tally>>,
    reports: mpsc::UnboundedSender<(SessionKey, PeerEvent)>,
    reported: mpsc::UnboundedReceiver<(SessionKey, PeerEvent)>,
    steps: Vec<&'static str>,
    lost_before: u64,
    refused: Option<String>,
    /// Why the broker is away.
    down: Option<String>,
    shown: Option<Shown>,
}

impl Watching {
    fn new(args: &Args, packets: mpsc::Sender<ReceivedPacket>, tally: Arc<Mutex<Tally>>) -> anyhow::Result<Self> {
        let peer = PeerId::try_from(format!("watch-{:016x}", sys::random_bits())).expect("letters, digits and a dash");
        let endpoint = args.broker.endpoint(peer.as_str())?;
        let topics = Topics::new(&args.prefix, &args.node);
        let subscriptions = topics.peer_subscriptions(&peer);
        let setup = LinkSetup { client_id: peer.to_string(), subscriptions, ..LinkSetup::default() };
        let talk = args.talk.as_ref().map(Talk::start).transpose()?;
        let (video, audio) = (CameraChoice::All, CameraChoice::All);
        let wants = WantsRequest { video, audio, talk: talk.is_some(), ..WantsRequest::default() };
        let (reports, reported) = mpsc::unbounded_channel();
        let tokens = TokenFile::open(args.token_file.as_deref())?;
        let token = tokens.token();
        let link = MqttLink::start(endpoint, setup, sys::random_bits());
        let network = NetworkWatch::start(&link);
        Ok(Self {
            core: args.calls.apply(Viewer::new(ViewerSetup {
                topics,
                peer,
                wants,
                token,
                entropy: Box::new(sys::random_bits),
            })),
            calls: args.calls.clone(),
            link,
            connector: Arc::new(Connector::new(&args.ice.config())?),
            tokens,
            network,
            peer: None,
            packets,
            talk,
            talk_heard: false,
            tally,
            reports,
            reported,
            steps: Vec::new(),
            lost_before: 0,
            refused: None,
            down: None,
            shown: None,
        })
    }

    async fn run(mut self, args: &Args, mut key_frames_wanted: mpsc::Receiver<()>) -> anyhow::Result<Report> {
        let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
        let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
        let begun = elapsed();
        let mut patience = begun + Duration::from_secs(args.patience.into());
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut token_looks = tokio::time::interval(TOKEN_LOOKS);
        loop {
            self.perform();
            if let Some(why) = self.refused.take() {
                let why = format!("{}: {why}", args.node);
                if self.tally().first_frame_at().is_none() {
                    bail!(why);
                }
                // What was seen until then is worth telling.
                return Ok(Report { error: Some(why), ..self.leave().await });
            }
            let due = self.core.poll_timeout();
            tokio::select! {
                event = self.link.next() => match event {
                    Some(event) => self.link_event(event),
                    None => bail!("the link to the broker ended"),
                },
                Some((key, event)) = self.reported.recv() => self.core.handle(Input::Peer(key, event), elapsed()),
                Some(()) = key_frames_wanted.recv() => {
                    if let Some((_, peer)) = &self.peer {
                        peer.request_key_frame();
                    }
                }
                () = sleep_until(due) => self.core.handle_timeout(elapsed()),
                () = self.network.changed() => self.core.handle(Input::NetworkChanged, elapsed()),
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                // The thread that looks has ended; it tells why.
                () = self.packets.closed() => {
                    self.leave().await;
                    bail!("nobody looks any more");
                }
                _ = token_looks.tick() => {
                    if let Some(token) = self.tokens.newer() {
                        self.core.handle(Input::Token(token), elapsed());
                    }
                }
                _ = ticks.tick() => {
                    let first = self.tally().first_frame_at();
                    if self.core.shown().state.waits_for_a_person() {
                        patience = elapsed() + Duration::from_secs(args.patience.into());
                    }
                    match (first, args.seconds) {
                        (Some(first), Some(seconds)) if elapsed() >= first + Duration::from_secs(seconds.into()) => break,
                        (None, _) if elapsed() >= patience => {
                            let why = self.down.as_ref().map(|why| format!(" (the broker is away: {why})"));
                            let why = why.or_else(|| self.shown.as_ref().map(in_short)).unwrap_or_default();
                            bail!("{}: no picture within {} s{why}", args.node, args.patience);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(self.leave().await)
    }

    async fn leave(mut self) -> Report {
        let stats = self.peer.as_ref().map(|(_, peer)| *peer.stats().borrow());
        self.core.handle(Input::Close, elapsed());
        let end = elapsed() + FAREWELL;
        loop {
            self.perform();
            if self.core.is_settled() || elapsed() >= end {
                break;
            }
            let due = self.core.poll_timeout().map_or(end, |due| due.min(end));
            tokio::select! {
                event = self.link.next() => match event {
                    Some(event) => self.link_event(event),
                    None => break,
                },
                () = sleep_until(Some(due)) => self.core.handle_timeout(elapsed()),
            }
        }
        self.link.close(Vec::new()).await;
        Report {
            packets_lost: self.lost_before + stats.map_or(0, |stats| stats.packets_lost),
            rtt_ms: stats.and_then(|stats| stats.rtt).map(|rtt| rtt.as_secs_f64() * 1_000.0),
            cameras: self.core.presence().map(Told::all).unwrap_or_default(),
            talk_heard: self.talk.is_some().then_some(self.talk_heard),
            events: std::mem::take(&mut self.steps),
            ..self.tally().report()
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        let input = match event {
            LinkEvent::Up { .. } => {
                self.down = None;
                Input::LinkUp
            }
            // A viewer's id is random, and it wishes for nothing more.
            LinkEvent::Contested(_) | LinkEvent::Refused(_) => return,
            LinkEvent::Down { reason } => {
                tracing::info!(reason, "the broker is away");
                self.down = Some(reason);
                Input::LinkDown
            }
            LinkEvent::Message { topic, payload, retained } => Input::Message { topic, payload, retained },
        };
        self.core.handle(input, elapsed());
    }

    fn perform(&mut self) {
        self.talk_heard = self.core.takes_talk().unwrap_or(self.talk_heard);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Publish(Outgoing { topic, payload, retain }) => {
                    if let Err(error) = self.link.publish(Publish { topic, payload, retain }) {
                        tracing::debug!(%error, "not published");
                    }
                }
                Output::Peer(key, command) => self.peer_command(key, command),
                Output::Event(event) => {
                    tracing::debug!(session = %event.session, step = ?event.step, "session");
                    if matches!(event.step, Step::Join | Step::Call | Step::Accepted) {
                        self.tally().joined(elapsed());
                    }
                    self.steps.push(event.step.name());
                }
                Output::State(shown) => {
                    tracing::info!(state = shown.state.name(), detail = shown.detail.as_deref(), "state");
                    if shown.state == ViewerState::Refused {
                        self.refused = Some(shown.detail.clone().unwrap_or_else(|| "refused".to_owned()));
                    }
                    if shown.state == ViewerState::Ringing {
                        self.calls.decide(&mut self.core, elapsed());
                    }
                    self.shown = Some(shown);
                }
                Output::Unreadable(problem) => tracing::debug!(?problem, "a message could not be read"),
            }
        }
    }

    fn peer_command(&mut self, key: SessionKey, command: PeerCommand) {
        if self.peer.as_ref().is_none_or(|(there, _)| *there != key) {
            if command == PeerCommand::Close {
                return;
            }
            let handle = self.connector.viewer(key.clone(), self.packets.clone(), Arc::new(Deaf), self.reports.clone());
            if let Some(talk) = &self.talk {
                handle.speak(Arc::clone(talk.sound()));
            }
            self.forget_peer();
            self.peer = Some((key, handle));
        }
        if command == PeerCommand::Close {
            self.forget_peer();
        } else if let Some((_, peer)) = &self.peer {
            peer.command(command);
        }
    }

    /// Closes the connection there is, if any; its losses still count.
    fn forget_peer(&mut self) {
        if let Some((_, peer)) = self.peer.take() {
            self.lost_before += peer.stats().borrow().packets_lost;
            tokio::spawn(peer.closed());
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due.saturating_sub(elapsed())).await,
        None => std::future::pending().await,
    }
}
