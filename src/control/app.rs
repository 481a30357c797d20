//! What passes between the node and a local program that serves an `app:` channel: packets of a `SOCK_SEQPACKET` socket,
//! whose first byte says what the rest is. So no byte of a viewer's is ever taken for a word of the node's.
//!
//! | first byte | from | the rest |
//! |---|---|---|
//! | `t` | both | a text message, as it is |
//! | `b` | both | a binary message, as it is |
//! | `n` | the node | JSON: what has become of the viewer ([`Word`]) |

use std::time::Duration;

use serde::Serialize;

use crate::access::Scopes;

/// A viewer that has said nothing on its channel for so long may have let go of the stick.
pub const SILENT_AFTER: Duration = Duration::from_millis(300);

const TEXT: u8 = b't';
const BINARY: u8 = b'b';
const NODE: u8 = b'n';

/// What the node tells the program of the viewer at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Word<'a> {
    /// The first packet: who it is.
    Open {
        /// The label of the channel.
        label: &'a str,
        /// The peer's id. With tokens, what the token says; else what the viewer says.
        peer: &'a str,
        /// The session's.
        session: &'a str,
        /// What it may do.
        scopes: Vec<&'static str>,
    },
    /// Nothing has come for [`SILENT_AFTER`]: stop what must not go on by itself.
    Silent,
    /// Something has come again; it follows.
    Heard,
    /// It has left, or lost its right. The last packet.
    Closed,
}

impl Word<'_> {
    /// Its packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut packet = vec![NODE];
        // Plain data always has JSON.
        packet.extend(serde_json::to_vec(self).unwrap_or_default());
        packet
    }
}

/// The names of these rights.
pub fn scope_names(scopes: Scopes) -> Vec<&'static str> {
    let has = |scope: &crate::access::Scope| scopes.cover(Scopes::from_iter([*scope]));
    crate::access::Scope::ALL.into_iter().filter(has).map(crate::access::Scope::name).collect()
}

/// The packet of a viewer's message.
pub fn packet(text: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(1 + data.len());
    packet.push(if text { TEXT } else { BINARY });
    packet.extend_from_slice(data);
    packet
}

/// The message in a program's packet: whether it is text, and what it says.
///
/// # Errors
/// It is none: what is wrong with it.
pub fn message(packet: &[u8]) -> Result<(bool, &[u8]), &'static str> {
    match packet.split_first() {
        Some((&TEXT, data)) if std::str::from_utf8(data).is_ok() => Ok((true, data)),
        Some((&TEXT, _)) => Err("a text that is not UTF-8"),
        Some((&BINARY, data)) => Ok((false, data)),
        Some(_) => Err("a packet that begins with neither t nor b"),
        None => Err("an empty packet"),
    }
}

/// Whether a viewer is silent. Times are of any one clock that only rises.
#[derive(Debug)]
pub struct Silence {
    heard_at: Duration,
    told: bool,
}

impl Silence {
    /// A viewer whose channel opened at `now`.
    pub fn begin(now: Duration) -> Self {
        Self { heard_at: now, told: false }
    }

    /// A message came; true if the program is to be told that the silence is over.
    pub fn heard(&mut self, now: Duration) -> bool {
        self.heard_at = now;
        std::mem::take(&mut self.told)
    }

    /// When [`Silence::is_news`] would be true; `None` once it was.
    pub fn due(&self) -> Option<Duration> {
        (!self.told).then(|| self.heard_at + SILENT_AFTER)
    }

    /// Whether the program is to be told now that the viewer is silent; once a silence.
    pub fn is_news(&mut self, now: Duration) -> bool {
        let news = self.due().is_some_and(|due| due <= now);
        self.told |= news;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_of_a_viewer_are_taken_for_a_word_of_the_node() {
        let word = Word::Silent.packet();
        assert_eq!(word, br#"n{"event":"silent"}"#);
        for text in [true, false] {
            let packet = packet(text, &word);
            assert_eq!(message(&packet), Ok((text, &word[..])));
            assert_ne!(packet.first(), word.first());
        }
        assert_eq!(message(b"b"), Ok((false, &b""[..])));
        for junk in [&b""[..], b"n{}", b"x", b"t\xff"] {
            assert!(message(junk).is_err(), "{junk:?}");
        }
    }

    #[test]
    fn the_first_word_says_who_it_is() {
        let scopes = scope_names([crate::access::Scope::View, crate::access::Scope::Control].into_iter().collect());
        let open = Word::Open { label: "app:ptz", peer: "tab", session: "00", scopes };
        let json = r#"{"event":"open","label":"app:ptz","peer":"tab","session":"00","scopes":["view","control"]}"#;
        assert_eq!(open.packet(), format!("n{json}").into_bytes());
    }

    #[test]
    fn a_silence_is_told_once_after_300_ms_and_its_end_once() {
        let ms = Duration::from_millis;
        let mut silence = Silence::begin(ms(1_000));
        assert_eq!(silence.due(), Some(ms(1_300)));
        assert!(!silence.is_news(ms(1_299)));
        assert!(!silence.heard(ms(1_299)), "there was no silence");
        assert!(silence.is_news(ms(1_599)) && !silence.is_news(ms(1_600)));
        assert_eq!(silence.due(), None);
        assert!(silence.heard(ms(9_000)) && !silence.heard(ms(9_001)));
        assert_eq!(silence.due(), Some(ms(9_301)));
    }
}
