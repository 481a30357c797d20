//! Decides from their signs of life whether all threads and tasks of the node go on.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::media::MediaTime;
use crate::node::pulse::Reading;

/// Without a beat for so long a thread is stuck. Each waits for a third of that at most within a round, and a driver of a
/// camera that has gone bad gives up a request after half of it (5 s in Linux' uvcvideo).
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// At most so much of the time between two looks counts: the rest of it this process did not run either (a machine that
/// was asleep, a debugger), and nobody could beat.
const LONGEST_STEP: Duration = Duration::from_secs(2);

/// What is known of all of them.
#[derive(Debug, Default)]
pub struct Vigil {
    known: BTreeMap<u32, Known>,
    last_look: Option<MediaTime>,
}

#[derive(Debug)]
struct Known {
    beats: u32,
    silent: Duration,
}

/// A thread or task that does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub name: String,
    /// For how long it has given no sign of life.
    pub silent: Duration,
}

impl Vigil {
    /// Takes in what all of them have done until `now`; the first that is stuck, if one is.
    pub fn look(&mut self, readings: &[Reading], now: MediaTime) -> Option<Stuck> {
        let step = self.last_look.replace(now).map_or(Duration::ZERO, |last| now.since(last).min(LONGEST_STEP));
        self.known.retain(|id, _| readings.iter().any(|reading| reading.id == *id));
        let mut stuck = None;
        for reading in readings {
            let fresh = Known { beats: reading.beats, silent: Duration::ZERO };
            let known = match self.known.entry(reading.id) {
                Entry::Vacant(place) => place.insert(fresh),
                Entry::Occupied(place) => {
                    let known = place.into_mut();
                    if known.beats == reading.beats {
                        known.silent += step;
                    } else {
                        *known = fresh;
                    }
                    known
                }
            };
            if known.silent >= STUCK_AFTER && stuck.is_none() {
                stuck = Some(Stuck { name: reading.name.clone(), silent: known.silent });
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MediaTime {
        MediaTime::from_nanos(seconds * 1_000_000_000)
    }

    fn reading(id: u32, beats: u32) -> Reading {
        Reading { id, name: format!("thread-{id}"), beats }
    }

    #[test]
    fn whoever_beats_now_and_then_is_well_and_whoever_stops_is_named_after_ten_seconds() {
        let mut vigil = Vigil::default();
        for second in 0..100 {
            let slow = u32::try_from(second / 9).expect("small");
            let readings = [reading(1, slow), reading(2, u32::try_from(second).expect("small"))];
            assert_eq!(vigil.look(&readings, at(second)), None, "at {second} s");
        }
        for second in 100..200 {
            let readings = [reading(1, u32::try_from(second).expect("small")), reading(2, 99)];
            let found = vigil.look(&readings, at(second));
            let expected = (second >= 109)
                .then(|| Stuck { name: "thread-2".to_owned(), silent: Duration::from_secs(second - 99) });
            assert_eq!(found, expected, "at {second} s");
        }
    }

    #[test]
    fn whoever_has_ended_is_not_missed_and_whoever_is_new_has_its_time() {
        let mut vigil = Vigil::default();
        assert_eq!(vigil.look(&[reading(1, 5)], at(0)), None);
        for second in 1..60 {
            assert_eq!(vigil.look(&[], at(second)), None);
        }
        for second in 60..70 {
            assert_eq!(vigil.look(&[reading(2, 0)], at(second)), None, "at {second} s");
        }
        assert!(vigil.look(&[reading(2, 0)], at(70)).is_some());
    }

    #[test]
    fn a_process_that_did_not_run_for_an_hour_has_nobody_stuck() {
        let mut vigil = Vigil::default();
        let still = [reading(1, 7), reading(2, 7)];
        assert_eq!(vigil.look(&still, at(0)), None);
        assert_eq!(vigil.look(&still, at(1)), None);
        assert_eq!(vigil.look(&still, at(3_601)), None, "they had no more time than we");
        assert_eq!(vigil.look(&[reading(1, 8), reading(2, 7)], at(3_602)), None);
        let stuck =
            (3_603..3_700).find_map(|second| vigil.look(&[reading(1, 9 + second as u32), reading(2, 7)], at(second)));
        assert_eq!(stuck.map(|stuck| stuck.name), Some("thread-2".to_owned()));
    }

    #[test]
    fn counts_that_wrap_are_beats() {
        let mut vigil = Vigil::default();
        assert_eq!(vigil.look(&[reading(1, u32::MAX)], at(0)), None);
        for second in 1..30 {
            let beats = u32::MAX.wrapping_add(u32::try_from(second).expect("small"));
            assert_eq!(vigil.look(&[reading(1, beats)], at(second)), None);
        }
    }
}
