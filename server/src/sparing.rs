//! Which of many like events are worth a line in the log: the first few of a kind, and from time to
//! time how many others there were.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};

use crate::limits::{LIKE_EVENTS_INTERVAL_NS, LIKE_EVENTS_MAX, SPARING_KINDS_MAX};

/// See the module. `K` is the kind of an event: a reason, a code.
#[derive(Debug)]
pub struct Sparing<K> {
    kinds: HashMap<K, Kind, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Debug)]
struct Kind {
    until_ns: u64,
    said: u32,
    unsaid: u64,
}

impl<K> Default for Sparing<K> {
    fn default() -> Self {
        Self {
            kinds: HashMap::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> Sparing<K> {
    /// Whether an event of this kind is to be told now; the rest is counted.
    pub fn is_worth_saying(&mut self, kind: K, now_ns: u64) -> bool {
        if self.kinds.len() >= SPARING_KINDS_MAX && !self.kinds.contains_key(&kind) {
            return false;
        }
        let entry = self.kinds.entry(kind).or_insert(Kind {
            until_ns: now_ns + LIKE_EVENTS_INTERVAL_NS,
            said: 0,
            unsaid: 0,
        });
        if entry.said < LIKE_EVENTS_MAX {
            entry.said += 1;
            return true;
        }
        entry.unsaid += 1;
        false
    }

    /// Kinds whose interval is over: forgotten, and told with the number of events that were not told.
    pub fn take_over(&mut self, now_ns: u64, mut tell: impl FnMut(K, u64)) {
        self.kinds.retain(|&kind, entry| {
            let is_over = now_ns >= entry.until_ns;
            if is_over && entry.unsaid > 0 {
                tell(kind, entry.unsaid);
            }
            !is_over
        });
    }

    /// When the first interval with something untold is over.
    pub fn due_ns(&self) -> Option<u64> {
        let untold = self.kinds.values().filter(|kind| kind.unsaid > 0);
        untold.map(|kind| kind.until_ns).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_are_told_and_the_others_counted_by_the_end_of_the_interval() {
        let mut sparing = Sparing::default();
        let told = |kind, sparing: &mut Sparing<i32>| {
            (0..100)
                .filter(|&now| sparing.is_worth_saying(kind, now))
                .count() as u32
        };
        assert_eq!(told(1, &mut sparing), LIKE_EVENTS_MAX);
        assert_eq!(sparing.due_ns(), Some(LIKE_EVENTS_INTERVAL_NS));
        assert_eq!(told(2, &mut sparing), LIKE_EVENTS_MAX);
        let mut others = Vec::new();
        sparing.take_over(LIKE_EVENTS_INTERVAL_NS - 1, |kind, count| {
            others.push((kind, count))
        });
        assert_eq!(others, []);
        sparing.take_over(LIKE_EVENTS_INTERVAL_NS, |kind, count| {
            others.push((kind, count))
        });
        others.sort_unstable();
        let left = u64::from(100 - LIKE_EVENTS_MAX);
        assert_eq!(others, [(1, left), (2, left)]);
        assert_eq!(sparing.due_ns(), None);
        assert!(sparing.is_worth_saying(1, LIKE_EVENTS_INTERVAL_NS));
    }

    #[test]
    fn kinds_are_bounded() {
        let mut sparing = Sparing::default();
        let told = (0..2 * SPARING_KINDS_MAX).filter(|&kind| sparing.is_worth_saying(kind, 0));
        assert_eq!(told.count(), SPARING_KINDS_MAX);
    }
}
