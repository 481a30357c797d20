//! When the certificates end that the node was given: a month before, it begins to say so.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::config::Config;
use crate::http::{CertificateEnd, first_end};
use crate::sys;

use super::state::{Board, State};

/// What stands before a certificate's key in the names of parts.
pub const PART: &str = "certificate:";

/// How often they are looked at: a file may be exchanged at any time.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Said again in the log.
const SAY_EVERY_S: u64 = 86_400;
const DAY_S: i64 = 86_400;
/// As long before its end a certificate is worth a warning, in days.
const WARN_DAYS: i64 = 30;

/// A certificate, or several authorities', in a file of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenCertificate {
    /// The config's key.
    pub key: &'static str,
    /// Its file.
    pub file: PathBuf,
    /// When it ends, or the first of them does.
    pub end: CertificateEnd,
}

/// How a certificate is, `now_s` seconds after 1970, in words without its path: who may watch may read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Live, expiring or expired.
    pub state: State,
    /// Until when.
    pub words: String,
}

/// The certificates in the files that `config` names. Those that cannot be read are not here: whoever uses them says so.
pub fn given(config: &Config) -> Vec<GivenCertificate> {
    let broker = &config.broker;
    let tls = &config.http.tls;
    let files = [
        ("broker.client_cert_file", &broker.client_cert_file, !broker.embedded),
        ("broker.ca_file", &broker.ca_file, !broker.embedded),
        ("ice.ca_file", &config.ice.ca_file, !config.ice.servers.is_empty()),
        ("ring.ca_file", &config.ring.ca_file, config.ring.webhook.is_some()),
        ("http.tls.cert_file", &tls.cert_file, config.http.enabled),
    ];
    let used = files.into_iter().filter(|(_, _, is_used)| *is_used);
    used.filter_map(|(key, file, _)| {
        let file = file.clone()?;
        let end = first_end(&fs::read(&file).ok()?)?;
        Some(GivenCertificate { key, file, end })
    })
    .collect()
}

impl GivenCertificate {
    /// How it is at this time.
    pub fn verdict(&self, now_s: u64) -> Verdict {
        let left = self.end.unix_s - i64::try_from(now_s).unwrap_or(i64::MAX);
        let (key, date) = (self.key, &self.end.date);
        let (state, words) = if left <= 0 {
            (State::Expired, format!("the certificate in {key} ended on {date}: exchange it"))
        } else if left <= WARN_DAYS * DAY_S {
            (State::Expiring, format!("the certificate in {key} ends on {date}: exchange it before"))
        } else {
            (State::Live, format!("good until {date}"))
        };
        Verdict { state, words }
    }
}

/// Looks at them for ever. A clock that is not set says nothing about any certificate.
pub async fn watch(config: Arc<Config>, board: Arc<Board>, is_clock_set: impl Fn() -> bool) {
    let mut said_s = None;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if !is_clock_set() {
            continue;
        }
        let now_s = sys::since_unix_epoch().as_secs();
        let is_time_to_say = said_s.is_none_or(|said| now_s >= said + SAY_EVERY_S);
        for certificate in given(&config) {
            let Verdict { state, words } = certificate.verdict(now_s);
            if state != State::Live && is_time_to_say {
                warn!(file = %certificate.file.display(), "{words}");
                said_s = Some(now_s);
            }
            board.note(&format!("{PART}{}", certificate.key), state, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_before_its_end_a_certificate_is_worth_a_warning() {
        let end = CertificateEnd { unix_s: 100 * DAY_S, date: "2026-12-01".to_owned() };
        let certificate = GivenCertificate { key: "broker.ca_file", file: "/secret/ca.pem".into(), end };
        let at = |days: u64| certificate.verdict(days * 86_400);
        assert_eq!(at(40), Verdict { state: State::Live, words: "good until 2026-12-01".to_owned() });
        assert_eq!(certificate.verdict(70 * 86_400 - 1).state, State::Live, "a second more than thirty days");
        assert_eq!(at(70).state, State::Expiring, "thirty days");
        let words = "the certificate in broker.ca_file ends on 2026-12-01: exchange it before".to_owned();
        assert_eq!(at(90), Verdict { state: State::Expiring, words });
        assert_eq!(at(100).state, State::Expired);
        assert!(!at(100).words.contains("/secret"), "who may watch need not know the path");
    }
}
