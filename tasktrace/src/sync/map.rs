//! Provides maps behind locks, in which nothing is allocated or freed while they are locked.
//!
//! A full map is replaced by a larger one, which is allocated before the lock is taken. Values that are taken out are
//! returned to the caller, which drops them after the lock was released.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::mem;
use std::sync::PoisonError;

use super::{StaticMutex, StaticMutexGuard};

/// Returns `true` if `map` has room for `more` entries. For that it may move the entries to `spare`, if that is large
/// enough. Allocates nothing.
pub(crate) fn has_room<K: Eq + Hash, V, S: BuildHasher>(
    map: &mut HashMap<K, V, S>,
    more: usize,
    spare: &mut HashMap<K, V, S>,
) -> bool {
    let needed = map.len().saturating_add(more);
    if needed <= map.capacity() {
        return true;
    }
    if spare.capacity() < needed {
        return false;
    }
    for (key, value) in map.drain() {
        spare.insert(key, value);
    }
    mem::swap(map, spare);
    true
}

/// Returns an empty map to which a map of this length can be moved, with room for `more` entries.
pub(crate) fn larger_map<K, V, S: Default + BuildHasher>(
    length: usize,
    more: usize,
) -> HashMap<K, V, S> {
    let room = length.saturating_mul(2).max(length.saturating_add(more));
    HashMap::with_capacity_and_hasher(room, S::default())
}

type Inner<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// A map for statics, behind a lock. Nothing is allocated or freed while it is locked.
pub(crate) struct LockedMap<K, V>(StaticMutex<Inner<K, V>>);

impl<K: Eq + Hash, V> LockedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self(StaticMutex::new(HashMap::with_hasher(
            BuildHasherDefault::new(),
        )))
    }

    fn lock(&self) -> StaticMutexGuard<'_, Inner<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value of `key`. Cloning it must not allocate.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        V: Clone,
    {
        self.lock().get(key).cloned()
    }

    /// Adds a value, unless the key has one. Then it returns the unused value.
    pub(crate) fn insert(&self, key: K, value: V) -> Result<(), V> {
        self.insert_bounded(usize::MAX, key, value)
    }

    /// Adds a value as [`insert`](Self::insert) does. Clears the map before, if it has `most` entries or more.
    pub(crate) fn insert_bounded(&self, most: usize, key: K, value: V) -> Result<(), V> {
        let mut spare = Inner::default();
        // Dropped after the lock is released, as `spare` is.
        let mut cleared = Inner::default();
        loop {
            let mut map = self.lock();
            if map.contains_key(&key) {
                drop(map);
                return Err(value);
            }
            // Once only: a second time would swap the full map back.
            if map.len() >= most && cleared.is_empty() {
                mem::swap(&mut *map, &mut cleared);
            }
            if has_room(&mut map, 1, &mut spare) {
                map.insert(key, value);
                drop(map);
                return Ok(());
            }
            let length = map.len();
            drop(map);
            spare = larger_map(length, 1);
        }
    }

    /// Adds a value. Returns the previous value of the key.
    pub(crate) fn replace(&self, key: K, value: V) -> Option<V> {
        let mut spare = Inner::default();
        loop {
            let mut map = self.lock();
            if has_room(&mut map, 1, &mut spare) {
                return map.insert(key, value);
            }
            let length = map.len();
            drop(map);
            spare = larger_map(length, 1);
        }
    }

    /// Returns all values, in no order. Cloning a value must not allocate.
    pub(crate) fn values(&self) -> Vec<V>
    where
        V: Clone,
    {
        let mut values = Vec::new();
        loop {
            let map = self.lock();
            let length = map.len();
            if values.capacity() >= length {
                values.extend(map.values().cloned());
                return values;
            }
            drop(map);
            values.reserve(length);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Removes a key. Returns its entry.
    pub(crate) fn remove(&self, key: &K) -> Option<(K, V)> {
        self.lock().remove_entry(key)
    }
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_first_value_of_a_key() {
        let map = LockedMap::new();
        for number in 0..1000 {
            assert_eq!(map.insert(number, number), Ok(()));
            assert_eq!(map.insert(number, 7), Err(7));
        }
        assert!((0..1000).all(|number| map.get(&number) == Some(number)));
        assert_eq!(map.remove(&5), Some((5, 5)));
        assert_eq!(map.get(&5), None);
        assert_eq!(map.replace(6, 60), Some(6));
        assert_eq!(map.replace(5, 50), None);
        let values = map.values();
        assert_eq!(values.len(), 1000);
        assert!(values.contains(&50) && values.contains(&60));
    }

    #[test]
    fn a_full_map_is_cleared() {
        let map = LockedMap::new();
        for number in 0..10 {
            map.insert_bounded(4, number, ()).expect("each is new");
        }
        assert!(map.get(&9).is_some() && map.get(&0).is_none());
    }
}
