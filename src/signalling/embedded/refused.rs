//! The clients that the embedded broker turns away, for the log: a sum, as whoever may knock could fill it with lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of a name that a stranger has chosen, so much is kept.
const NAME_LETTERS: usize = 80;

/// How many were turned away since that was last asked for.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_reason: BTreeMap<&'static str, u32>,
    last: String,
}

/// A sum of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many, and why.
    pub text: String,
    /// What the last of them calls itself.
    pub last: String,
}

impl Refused {
    /// One that calls itself `name` was turned away, for a reason that is one of few.
    pub(super) fn count(&self, reason: &'static str, name: &str) {
        let mut counts = self.lock();
        let count = counts.by_reason.entry(reason).or_default();
        *count = count.saturating_add(1);
        counts.last = name.chars().take(NAME_LETTERS).collect();
    }

    /// The sum since it was last asked for; `None` if there was nobody.
    pub(super) fn sum(&self) -> Option<Sum> {
        let Counts { by_reason, last } = std::mem::take(&mut *self.lock());
        if by_reason.is_empty() {
            return None;
        }
        let total = by_reason.values().fold(0_u32, |total, count| total.saturating_add(*count));
        let reasons: Vec<_> = by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        Some(Sum { text: format!("{total} ({})", reasons.join(", ")), last })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are right or a little short.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_a_long_name_is_cut() {
        let refused = Refused::default();
        assert_eq!(refused.sum(), None);
        for _ in 0..500 {
            refused.count("no or a wrong password", "tab-1");
        }
        refused.count("a bad client id", &"x".repeat(64_000));
        let sum = refused.sum().expect("something was counted");
        assert_eq!(sum.text, "501 (a bad client id 1, no or a wrong password 500)");
        assert_eq!(sum.last, "x".repeat(80));
        assert_eq!(refused.sum(), None);
    }
}
