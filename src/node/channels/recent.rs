//! How long pictures took lately, from counts that only rise: pure. After hours no picture moves a median of all.

use std::collections::VecDeque;

use crate::peer::LatencyCounts;

/// The latest counts of one camera, one a second.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<LatencyCounts>);

/// So many seconds count: enough pictures for the slowest in twenty, and few enough to see what changes.
const SECONDS: usize = 10;

impl Recent {
    /// What was counted within the last [`SECONDS`], when all is `total` a second later; nothing the first time.
    pub fn after(&mut self, total: LatencyCounts) -> LatencyCounts {
        let before = *self.0.front().unwrap_or(&total);
        self.0.push_back(total);
        if self.0.len() > SECONDS {
            self.0.pop_front();
        }
        total.since(&before)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_shows_within_seconds_whatever_was_before() {
        let ms = Duration::from_millis;
        let mut all = LatencyCounts::default();
        let mut recent = Recent::default();
        let mut second = |took| {
            (0..30).for_each(|_| all.observe(took));
            recent.after(all)
        };
        assert_eq!(second(ms(8)).count(), 0, "what was before anybody listened is old");
        for n in 1..3_600 {
            let lately = second(ms(8));
            assert_eq!((lately.count(), lately.quantile(0.5)), (30 * n.min(10), Some(ms(8))));
        }
        let medians: Vec<_> = (0..10).map(|_| second(ms(40)).quantile(0.5)).collect();
        assert_eq!((medians[3], medians[9]), (Some(ms(8)), Some(ms(40))));
        assert_eq!(second(ms(40)).quantile(0.05), Some(ms(40)), "nothing is left of the hour");
    }

    #[test]
    fn of_no_pictures_nothing_is_told() {
        let mut recent = Recent::default();
        let mut all = LatencyCounts::default();
        all.observe(Duration::from_millis(8));
        assert_eq!((recent.after(all).quantile(0.5), recent.after(all).quantile(0.5)), (None, None));
    }
}
