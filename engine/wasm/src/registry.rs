//! The revisions in force, and their swap.
//!
//! A slot is a name of the configuration: a policy's, or a plugin's. It has a revision in force
//! and the last good ones before it. Nothing here loads, compiles or waits: what is put in has
//! been built and checked, and a swap is the exchange of one pointer.
//!
//! Invariants: who reads gets a whole state, from before a swap or from after it; what somebody
//! holds stays valid for as long as they hold it; a swap of several happens for all or for none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How many revisions before the one in force are kept in a slot.
pub const KEPT: usize = 3;

/// A change to one slot.
#[derive(Debug)]
pub enum Change<T> {
    /// This revision comes into force; what was in force is kept.
    Put(Arc<str>, Arc<T>),
    /// The slot goes, with all that was kept in it.
    Remove(Arc<str>),
}

impl<T> Change<T> {
    const fn name(&self) -> &Arc<str> {
        match self {
            Self::Put(name, _) | Self::Remove(name) => name,
        }
    }
}

/// Why nothing was swapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// A name is there twice, so it is not clear what is meant.
    #[error("{0} is changed twice in one swap")]
    Twice(Arc<str>),
    /// There is no such slot.
    #[error("there is no {0}")]
    Unknown(Arc<str>),
    /// There is nothing to go back to.
    #[error("{0} has no earlier revision to go back to")]
    NothingEarlier(Arc<str>),
}

#[derive(Debug)]
struct Slot<T> {
    current: Arc<T>,
    /// The last good ones, the latest first.
    earlier: VecDeque<Arc<T>>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current), earlier: self.earlier.clone() }
    }
}

type Slots<T> = BTreeMap<Arc<str>, Slot<T>>;

/// The revisions in force.
#[derive(Debug)]
pub struct Registry<T> {
    /// Held only for as long as it takes to copy or exchange the pointer.
    slots: RwLock<Arc<Slots<T>>>,
    /// Held while a swap is prepared, so that two do not undo each other. Readers do not take it.
    swapping: Mutex<()>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { slots: RwLock::default(), swapping: Mutex::default() }
    }
}

impl<T> Registry<T> {
    /// A registry without slots.
    pub fn new() -> Self {
        Self::default()
    }

    fn slots(&self) -> Arc<Slots<T>> {
        Arc::clone(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The revision in force.
    pub fn current(&self, name: &str) -> Option<Arc<T>> {
        self.slots().get(name).map(|slot| Arc::clone(&slot.current))
    }

    /// All revisions in force, by name: one consistent state.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        let slots = self.slots();
        slots.iter().map(|(name, slot)| (Arc::clone(name), Arc::clone(&slot.current))).collect()
    }

    /// The last good revisions of a slot, the latest first.
    pub fn earlier(&self, name: &str) -> Vec<Arc<T>> {
        self.slots()
            .get(name)
            .map(|slot| slot.earlier.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Makes all of the changes, or none.
    pub fn swap(&self, changes: Vec<Change<T>>) -> Result<(), SwapError> {
        for (i, change) in changes.iter().enumerate() {
            if changes.iter().take(i).any(|earlier| earlier.name() == change.name()) {
                return Err(SwapError::Twice(Arc::clone(change.name())));
            }
        }
        self.replace(|slots| {
            for change in changes {
                match change {
                    Change::Put(name, next) => match slots.get_mut(&name) {
                        Some(slot) => slot.put(next),
                        None => {
                            slots.insert(name, Slot { current: next, earlier: VecDeque::new() });
                        }
                    },
                    Change::Remove(name) => {
                        if slots.remove(&name).is_none() {
                            return Err(SwapError::Unknown(name));
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Puts the last good revision of the slot in force again. What was in force is dropped from
    /// the slot, so that a second rollback goes further back.
    pub fn rollback(&self, name: &str) -> Result<Arc<T>, SwapError> {
        self.replace(|slots| {
            let slot = slots.get_mut(name).ok_or_else(|| SwapError::Unknown(name.into()))?;
            let earlier =
                slot.earlier.pop_front().ok_or_else(|| SwapError::NothingEarlier(name.into()))?;
            slot.current = earlier;
            Ok(Arc::clone(&slot.current))
        })
    }

    /// Changes a copy, and puts it in place if that went well.
    fn replace<R>(
        &self,
        change: impl FnOnce(&mut Slots<T>) -> Result<R, SwapError>,
    ) -> Result<R, SwapError> {
        let _swapping = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slots = Slots::clone(&self.slots());
        let result = change(&mut slots)?;
        let next = Arc::new(slots);
        let before = std::mem::replace(
            &mut *self.slots.write().unwrap_or_else(PoisonError::into_inner),
            next,
        );
        // Not under the lock: the last holder of a component frees its code.
        drop(before);
        Ok(result)
    }
}

impl<T> Slot<T> {
    fn put(&mut self, next: Arc<T>) {
        if Arc::ptr_eq(&self.current, &next) {
            return;
        }
        self.earlier.push_front(std::mem::replace(&mut self.current, next));
        self.earlier.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(name: &str, revision: u32) -> Change<u32> {
        Change::Put(name.into(), Arc::new(revision))
    }

    fn state(registry: &Registry<u32>) -> Vec<(String, u32)> {
        registry.all().iter().map(|(name, revision)| (name.to_string(), **revision)).collect()
    }

    #[test]
    fn a_swap_is_for_all_or_for_none() {
        let registry = Registry::new();
        registry.swap(vec![put("a", 1), put("b", 1)]).unwrap();
        let before = state(&registry);
        assert_eq!(
            registry.swap(vec![put("a", 2), Change::Remove("c".into())]),
            Err(SwapError::Unknown("c".into()))
        );
        assert_eq!(
            registry.swap(vec![put("a", 2), put("a", 3)]),
            Err(SwapError::Twice("a".into()))
        );
        assert_eq!(state(&registry), before);
        registry.swap(vec![put("a", 2), Change::Remove("b".into())]).unwrap();
        assert_eq!(state(&registry), [("a".to_owned(), 2)]);
    }

    #[test]
    fn the_last_good_ones_are_kept_and_come_back_one_by_one() {
        let registry = Registry::new();
        for revision in 1..=6 {
            registry.swap(vec![put("a", revision)]).unwrap();
        }
        let earlier: Vec<u32> = registry.earlier("a").iter().map(|revision| **revision).collect();
        assert_eq!(earlier, [5, 4, 3]);
        for expected in [5, 4, 3] {
            assert_eq!(registry.rollback("a").as_deref(), Ok(&expected));
        }
        assert_eq!(registry.rollback("a"), Err(SwapError::NothingEarlier("a".into())));
        assert_eq!(registry.current("a").as_deref(), Some(&3));
        assert_eq!(registry.rollback("b"), Err(SwapError::Unknown("b".into())));
    }

    #[test]
    fn the_same_again_takes_no_place_among_the_earlier_ones() {
        let registry = Registry::new();
        let revision = Arc::new(1);
        for _ in 0..3 {
            registry.swap(vec![Change::Put("a".into(), Arc::clone(&revision))]).unwrap();
        }
        assert!(registry.earlier("a").is_empty());
    }

    #[test]
    fn readers_see_whole_states_while_swaps_go_on() {
        let registry = Registry::new();
        registry.swap(vec![put("a", 0), put("b", 0)]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for revision in 1..=2_000 {
                    registry.swap(vec![put("a", revision), put("b", revision)]).unwrap();
                }
            });
            loop {
                let state = state(&registry);
                assert_eq!(state[0].1, state[1].1);
                if state[0].1 == 2_000 {
                    break;
                }
            }
        });
    }
}
