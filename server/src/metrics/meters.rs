//! Meters: what went into each topic and out of it to each group, on one shard.
//!
//! A meter has a place in a page of counters that the shard's thread writes and anybody reads. The
//! thread finds the place of a topic or of a group's topic in tables of its own. Places of topics and
//! groups that are gone are used again: a reader looks at the name before and after it reads the
//! counters, so that it never gives one's figures to another.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use hashbrown::{HashMap, HashTable};
use ringmq_engine::TopicId;

use super::counter::Counter;
use crate::broker::shared_map::{fold, hash};
use crate::limits::{METER_PAGES, METERS_PER_PAGE};

/// A meter's place on its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterId(u32);

impl MeterId {
    /// What has no meter because all are taken: it counts in the shard's totals only.
    pub const NONE: Self = Self(u32::MAX);
}

/// Whose meter it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeterName {
    /// The topic.
    pub topic: Arc<str>,
    /// The group that takes messages out of it; without one: messages stored into the topic.
    pub group: Option<Arc<str>>,
}

/// The counters of one meter.
#[derive(Debug, Default)]
pub struct Meter {
    /// Messages stored, or delivered.
    pub messages: Counter,
    /// Their bytes as stored records.
    pub bytes: Counter,
    /// Messages that the group sent back to be retried.
    pub send_backs: Counter,
    name: ArcSwapOption<MeterName>,
}

type Page = [Meter; METERS_PER_PAGE];

/// The meters of a shard, for any reader.
#[derive(Debug)]
pub struct Meters {
    pages: Box<[OnceLock<Arc<Page>>]>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            pages: (0..METER_PAGES).map(|_| OnceLock::new()).collect(),
        }
    }
}

/// One reading of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterRow {
    /// Whose.
    pub name: Arc<MeterName>,
    /// Messages stored, or delivered, since the start.
    pub messages: u64,
    /// Their bytes as stored records.
    pub bytes: u64,
    /// Messages sent back.
    pub send_backs: u64,
}

impl Meters {
    /// All meters in use, in no order.
    pub fn rows(&self) -> impl Iterator<Item = MeterRow> + '_ {
        let pages = self.pages.iter().map_while(OnceLock::get);
        pages.flat_map(|page| page.iter()).filter_map(Meter::read)
    }
}

impl Meter {
    fn read(&self) -> Option<MeterRow> {
        let name = self.name.load_full()?;
        let row = MeterRow {
            messages: self.messages.get(),
            bytes: self.bytes.get(),
            send_backs: self.send_backs.get(),
            name,
        };
        let is_same = self
            .name
            .load()
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, &row.name));
        is_same.then_some(row)
    }
}

/// The writing thread's side.
#[derive(Debug)]
pub struct MeterTable {
    shared: Arc<Meters>,
    pages: Vec<Arc<Page>>,
    topics: HashMap<TopicId, u32, TopicHash>,
    groups: HashTable<u32>,
    /// By place: whom it belongs to.
    owners: Vec<Option<Owner>>,
    free: Vec<u32>,
    /// Where the next look for the places of the dead begins.
    swept: usize,
    seed: u64,
}

#[derive(Debug)]
struct Owner {
    topic: TopicId,
    name: Arc<MeterName>,
}

impl MeterTable {
    /// No meters yet; `shared` is where they appear.
    pub fn new(shared: Arc<Meters>, seed: u64) -> Self {
        Self {
            shared,
            pages: Vec::new(),
            topics: HashMap::with_hasher(TopicHash(seed)),
            groups: HashTable::new(),
            owners: Vec::new(),
            free: Vec::new(),
            swept: 0,
            seed,
        }
    }

    /// The meter of what is stored into a topic.
    pub fn topic(&mut self, topic: TopicId, name: &str) -> MeterId {
        if let Some(&place) = self.topics.get(&topic) {
            return MeterId(place);
        }
        let place = self.add(topic, name, None);
        if let Some(place) = place {
            self.topics.insert(topic, place);
        }
        place.map_or(MeterId::NONE, MeterId)
    }

    /// The meter of what a group takes out of a topic.
    pub fn group(&mut self, topic: TopicId, name: &str, group: &str) -> MeterId {
        let hash = group_hash(self.seed, topic, group);
        let owners = &self.owners;
        let is_it = |&place: &u32| {
            owners[place as usize]
                .as_ref()
                .is_some_and(|o| o.is(topic, group))
        };
        if let Some(&place) = self.groups.find(hash, is_it) {
            return MeterId(place);
        }
        let Some(place) = self.add(topic, name, Some(group)) else {
            return MeterId::NONE;
        };
        let (owners, seed) = (&self.owners, self.seed);
        self.groups.insert_unique(hash, place, |&other| {
            owners[other as usize]
                .as_ref()
                .map_or(0, |owner| owner.hash(seed))
        });
        MeterId(place)
    }

    /// The counters of a meter.
    pub fn get(&self, meter: MeterId) -> Option<&Meter> {
        let place = meter.0 as usize;
        let page = self.pages.get(place / METERS_PER_PAGE)?;
        Some(&page[place % METERS_PER_PAGE])
    }

    /// Looks over the next `count` places and frees those whose topic or group is gone.
    pub fn sweep(&mut self, count: usize, is_alive: impl Fn(TopicId, &MeterName) -> bool) {
        let end = (self.swept + count).min(self.owners.len());
        for place in self.swept..end {
            let is_dead = self.owners[place]
                .as_ref()
                .is_some_and(|o| !is_alive(o.topic, &o.name));
            if is_dead {
                self.remove(place as u32);
            }
        }
        self.swept = if end == self.owners.len() { 0 } else { end };
    }

    fn add(&mut self, topic: TopicId, name: &str, group: Option<&str>) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => self.grow()?,
        };
        let name = Arc::new(MeterName {
            topic: name.into(),
            group: group.map(Into::into),
        });
        if let Some(meter) = self.get(MeterId(place)) {
            meter.messages.set(0);
            meter.bytes.set(0);
            meter.send_backs.set(0);
            meter.name.store(Some(Arc::clone(&name)));
        }
        self.owners[place as usize] = Some(Owner { topic, name });
        Some(place)
    }

    fn grow(&mut self) -> Option<u32> {
        let place = self.owners.len();
        if place == self.pages.len() * METERS_PER_PAGE {
            let cell = self.shared.pages.get(self.pages.len())?;
            let page = cell.get_or_init(|| Arc::new(std::array::from_fn(|_| Meter::default())));
            self.pages.push(Arc::clone(page));
        }
        self.owners.push(None);
        Some(place as u32)
    }

    fn remove(&mut self, place: u32) {
        if let Some(meter) = self.get(MeterId(place)) {
            meter.name.store(None);
        }
        let Some(owner) = self.owners[place as usize].take() else {
            return;
        };
        if owner.name.group.is_none() {
            self.topics.remove(&owner.topic);
        } else if let Ok(entry) = self
            .groups
            .find_entry(owner.hash(self.seed), |&p| p == place)
        {
            entry.remove();
        }
        self.free.push(place);
    }
}

impl Owner {
    fn is(&self, topic: TopicId, group: &str) -> bool {
        self.topic == topic && self.name.group.as_deref() == Some(group)
    }

    fn hash(&self, seed: u64) -> u64 {
        group_hash(
            seed,
            self.topic,
            self.name.group.as_deref().unwrap_or_default(),
        )
    }
}

fn group_hash(seed: u64, topic: TopicId, group: &str) -> u64 {
    hash(group.as_bytes(), seed ^ topic.0)
}

/// Topic ids are issued by this broker, so one multiplication is enough.
#[derive(Clone, Copy, Debug)]
struct TopicHash(u64);

#[derive(Clone, Copy, Debug)]
struct TopicHasher(u64);

impl std::hash::BuildHasher for TopicHash {
    type Hasher = TopicHasher;

    fn build_hasher(&self) -> TopicHasher {
        TopicHasher(self.0)
    }
}

impl std::hash::Hasher for TopicHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes, self.0);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (MeterTable, Arc<Meters>) {
        let shared = Arc::new(Meters::default());
        (MeterTable::new(Arc::clone(&shared), 7), shared)
    }

    fn shown(shared: &Meters) -> Vec<(String, Option<String>, u64)> {
        let row = |row: MeterRow| {
            let group = row.name.group.as_deref().map(str::to_owned);
            (row.name.topic.to_string(), group, row.messages)
        };
        let mut rows: Vec<_> = shared.rows().map(row).collect();
        rows.sort();
        rows
    }

    #[test]
    fn topics_and_their_groups_have_meters_of_their_own() {
        let (mut table, shared) = table();
        let stored = table.topic(TopicId(1), "a");
        let first = table.group(TopicId(1), "a", "g");
        let second = table.group(TopicId(1), "a", "h");
        for (meter, count) in [(stored, 5), (first, 3), (second, 2), (first, 1)] {
            table.get(meter).unwrap().messages.add(count);
        }
        assert_eq!(table.topic(TopicId(1), "a"), stored);
        assert_eq!(table.group(TopicId(1), "a", "h"), second);
        let g = |name: &str| Some(name.to_owned());
        assert_eq!(
            shown(&shared),
            [
                ("a".into(), None, 5),
                ("a".into(), g("g"), 4),
                ("a".into(), g("h"), 2)
            ]
        );
    }

    #[test]
    fn the_place_of_a_deleted_topic_is_used_again_from_zero() {
        let (mut table, shared) = table();
        let dead = table.topic(TopicId(1), "dead");
        let group = table.group(TopicId(1), "dead", "g");
        table.get(dead).unwrap().messages.add(9);
        table.sweep(10, |topic, _| topic != TopicId(1));
        assert_eq!(shown(&shared), []);
        let new = table.topic(TopicId(2), "new");
        assert!(new == dead || new == group);
        assert_eq!(shown(&shared), [("new".into(), None, 0)]);
        assert_ne!(table.group(TopicId(1), "dead", "g"), new);
    }

    #[test]
    fn beyond_the_bound_there_are_no_meters_and_nothing_breaks() {
        let (mut table, shared) = table();
        let all = (METER_PAGES * METERS_PER_PAGE) as u64;
        for topic in 0..all {
            assert_ne!(table.topic(TopicId(topic), "t"), MeterId::NONE);
        }
        let beyond = table.group(TopicId(0), "t", "g");
        assert_eq!(beyond, MeterId::NONE);
        assert!(table.get(beyond).is_none());
        assert_eq!(shared.rows().count() as u64, all);
        table.sweep(usize::MAX, |topic, _| topic.0 > 0);
        assert_ne!(table.group(TopicId(1), "t", "g"), MeterId::NONE);
    }
}
