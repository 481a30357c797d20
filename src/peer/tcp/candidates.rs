//! Candidates of ICE over TCP ([RFC 6544](https://www.rfc-editor.org/rfc/rfc6544)): ours as they are told, theirs as they are
//! told to the crate. Pure.

use std::net::{IpAddr, SocketAddr};

/// Type preferences below those of UDP's host (126) and server-reflexive (100) candidates and above a relay's (0), as
/// [RFC 6544 §4.2](https://www.rfc-editor.org/rfc/rfc6544#section-4.2) wishes.
const HOST_PREFERENCE: u32 = 90;
const FORWARDED_PREFERENCE: u32 = 80;
/// The same section: the direction preference of passive candidates in the upper three bits, all else alike.
const LOCAL_PREFERENCE: u32 = (4 << 13) | 0x1fff;

/// The candidates for these addresses that we listen on, and for the address under which a router forwards to one of them;
/// without `a=`.
pub(super) fn passive(listening: &[SocketAddr], public: Option<IpAddr>) -> Vec<String> {
    let mut told = Vec::new();
    let mut forwarded = public;
    for (address, preference) in listening.iter().zip((0..=LOCAL_PREFERENCE).rev()) {
        let (ip, port) = (address.ip(), address.port());
        let priority = |kind: u32| (kind << 24) | (preference << 8) | 255;
        let foundation = format!("tcp{}", told.len());
        told.push(format!(
            "candidate:{foundation} 1 tcp {} {ip} {port} typ host tcptype passive",
            priority(HOST_PREFERENCE)
        ));
        if let Some(public) = forwarded.filter(|public| public.is_ipv4() == ip.is_ipv4() && *public != ip) {
            forwarded = None;
            told.push(format!(
                "candidate:{foundation}9 1 tcp {} {public} {port} typ srflx raddr {ip} rport {port} tcptype passive",
                priority(FORWARDED_PREFERENCE)
            ));
        }
    }
    told
}

/// A description of ours with these candidates too, in its first section, which all others are bundled with.
pub(in crate::peer) fn with_candidates(sdp: &str, candidates: &[String]) -> String {
    let mut told = String::with_capacity(sdp.len() + 96 * candidates.len());
    let mut left = candidates;
    let mut in_section = false;
    for line in sdp.lines() {
        told.push_str(line);
        told.push_str("\r\n");
        in_section |= line.starts_with("m=");
        // Attributes come last in a section (RFC 8866 §9).
        if in_section && line.starts_with("a=") {
            for candidate in std::mem::take(&mut left) {
                told.push_str(&format!("a={candidate}\r\n"));
            }
        }
    }
    told
}

/// A candidate of the other side's as the crate is told of it. It would open TCP connections by itself, to whatever address
/// it is told, and wait for them to take what it writes; so it is told of none. Whoever may dial gives those addresses that
/// the other side listens on an alias, which is told instead.
pub(in crate::peer) fn for_crate(
    candidate: &str,
    dial: impl FnOnce(SocketAddr) -> Option<SocketAddr>,
) -> Option<String> {
    let mut fields = candidate.split_ascii_whitespace();
    let (foundation, component, transport) = (fields.next()?, fields.next()?, fields.next()?);
    if transport.eq_ignore_ascii_case("udp") {
        return Some(candidate.to_owned());
    }
    let (priority, ip, port) = (fields.next()?, fields.next()?, fields.next()?);
    let rest: Vec<&str> = fields.collect();
    let is_passive = rest.windows(2).any(|pair| pair == ["tcptype", "passive"]);
    if !transport.eq_ignore_ascii_case("tcp") || !is_passive {
        return None;
    }
    let alias = dial(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))?;
    Some(format!("{foundation} {component} udp {priority} {} {} typ host", alias.ip(), alias.port()))
}

/// A description of the other side's as the crate is told of it: with its candidates as [`for_crate`] has them.
pub(in crate::peer) fn description_for_crate(
    sdp: &str,
    mut dial: impl FnMut(SocketAddr) -> Option<SocketAddr>,
) -> String {
    let mut told = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        match line.strip_prefix("a=candidate:") {
            Some(candidate) => {
                let Some(candidate) = for_crate(candidate, &mut dial) else { continue };
                told.push_str("a=candidate:");
                told.push_str(&candidate);
            }
            None => told.push_str(line),
        }
        told.push_str("\r\n");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_listen_on_is_told_below_all_udp_and_above_relays() {
        let listening =
            ["192.0.2.4:8189", "[2001:db8::4]:8189", "198.51.100.9:8189"].map(|a| a.parse().expect("valid"));
        let told = passive(&listening, Some(IpAddr::from([203, 0, 113, 7])));
        assert_eq!(
            told,
            [
                "candidate:tcp0 1 tcp 1520435199 192.0.2.4 8189 typ host tcptype passive",
                "candidate:tcp09 1 tcp 1352663039 203.0.113.7 8189 typ srflx raddr 192.0.2.4 rport 8189 tcptype passive",
                "candidate:tcp2 1 tcp 1520434943 2001:db8::4 8189 typ host tcptype passive",
                "candidate:tcp3 1 tcp 1520434687 198.51.100.9 8189 typ host tcptype passive",
            ]
        );
        assert!(passive(&[], Some(IpAddr::from([203, 0, 113, 7]))).is_empty());
    }

    #[test]
    fn a_description_has_them_once() {
        let sdp =
            "v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 X 1\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\nm=audio 9 X 1\r\na=mid:1\r\n";
        let candidates = ["candidate:1".to_owned(), "candidate:2".to_owned()];
        let with = sdp.replace("a=mid:0\r\n", "a=mid:0\r\na=candidate:1\r\na=candidate:2\r\n");
        assert_eq!(with_candidates(sdp, &candidates), with);
        assert_eq!(with_candidates(sdp, &[]), sdp);
    }

    #[test]
    fn the_crate_hears_of_no_tcp() {
        let nobody = |_| None;
        let udp = "1 1 UDP 2130706431 192.0.2.4 40001 typ host";
        assert_eq!(for_crate(udp, nobody).as_deref(), Some(udp));
        let passive = "4 1 tcp 1518280447 192.0.2.4 22 typ host tcptype passive";
        for tcp in [passive, "4 1 tcp 1518280447 192.0.2.4 9 typ host tcptype active", "4 1 tcp", "4", ""] {
            assert_eq!(for_crate(tcp, nobody), None, "{tcp}");
        }
        let alias = |target: SocketAddr| (target.port() == 22).then(|| SocketAddr::from(([192, 0, 0, 8], 1_024)));
        assert_eq!(for_crate(passive, alias).as_deref(), Some("4 1 udp 1518280447 192.0.0.8 1024 typ host"));
        assert_eq!(for_crate("4 1 tcp 1 a.local 22 typ host tcptype passive", alias), None);
        let sdp = format!("v=0\r\na=candidate:{udp}\r\na=candidate:{passive}\r\na=mid:0\r\n");
        assert_eq!(description_for_crate(&sdp, nobody), format!("v=0\r\na=candidate:{udp}\r\na=mid:0\r\n"));
        assert!(
            description_for_crate(&sdp, alias).contains("a=candidate:4 1 udp 1518280447 192.0.0.8 1024 typ host\r\n")
        );
    }
}
