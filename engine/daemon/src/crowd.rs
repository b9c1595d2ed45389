//! How many of the same may be in at once.
//!
//! Whoever listens gives each visitor a place, and each kind of visitor (a user of this machine, an
//! address) only some of them: one that takes all it can get keeps nobody else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places, counted by whose they are.
#[derive(Debug, Clone)]
pub(crate) struct Crowd<K: Ord + Clone> {
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
    each: usize,
    all: usize,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room<K: Ord + Clone> {
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
    whose: K,
}

impl<K: Ord + Clone> Crowd<K> {
    /// At most `all` places, and at most `each` of them for the same one.
    pub(crate) fn new(each: usize, all: usize) -> Self {
        Self { taken: Arc::default(), each, all }
    }

    /// A place for `whose`; none if there is no more.
    pub(crate) fn enter(&self, whose: K) -> Option<Room<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&whose).copied().unwrap_or_default();
        if own >= self.each || taken.values().sum::<usize>() >= self.all {
            return None;
        }
        taken.insert(whose.clone(), own + 1);
        Some(Room { taken: Arc::clone(&self.taken), whose })
    }
}

impl<K: Ord + Clone> Drop for Room<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.whose).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.whose);
        } else {
            taken.insert(self.whose.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_takes_all_it_can_get_keeps_nobody_out() {
        let crowd = Crowd::new(2, 5);
        let greedy: Vec<_> = (0..10).filter_map(|_| crowd.enter("a")).collect();
        assert_eq!(greedy.len(), 2);
        let other = crowd.enter("b");
        assert!(other.is_some());
        let rest: Vec<_> = ["c", "d", "e"].into_iter().filter_map(|who| crowd.enter(who)).collect();
        assert_eq!(rest.len(), 2, "five in all");
        drop(greedy);
        assert!(crowd.enter("e").is_some(), "places are given back");
        drop((other, rest));
        assert!(crowd.taken.lock().unwrap().is_empty(), "and forgotten");
    }
}
