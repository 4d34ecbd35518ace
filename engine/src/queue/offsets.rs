//! How far each group has come in each queue of this shard.
//!
//! An offset is shown as soon as it is set. Changed ones go to the log together, once a second; a crash
//! may take a group back by that much.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::control_record::OffsetCommit;
use crate::hash::{Seed, Table};
use crate::state::{GroupNameRow, OffsetRow};
use crate::types::{GroupNumber, QueueNumber};

/// Offsets of all groups in one shard.
#[derive(Debug)]
pub(crate) struct GroupOffsets {
    numbers: Table<Box<str>, GroupNumber>,
    /// Names by group number.
    names: BTreeMap<GroupNumber, Box<str>>,
    /// In order, so that a checkpoint walks them a step at a time.
    rows: BTreeMap<Key, Progress>,
    /// Changed since they last went to the log; each once.
    changed: Vec<Key>,
    /// Groups whose offsets were dropped, which the log does not say yet.
    forgotten: Vec<GroupNumber>,
    /// Groups whose numbers are not in the log yet.
    unbound: Vec<GroupNumber>,
    next_number: u32,
}

type Key = (QueueNumber, GroupNumber);

#[derive(Clone, Copy, Debug)]
struct Progress {
    offset: u64,
    changed: bool,
}

impl GroupOffsets {
    pub(crate) fn new(seed: Seed, next_number: u32) -> Self {
        Self {
            numbers: Table::with_hasher(seed),
            names: BTreeMap::new(),
            rows: BTreeMap::new(),
            changed: Vec::new(),
            forgotten: Vec::new(),
            unbound: Vec::new(),
            next_number: next_number.max(1),
        }
    }

    /// Restores a group's number as it was recovered.
    pub(crate) fn restore_group(&mut self, number: GroupNumber, name: &str) {
        self.next_number = self.next_number.max(number.0 + 1);
        self.numbers.insert(name.into(), number);
        self.names.insert(number, name.into());
    }

    /// Restores an offset as it was recovered.
    pub(crate) fn restore(&mut self, group: GroupNumber, queue: QueueNumber, offset: u64) {
        let changed = false;
        self.rows
            .insert((queue, group), Progress { offset, changed });
    }

    /// A group's offset in a queue.
    pub(crate) fn get(&self, group: &str, queue: QueueNumber) -> Option<u64> {
        let number = *self.numbers.get(group)?;
        Some(self.rows.get(&(queue, number))?.offset)
    }

    /// Sets a group's offset in a queue; `false` when the table is full.
    pub(crate) fn set(
        &mut self,
        group: &str,
        queue: QueueNumber,
        offset: u64,
        rows_max: usize,
    ) -> bool {
        let known = self.numbers.get(group).copied();
        let room = self.rows.len() < rows_max;
        let number = match known {
            Some(number) => number,
            None if room => self.bind(group),
            None => return false,
        };
        let key = (queue, number);
        match self.rows.get_mut(&key) {
            Some(row) if row.offset == offset => return true,
            Some(row) => {
                row.offset = offset;
                if std::mem::replace(&mut row.changed, true) {
                    return true;
                }
            }
            None if room => {
                let changed = true;
                self.rows.insert(key, Progress { offset, changed });
            }
            None => return false,
        }
        self.changed.push(key);
        true
    }

    /// Forgets all offsets of a group.
    pub(crate) fn forget_group(&mut self, group: &str) {
        let Some(&number) = self.numbers.get(group) else {
            return;
        };
        self.rows.retain(|key, _| key.1 != number);
        self.changed.retain(|key| key.1 != number);
        if !self.forgotten.contains(&number) {
            self.forgotten.push(number);
        }
    }

    /// Forgets all offsets in a queue that is deleted; the log knows of the deletion already.
    pub(crate) fn forget_queue(&mut self, queue: QueueNumber) {
        let all = (queue, GroupNumber(0))..=(queue, GroupNumber(u32::MAX));
        let keys: Vec<Key> = self.rows.range(all).map(|(key, _)| *key).collect();
        for key in keys {
            self.rows.remove(&key);
        }
        self.changed.retain(|key| key.0 != queue);
    }

    /// Changed offsets that are not in the log yet.
    pub(crate) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// Whether there is anything that the log does not say yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.changed.is_empty() || !self.forgotten.is_empty()
    }

    /// The next group whose offsets were dropped, which the log does not say yet.
    pub(crate) fn next_forgotten(&self) -> Option<GroupNumber> {
        self.forgotten.last().copied()
    }

    /// The log says that this group's offsets were dropped.
    pub(crate) fn forgotten_logged(&mut self) {
        self.forgotten.pop();
    }

    /// The next group whose number is not in the log yet.
    pub(crate) fn next_unbound(&self) -> Option<(GroupNumber, &str)> {
        let number = *self.unbound.last()?;
        Some((number, self.names.get(&number)?))
    }

    /// That group's number is in the log now.
    pub(crate) fn bound(&mut self) {
        self.unbound.pop();
    }

    /// Takes up to `max` changed offsets, which are going to the log now.
    pub(crate) fn take_changed(&mut self, max: usize) -> impl Iterator<Item = OffsetCommit> + '_ {
        let from = self.changed.len().saturating_sub(max);
        let rows = &mut self.rows;
        self.changed.drain(from..).filter_map(|key| {
            let row = rows.get_mut(&key)?;
            row.changed = false;
            Some(OffsetCommit {
                group: key.1,
                queue: key.0,
                offset: row.offset,
            })
        })
    }

    /// The name of a group.
    pub(crate) fn name(&self, group: GroupNumber) -> Option<&str> {
        self.names.get(&group).map(|name| &**name)
    }

    /// Names of groups from a number on.
    pub(crate) fn names_from(&self, from: GroupNumber) -> impl Iterator<Item = GroupNameRow> + '_ {
        self.names.range(from..).map(|(&group, name)| GroupNameRow {
            group,
            name: name.to_string(),
        })
    }

    /// Offsets after a queue and group, in that order.
    pub(crate) fn rows_after(
        &self,
        after: Option<(QueueNumber, GroupNumber)>,
    ) -> impl Iterator<Item = OffsetRow> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range((from, Bound::Unbounded));
        rows.map(|(&(queue, group), row)| OffsetRow {
            queue,
            group,
            offset: row.offset,
        })
    }

    /// The number that the next new group gets.
    pub(crate) fn next_number(&self) -> GroupNumber {
        GroupNumber(self.next_number)
    }

    fn bind(&mut self, group: &str) -> GroupNumber {
        let number = GroupNumber(self.next_number);
        self.restore_group(number, group);
        self.unbound.push(number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueNumber = QueueNumber(3);

    fn commit(offset: u64) -> OffsetCommit {
        OffsetCommit {
            group: GroupNumber(1),
            queue: QUEUE,
            offset,
        }
    }

    #[test]
    fn an_offset_changed_twice_goes_to_the_log_once() {
        let mut offsets = GroupOffsets::new(Seed(1), 0);
        assert!(offsets.set("g", QUEUE, 5, 10) && offsets.set("g", QUEUE, 6, 10));
        assert_eq!(offsets.next_unbound(), Some((GroupNumber(1), "g")));
        offsets.bound();
        let taken: Vec<_> = offsets.take_changed(10).collect();
        assert_eq!(taken, [commit(6)]);
        assert!(offsets.set("g", QUEUE, 6, 10));
        assert_eq!(offsets.changed(), 0);
    }

    #[test]
    fn a_forgotten_group_is_gone_here_and_in_the_log() {
        let mut offsets = GroupOffsets::new(Seed(1), 0);
        offsets.set("g", QUEUE, 5, 10);
        offsets.set("h", QUEUE, 5, 10);
        offsets.forget_group("g");
        assert_eq!(
            (offsets.get("g", QUEUE), offsets.get("h", QUEUE)),
            (None, Some(5))
        );
        assert_eq!(offsets.next_forgotten(), Some(GroupNumber(1)));
        assert_eq!(
            (offsets.changed(), offsets.rows_after(None).count()),
            (1, 1)
        );
    }

    #[test]
    fn a_full_table_takes_changes_and_nothing_new() {
        let mut offsets = GroupOffsets::new(Seed(1), 0);
        assert!(offsets.set("g", QUEUE, 5, 1));
        assert!(!offsets.set("h", QUEUE, 5, 1));
        assert!(offsets.set("g", QUEUE, 7, 1));
    }
}
