//! What the node does, in one line for `systemctl status`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::media::MediaTime;
use crate::node::state::{Condition, State};

/// Longest detail of a part in trouble, in characters: the line is read in a terminal.
const DETAIL_LETTERS: usize = 100;

/// What the line is made of, besides the parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The node's name.
    pub name: String,
    /// Where its page is.
    pub page: Option<String>,
    /// Viewers that are sent to.
    pub viewers: usize,
}

/// Makes the line, and remembers since when each part is as it is.
#[derive(Debug, Default)]
pub struct Words {
    since: BTreeMap<String, (State, MediaTime)>,
}

impl Words {
    /// The line at `now`.
    pub fn line(&mut self, facts: &Facts, parts: &BTreeMap<String, Condition>, now: MediaTime) -> String {
        self.since.retain(|part, _| parts.contains_key(part));
        let mut said = Vec::new();
        let cameras = parts.keys().filter(|part| part.starts_with("camera:")).count();
        for (part, condition) in parts {
            let since = self.since.entry(part.clone()).or_insert((condition.state, now));
            if since.0 != condition.state {
                *since = (condition.state, now);
            }
            let called = match part.split_once(':') {
                Some((kind, _)) if cameras <= 1 && kind != "certificate" => kind.to_owned(),
                _ => part.replace(':', " "),
            };
            match condition.state {
                // Of what is well, only what everybody asks for.
                State::Live | State::Idle if matches!(kind_of(part), "camera" | "broker") => {
                    said.push((false, format!("{called} ok")));
                }
                State::Live | State::Idle => {}
                state => {
                    let how_long = roughly(now.since(since.1));
                    let detail = if condition.detail.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", clipped(&condition.detail))
                    };
                    said.push((true, format!("{called} {}{how_long}{detail}", state.word())));
                }
            }
        }
        // What is not well comes first.
        said.sort_by_key(|(is_trouble, _)| !is_trouble);
        let viewers = match facts.viewers {
            1 => "1 viewer".to_owned(),
            n => format!("{n} viewers"),
        };
        let said = std::iter::once(viewers).chain(said.into_iter().map(|(_, words)| words)).collect::<Vec<_>>();
        let page = facts.page.as_ref().map(|page| format!("; page {page}")).unwrap_or_default();
        format!("{}: {}{page}", facts.name, said.join(", "))
    }
}

fn kind_of(part: &str) -> &str {
    part.split(':').next().unwrap_or_default()
}

/// ` for 5 min`; nothing for less than a minute, so that the line stays the same meanwhile.
fn roughly(time: Duration) -> String {
    match time.as_secs() {
        0..60 => String::new(),
        seconds @ 60..3_600 => format!(" for {} min", seconds / 60),
        seconds @ 3_600..172_800 => format!(" for {} h", seconds / 3_600),
        seconds => format!(" for {} days", seconds / 86_400),
    }
}

/// One line of it, not too long.
fn clipped(detail: &str) -> String {
    let line = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(DETAIL_LETTERS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(list: &[(&str, State, &str)]) -> BTreeMap<String, Condition> {
        let part = |(name, state, detail): &(&str, State, &str)| {
            ((*name).to_owned(), Condition { state: *state, detail: (*detail).to_owned() })
        };
        list.iter().map(part).collect()
    }

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_node_that_is_well_says_little() {
        let mut words = Words::default();
        let all = parts(&[
            ("broker", State::Live, ""),
            ("camera:main", State::Idle, ""),
            ("certificate:http.tls.cert_file", State::Live, "good until 2027-01-01"),
            ("encoder:main", State::Live, "1280x720 from Yuyv"),
            ("microphone:main", State::Live, ""),
        ]);
        let facts = Facts { name: "porch".to_owned(), page: None, viewers: 2 };
        assert_eq!(words.line(&facts, &all, at(5)), "porch: 2 viewers, broker ok, camera ok");
        let facts = Facts { page: Some("https://camera-porch.local:8443/".to_owned()), viewers: 1, ..facts };
        assert_eq!(
            words.line(&facts, &all, at(5)),
            "porch: 1 viewer, broker ok, camera ok; page https://camera-porch.local:8443/"
        );
    }

    #[test]
    fn trouble_comes_first_with_its_reason_and_how_long_it_lasts() {
        let mut words = Words::default();
        let facts = Facts { name: "porch".to_owned(), page: None, viewers: 0 };
        let live = parts(&[("broker", State::Live, ""), ("camera:main", State::Live, "")]);
        let away = parts(&[("broker", State::Live, ""), ("camera:main", State::Away, "/dev/video0: gone")]);
        words.line(&facts, &live, at(100));
        for (seconds, expected) in [
            (200, "porch: 0 viewers, camera away (/dev/video0: gone), broker ok"),
            (259, "porch: 0 viewers, camera away (/dev/video0: gone), broker ok"),
            (500, "porch: 0 viewers, camera away for 5 min (/dev/video0: gone), broker ok"),
            (8_000, "porch: 0 viewers, camera away for 2 h (/dev/video0: gone), broker ok"),
            (400_000, "porch: 0 viewers, camera away for 4 days (/dev/video0: gone), broker ok"),
        ] {
            assert_eq!(words.line(&facts, &away, at(seconds)), expected);
        }
        words.line(&facts, &live, at(400_001));
        assert!(!words.line(&facts, &away, at(400_002)).contains("for"), "it counts from the last change");
    }

    #[test]
    fn several_cameras_have_their_names_and_a_long_reason_is_one_short_line() {
        let mut words = Words::default();
        let long = "line one\nline two ".repeat(30);
        let all = parts(&[("camera:back", State::Live, ""), ("camera:front", State::Failed, &long)]);
        let line = words.line(&Facts { name: "x".to_owned(), ..Facts::default() }, &all, at(0));
        assert!(line.starts_with("x: 0 viewers, camera front failed (line one line two "), "{line}");
        assert!(line.ends_with("…), camera back ok") && !line.contains('\n') && line.len() < 200, "{line}");
    }
}
