//! Chance that a seed decides.

use std::collections::HashMap;

use super::Asked;
use crate::random::Random;

/// Whether a request is hit, by its URL and how often that has been asked for.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    seed: u64,
    share: f64,
    by_path: bool,
    asked: HashMap<u64, u64>,
}

impl Chance {
    pub(crate) fn of_requests(seed: u64, share: f64) -> Self {
        Self {
            seed,
            share,
            by_path: false,
            asked: HashMap::new(),
        }
    }

    pub(crate) fn of_paths(seed: u64, share: f64) -> Self {
        Self {
            by_path: true,
            ..Self::of_requests(seed, share)
        }
    }

    pub(crate) fn strikes(&mut self, asked: Asked<'_>) -> bool {
        let path = asked.path.to_lowercase();
        if self.by_path {
            return Random::labelled(self.seed, &path).chance(self.share);
        }
        let mut stream = Random::labelled(self.seed, &format!("{path}?{}", asked.query.to_url()));
        let times = self.asked.entry(stream.next()).or_default();
        *times += 1;
        let turn = (*times).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random::new(stream.next() ^ turn).chance(self.share)
    }
}
