//! The node's side of a connection: offers a camera's picture and sound, and sends them once DTLS is up.

use std::sync::Arc;

use rtc::interceptor::{NackResponderBuilder, ReceiverReportBuilder, Registry, Slot};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Feeds;
use super::channels::{ChannelServices, Switchboard};
use super::clock::SessionClock;
use super::codecs::{self, negotiated_payload_type};
use super::connector::Connector;
use super::description::sections;
use super::feedback::{FeedbackTap, HeardStream};
use super::handle::{Desk, Order, PeerHandle, Reports};
use super::interceptor::{self, MediaInterceptor};
use super::link::{Failure, Link, LinkEvent};
use super::offered::{Feed, OfferedTrack};
use super::sender::{Outlet, send_audio, send_video};
use super::sender_report::{ReportedStream, SenderReports};
use super::talk::{Talk, hear};
use crate::media::{Feedback, ProfileLevelId};
use crate::session::{FailedStep, IceServer, Mid, Mids, PeerCommand, PeerEvent, SessionKey, TrackKind, Wants};

/// The node's side of one connection.
struct Publisher {
    connector: Arc<Connector>,
    feeds: Arc<dyn Feeds>,
    desk: Desk,
    link: Option<Link>,
    tracks: Vec<OfferedTrack>,
    talk: Option<Talk>,
    mids: Mids,
    senders: JoinSet<()>,
    channels: Switchboard,
    paused: watch::Sender<bool>,
}

/// Whether the task goes on.
enum Next {
    GoOn,
    End,
}

impl Connector {
    /// A connection that offers what `feeds` has, its data channels served by `services`. It waits for
    /// [`PeerCommand::Offer`].
    pub fn publisher(
        self: &Arc<Self>,
        key: SessionKey,
        feeds: Arc<dyn Feeds>,
        services: Arc<dyn ChannelServices>,
        reports: Reports,
    ) -> PeerHandle {
        let connector = Arc::clone(self);
        let span = tracing::info_span!("peer", %key);
        let tasks = self.tasks();
        PeerHandle::spawn(tasks, key, reports, span, move |desk| Publisher::new(connector, feeds, services, desk).run())
    }
}

impl Publisher {
    fn new(connector: Arc<Connector>, feeds: Arc<dyn Feeds>, services: Arc<dyn ChannelServices>, desk: Desk) -> Self {
        Self {
            channels: Switchboard::new(services, desk.stats()),
            connector,
            feeds,
            desk,
            link: None,
            tracks: Vec::new(),
            talk: None,
            mids: Mids::new(),
            senders: JoinSet::new(),
            paused: watch::Sender::new(false),
        }
    }

    async fn run(mut self) {
        loop {
            let next = tokio::select! {
                order = self.desk.orders.recv() => match order {
                    Some(Order::Command(PeerCommand::Close)) | None => Next::End,
                    Some(Order::Command(command)) => self.on_command(command).await,
                    Some(Order::RequestKeyFrame | Order::OpenChannel(_) | Order::Speak(_)) => Next::GoOn,
                },
                event = next_event(&mut self.link) => self.on_event(event).await,
            };
            if let Next::End = next {
                break;
            }
        }
        self.senders.shutdown().await;
        self.channels.end().await;
        self.desk.counters.update(|stats| stats.connected = false);
        self.desk.publish_stats();
    }

    async fn on_command(&mut self, command: PeerCommand) -> Next {
        let done = match (command, &mut self.link) {
            (PeerCommand::Offer { wants, ice_servers }, None) => self.offer(wants, &ice_servers).await,
            (PeerCommand::AcceptAnswer { sdp }, Some(link)) => link.accept(sdp).await,
            (PeerCommand::AddCandidates { candidates, .. }, Some(link)) => {
                link.add_candidates(candidates).await;
                Ok(())
            }
            (PeerCommand::RestartIce, Some(link)) => link.restart().await,
            // The viewer offers in a session that it has: nothing is added or taken away by that.
            (PeerCommand::Answer { sdp, .. }, Some(link)) => link.answer(sdp).await,
            (PeerCommand::NetworkChanged, Some(link)) => {
                link.network_changed();
                Ok(())
            }
            (PeerCommand::UseIceServers { ice_servers }, Some(link)) => {
                self.connector.reconfigure(link, &ice_servers);
                Ok(())
            }
            (command, _) => {
                tracing::debug!(?command, "a command that does not fit the connection's state");
                Ok(())
            }
        };
        match done {
            Ok(()) => Next::GoOn,
            Err(failure) => {
                self.desk.fail(failure);
                Next::End
            }
        }
    }

    async fn on_event(&mut self, event: LinkEvent) -> Next {
        match event {
            LinkEvent::Offer(sdp) => self.desk.report(PeerEvent::Offered { sdp, mids: self.mids.clone() }),
            LinkEvent::Answer(sdp) => self.desk.report(PeerEvent::Answered { sdp }),
            LinkEvent::Declined(message) => self.desk.report(PeerEvent::Declined { message }),
            LinkEvent::Candidates { candidates, complete } => {
                self.desk.report(PeerEvent::Candidates { candidates, complete });
            }
            LinkEvent::Connected => {
                if let Err(failure) = self.start_media().await {
                    self.desk.fail(failure);
                    return Next::End;
                }
                tracing::info!("viewer connected");
                self.heard(true);
                self.desk.report(PeerEvent::Connected);
            }
            LinkEvent::Silent => {
                tracing::info!("viewer silent");
                self.heard(false);
                self.desk.report(PeerEvent::Silent);
            }
            LinkEvent::AddressLost => {
                tracing::info!("the address that the viewer knows is gone");
                self.heard(false);
                self.desk.report(PeerEvent::AddressLost);
            }
            LinkEvent::Recovered => {
                tracing::info!("viewer heard again");
                self.heard(true);
                self.want_key_frames();
                self.desk.report(PeerEvent::Recovered);
            }
            // What is lost in a restart has to be asked for, and a browser whose ICE role has changed may do so for seconds
            // over the pair that is gone. A key frame needs nothing from before.
            LinkEvent::Restarted => self.want_key_frames(),
            LinkEvent::ClosedByPeer => {
                tracing::info!("closed by the viewer");
                self.heard(false);
                self.desk.report(PeerEvent::ClosedByPeer);
            }
            LinkEvent::Failed(failure) => {
                self.desk.fail(failure);
                return Next::End;
            }
            LinkEvent::Track(track) => {
                // Other sections than the one for talk say in our offer that nothing is taken, and the crate drops it.
                if let Some(talk) = &self.talk {
                    self.senders.spawn(hear(track, Arc::clone(&talk.ear), self.desk.counters.clone()));
                }
            }
            LinkEvent::Channel(channel) => self.channels.accept(channel),
            LinkEvent::Tick => self.desk.publish_stats(),
        }
        Next::GoOn
    }

    fn want_key_frames(&self) {
        for track in &self.tracks {
            (track.feed.feedback())(Feedback::KeyFrameWanted);
        }
    }

    fn heard(&mut self, heard: bool) {
        self.paused.send_replace(!heard);
        self.desk.counters.update(|stats| stats.connected = heard);
        self.desk.publish_stats();
    }

    async fn offer(&mut self, wants: Wants, servers: &[IceServer]) -> Result<(), Failure> {
        let refused = |message: String| Failure { step: FailedStep::Offer, message };
        for camera in &wants.video {
            let feed = self.feeds.video(camera).ok_or_else(|| refused(format!("{camera}: no picture to offer")))?;
            self.tracks.push(OfferedTrack::new(camera, Feed::Video(feed)));
        }
        for camera in &wants.audio {
            // Sound is a wish: a camera without a microphone is offered all the same.
            if let Some(feed) = self.feeds.audio(camera) {
                self.tracks.push(OfferedTrack::new(camera, Feed::Audio(feed)));
            }
        }
        // And so is being heard.
        self.talk = wants.talk.iter().find_map(|camera| Some(Talk::at(camera, self.feeds.ear(camera)?)));
        if self.tracks.is_empty() && self.talk.is_none() && wants.channels.is_empty() {
            return Err(refused("nothing is wanted".to_owned()));
        }
        let mut profiles = Vec::new();
        for track in &self.tracks {
            if let Feed::Video(feed) = &track.feed {
                let profile = ProfileLevelId::of_sps(feed.profile_level);
                if !profiles.contains(&profile) {
                    profiles.push(profile);
                }
            }
        }
        let sound = self.talk.is_some() || self.tracks.iter().any(|track| track.feed.kind() == TrackKind::Audio);
        let engine = codecs::engine(&profiles, sound).map_err(Failure::at(FailedStep::Offer))?;
        let link = self.connector.open(engine, self.interceptors(), servers, &self.desk).await?;
        // A camera's sound goes one way and the viewer's the other, in one section.
        let talk = self.talk.as_ref().map(|talk| talk.camera.clone());
        let hears = |track: &OfferedTrack| {
            track.feed.kind() == TrackKind::Audio && talk.as_ref().is_some_and(|camera| *camera == track.camera)
        };
        for track in &mut self.tracks {
            let direction = match hears(track) {
                true => RTCRtpTransceiverDirection::Sendrecv,
                false => RTCRtpTransceiverDirection::Sendonly,
            };
            let init = RTCRtpTransceiverInit { direction, ..RTCRtpTransceiverInit::default() };
            let added = link.pc.add_transceiver_from_track(Arc::clone(&track.track), Some(init)).await;
            track.transceiver = Some(added.map_err(Failure::at(FailedStep::Offer))?);
        }
        if let Some(talk) = self.talk.as_mut().filter(|_| !self.tracks.iter().any(hears)) {
            talk.offer(&*link.pc).await?;
        }
        self.channels.open(link.pc.as_ref(), &wants.channels).await?;
        let link = self.link.insert(link);
        link.offer().await?;
        for track in &self.tracks {
            let transceiver = track.transceiver.as_ref().expect("every track was added above");
            if let Some(mid) = transceiver.mid().await.map_err(Failure::at(FailedStep::Offer))? {
                let (camera, kind) = (track.camera.clone(), track.feed.kind());
                self.mids.insert(mid, Mid { camera, kind, talk: hears(track) });
            }
        }
        match &self.talk {
            Some(talk) => talk.tell(&mut self.mids).await,
            None => Ok(()),
        }
    }

    fn interceptors(&self) -> Registry {
        let clock = SessionClock::start();
        let reported = self.tracks.iter().map(|track| ReportedStream {
            ssrc: track.ssrc,
            clock_rate_hz: track.feed.clock_rate_hz(),
            rtp_offset: track.rtp_offset,
            cname: track.camera.to_string(),
        });
        let heard = self.tracks.iter().map(|track| HeardStream {
            ssrc: track.ssrc,
            video: track.feed.kind() == TrackKind::Video,
            sink: Arc::clone(track.feed.feedback()),
            loss: 0.0,
        });
        let handovers = self.tracks.iter().map(|track| (track.ssrc, Arc::clone(&track.handover)));
        let media = MediaInterceptor::new(
            handovers.collect(),
            SenderReports::new(clock, reported.collect()),
            FeedbackTap::new(clock, heard.collect(), self.desk.counters.clone()),
        );
        let registry = Registry::new().with(Slot::NackResponder, NackResponderBuilder::new().build());
        match self.talk {
            Some(_) => {
                registry.with(Slot::ReceiverReport, ReceiverReportBuilder::new().build()).with(interceptor::SLOT, media)
            }
            None => registry.with(interceptor::SLOT, media),
        }
    }

    /// Subscribes to what was agreed on. Only now, as nothing could be sent before.
    async fn start_media(&mut self) -> Result<(), Failure> {
        let link = self.link.as_ref().expect("a link that has just connected");
        let answer = link.pc.remote_description().await.map(|remote| sections(&remote.sdp)).unwrap_or_default();
        let wanted = |mid: &str| answer.iter().any(|section| section.mid == mid && !section.rejected);
        let mut started = 0;
        for track in &self.tracks {
            let transceiver = track.transceiver.as_ref().expect("every offered track was added");
            let mid = transceiver.mid().await.map_err(Failure::at(FailedStep::Internal))?.unwrap_or_default();
            if !wanted(&mid) {
                tracing::info!(camera = %track.camera, kind = ?track.feed.kind(), "the viewer refused a track");
                continue;
            }
            let sender = transceiver.sender().await.map_err(Failure::at(FailedStep::Internal))?;
            let Some(sender) = sender else { continue };
            let parameters = sender.get_parameters().await.map_err(Failure::at(FailedStep::Internal))?;
            let Some(payload_type) = negotiated_payload_type(&track.codec, &parameters.rtp_parameters.codecs) else {
                continue;
            };
            let outlet = Outlet {
                track: Arc::clone(&track.track),
                handover: Arc::clone(&track.handover),
                ssrc: track.ssrc,
                payload_type,
                rtp_offset: track.rtp_offset,
                sequence: fastrand::u16(..),
                counters: self.desk.counters.clone(),
                watch: Arc::clone(&link.watch),
                paused: self.paused.subscribe(),
            };
            match &track.feed {
                Feed::Video(feed) => {
                    self.senders.spawn(send_video(outlet, feed.packets.subscribe(), Arc::clone(&feed.latency)));
                }
                Feed::Audio(feed) => {
                    self.senders.spawn(send_audio(outlet, feed.packets.subscribe()));
                }
            }
            (track.feed.feedback())(Feedback::ViewerJoined);
            started += 1;
        }
        if started == 0 && !self.tracks.is_empty() {
            let message = "the viewer takes none of the codecs offered".to_owned();
            return Err(Failure { step: FailedStep::NoCommonCodec, message });
        }
        Ok(())
    }
}

async fn next_event(link: &mut Option<Link>) -> LinkEvent {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}
