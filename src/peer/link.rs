//! One connection of the crate with its candidates, its liveness and its end: what node and viewer have in common.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::peer_connection::configuration::{RTCAnswerOptions, RTCOfferOptions};
use rtc::peer_connection::transport::RTCDtlsTransportState;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit, RTCPeerConnectionState, RTCSessionDescription};

use super::clock::now;
use super::description::{for_sending, ice_ufrag, is_host, public_twin, sections};
use super::notice::Notice;
use super::trickle::{Output, Trickle};
use super::watch::Watch;
use crate::session::{Candidate, FailedStep};

/// How often the DTLS state is looked at, which the crate tells no other way, and numbers are published.
const TICK: Duration = Duration::from_millis(500);
/// A DTLS alert has just come in; the driver has handled it by then.
const ALERT_HANDLED: Duration = Duration::from_millis(5);
/// From both descriptions to DTLS, at the most. Longer means that no pair of candidates works.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Candidates taken from the other side in one generation; a browser sends about a dozen.
const MAX_REMOTE_CANDIDATES: usize = 64;

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
    /// Send the local description: this one.
    Describe(String),
    /// Send these candidates.
    Candidates { candidates: Vec<Candidate>, complete: bool },
    /// DTLS is up.
    Connected,
    /// Not heard for 3 s.
    Silent,
    /// Heard again.
    Recovered,
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

/// What the candidates we send depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressing {
    /// The address outside of our router, if it forwards to us.
    pub public: Option<IpAddr>,
    /// No host candidate will come.
    pub relay_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Silent,
    Over,
}

/// One connection. Dropping it does not close the crate's, which [`Desk`](super::handle::Desk) keeps.
pub(super) struct Link {
    pub pc: Arc<dyn PeerConnection>,
    pub watch: Arc<Watch>,
    notices: mpsc::UnboundedReceiver<Notice>,
    addressing: Addressing,
    trickle: Option<Trickle>,
    /// The description is to be sent; kept here so that a cancelled `next` does not lose it.
    describe: bool,
    /// First mid and ICE user name fragment of the local description, for candidates that follow it.
    generation: (Option<String>, Option<String>),
    remote_candidates: usize,
    phase: Phase,
    connect_by: Option<Instant>,
    tick: Interval,
    ready: VecDeque<LinkEvent>,
}

impl Link {
    pub(super) fn new(
        pc: Arc<dyn PeerConnection>,
        watch: Arc<Watch>,
        notices: mpsc::UnboundedReceiver<Notice>,
        addressing: Addressing,
    ) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pc,
            watch,
            notices,
            addressing,
            trickle: None,
            describe: false,
            generation: (None, None),
            remote_candidates: 0,
            phase: Phase::Connecting,
            connect_by: None,
            tick,
            ready: VecDeque::new(),
        }
    }

    /// Makes an offer, with new ICE credentials if `restart`; [`LinkEvent::Describe`] follows.
    pub(super) async fn offer(&mut self, restart: bool) -> Result<(), Failure> {
        if restart {
            self.watch.forget_sockets();
        }
        let options = restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.pc.create_offer(options).await.map_err(Failure::at(FailedStep::Offer))?;
        self.set_local(offer, restart).await
    }

    /// Answers an offer; [`LinkEvent::Describe`] follows.
    pub(super) async fn answer(&mut self, sdp: String) -> Result<(), Failure> {
        let restart = self.trickle.is_some() && ice_ufrag(&sdp) != self.remote_ufrag().await.as_deref();
        if restart {
            self.watch.forget_sockets();
        }
        let offer = RTCSessionDescription::offer(sdp).map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.set_remote(offer).await?;
        let options: Option<RTCAnswerOptions> = None;
        let answer = self.pc.create_answer(options).await.map_err(Failure::at(FailedStep::Answer))?;
        self.set_local(answer, restart).await
    }

    /// Takes the answer to our offer.
    pub(super) async fn accept(&mut self, sdp: String) -> Result<(), Failure> {
        // RFC 3264 §6: a section for each of ours, in our order. The crate takes a part for the whole.
        let offer = self.pc.local_description().await.map(|local| local.sdp).unwrap_or_default();
        let mids = |sdp: &str| sections(sdp).into_iter().map(|section| section.mid).collect::<Vec<_>>();
        if mids(&sdp) != mids(&offer) {
            let message = "the answer's sections are not the offer's".to_owned();
            return Err(Failure { step: FailedStep::RemoteDescription, message });
        }
        let answer = RTCSessionDescription::answer(sdp).map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.set_remote(answer).await
    }

    async fn set_local(&mut self, description: RTCSessionDescription, restart: bool) -> Result<(), Failure> {
        // After a restart the sockets are bound anew by the driver, so their number is not known; gathering ends it.
        let hosts = match (self.addressing.relay_only, restart) {
            (true, _) => 0,
            (false, true) => usize::MAX,
            (false, false) => self.watch.sockets(),
        };
        self.trickle = Some(Trickle::new(hosts, now()));
        self.pc.set_local_description(description).await.map_err(Failure::at(FailedStep::LocalDescription))
    }

    async fn set_remote(&mut self, description: RTCSessionDescription) -> Result<(), Failure> {
        let set = self.pc.set_remote_description(description).await;
        set.map_err(Failure::at(FailedStep::RemoteDescription))?;
        self.remote_candidates = 0;
        if self.phase == Phase::Connecting {
            self.connect_by = Some(now() + CONNECT_LIMIT);
        }
        Ok(())
    }

    async fn remote_ufrag(&self) -> Option<String> {
        self.pc.remote_description().await.and_then(|remote| ice_ufrag(&remote.sdp).map(str::to_owned))
    }

    /// Takes candidates of the other side. One that cannot be used is no reason to fail: others follow or came before.
    pub(super) async fn add_candidates(&mut self, candidates: Vec<Candidate>) {
        let ufrag = self.remote_ufrag().await;
        let current = |candidate: &Candidate| {
            // One of a generation before an ICE restart leads nowhere.
            let of_now = candidate.username_fragment.is_none() || candidate.username_fragment == ufrag;
            of_now && !candidate.candidate.is_empty()
        };
        let room = MAX_REMOTE_CANDIDATES.saturating_sub(self.remote_candidates);
        for candidate in candidates.into_iter().filter(current).take(room) {
            self.remote_candidates += 1;
            let init = RTCIceCandidateInit {
                candidate: candidate.candidate,
                sdp_mid: candidate.sdp_mid,
                sdp_mline_index: candidate.sdp_m_line_index,
                username_fragment: candidate.username_fragment,
                ..RTCIceCandidateInit::default()
            };
            if let Err(error) = self.pc.add_ice_candidate(init).await {
                tracing::debug!(%error, "a candidate cannot be used");
            }
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
            let wake = [self.trickle.as_ref().and_then(Trickle::poll_timeout), self.connect_by];
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

    fn over(&mut self, event: LinkEvent) {
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
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Candidate(candidate) => {
                if let Some(trickle) = &mut self.trickle {
                    let host = is_host(&candidate);
                    trickle.found(candidate, host, now());
                }
            }
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
        let Some(trickle) = &mut self.trickle else { return };
        match trickle.poll_output(now()) {
            Some(Output::Describe) => {
                self.describe = true;
                self.describe().await;
            }
            Some(Output::Candidates { candidates, complete }) => {
                let public = self.addressing.public;
                let twin = |candidate: &String| public.and_then(|ip| public_twin(candidate, ip));
                let lines = candidates.into_iter().flat_map(|line| [twin(&line), Some(line)]).flatten();
                let candidates = lines.map(|line| self.to_send(line)).collect();
                self.ready.push_back(LinkEvent::Candidates { candidates, complete });
            }
            None => {}
        }
    }

    async fn describe(&mut self) {
        let local = self.pc.local_description().await;
        self.describe = false;
        let Some(local) = local else {
            let message = "there is no local description".to_owned();
            return self.over(LinkEvent::Failed(Failure { step: FailedStep::LocalDescription, message }));
        };
        let mid = sections(&local.sdp).into_iter().next().map(|section| section.mid);
        self.generation = (mid, ice_ufrag(&local.sdp).map(str::to_owned));
        self.ready.push_back(LinkEvent::Describe(for_sending(&local.sdp, self.addressing.public)));
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
