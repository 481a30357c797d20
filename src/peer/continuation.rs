//! An offer within a session: whether it goes on with what was agreed, and what it asks for on top, which is refused.
//!
//! The crate would take sections out of an offer for good, and new ones as wishes to be granted. So it is shown the agreed
//! ones alone; those that came on top stand in every later description of ours as refused (port 0,
//! [RFC 3264 §6](https://www.rfc-editor.org/rfc/rfc3264#section-6)).

use super::description::{ice_ufrag, sections};

/// More than this on top is no wish any more.
const MAX_REFUSED: usize = 8;

/// A section of the other side's that we refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// `video 9 UDP/TLS/RTP/SAVPF 96 97` without the port.
    media: String,
    transport: String,
    format: String,
    mid: String,
}

impl Refused {
    fn parse(section: &str) -> Option<Self> {
        let mut lines = section.lines();
        let mut m_line = lines.next()?.strip_prefix("m=")?.split_ascii_whitespace();
        let media = token(m_line.next()?)?;
        let _port = m_line.next()?;
        let transport = token(m_line.next()?)?;
        let format = token(m_line.next()?)?;
        let mid = token(lines.find_map(|line| line.strip_prefix("a=mid:"))?.trim())?;
        Some(Self { media, transport, format, mid })
    }

    fn section(&self) -> String {
        let Self { media, transport, format, mid } = self;
        format!("m={media} 0 {transport} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:{mid}\r\n")
    }
}

fn token(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// What the two sides have agreed on: our description and theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed<'a> {
    pub ours: &'a str,
    pub theirs: &'a str,
}

impl Agreed<'_> {
    /// The part of `offer` that goes on with this, and what it asks for on top.
    ///
    /// # Errors
    /// In words, why it does not go on with it.
    pub(super) fn continued_by(self, offer: &str) -> Result<(String, Vec<Refused>), &'static str> {
        let (agreed, taken) = (sections(self.ours), sections(self.theirs));
        let (kept, added) = split(offer, agreed.len());
        let offered = sections(&kept);
        let same =
            |a: &super::description::Section, b: &super::description::Section| (&a.media, &a.mid) == (&b.media, &b.mid);
        if offered.len() != agreed.len() || !offered.iter().zip(&agreed).all(|(a, b)| same(a, b)) {
            return Err("its sections are not those of the session");
        }
        if offered.iter().zip(&taken).any(|(now, before)| now.rejected != before.rejected) {
            return Err("it starts or stops a section");
        }
        if ice_ufrag(&kept).is_none_or(str::is_empty) {
            return Err("it has no ice credentials");
        }
        if fingerprints(&kept) != fingerprints(self.theirs) {
            return Err("its fingerprint is another one");
        }
        if added.len() > MAX_REFUSED {
            return Err("it has too many sections");
        }
        let refused: Option<Vec<Refused>> = added.iter().map(|section| Refused::parse(section)).collect();
        refused.map(|refused| (kept, refused)).ok_or("a section cannot be read")
    }
}

/// A description of ours with the sections that we refuse.
pub(super) fn with_refused(mut sdp: String, refused: &[Refused]) -> String {
    refused.iter().for_each(|each| sdp.push_str(&each.section()));
    sdp
}

/// A description of theirs without what comes after its first `count` sections.
pub(super) fn first_sections(sdp: &str, count: usize) -> String {
    split(sdp, count).0
}

/// The first `count` sections with what stands before them, and the others one by one.
fn split(sdp: &str, count: usize) -> (String, Vec<String>) {
    let mut parts: Vec<String> = vec![String::new()];
    for line in sdp.lines() {
        if line.starts_with("m=") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push_str("\r\n");
        }
    }
    let added = parts.split_off(parts.len().min(count + 1));
    let mids: Vec<String> = added.iter().flat_map(|part| sections(part)).map(|section| section.mid).collect();
    (bundled_without(&parts.concat(), &mids), added)
}

fn bundled_without(sdp: &str, mids: &[String]) -> String {
    if mids.is_empty() {
        return sdp.to_owned();
    }
    let keep = |line: &str| match line.strip_prefix("a=group:BUNDLE") {
        Some(bundled) => {
            let left = bundled.split_ascii_whitespace().filter(|mid| !mids.iter().any(|gone| gone == mid));
            let left: String = left.map(|mid| format!(" {mid}")).collect();
            format!("a=group:BUNDLE{left}\r\n")
        }
        None => format!("{line}\r\n"),
    };
    sdp.lines().map(keep).collect()
}

fn fingerprints(sdp: &str) -> Vec<String> {
    let mut found: Vec<String> = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=fingerprint:"))
        .map(|value| value.trim().to_ascii_lowercase())
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "v=0\r\na=group:BUNDLE 0 1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:ours\r\na=fingerprint:sha-256 AA\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n";
    const THEIRS: &str = "v=0\r\na=group:BUNDLE 0 1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:one\r\na=fingerprint:sha-256 BB\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\n";

    fn continued_by(offer: &str) -> Result<(String, Vec<Refused>), &'static str> {
        Agreed { ours: OURS, theirs: THEIRS }.continued_by(offer)
    }

    #[test]
    fn new_credentials_go_on_with_the_session() {
        let offer = THEIRS.replace("one", "two");
        assert_eq!(continued_by(&offer), Ok((offer, Vec::new())));
    }

    #[test]
    fn what_is_asked_for_on_top_is_refused_in_every_description_that_follows() {
        let added = "m=video 9 UDP/TLS/RTP/SAVPF 97 98\r\na=sendonly\r\na=mid:2\r\n";
        let offer = THEIRS.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + added;
        let (kept, refused) = continued_by(&offer).expect("it goes on");
        assert_eq!(kept, THEIRS);
        let section = "m=video 0 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:2\r\n";
        assert_eq!(with_refused(OURS.to_owned(), &refused), format!("{OURS}{section}"));
        assert_eq!(first_sections(&format!("{THEIRS}{section}"), 2), THEIRS);
    }

    #[test]
    fn another_session_is_not_gone_on_with() {
        let reordered =
            THEIRS.replace("a=mid:0", "a=mid:x").replace("a=mid:1", "a=mid:0").replace("a=mid:x", "a=mid:1");
        for offer in [
            "",
            "v=0",
            "nonsense",
            &reordered,
            &THEIRS.replace("m=audio", "m=video"),
            &THEIRS.replace("audio 9", "audio 0"),
            &THEIRS.replace("a=mid:1", "a=mid:1\r\na=inactive"),
            &THEIRS.replace("sha-256 BB", "sha-256 CC"),
            &THEIRS.replace("a=ice-ufrag:one\r\n", ""),
            &first_sections(THEIRS, 1),
            &format!("{THEIRS}m=video\r\na=mid:2\r\n"),
            &format!("{THEIRS}m=video 9 a b\r\n"),
            &format!("{THEIRS}{}", "m=video 9 a b\r\na=mid:2\r\n".repeat(9)),
        ] {
            assert!(continued_by(offer).is_err(), "{offer}");
        }
    }
}
