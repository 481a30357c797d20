//! What we read from and change in session descriptions (SDP, RFC 8866) and candidates, as plain text.

use std::net::{IpAddr, SocketAddr};

/// What the candidates we send depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressing {
    /// The address outside of our router, if it forwards to us.
    pub public: Option<IpAddr>,
    /// None but relayed candidates may be told.
    pub relay_only: bool,
}

/// The candidate attribute's fields we look at ([RFC 8839 §5.1](https://www.rfc-editor.org/rfc/rfc8839#section-5.1)).
struct CandidateLine<'a> {
    foundation: &'a str,
    component: &'a str,
    transport: &'a str,
    ip: IpAddr,
    port: u16,
    typ: &'a str,
}

impl<'a> CandidateLine<'a> {
    fn parse(candidate: &'a str) -> Option<Self> {
        let mut fields = candidate.strip_prefix("candidate:").unwrap_or(candidate).split_ascii_whitespace();
        let foundation = fields.next()?;
        let component = fields.next()?;
        let transport = fields.next()?;
        let _priority = fields.next()?;
        let ip = fields.next()?.parse().ok()?;
        let port = fields.next()?.parse().ok()?;
        let typ = (fields.next()? == "typ").then(|| fields.next()).flatten()?;
        Some(Self { foundation, component, transport, ip, port, typ })
    }
}

/// The addresses of the host candidates that a description lists.
pub(super) fn host_addresses(sdp: &str) -> Vec<SocketAddr> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .filter_map(CandidateLine::parse)
        .filter(|line| line.typ == "host")
        .map(|line| SocketAddr::new(line.ip, line.port))
        .collect()
}

/// Whether this is a host candidate.
pub(super) fn is_host(candidate: &str) -> bool {
    CandidateLine::parse(candidate).is_some_and(|line| line.typ == "host")
}

/// The candidate that stands for `candidate` outside of a router which forwards its port: server-reflexive, so that a
/// viewer on our side of the router prefers the direct way.
pub(super) fn public_twin(candidate: &str, public: IpAddr) -> Option<String> {
    let line = CandidateLine::parse(candidate)?;
    let fits = line.typ == "host"
        && line.component == "1"
        && line.transport.eq_ignore_ascii_case("udp")
        && line.ip.is_ipv4() == public.is_ipv4()
        && line.ip != public;
    // Type preference 100 and local preference 65535 of RFC 8445 §5.1.2, component 1.
    const PRIORITY: u32 = (100 << 24) | (65_535 << 8) | 255;
    let CandidateLine { foundation, ip, port, .. } = line;
    fits.then(|| format!("candidate:{foundation}9 1 udp {PRIORITY} {public} {port} typ srflx raddr {ip} rport {port}"))
}

/// A relayed candidate that does not tell where it is relayed to
/// ([RFC 8839 §5.1](https://www.rfc-editor.org/rfc/rfc8839#section-5.1)); `None` for any other.
pub(super) fn relay_alone(candidate: &str) -> Option<String> {
    let line = CandidateLine::parse(candidate).filter(|line| line.typ == "relay")?;
    let (told, _) = candidate.split_once(" raddr ").unwrap_or((candidate, ""));
    let nowhere = if line.ip.is_ipv4() { "0.0.0.0" } else { "::" };
    Some(format!("{told} raddr {nowhere} rport 9"))
}

/// A description made by the crate as it is to be sent: saying that candidates trickle in, without the candidates for a second component, which the crate
/// lists though RTCP is multiplexed, and with those for the public address; or with those of relays alone.
pub(super) fn for_sending(sdp: &str, Addressing { public, relay_only }: Addressing) -> String {
    let mut sent = String::with_capacity(sdp.len() + 256);
    let mut twins: Vec<(IpAddr, u16)> = Vec::new();
    let mut push = |line: &str| {
        sent.push_str(line);
        sent.push_str("\r\n");
    };
    for line in sdp.lines() {
        let Some(candidate) = line.strip_prefix("a=") else {
            push(line);
            if line.starts_with("t=") {
                // RFC 8838 §4.1.1; the crate leaves it out, though it trickles.
                push("a=ice-options:trickle");
            }
            continue;
        };
        let parsed = candidate.starts_with("candidate:").then(|| CandidateLine::parse(candidate)).flatten();
        if parsed.as_ref().is_some_and(|parsed| parsed.component == "2") {
            continue;
        }
        if relay_only && candidate.starts_with("candidate:") {
            if let Some(relay) = relay_alone(candidate) {
                push(&format!("a={relay}"));
            }
            continue;
        }
        push(line);
        if let (Some(parsed), Some(public)) = (parsed, public)
            && let Some(twin) = public_twin(candidate, public)
            && !twins.contains(&(public, parsed.port))
        {
            twins.push((public, parsed.port));
            push(&format!("a={twin}"));
        }
    }
    sent
}

/// One `m=` section of a description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Section {
    /// `audio`, `video` or `application`.
    pub media: String,
    /// Its mid.
    pub mid: String,
    /// Port 0: the other side wants none of it.
    pub rejected: bool,
}

/// The sections of a description, in order.
pub(super) fn sections(sdp: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in sdp.lines() {
        if let Some(m) = line.strip_prefix("m=") {
            let mut fields = m.split_ascii_whitespace();
            let media = fields.next().unwrap_or_default().to_owned();
            let rejected = fields.next() == Some("0");
            sections.push(Section { media, rejected, mid: String::new() });
        } else if let (Some(mid), Some(section)) = (line.strip_prefix("a=mid:"), sections.last_mut()) {
            section.mid = mid.trim().to_owned();
        } else if let (true, Some(section)) = (line.trim() == "a=inactive", sections.last_mut()) {
            section.rejected = true;
        }
    }
    sections
}

/// Which side of DTLS we are, `active` or `passive`, by the two descriptions that were agreed on, one of them an answer
/// ([RFC 8842 §5](https://www.rfc-editor.org/rfc/rfc8842#section-5)).
pub(super) fn our_setup(ours: &str, theirs: &str) -> &'static str {
    let setup =
        |sdp: &str| sdp.lines().find_map(|line| line.strip_prefix("a=setup:").map(|role| role.trim().to_owned()));
    match (setup(ours).as_deref(), setup(theirs).as_deref()) {
        (_, Some("active")) | (Some("passive"), Some("actpass")) => "passive",
        _ => "active",
    }
}

/// A description with this side of DTLS in every section.
pub(super) fn with_setup(sdp: &str, setup: &str) -> String {
    let line = |line: &str| match line.strip_prefix("a=setup:") {
        Some(_) => format!("a=setup:{setup}\r\n"),
        None => format!("{line}\r\n"),
    };
    sdp.lines().map(line).collect()
}

/// The ICE user name fragment, which names the description's generation.
pub(super) fn ice_ufrag(sdp: &str) -> Option<&str> {
    sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).map(str::trim)
}

/// The ICE user name fragment and password of a description.
pub(super) fn ice_credentials(sdp: &str) -> Option<(&str, &str)> {
    let password = sdp.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).map(str::trim)?;
    Some((ice_ufrag(sdp)?, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
        a=candidate:7 1 udp 2130706431 192.0.2.4 40001 typ host\r\n\
        a=candidate:7 2 udp 2130706430 192.0.2.4 40001 typ host\r\n\
        a=candidate:8 1 udp 2130706431 198.51.100.9 40001 typ host\r\n\
        m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\n";

    #[test]
    fn the_second_component_goes_and_the_public_address_comes_once() {
        let all = |public| Addressing { public, relay_only: false };
        let public = IpAddr::from([203, 0, 113, 7]);
        let sent = for_sending(SDP, all(Some(public)));
        assert!(!sent.contains(" 2 udp "));
        assert_eq!(sent.matches("\r\na=ice-options:trickle\r\n").count(), 1);
        assert_eq!(sent.matches("typ host").count(), 2);
        let twins: Vec<&str> = sent.lines().filter(|l| l.contains("typ srflx")).collect();
        assert_eq!(twins, ["a=candidate:79 1 udp 1694498815 203.0.113.7 40001 typ srflx raddr 192.0.2.4 rport 40001"]);
        assert!(!for_sending(SDP, all(None)).contains("srflx"));
        assert!(!for_sending(SDP, all(Some("2001:db8::1".parse().expect("valid")))).contains("srflx"));
    }

    #[test]
    fn where_only_relays_are_told_nothing_else_is() {
        let relay = "candidate:5 1 udp 16777215 198.51.100.1 50000 typ relay raddr 192.0.2.4 rport 40001";
        let told = "candidate:5 1 udp 16777215 198.51.100.1 50000 typ relay raddr 0.0.0.0 rport 9";
        let sdp = format!("{SDP}a={relay}\r\na=end-of-candidates\r\n");
        let sent = for_sending(&sdp, Addressing { public: Some([203, 0, 113, 7].into()), relay_only: true });
        let candidates: Vec<&str> = sent.lines().filter_map(|line| line.strip_prefix("a=candidate")).collect();
        assert_eq!(candidates, [told.strip_prefix("candidate").expect("it is one")]);
        assert!(sent.contains("a=end-of-candidates") && !sent.contains("192.0.2.4"));
        let six = "candidate:5 1 udp 16777215 2001:db8::1 50000 typ relay raddr fd00::4 rport 40001";
        assert!(relay_alone(six).is_some_and(|told| told.ends_with(" raddr :: rport 9")));
        assert_eq!(relay_alone("candidate:7 1 udp 2130706431 192.0.2.4 40001 typ host"), None);
    }

    #[test]
    fn the_side_of_dtls_is_the_one_that_was_agreed_on() {
        let setup = |role: &str| format!("v=0\r\na=setup:{role}\r\n");
        for (ours, theirs, agreed) in [
            ("actpass", "active", "passive"),
            ("actpass", "passive", "active"),
            ("active", "actpass", "active"),
            ("passive", "actpass", "passive"),
        ] {
            assert_eq!(our_setup(&setup(ours), &setup(theirs)), agreed);
        }
        assert_eq!(with_setup(&setup("active"), "passive"), setup("passive"));
    }

    #[test]
    fn sections_say_what_was_rejected() {
        let sections = sections(SDP);
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].media.as_str(), sections[0].mid.as_str(), sections[0].rejected), ("video", "0", false));
        assert_eq!((sections[1].media.as_str(), sections[1].mid.as_str(), sections[1].rejected), ("audio", "1", true));
        assert_eq!(ice_ufrag(SDP), Some("abcd"));
        let hosts = ["192.0.2.4:40001", "192.0.2.4:40001", "198.51.100.9:40001"];
        assert_eq!(host_addresses(SDP).iter().map(ToString::to_string).collect::<Vec<_>>(), hosts);
    }

    #[test]
    fn nonsense_is_no_candidate() {
        for text in
            ["", "candidate:", "candidate:1 1 udp x", "candidate:1 1 udp 1 name.local 5 typ host", "\u{fffd} 1 2 3"]
        {
            assert!(public_twin(text, IpAddr::from([203, 0, 113, 7])).is_none(), "{text}");
            assert!(!is_host(text) || text.contains("host"));
        }
    }
}
