//! When to restart ICE on a path that is lost: soon, at once where the network has changed, and never in a storm.

use std::time::Duration;

/// A change of network comes in pieces (an address goes, another comes, then its route): this long after the first of
/// them, the next ones are mostly there.
const SETTLE: Duration = Duration::from_millis(250);
/// Waits after the first, second, … restart of one break. A restart takes well under a second on a LAN, and two or three
/// over a slow relay.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(8), Duration::from_secs(10)];
/// Between two restarts, whatever happens.
const AT_LEAST: Duration = Duration::from_millis(1_500);
/// A path that falls silent so soon after a change of network does so because of it.
const CAUSE: Duration = Duration::from_secs(10);
/// A path that has held for so long begins to count anew.
const PROVEN: Duration = Duration::from_secs(10);

/// The mending of one session's path.
#[derive(Debug)]
pub(super) struct Mending {
    /// How long a path may mend by itself before the first restart.
    patience: Duration,
    broken: bool,
    /// When the network has changed since the last restart.
    changed: Option<Duration>,
    due: Option<Duration>,
    tries: usize,
    last_try: Option<Duration>,
    mended_at: Option<Duration>,
}

impl Mending {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, broken: false, changed: None, due: None, tries: 0, last_try: None, mended_at: None }
    }

    /// Nothing is heard over the path any more.
    pub(super) fn lost(&mut self, now: Duration) {
        if self.mended_at.is_none_or(|at| at + PROVEN <= now) {
            self.tries = 0;
        }
        self.broken = true;
        self.due = Some(self.not_before(now + self.patience));
        self.changed = self.changed.filter(|at| now < *at + CAUSE);
        if self.changed.is_some() {
            self.hurry(now);
        }
    }

    /// The network has changed: what failed before may work now, and what is whole may break because of it.
    pub(super) fn network_changed(&mut self, now: Duration) {
        self.changed = Some(now);
        if self.broken {
            self.hurry(now);
        }
    }

    fn hurry(&mut self, now: Duration) {
        let soon = (now + SETTLE).max(self.last_try.map_or(Duration::ZERO, |at| at + AT_LEAST));
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// When the next restart is due; `None` on a whole path.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether the network has changed since the last restart of a lost path.
    pub(super) fn has_network_changed(&self) -> bool {
        self.changed.is_some()
    }

    /// A restart is under way, ours or theirs.
    pub(super) fn tried(&mut self, now: Duration) {
        self.changed = None;
        self.tries += 1;
        self.last_try = Some(now);
        self.due = self.broken.then(|| self.not_before(now));
    }

    /// The restart before is still under way.
    pub(super) fn wait_more(&mut self, now: Duration) {
        self.due = self.broken.then_some(now + PAUSES[0]);
    }

    /// The other side has answered, or we have: the checks begin.
    pub(super) fn answered(&mut self, now: Duration) {
        if self.broken {
            self.last_try = Some(now);
            self.due = Some(self.not_before(now));
        }
    }

    /// Heard again.
    pub(super) fn mended(&mut self, now: Duration) {
        self.broken = false;
        self.due = None;
        self.mended_at = Some(now);
    }

    fn not_before(&self, at: Duration) -> Duration {
        let pause = self.tries.checked_sub(1).map(|last| PAUSES[last.min(PAUSES.len() - 1)]);
        at.max(self.last_try.zip(pause).map_or(Duration::ZERO, |(last, pause)| last + pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lost_path_gets_a_little_time_and_then_restarts_further_and_further_apart() {
        let mut mending = Mending::new(ms(2_000));
        assert_eq!(mending.due(), None);
        mending.lost(ms(10_000));
        let mut due = Vec::new();
        for _ in 0..6 {
            let at = mending.due().expect("broken");
            due.push(at.as_millis());
            mending.tried(at);
        }
        assert_eq!(due, [12_000, 15_000, 20_000, 28_000, 38_000, 48_000]);
        mending.mended(ms(50_000));
        assert_eq!(mending.due(), None);
    }

    #[test]
    fn a_change_of_network_brings_it_forward_but_never_closer_than_a_second_and_a_half() {
        let mut mending = Mending::new(ms(2_000));
        mending.lost(ms(1_000));
        assert_eq!(mending.due(), Some(ms(3_000)));
        mending.network_changed(ms(1_100));
        assert_eq!(mending.due(), Some(ms(1_350)));
        mending.network_changed(ms(1_300));
        assert_eq!(mending.due(), Some(ms(1_350)), "a burst is one change");
        mending.tried(ms(1_350));
        let mut restarts = 0;
        for at in (1_400..61_400).step_by(100) {
            mending.network_changed(ms(at));
            if mending.due().expect("broken") <= ms(at) {
                mending.tried(ms(at));
                restarts += 1;
            }
        }
        assert!((35..=40).contains(&restarts), "{restarts} in a minute in which the network never stands still");
    }

    #[test]
    fn a_change_just_before_the_silence_is_its_cause() {
        for (changed, due) in [(0, 12_000), (1_000, 10_250)] {
            let mut mending = Mending::new(ms(2_000));
            mending.network_changed(ms(changed));
            assert_eq!(mending.due(), None, "the path is whole");
            mending.lost(ms(10_000));
            assert_eq!(mending.due(), Some(ms(due)));
        }
    }

    #[test]
    fn a_path_that_breaks_again_at_once_goes_on_counting() {
        let mut mending = Mending::new(ms(0));
        mending.lost(ms(0));
        mending.tried(ms(0));
        mending.mended(ms(500));
        mending.lost(ms(1_000));
        assert_eq!(mending.due(), Some(ms(3_000)));
        mending.tried(ms(3_000));
        mending.mended(ms(3_100));
        mending.lost(ms(13_100));
        assert_eq!(mending.due(), Some(ms(13_100)), "it has held for ten seconds");
    }

    #[test]
    fn a_restart_on_a_whole_path_sets_no_clock_going() {
        let mut mending = Mending::new(ms(2_000));
        mending.tried(ms(0));
        mending.answered(ms(100));
        assert_eq!(mending.due(), None);
    }
}
