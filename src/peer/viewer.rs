//! A viewer's side of a connection, without a screen: answers, and hands on the packets it receives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtc::interceptor::{NackGeneratorBuilder, ReceiverReportBuilder, Registry, Slot};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::StatsSelector;

use super::channels::{ChannelServices, Delivery, Switchboard};
use super::clock::{media_now, now};
use super::codecs;
use super::connector::Connector;
use super::description::sections;
use super::handle::{Desk, Order, PeerHandle, Reports};
use super::link::{Failure, Link, LinkEvent};
use super::stats::Counters;
use super::talk::Mouth;
use crate::fanout::Fanout;
use crate::media::{EncodedAudio, MediaTime};
use crate::session::{FailedStep, IceServer, Mids, PeerCommand, PeerEvent, SessionKey, TrackKind};

/// One RTP packet as it came in: late ones and those sent again are in the order of their arrival.
#[derive(Debug, Clone)]
pub struct ReceivedPacket {
    /// Sound or picture.
    pub kind: TrackKind,
    /// The stream's id, which is the camera's name.
    pub stream: Arc<str>,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP time stamp, 90 kHz for pictures and 48 kHz for sound.
    pub rtp_time: u32,
    /// The last packet of its picture.
    pub marker: bool,
    /// What it carries.
    pub payload: Bytes,
    /// When it came in, on this machine's media clock.
    pub arrived: MediaTime,
}

/// A viewer's side of one connection.
struct Viewer {
    connector: Arc<Connector>,
    media: mpsc::Sender<ReceivedPacket>,
    desk: Desk,
    link: Option<Link>,
    pictures: Vec<Arc<dyn TrackRemote>>,
    readers: JoinSet<()>,
    channels: Switchboard,
    /// What it says, and the way of that into the connection.
    says: Option<Arc<Fanout<EncodedAudio>>>,
    mouth: Option<Mouth>,
}

impl Connector {
    /// A connection that answers, and hands the packets it receives to `media`; what finds no room there is dropped and
    /// counted. Its data channels are served by `services`. It waits for [`PeerCommand::Answer`].
    pub fn viewer(
        self: &Arc<Self>,
        key: SessionKey,
        media: mpsc::Sender<ReceivedPacket>,
        services: Arc<dyn ChannelServices>,
        reports: Reports,
    ) -> PeerHandle {
        let connector = Arc::clone(self);
        let span = tracing::info_span!("viewer", %key);
        let tasks = self.tasks();
        PeerHandle::spawn(tasks, key, reports, span, move |desk| Viewer::new(connector, media, services, desk).run())
    }
}

impl Viewer {
    fn new(
        connector: Arc<Connector>,
        media: mpsc::Sender<ReceivedPacket>,
        services: Arc<dyn ChannelServices>,
        desk: Desk,
    ) -> Self {
        let channels = Switchboard::new(services, desk.stats());
        let (link, says, mouth) = (None, None, None);
        Self { connector, media, desk, link, pictures: Vec::new(), readers: JoinSet::new(), channels, says, mouth }
    }

    async fn run(mut self) {
        loop {
            let goes_on = tokio::select! {
                order = self.desk.orders.recv() => match order {
                    Some(Order::Command(PeerCommand::Close)) | None => false,
                    Some(Order::Command(command)) => self.on_command(command).await,
                    Some(Order::RequestKeyFrame) => {
                        self.request_key_frame().await;
                        true
                    }
                    Some(Order::OpenChannel(label)) => {
                        self.open_channel(label).await;
                        true
                    }
                    Some(Order::Speak(sound)) => {
                        self.says = Some(sound);
                        true
                    }
                },
                event = next_event(&mut self.link) => self.on_event(event).await,
            };
            if !goes_on {
                break;
            }
        }
        self.readers.shutdown().await;
        self.channels.end().await;
        self.desk.counters.update(|stats| stats.connected = false);
        self.desk.publish_stats();
    }

    async fn on_command(&mut self, command: PeerCommand) -> bool {
        let done = match (command, &mut self.link) {
            (PeerCommand::Answer { sdp, ice_servers }, None) => self.open_and_answer(sdp, &ice_servers).await,
            // The node offers again: an ICE restart.
            (PeerCommand::Answer { sdp, .. }, Some(link)) => link.answer(sdp).await,
            (PeerCommand::RestartIce, Some(link)) => link.restart().await,
            (PeerCommand::AcceptAnswer { sdp }, Some(link)) => link.accept(sdp).await,
            (PeerCommand::NetworkChanged, Some(link)) => {
                link.network_changed();
                Ok(())
            }
            (PeerCommand::UseIceServers { ice_servers }, Some(link)) => {
                self.connector.reconfigure(link, &ice_servers);
                Ok(())
            }
            (PeerCommand::AddCandidates { candidates, .. }, Some(link)) => {
                link.add_candidates(candidates).await;
                Ok(())
            }
            (command, _) => {
                tracing::debug!(?command, "a command that does not fit the connection's state");
                Ok(())
            }
        };
        match done {
            Ok(()) => true,
            Err(failure) => {
                self.desk.fail(failure);
                false
            }
        }
    }

    async fn open_and_answer(&mut self, sdp: String, servers: &[IceServer]) -> Result<(), Failure> {
        let engine = codecs::receiving_engine().map_err(Failure::at(FailedStep::Answer))?;
        let interceptors = Registry::new()
            .with(Slot::NackGenerator, NackGeneratorBuilder::new().build())
            .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
        let link = self.connector.open(engine, interceptors, servers, &self.desk).await?;
        let link = self.link.insert(link);
        if !link.addressing.relay_only {
            link.tcp.paths.allow_dialling();
        }
        if let Some(sound) = self.says.take() {
            self.mouth = Some(Mouth::add(&*link.pc, sound).await?);
        }
        link.answer(sdp).await
    }

    async fn on_event(&mut self, event: LinkEvent) -> bool {
        match event {
            // What is in its sections, the node has said.
            LinkEvent::Offer(sdp) => self.desk.report(PeerEvent::Offered { sdp, mids: Mids::new() }),
            LinkEvent::Declined(message) => self.desk.report(PeerEvent::Declined { message }),
            LinkEvent::Answer(sdp) => {
                let sections = sections(&sdp);
                if !sections.is_empty() && sections.iter().all(|section| section.rejected) {
                    let message = "none of the codecs offered is known".to_owned();
                    self.desk.fail(Failure { step: FailedStep::NoCommonCodec, message });
                    return false;
                }
                self.desk.report(PeerEvent::Answered { sdp });
            }
            LinkEvent::Candidates { candidates, complete } => {
                self.desk.report(PeerEvent::Candidates { candidates, complete });
            }
            LinkEvent::Connected => {
                if let Some(mouth) = self.mouth.take() {
                    self.readers.spawn(mouth.speak(self.desk.counters.clone()));
                }
                self.heard(true, PeerEvent::Connected);
            }
            LinkEvent::Silent => self.heard(false, PeerEvent::Silent),
            LinkEvent::AddressLost => self.heard(false, PeerEvent::AddressLost),
            LinkEvent::Recovered => self.heard(true, PeerEvent::Recovered),
            LinkEvent::ClosedByPeer => self.heard(false, PeerEvent::ClosedByPeer),
            LinkEvent::Failed(failure) => {
                self.desk.fail(failure);
                return false;
            }
            LinkEvent::Track(track) => self.on_track(track).await,
            LinkEvent::Restarted => {}
            LinkEvent::Channel(channel) => self.channels.accept(channel),
            LinkEvent::Tick => self.publish_stats().await,
        }
        true
    }

    fn heard(&self, heard: bool, event: PeerEvent) {
        self.desk.counters.update(|stats| stats.connected = heard);
        self.desk.publish_stats();
        self.desk.report(event);
    }

    async fn on_track(&mut self, track: Arc<dyn TrackRemote>) {
        let kind = match track.kind().await {
            RtpCodecKind::Video => TrackKind::Video,
            _ => TrackKind::Audio,
        };
        if kind == TrackKind::Video {
            self.pictures.push(Arc::clone(&track));
        }
        let stream: Arc<str> = track.stream_id().await.into();
        self.readers.spawn(read(track, kind, stream, self.media.clone(), self.desk.counters.clone()));
    }

    async fn request_key_frame(&self) {
        for track in &self.pictures {
            for ssrc in track.ssrcs().await {
                let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
                if let Err(error) = track.write_rtcp(vec![Box::new(pli)]).await {
                    tracing::debug!(%error, "a key frame could not be asked for");
                }
            }
        }
    }

    async fn open_channel(&mut self, label: String) {
        let Some(link) = &self.link else { return };
        if let Err(failure) = self.channels.add(link.pc.as_ref(), label, Delivery::Reliable).await {
            tracing::debug!(why = failure.message, "a channel could not be opened");
        }
    }

    async fn publish_stats(&self) {
        if let Some(link) = &self.link {
            let report = link.pc.get_stats(now(), StatsSelector::None).await;
            let rtt = report.candidate_pairs().find(|pair| pair.nominated).map(|pair| pair.current_round_trip_time);
            let rtt = rtt.filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
            self.desk.counters.update(|stats| stats.rtt = rtt.or(stats.rtt));
        }
        self.desk.publish_stats();
    }
}

async fn next_event(link: &mut Option<Link>) -> LinkEvent {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

/// Hands on a track's packets until it ends.
async fn read(
    track: Arc<dyn TrackRemote>,
    kind: TrackKind,
    stream: Arc<str>,
    media: mpsc::Sender<ReceivedPacket>,
    counters: Counters,
) {
    let mut gaps = Gaps::default();
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        let before = gaps.missing;
        gaps.arrived(packet.header.sequence_number);
        let bytes = packet.payload.len() as u64;
        let received = ReceivedPacket {
            kind,
            stream: Arc::clone(&stream),
            sequence: packet.header.sequence_number,
            rtp_time: packet.header.timestamp,
            marker: packet.header.marker,
            payload: packet.payload,
            arrived: media_now(),
        };
        // Waiting for a reader would only move the loss into the crate's queue, where it is not counted.
        let discarded = media.try_send(received).is_err();
        counters.update(|stats| {
            stats.packets_received += 1;
            stats.bytes_received += bytes;
            stats.packets_discarded += u64::from(discarded);
            stats.packets_lost = (stats.packets_lost + gaps.missing).saturating_sub(before);
        });
    }
}

/// Counts the packets a stream is short of; a late one fills its gap.
#[derive(Debug, Default)]
struct Gaps {
    highest: Option<u16>,
    missing: u64,
}

impl Gaps {
    fn arrived(&mut self, sequence: u16) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        match sequence.wrapping_sub(highest) {
            0 => {}
            ahead @ 1..0x8000 => {
                self.missing += u64::from(ahead) - 1;
                self.highest = Some(sequence);
            }
            _ => self.missing = self.missing.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_packet_fills_its_gap_and_numbers_wrap() {
        let mut gaps = Gaps::default();
        for sequence in [65_533, 65_534, 1, 65_535] {
            gaps.arrived(sequence);
        }
        assert_eq!(gaps.missing, 1);
        gaps.arrived(0);
        assert_eq!(gaps.missing, 0);
        gaps.arrived(4);
        assert_eq!(gaps.missing, 2);
    }
}
