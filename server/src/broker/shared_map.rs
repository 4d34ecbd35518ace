//! A map from names to shared values that is copied in constant time.
//!
//! The home shard changes it; every shard holds a copy and looks names up without locks. A copy
//! costs one reference count. A change after a copy costs two lists of references and one bucket,
//! however many entries there are, so creating topic number 200,000 is as cheap as number 1.

use std::sync::Arc;

/// Two levels of this many branches each.
const BRANCHES: usize = 64;

type Bucket<V> = Vec<Entry<V>>;
type Branch<V> = Vec<Arc<Bucket<V>>>;

/// See the module. `seed` keeps a peer who chooses names from choosing buckets.
#[derive(Debug)]
pub struct SharedMap<V> {
    root: Arc<Vec<Arc<Branch<V>>>>,
    len: usize,
    seed: u64,
}

#[derive(Debug)]
struct Entry<V> {
    hash: u64,
    name: Arc<str>,
    value: Arc<V>,
}

impl<V> SharedMap<V> {
    /// An empty map.
    pub fn new(seed: u64) -> Self {
        let bucket = Arc::new(Vec::new());
        let branch = Arc::new(vec![bucket; BRANCHES]);
        Self {
            root: Arc::new(vec![branch; BRANCHES]),
            len: 0,
            seed,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Looks a name up. No allocation.
    pub fn get(&self, name: &str) -> Option<&Arc<V>> {
        let hash = hash(name.as_bytes(), self.seed);
        let (outer, inner) = position(hash);
        self.root[outer][inner]
            .iter()
            .find(|entry| entry.hash == hash && *entry.name == *name)
            .map(|entry| &entry.value)
    }

    /// Adds or replaces; returns what was there.
    pub fn insert(&mut self, name: Arc<str>, value: Arc<V>) -> Option<Arc<V>> {
        let hash = hash(name.as_bytes(), self.seed);
        let bucket = self.bucket_mut(hash);
        if let Some(entry) = bucket
            .iter_mut()
            .find(|entry| entry.hash == hash && entry.name == name)
        {
            return Some(std::mem::replace(&mut entry.value, value));
        }
        bucket.push(Entry { hash, name, value });
        self.len += 1;
        None
    }

    /// Removes; returns what was there.
    pub fn remove(&mut self, name: &str) -> Option<Arc<V>> {
        self.get(name)?;
        let hash = hash(name.as_bytes(), self.seed);
        let bucket = self.bucket_mut(hash);
        let index = bucket
            .iter()
            .position(|entry| entry.hash == hash && *entry.name == *name)?;
        let entry = bucket.swap_remove(index);
        self.len -= 1;
        Some(entry.value)
    }

    /// All entries, in an order that depends on the seed only: sort what is shown to anyone.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<V>)> {
        self.root
            .iter()
            .flat_map(|branch| branch.iter())
            .flat_map(|bucket| bucket.iter())
            .map(|entry| (&entry.name, &entry.value))
    }

    fn bucket_mut(&mut self, hash: u64) -> &mut Bucket<V> {
        let (outer, inner) = position(hash);
        let branch = &mut Arc::make_mut(&mut self.root)[outer];
        let bucket = &mut Arc::make_mut(branch)[inner];
        Arc::make_mut(bucket)
    }
}

impl<V> Clone for SharedMap<V> {
    fn clone(&self) -> Self {
        Self {
            root: Arc::clone(&self.root),
            len: self.len,
            seed: self.seed,
        }
    }
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash,
            name: Arc::clone(&self.name),
            value: Arc::clone(&self.value),
        }
    }
}

fn position(hash: u64) -> (usize, usize) {
    let outer = (hash >> 58) as usize;
    let inner = (hash >> 52) as usize % BRANCHES;
    (outer, inner)
}

/// A seeded multiply-and-fold hash over 8-byte words.
pub(crate) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut state = fold(
        seed ^ 0x9E37_79B9_7F4A_7C15,
        bytes.len() as u64 ^ 0xD6E8_FEB8_6659_FD93,
    );
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = fold(
            state ^ u64::from_le_bytes(word),
            seed | 0xA076_1D64_78BD_642F,
        );
    }
    fold(state, 0xE703_7ED1_A0B4_28DB)
}

/// Multiplies two words and folds the product into one.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize, seed: u64) -> SharedMap<usize> {
        let mut map = SharedMap::new(seed);
        for i in 0..count {
            map.insert(format!("topic-{i}").into(), Arc::new(i));
        }
        map
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let map = filled(10_000, 7);
        assert_eq!(map.len(), 10_000);
        for i in 0..10_000 {
            assert_eq!(map.get(&format!("topic-{i}")).map(|v| **v), Some(i));
        }
        assert!(map.get("topic-10000").is_none());
        assert!(map.get("").is_none());
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut map = filled(100, 1);
        let copy = map.clone();
        map.insert("topic-1".into(), Arc::new(999));
        map.remove("topic-2");
        assert_eq!(copy.get("topic-1").map(|v| **v), Some(1));
        assert_eq!(copy.get("topic-2").map(|v| **v), Some(2));
        assert_eq!(map.get("topic-1").map(|v| **v), Some(999));
        assert!(map.get("topic-2").is_none());
        assert_eq!((map.len(), copy.len()), (99, 100));
    }

    #[test]
    fn entries_spread_over_the_buckets() {
        let map = filled(40_960, 3);
        let fullest = map
            .root
            .iter()
            .flat_map(|branch| branch.iter().map(|bucket| bucket.len()))
            .max();
        assert!(fullest.unwrap() < 40, "fullest bucket: {fullest:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        let one: Vec<_> = filled(500, 9).iter().map(|(n, _)| n.clone()).collect();
        let two: Vec<_> = filled(500, 9).iter().map(|(n, _)| n.clone()).collect();
        assert_eq!(one, two);
    }
}
