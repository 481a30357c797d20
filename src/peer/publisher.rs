//! The node's side of a connection: offers a camera's picture and sound, and sends them once DTLS is up.

use std::sync::Arc;

use rtc::interceptor::{NackResponderBuilder, Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::rtp_transceiver::RtpTransceiver;

use super::channels::{ChannelServices, Switchboard};
use super::clock::SessionClock;
use super::codecs::{self, AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, negotiated_payload_type};
use super::connector::Connector;
use super::description::sections;
use super::feedback::{FeedbackTap, HeardStream};
use super::handle::{Desk, Order, PeerHandle, Reports};
use super::handover::Handover;
use super::interceptor::{self, MediaInterceptor};
use super::link::{Failure, Link, LinkEvent};
use super::sender::{Outlet, send_audio, send_video};
use super::sender_report::{ReportedStream, SenderReports};
use super::{AudioFeed, FeedbackSink, Feeds, VideoFeed};
use crate::media::{CameraName, Feedback, ProfileLevelId};
use crate::session::{FailedStep, IceServer, Mid, Mids, PeerCommand, PeerEvent, SessionKey, TrackKind, Wants};

/// The node's side of one connection.
struct Publisher {
    connector: Arc<Connector>,
    feeds: Arc<dyn Feeds>,
    desk: Desk,
    link: Option<Link>,
    tracks: Vec<OfferedTrack>,
    mids: Mids,
    senders: JoinSet<()>,
    channels: Switchboard,
    paused: watch::Sender<bool>,
}

/// A track we offered, until and after it is sent.
struct OfferedTrack {
    camera: CameraName,
    feed: Feed,
    codec: RTCRtpCodec,
    ssrc: u32,
    rtp_offset: u32,
    track: Arc<dyn TrackLocal>,
    handover: Arc<Handover>,
    transceiver: Option<Arc<dyn RtpTransceiver>>,
}

enum Feed {
    Video(VideoFeed),
    Audio(AudioFeed),
}

impl Feed {
    fn kind(&self) -> TrackKind {
        match self {
            Self::Video(_) => TrackKind::Video,
            Self::Audio(_) => TrackKind::Audio,
        }
    }

    fn feedback(&self) -> &FeedbackSink {
        match self {
            Self::Video(feed) => &feed.feedback,
            Self::Audio(feed) => &feed.feedback,
        }
    }

    fn clock_rate_hz(&self) -> u32 {
        match self {
            Self::Video(_) => VIDEO_CLOCK_HZ,
            Self::Audio(_) => AUDIO_CLOCK_HZ,
        }
    }
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
                    Some(Order::RequestKeyFrame | Order::OpenChannel(_)) => Next::GoOn,
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
            // What a viewer sends is refused in our offer, and the crate drops it.
            LinkEvent::Track(_) => {}
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
            self.add_track(camera, Feed::Video(feed));
        }
        for camera in &wants.audio {
            // Sound is a wish: a camera without a microphone is offered all the same.
            if let Some(feed) = self.feeds.audio(camera) {
                self.add_track(camera, Feed::Audio(feed));
            }
        }
        if self.tracks.is_empty() && wants.channels.is_empty() {
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
        let sound = self.tracks.iter().any(|track| matches!(track.feed, Feed::Audio(_)));
        let engine = codecs::engine(&profiles, sound).map_err(Failure::at(FailedStep::Offer))?;
        let link = self.connector.open(engine, self.interceptors(), servers, &self.desk).await?;
        for track in &mut self.tracks {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Sendonly,
                ..RTCRtpTransceiverInit::default()
            };
            let added = link.pc.add_transceiver_from_track(Arc::clone(&track.track), Some(init)).await;
            track.transceiver = Some(added.map_err(Failure::at(FailedStep::Offer))?);
        }
        self.channels.open(link.pc.as_ref(), &wants.channels).await?;
        let link = self.link.insert(link);
        link.offer().await?;
        for track in &self.tracks {
            let transceiver = track.transceiver.as_ref().expect("every track was added above");
            if let Some(mid) = transceiver.mid().await.map_err(Failure::at(FailedStep::Offer))? {
                self.mids.insert(mid, Mid { camera: track.camera.clone(), kind: track.feed.kind() });
            }
        }
        Ok(())
    }

    fn add_track(&mut self, camera: &CameraName, feed: Feed) {
        let (kind, name, codec) = match &feed {
            Feed::Video(video) => {
                (RtpCodecKind::Video, "video", codecs::h264(ProfileLevelId::of_sps(video.profile_level)))
            }
            Feed::Audio(_) => (RtpCodecKind::Audio, "audio", codecs::opus()),
        };
        let ssrc = fastrand::u32(1..);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            codec: codec.clone(),
            ..RTCRtpEncodingParameters::default()
        };
        // The crate's CNAME is the stream's id: one for a camera's sound and picture, so that a browser plays them in step.
        let (stream, id) = (camera.to_string(), format!("{camera}-{name}"));
        let track = MediaStreamTrack::new(stream, id.clone(), id, kind, vec![coding]);
        self.tracks.push(OfferedTrack {
            camera: camera.clone(),
            feed,
            codec,
            ssrc,
            rtp_offset: fastrand::u32(..),
            track: Arc::new(TrackLocalStaticRTP::new(track)),
            handover: Arc::default(),
            transceiver: None,
        });
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
        Registry::new().with(Slot::NackResponder, NackResponderBuilder::new().build()).with(interceptor::SLOT, media)
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
