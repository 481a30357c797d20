//! One connection of the crate with its candidates, its liveness and its end: what node and viewer have in common.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::peer_connection::transport::RTCDtlsTransportState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{PeerConnection, RTCConfiguration, RTCPeerConnectionState};

use super::addresses::BindPlan;
use super::clock::now;
use super::connector::SILENT_AFTER;
use super::continuation::Refused;
use super::description::{Addressing, is_host, public_twin, relay_alone};
use super::local_names::LocalNames;
use super::notice::Notice;
use super::tcp::Tcp;
use super::trickle::{Output, Trickle};
use super::turn::Carriage;
use super::watch::Watch;
use crate::session::{Candidate, FailedStep};

/// How often the DTLS state is looked at, which the crate tells no other way, and numbers are published.
const TICK: Duration = Duration::from_millis(500);
/// A DTLS alert has just come in; the driver has handled it by then.
const ALERT_HANDLED: Duration = Duration::from_millis(5);
/// From both descriptions to DTLS, at the most. Longer means that no pair of candidates works.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// A step that failed, and why.
#[derive(Debug)]
pub(super) struct Failure {
    pub step: FailedStep,
    pub message: String,
}

impl Failure {
    pub(super) fn at<E: std::fmt::Display>(step: FailedStep) -> impl FnOnce(E) -> Self {
        move |error| Self { step, message: error.to_string() }
    }
}

/// What happens on a link.
pub(super) enum LinkEvent {
    /// Send this offer.
    Offer(String),
    /// Send this answer.
    Answer(String),
    /// What was asked last, an offer or an answer, is not made; why not.
    Declined(String),
    /// Send these candidates.
    Candidates { candidates: Vec<Candidate>, complete: bool },
    /// DTLS is up.
    Connected,
    /// Not heard for 3 s.
    Silent,
    /// The address that the other side reached us at is gone.
    AddressLost,
    /// Heard again.
    Recovered,
    /// A pair works after an ICE restart that came before any silence.
    Restarted,
    /// The other side closed DTLS.
    ClosedByPeer,
    /// It cannot go on.
    Failed(Failure),
    /// The other side sends a track.
    Track(Arc<dyn TrackRemote>),
    /// The other side opened a channel.
    Channel(Arc<dyn DataChannel>),
    /// Time to publish numbers.
    Tick,
}

/// What our latest description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Describing {
    Offer,
    Answer,
}

/// What the crate tells of its gathering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    Candidate,
    Gathered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Connected,
    Silent,
    Over,
}

/// One connection. Dropping it does not close the crate's, which [`Desk`](super::handle::Desk) keeps.
pub(super) struct Link {
    pub pc: Arc<dyn PeerConnection>,
    pub watch: Arc<Watch>,
    pub(super) plan: BindPlan,
    notices: mpsc::UnboundedReceiver<Notice>,
    pub(super) addressing: Addressing,
    pub carriage: Arc<Carriage>,
    pub(super) tcp: Tcp,
    /// Who asks for `.local` names, if they are asked for.
    pub(super) local_names: Option<Arc<LocalNames>>,
    /// Candidates whose names are being asked for.
    pub(super) asking: JoinSet<()>,
    /// Servers and logins to use from the next ICE restart on.
    pub(super) after_restart: Option<RTCConfiguration>,
    pub(super) trickle: Option<Trickle>,
    pub(super) describing: Describing,
    /// The description is to be sent; kept here so that a cancelled `next` does not lose it.
    pub(super) describe: bool,
    /// First mid and ICE user name fragment of the local description, for candidates that follow it.
    pub(super) generation: (Option<String>, Option<String>),
    pub(super) remote_candidates: usize,
    /// Sections of the other side's that stand refused in our descriptions.
    pub(super) refused: Vec<Refused>,
    /// Our side of DTLS, once an answer of ours has to keep to it.
    pub(super) setup: Option<&'static str>,
    pub(super) phase: Phase,
    pub(super) connect_by: Option<Instant>,
    /// When ICE was restarted, until a pair works.
    pub(super) restarted: Option<Instant>,
    /// Candidates in the crate's offer that were there before the restart it makes.
    pub(super) stale: Vec<String>,
    /// What was last told, if it may be about sockets of before a restart.
    doubt: Option<Doubt>,
    tick: Interval,
    pub(super) ready: VecDeque<LinkEvent>,
}

impl Link {
    pub(super) fn new(
        pc: Arc<dyn PeerConnection>,
        watch: Arc<Watch>,
        plan: BindPlan,
        notices: mpsc::UnboundedReceiver<Notice>,
        addressing: Addressing,
        carriage: Arc<Carriage>,
        tcp: Tcp,
    ) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pc,
            watch,
            plan,
            notices,
            addressing,
            carriage,
            tcp,
            local_names: None,
            asking: JoinSet::new(),
            after_restart: None,
            trickle: None,
            describing: Describing::Offer,
            describe: false,
            generation: (None, None),
            remote_candidates: 0,
            refused: Vec::new(),
            setup: None,
            phase: Phase::Connecting,
            connect_by: None,
            restarted: None,
            stale: Vec::new(),
            doubt: None,
            tick,
            ready: VecDeque::new(),
        }
    }

    /// This machine's network has changed: [`LinkEvent::AddressLost`] follows if nothing can come in any more.
    pub(super) fn network_changed(&mut self) {
        let path = self.watch.path();
        // An address can be bound while the machine has it and its interface is up.
        let gone = !path.is_empty() && path.iter().all(|address| UdpSocket::bind((address.ip(), 0)).is_err());
        if gone && matches!(self.phase, Phase::Connected | Phase::Silent) {
            self.phase = Phase::Silent;
            self.ready.push_back(LinkEvent::AddressLost);
        }
    }

    /// The next thing that happens. Cancel-safe.
    pub(super) async fn next(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            self.poll_trickle().await;
            if !self.ready.is_empty() {
                continue;
            }
            let wake = [self.trickle.as_ref().and_then(Trickle::poll_timeout), self.connect_by, self.silent_by()];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                Some(notice) = self.notices.recv() => self.on_notice(notice),
                () = self.watch.alert.notified() => self.tick.reset_after(ALERT_HANDLED),
                () = self.watch.driver_ended.notified(), if self.phase != Phase::Over => {
                    self.over(LinkEvent::Failed(Failure { step: FailedStep::Internal, message: "the connection's driver ended".to_owned() }));
                }
                _ = self.tick.tick() => {
                    if matches!(self.phase, Phase::Connected | Phase::Silent) && self.dtls_closed().await {
                        self.over(LinkEvent::ClosedByPeer);
                    }
                    self.ready.push_back(LinkEvent::Tick);
                }
                () = sleep_until(wake), if wake.is_some() => self.on_time(),
            }
        }
    }

    pub(super) fn over(&mut self, event: LinkEvent) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            self.connect_by = None;
            self.ready.push_back(event);
        }
    }

    fn on_time(&mut self) {
        if self.connect_by.is_some_and(|by| now() >= by) {
            let message = format!("no pair of candidates worked within {} s", CONNECT_LIMIT.as_secs());
            self.over(LinkEvent::Failed(Failure { step: FailedStep::Ice, message }));
        }
        if self.silent_by().is_some_and(|by| now() >= by) {
            self.phase = Phase::Silent;
            self.ready.push_back(LinkEvent::Silent);
        }
    }

    /// When a restart that finds no pair counts as silence. The crate tells of none while it checks.
    fn silent_by(&self) -> Option<Instant> {
        self.restarted.filter(|_| self.phase == Phase::Connected).map(|at| at + SILENT_AFTER)
    }

    fn on_notice(&mut self, notice: Notice) {
        // After a restart, it may be about the sockets of before.
        let in_doubt = self.restarted.is_some() && !self.addressing.relay_only;
        match notice {
            Notice::Candidate(candidate) => {
                if let Some(trickle) = &mut self.trickle {
                    let host = is_host(&candidate);
                    trickle.found(candidate, host, now());
                    self.doubt = self.doubt.or(in_doubt.then_some(Doubt::Candidate));
                }
            }
            Notice::Gathered if in_doubt => self.doubt = Some(Doubt::Gathered),
            Notice::Gathered => {
                if let Some(trickle) = &mut self.trickle {
                    trickle.complete();
                }
            }
            Notice::State(state) => self.on_state(state),
            Notice::Track(track) => self.ready.push_back(LinkEvent::Track(track)),
            Notice::Channel(channel) => self.ready.push_back(LinkEvent::Channel(channel)),
        }
    }

    fn on_state(&mut self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected
            && self.restarted.take().is_some()
            && self.phase == Phase::Connected
        {
            self.ready.push_back(LinkEvent::Restarted);
        }
        match (state, self.phase) {
            (RTCPeerConnectionState::Connected, Phase::Connecting) => {
                self.connect_by = None;
                self.phase = Phase::Connected;
                self.ready.push_back(LinkEvent::Connected);
            }
            (RTCPeerConnectionState::Connected, Phase::Silent) => {
                self.phase = Phase::Connected;
                self.ready.push_back(LinkEvent::Recovered);
            }
            (RTCPeerConnectionState::Disconnected, Phase::Connected) => {
                self.phase = Phase::Silent;
                self.ready.push_back(LinkEvent::Silent);
            }
            (RTCPeerConnectionState::Failed, _) => {
                let message = "no pair of candidates works, or encryption could not be agreed on".to_owned();
                self.over(LinkEvent::Failed(Failure { step: FailedStep::Ice, message }));
            }
            _ => {}
        }
    }

    async fn poll_trickle(&mut self) {
        if self.describe {
            return self.describe().await;
        }
        let is_of_now = self.doubt.is_some() && self.lists_all_sockets().await;
        let doubt = self.doubt.take();
        let Some(trickle) = &mut self.trickle else { return };
        if is_of_now {
            trickle.hosts_found();
            if doubt == Some(Doubt::Gathered) {
                trickle.complete();
            }
        }
        match trickle.poll_output(now()) {
            Some(Output::Describe) => {
                self.describe = true;
                self.describe().await;
            }
            Some(Output::Candidates { candidates, complete }) => {
                let Addressing { public, relay_only } = self.addressing;
                let twin = |candidate: &String| public.and_then(|ip| public_twin(candidate, ip));
                let told = |line: String| match relay_only {
                    true => [None, relay_alone(&line)],
                    false => [twin(&line), Some(line)],
                };
                let lines = candidates.into_iter().flat_map(told).flatten();
                let candidates = lines.map(|line| self.to_send(line)).collect();
                self.ready.push_back(LinkEvent::Candidates { candidates, complete });
            }
            None => {}
        }
    }

    fn to_send(&self, candidate: String) -> Candidate {
        let (mid, ufrag) = self.generation.clone();
        Candidate { candidate, sdp_mid: mid, sdp_m_line_index: Some(0), username_fragment: ufrag }
    }

    /// Whether the other side sent `close_notify`. The crate tells no one: its connection state stays "connected" until
    /// ICE gives up.
    async fn dtls_closed(&self) -> bool {
        let transport = match self.pc.sctp().await {
            Some(sctp) => Some(sctp.transport()),
            None => match (self.pc.get_senders().await.first(), self.pc.get_receivers().await.first()) {
                (Some(sender), _) => sender.transport().await.ok().flatten(),
                (None, Some(receiver)) => receiver.transport().await.ok().flatten(),
                (None, None) => None,
            },
        };
        match transport {
            Some(transport) => matches!(transport.state().await, Ok(RTCDtlsTransportState::Closed)),
            None => false,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
