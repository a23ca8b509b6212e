//! Which rows of a list came already, in little memory: the list of a group of everybody has hundreds of thousands.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
};

/// Remembers rows by two hashes with keys of their own, 128 bits together: that two rows of a list share both is less likely
/// than that the memory of the machine errs.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashers: [RandomState; 2],
    prints: HashSet<[u64; 2]>,
}

impl Seen {
    /// Comes this key for the first time?
    pub fn is_new(&mut self, key: &impl Hash) -> bool {
        let print = self.hashers.each_ref().map(|hasher| hasher.hash_one(key));
        self.prints.insert(print)
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
