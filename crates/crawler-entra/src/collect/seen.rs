//! Which rows of a list came already, in little memory: the list of a group of everybody has hundreds of thousands.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
};

/// What stands for a key: two hashes, 128 bits together.
pub(super) type Print = [u64; 2];

/// Makes prints of keys. That two rows of a list share one is less likely than that the memory of the machine errs, and nobody
/// outside can make them, for the hashes have keys of their own in every run.
#[derive(Debug, Default)]
pub(super) struct Prints([RandomState; 2]);

impl Prints {
    /// The key's print, which no other maker of prints would make.
    pub fn of(&self, key: &(impl Hash + ?Sized)) -> Print {
        self.0.each_ref().map(|hasher| hasher.hash_one(key))
    }
}

/// Remembers rows by their prints.
#[derive(Debug, Default)]
pub(super) struct Seen {
    prints: Prints,
    known: HashSet<Print>,
}

impl Seen {
    /// Comes this key for the first time?
    pub fn is_new(&mut self, key: &impl Hash) -> bool {
        self.known.insert(self.prints.of(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once() {
        let mut seen = Seen::default();
        let keys: Vec<(u32, Option<String>)> = (0..10_000)
            .flat_map(|n| [(n, None), (n, Some(n.to_string()))])
            .collect();
        assert!(keys.iter().all(|key| seen.is_new(key)));
        assert!(!keys.iter().any(|key| seen.is_new(key)));
    }
}
