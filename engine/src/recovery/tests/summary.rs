//! What two recoveries of the same bytes must agree on.

use std::collections::BTreeMap;

use crate::recovery::{Recovered, ShardState};
use crate::types::{LogOffset, QueueNumber};

/// Where the readable records of each queue lie, by offset.
pub type Entries = BTreeMap<(u32, u64), u64>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub state: ShardState,
    pub entries: Entries,
    pub end: LogOffset,
    pub next: LogOffset,
    pub next_sequence: u64,
    pub read_only: bool,
}

pub fn summary<F>(recovered: &Recovered<F>) -> Summary {
    Summary {
        state: recovered.state.clone(),
        entries: entries(recovered),
        end: recovered.head.durable,
        next: recovered.head.next,
        next_sequence: recovered.head.next_sequence,
        read_only: recovered.head.read_only,
    }
}

pub fn entries<F>(recovered: &Recovered<F>) -> Entries {
    let mut found = Entries::new();
    for index in &recovered.indexes {
        for slot in index.slots() {
            let number = index.slot_of(slot.queue).unwrap();
            let all = index.range(number, slot.first, usize::MAX);
            for (offset, entry) in (slot.first..).zip(all) {
                if !entry.is_hole() {
                    assert_eq!(entry.tag_hash, 2_598_919);
                    found.insert((slot.queue.0, offset), entry.offset);
                }
            }
        }
    }
    found
}

/// The offset of a queue's next record.
pub fn next<F>(recovered: &Recovered<F>, queue: u32) -> u64 {
    let row = recovered
        .state
        .queues
        .iter()
        .find(|row| row.queue == QueueNumber(queue));
    row.map_or(0, |row| row.next)
}
