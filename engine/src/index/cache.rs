//! A bounded cache of verified pages of index segments, so that neighbouring lookups share the reads
//! at the top of the search. Second chance: a page that was used since the hand passed stays.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use hashbrown::HashMap;

use crate::index::page::PAYLOAD_LEN;
use crate::queue::active::QueueHasher;
use crate::types::SegmentNumber;

/// Payloads of verified pages, by segment and page number.
#[derive(Debug)]
pub struct PageCache {
    pages: usize,
    slots: Vec<Slot>,
    places: HashMap<Key, usize, BuildHasherDefault<QueueHasher>>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    used: bool,
    payload: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(SegmentNumber, u32);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0);
        state.write_u32(self.1);
    }
}

impl PageCache {
    /// A cache of at most `pages` pages, at least one; it takes their memory as they come.
    pub fn new(pages: usize) -> Self {
        Self {
            pages: pages.max(1),
            slots: Vec::new(),
            places: HashMap::default(),
            hand: 0,
        }
    }

    /// The payload of a page, if it is here.
    pub fn get(&mut self, segment: SegmentNumber, page: u32) -> Option<&[u8]> {
        let slot = &mut self.slots[*self.places.get(&Key(segment, page))?];
        slot.used = true;
        Some(&slot.payload)
    }

    /// Keeps the payload of a verified page, in the place of one that was not used lately.
    pub fn insert(&mut self, segment: SegmentNumber, page: u32, payload: &[u8]) {
        let key = Key(segment, page);
        if payload.len() != PAYLOAD_LEN || self.places.contains_key(&key) {
            return;
        }
        let place = self.free_place();
        match self.slots.get_mut(place) {
            Some(slot) => {
                self.places.remove(&slot.key);
                (slot.key, slot.used) = (key, false);
                slot.payload.copy_from_slice(payload);
            }
            None => self.slots.push(Slot {
                key,
                used: false,
                payload: payload.into(),
            }),
        }
        self.places.insert(key, place);
    }

    /// Forgets all pages of a segment: it is retired, or rebuilt with other bytes.
    pub fn forget(&mut self, segment: SegmentNumber) {
        self.places.retain(|key, _| key.0 != segment);
    }

    fn free_place(&mut self) -> usize {
        if self.slots.len() < self.pages {
            return self.slots.len();
        }
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[place];
            if !std::mem::take(&mut slot.used) {
                return place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_page_outlives_an_unused_one_and_the_bound_holds() {
        let mut cache = PageCache::new(2);
        let page = |n: u8| vec![n; PAYLOAD_LEN];
        cache.insert(SegmentNumber(1), 1, &page(1));
        cache.insert(SegmentNumber(1), 2, &page(2));
        assert!(cache.get(SegmentNumber(1), 1).is_some());
        cache.insert(SegmentNumber(2), 1, &page(3));
        assert_eq!(cache.get(SegmentNumber(1), 1), Some(&page(1)[..]));
        assert_eq!(cache.get(SegmentNumber(1), 2), None);
        cache.forget(SegmentNumber(1));
        assert_eq!(cache.get(SegmentNumber(1), 1), None);
        assert_eq!(cache.get(SegmentNumber(2), 1), Some(&page(3)[..]));
        for n in 0..100 {
            cache.insert(SegmentNumber(9), n, &page(9));
        }
        assert_eq!((cache.slots.len(), cache.places.len()), (2, 2));
    }
}
