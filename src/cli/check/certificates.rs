//! Whether a certificate of the config ends soon.

use super::report::Finding;
use crate::config::Config;
use crate::node::{State, given_certificates};
use crate::sys;

/// One finding a certificate that can be read; the others are found by what uses them.
pub fn check(config: &Config) -> Vec<Finding> {
    let now_s = sys::since_unix_epoch().as_secs();
    let found = given_certificates(config).into_iter().map(|certificate| {
        let verdict = certificate.verdict(now_s);
        let part = format!("certificate {}", certificate.key);
        let advice = format!("write a newer one to {}: the node reads it again by itself", certificate.file.display());
        match verdict.state {
            State::Expired => Finding::bad(part, verdict.words, advice),
            State::Live => Finding::good(part, verdict.words),
            _ => Finding::good(part, verdict.words).with_advice(advice),
        }
    });
    found.collect()
}
