//! What remote bytes reach of a connection: descriptions and candidates as we read them and as the crate does, addresses of
//! servers, and datagrams. The crate without its driver and sockets: what it draws by chance is fixed where it matters.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::{RTCCryptoProvider, SignatureScheme};
use rtc::interceptor::{NackResponderBuilder, Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCIceConnectionState;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc::stun::xoraddr::XorMappedAddress;

use super::clock::now;
use super::codecs;
use super::description::{Addressing, for_sending, ice_ufrag, is_host, public_twin, sections};
use super::local_names::{hidden_candidates, hidden_name};
use super::tcp::{self, Knock};
use super::turn::{self, ServerUrl, Transport};
use crate::media::ProfileLevelId;

const OUR_PASSWORD: &str = "OurOurOurOurOurOurOurOur";
const THEIR_PASSWORD: &str = "asd88fgpdd777uzjYhagZg8v";
const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
const ADDRESSING: Addressing = Addressing { public: Some(PUBLIC), relay_only: false };

/// What we read from a description and write into it: the same sections, no candidate for a second component, and none that is
/// not a candidate.
pub fn description(bytes: &[u8]) {
    let Ok(sdp) = std::str::from_utf8(bytes) else { return };
    let sent = for_sending(sdp, ADDRESSING);
    assert_eq!(sections(&sent), sections(sdp));
    assert_eq!(ice_ufrag(&sent), ice_ufrag(sdp));
    // Each line at most twice, and the line that says that candidates trickle in.
    assert!(sent.len() <= 64 + 256 * (1 + sdp.lines().count()) + 2 * sdp.len());
    for line in sdp.lines() {
        if let Some(twin) = public_twin(line.strip_prefix("a=").unwrap_or(line), PUBLIC) {
            assert!(!is_host(&twin) && twin.contains(" 203.0.113.7 ") && !twin.contains(['\r', '\n']));
        }
    }
    // As one of theirs: the same sections, and no candidate over TCP.
    let told = tcp::description_for_crate(sdp, |_| None);
    assert_eq!(sections(&told), sections(sdp));
    assert!(told.len() <= sdp.len() + 2 * (1 + sdp.lines().count()));
    let candidates = told.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let transport = |candidate: &str| candidate.split_ascii_whitespace().nth(2).map(str::to_ascii_lowercase);
    assert!(candidates.map(transport).all(|transport| transport.as_deref() == Some("udp")));
    for candidate in hidden_candidates(sdp) {
        assert!(hidden_name(&candidate).is_some_and(|name| name.ends_with(".local") && name.len() <= 69));
    }
}

/// The URL of a STUN or TURN server, as a node tells its viewers.
pub fn ice_server(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(url) = rtc::ice::url::Url::parse_url(text) {
        let _ = url.to_string();
    }
    if let Some(url) = ServerUrl::parse(text) {
        let scheme = match (url.turn, url.transport) {
            (false, Transport::Tls) => "stuns",
            (false, _) => "stun",
            (true, Transport::Tls) => "turns",
            (true, _) => "turn",
        };
        let query = if url.transport == Transport::Tcp { "?transport=tcp" } else { "" };
        assert_eq!(ServerUrl::parse(&format!("{scheme}:{url}{query}")), Some(url), "it reads as it is shown");
    }
}

/// What a stream brings, from a TURN server (first byte even) or from a peer that comes in over TCP, in parts as long as the
/// second byte says: the same datagrams as at once, and framed again the same stream, but for padding and empty frames.
pub fn stream(bytes: &[u8]) {
    let [kind, part, rest @ ..] = bytes else { return };
    let parts = || rest.chunks(usize::from(*part).max(1));
    if kind & 1 == 0 {
        let datagrams = turn_datagrams(parts());
        assert_eq!(datagrams, turn_datagrams(std::iter::once(rest)));
        let mut again = Vec::new();
        for datagram in &datagrams {
            let begin = again.len();
            assert!((turn::FRAMING.frame)(datagram, &mut again));
            assert_eq!(again[begin..begin + datagram.len()], rest[begin..begin + datagram.len()]);
        }
        assert!(again.len() <= rest.len());
    } else {
        let datagrams = tcp_datagrams(parts());
        assert_eq!(datagrams, tcp_datagrams(std::iter::once(rest)));
        let mut at = 0;
        for datagram in &datagrams {
            while rest[at..].starts_with(&[0, 0]) {
                at += 2;
            }
            let mut framed = Vec::new();
            assert!((tcp::FRAMING.frame)(datagram, &mut framed));
            assert!(rest[at..].starts_with(&framed));
            at += framed.len();
            if let Some(mut knock) = Knock::read(datagram) {
                let _ = knock.ufrag();
                let _ = knock.is_signed_with(OUR_PASSWORD, PROVIDER.crypto());
            }
        }
    }
}

/// Until something else than TURN comes.
fn turn_datagrams<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut unframer, mut datagrams) = (turn::Unframer::default(), Vec::new());
    for part in parts {
        unframer.extend(part);
        loop {
            match unframer.next_message() {
                Ok(Some(message)) => datagrams.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return datagrams,
            }
        }
    }
    datagrams
}

/// Until something too long comes.
fn tcp_datagrams<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut unframer, mut datagrams) = (tcp::Unframer::default(), Vec::new());
    for part in parts {
        unframer.extend(part);
        loop {
            match unframer.next_datagram() {
                Ok(Some(datagram)) => datagrams.push(datagram.to_vec()),
                Ok(None) => break,
                Err(_) => return datagrams,
            }
        }
    }
    datagrams
}

/// An answer to our offer, with candidates that follow it, each in a line `+candidate`; and again, if after a line `=`.
pub fn answer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut pc = offering();
    for round in text.split("\n=\n").take(3) {
        let (sdp, candidates) = with_candidates(round);
        if let Ok(answer) = RTCSessionDescription::answer(sdp) {
            let _refused = pc.set_remote_description(now(), answer);
        }
        go_on(&mut pc, candidates);
        let again = pc.create_offer(None).and_then(|offer| pc.set_local_description(now(), offer));
        if again.is_err() {
            return;
        }
    }
}

/// An offer, for the viewer without a screen; candidates and further offers as in [`answer`].
pub fn offer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let engine = codecs::receiving_engine().expect("our own codecs");
    let mut pc = connection(engine, Registry::new());
    for round in text.split("\n=\n").take(3) {
        let (sdp, candidates) = with_candidates(round);
        if let Ok(offer) = RTCSessionDescription::offer(sdp)
            && pc.set_remote_description(now(), offer).is_ok()
        {
            let answered = pc.create_answer(None).and_then(|answer| pc.set_local_description(now(), answer));
            if let Some(sdp) = answered.ok().and_then(|()| pc.local_description()) {
                let _ = for_sending(&sdp.sdp, ADDRESSING);
            }
        }
        go_on(&mut pc, candidates);
    }
}

/// Datagrams to a connection that has its two descriptions. Each begins with a byte that says what it is: one as it comes (its
/// length follows), a STUN message with a right signature (its type and attributes follow), the right answer to the latest check
/// of ours, or time that passes.
pub fn datagram(bytes: &[u8]) {
    let mut line = Line::new();
    let mut rest = bytes;
    while let Some((&kind, after)) = rest.split_first() {
        let length = usize::from(after.first().copied().unwrap_or(0)).min(after.len().saturating_sub(1));
        let (content, after) = after.split_at((1 + length).min(after.len()));
        let content = content.get(1..).unwrap_or_default();
        rest = after;
        match kind & 3 {
            0 => line.arrives(content),
            1 => line.arrives(&signed(content, kind & 4 != 0)),
            2 => line.answers(),
            _ => line.waits(Duration::from_millis(u64::from(kind) * 20)),
        }
    }
    let _ = line.pc.close();
}

/// A connection and the other end of its one path.
struct Line {
    pc: RTCPeerConnection,
    now: Instant,
    /// The latest STUN message that the connection sent.
    latest: Option<TransactionId>,
    is_connected: bool,
}

impl Line {
    fn new() -> Self {
        let mut pc = offering();
        let answer = RTCSessionDescription::answer(ANSWER.to_owned()).expect("a good answer");
        pc.set_remote_description(now(), answer).expect("a good answer");
        Self { pc, now: now(), latest: None, is_connected: false }
    }

    fn arrives(&mut self, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: SocketAddr::from(([127, 0, 0, 1], 5_000)),
            peer_addr: SocketAddr::from(([192, 0, 2, 10], 50_000)),
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        let _ = self.pc.handle_read(TransportMessage { now: self.now, transport, message: BytesMut::from(datagram) });
        self.drain();
    }

    fn answers(&mut self) {
        let Some(id) = self.latest.take() else { return };
        let mapped = XorMappedAddress { ip: IpAddr::from([127, 0, 0, 1]), port: 5_000 };
        let integrity = integrity(THEIR_PASSWORD);
        let parts: [Box<dyn Setter + '_>; 5] =
            [Box::new(BINDING_SUCCESS), Box::new(id), Box::new(mapped), Box::new(integrity), Box::new(FINGERPRINT)];
        let mut message = Message::new();
        message.build(&parts).expect("a good answer");
        self.arrives(&message.raw);
    }

    fn waits(&mut self, time: Duration) {
        self.now += time;
        let _ = self.pc.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut sent = 0;
        while let Some(datagram) = self.pc.poll_write() {
            sent += 1;
            let mut message = Message::new();
            if message.unmarshal_binary(&datagram.message).is_ok() {
                self.latest = Some(message.transaction_id);
            }
        }
        assert!(sent < 1_000, "{sent} datagrams at once");
        while let Some(event) = self.pc.poll_event() {
            self.is_connected |= matches!(
                event,
                RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(RTCIceConnectionState::Connected)
            );
        }
        while self.pc.poll_read().is_some() {}
    }
}

/// A STUN message of this type with these attributes, signed as one who knows the descriptions can.
fn signed(content: &[u8], with_fingerprint: bool) -> Vec<u8> {
    let mut message = Message::new();
    message.write_header();
    if let Some((kind, attributes)) = content.split_first_chunk::<2>() {
        message.typ.read_value(u16::from_be_bytes(*kind));
        message.encode();
        message.raw.extend_from_slice(attributes);
        message.length = u32::try_from(attributes.len()).expect("fewer than 256");
        message.write_length();
    }
    let _ = integrity(OUR_PASSWORD).add_to(&mut message);
    if with_fingerprint {
        let _ = FINGERPRINT.add_to(&mut message);
    }
    message.raw
}

fn integrity(password: &str) -> MessageIntegrity<'static> {
    MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), PROVIDER.crypto())
}

fn with_candidates(round: &str) -> (String, Vec<&str>) {
    let (candidates, lines): (Vec<&str>, Vec<&str>) = round.lines().partition(|line| line.starts_with('+'));
    (lines.join("\r\n") + "\r\n", candidates.into_iter().map(|line| &line[1..]).take(64).collect())
}

/// Adds what was found, and lets a second pass.
fn go_on(pc: &mut RTCPeerConnection, candidates: Vec<&str>) {
    for candidate in candidates {
        let candidate = RTCIceCandidateInit { candidate: candidate.to_owned(), ..RTCIceCandidateInit::default() };
        let _refused = pc.add_remote_candidate(candidate);
    }
    for ms in [0, 20, 1_000] {
        let _ = pc.handle_timeout(now() + Duration::from_millis(ms));
        while pc.poll_write().is_some() {}
        while pc.poll_event().is_some() {}
    }
}

/// A connection as `publisher` makes it, with its offer set.
fn offering() -> RTCPeerConnection {
    let profile = ProfileLevelId::of_sps([0x42, 0xe0, 0x1f]);
    let engine = codecs::engine(&[profile], true).expect("our own codecs");
    let registry = Registry::new().with(Slot::NackResponder, NackResponderBuilder::new().build());
    let mut pc = connection(engine, registry);
    for (kind, codec) in [(RtpCodecKind::Video, codecs::h264(profile)), (RtpCodecKind::Audio, codecs::opus())] {
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(7), ..RTCRtpCodingParameters::default() },
            codec,
            ..RTCRtpEncodingParameters::default()
        };
        let track = MediaStreamTrack::new("front".to_owned(), kind.to_string(), kind.to_string(), kind, vec![coding]);
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            ..RTCRtpTransceiverInit::default()
        };
        pc.add_transceiver_from_track(track, Some(init)).expect("a track of ours");
    }
    pc.create_data_channel("control", None).expect("a channel of ours");
    let offer = pc.create_offer(None).expect("an offer");
    pc.set_local_description(now(), offer).expect("our own offer");
    pc
}

fn connection(engine: MediaEngine, registry: Registry) -> RTCPeerConnection {
    let settings =
        SettingEngineBuilder::new().with_ice_credentials("ourOur01".to_owned(), OUR_PASSWORD.to_owned()).build();
    let configuration = RTCConfigurationBuilder::default().with_certificates(vec![CERTIFICATE.clone()]).build();
    let mut pc = RTCPeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .build(now())
        .expect("a connection");
    for candidate in ["candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host", ""] {
        let candidate = RTCIceCandidateInit { candidate: candidate.to_owned(), ..RTCIceCandidateInit::default() };
        pc.add_local_candidate(candidate).expect("a candidate of ours");
    }
    pc
}

static PROVIDER: LazyLock<std::sync::Arc<dyn RTCCryptoProvider>> =
    LazyLock::new(|| rtc::crypto::default_provider().expect("the crate's cryptography"));

static CERTIFICATE: LazyLock<RTCCertificate> = LazyLock::new(|| {
    let parameters = CertificateParams::new(Vec::new()).expect("no names");
    RTCCertificate::generate(PROVIDER.crypto(), SignatureScheme::EcdsaP256Sha256, parameters).expect("a certificate")
});

/// What a browser answers to the offer of [`offering`].
const ANSWER: &str = include_str!("../../tests/fuzz/corpus/answer/browser");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_the_line_can_get_past_ice() {
        let mut line = Line::new();
        for _ in 0..50 {
            line.waits(Duration::from_millis(100));
            line.answers();
        }
        assert!(line.is_connected, "datagrams never reach what lies behind ICE: the target has become blunt");
    }

    #[test]
    fn what_a_browser_answers_and_offers_is_taken() {
        let mut pc = offering();
        let answer = RTCSessionDescription::answer(ANSWER.to_owned()).expect("it can be read");
        pc.set_remote_description(now(), answer).expect("it is taken");
        let candidate =
            "candidate:2 1 udp 1694498815 198.51.100.7 50001 typ srflx raddr 192.0.2.10 rport 50000".to_owned();
        let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        pc.add_remote_candidate(candidate).expect("it is taken");
    }
}
