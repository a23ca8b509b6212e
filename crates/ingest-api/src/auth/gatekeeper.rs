//! What a server remembers of keys and of who tries them: limits, and counts that are written once a minute.
//!
//! All of it is in memory and of this process: a limit holds for each server, and a restart forgets what was tried. Whether
//! a key works is never remembered; every call asks the database.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};

use super::{
    address::AddressRange,
    bucket::{Allowance, Bucket},
};

/// Most of anything that is remembered apart.
const MOST: usize = 20_000;

/// How a call that named a key ended at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The key works.
    Used,
    /// The form or the secret is wrong, or there is no such key.
    Wrong,
    /// The key has expired.
    Expired,
    /// The key was revoked.
    Revoked,
    /// The key does not work from there.
    Elsewhere,
    /// The key was used too often.
    Limited,
}

impl Outcome {
    /// Its name in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Elsewhere => "elsewhere",
            Self::Limited => "limited",
        }
    }
}

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Use {
    /// The key; empty where none could be told.
    pub key_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the call came from; empty where that is not known, or where too many are counted already.
    pub address: String,
}

/// How often, since the counts were last written.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// Calls.
    pub calls: i64,
    /// The first of them.
    pub first: DateTime<Utc>,
    /// The last of them.
    pub last: DateTime<Utc>,
}

/// The memory of one server.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    refused_per_minute: u32,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    keys: HashMap<String, Bucket>,
    refused: HashMap<AddressRange, Bucket>,
    /// Keys that worked from somewhere: a neighbour's wrong guesses do not lock them out.
    welcome: HashSet<(AddressRange, String)>,
    uses: HashMap<Use, Count>,
}

/// Makes room for one more. Full buckets say nothing and go first; should that not do, all goes: a limit then begins anew,
/// which costs less than memory without bound.
fn make_room<K: Eq + Hash>(
    buckets: &mut HashMap<K, Bucket>,
    is_forgettable: impl Fn(&mut Bucket) -> bool,
) {
    if buckets.len() >= MOST {
        buckets.retain(|_, bucket| !is_forgettable(bucket));
    }
    if buckets.len() >= MOST {
        buckets.clear();
    }
}

impl Gatekeeper {
    /// One that has seen nothing yet, and lets so many keys from one address be refused in a minute.
    pub fn new(refused_per_minute: u32) -> Self {
        Self {
            refused_per_minute: refused_per_minute.max(1),
            memory: Arc::default(),
        }
    }

    /// Nothing in here can be left half done by a panic.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call against the limit of its key.
    pub fn allowance(&self, key_id: &str, per_minute: u32, now: Instant) -> Allowance {
        let mut memory = self.memory();
        if let Some(bucket) = memory.keys.get_mut(key_id) {
            return bucket.take(per_minute, now);
        }
        // Whatever their limits: a bucket that nobody took from for a minute is full.
        make_room(&mut memory.keys, |bucket| bucket.is_idle(now));
        let mut bucket = Bucket::full(per_minute, now);
        let allowance = bucket.take(per_minute, now);
        memory.keys.insert(key_id.to_owned(), bucket);
        allowance
    }

    /// Were so many keys refused there that the next is not looked at? Then seconds to wait. A key that worked from
    /// there is looked at all the same.
    pub fn is_shut(&self, address: IpAddr, key_id: Option<&str>, now: Instant) -> Option<u32> {
        let client = AddressRange::of_client(address);
        let mut memory = self.memory();
        let look = memory
            .refused
            .get_mut(&client)?
            .look(self.refused_per_minute, now);
        let is_welcome = key_id.is_some_and(|id| memory.welcome.contains(&(client, id.to_owned())));
        (!look.is_allowed && !is_welcome).then_some(look.seconds)
    }

    /// A key was refused there; answers seconds to wait when there were too many.
    pub fn refused(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let (client, most) = (AddressRange::of_client(address), self.refused_per_minute);
        let mut memory = self.memory();
        if !memory.refused.contains_key(&client) {
            make_room(&mut memory.refused, |bucket| bucket.is_full(most, now));
            memory.refused.insert(client, Bucket::full(most, now));
        }
        let taken = memory.refused.get_mut(&client)?.take(most, now);
        if taken.is_allowed && taken.remaining == 0 {
            tracing::warn!(%address, "many keys were refused to one address; no more are looked at for a while");
        }
        (!taken.is_allowed).then_some(taken.seconds)
    }

    /// A key worked from there.
    pub fn welcome(&self, address: IpAddr, key_id: &str) {
        let place = (AddressRange::of_client(address), key_id.to_owned());
        let mut memory = self.memory();
        if memory.welcome.len() >= MOST && !memory.welcome.contains(&place) {
            memory.welcome.clear();
        }
        memory.welcome.insert(place);
    }

    /// Counts a call for the audit log.
    pub fn note(&self, key_id: &str, outcome: Outcome, address: Option<IpAddr>) {
        let now = Utc::now();
        let count = Count {
            calls: 1,
            first: now,
            last: now,
        };
        let noted = Use {
            key_id: key_id.to_owned(),
            outcome,
            address: address.map_or_else(String::new, |address| {
                AddressRange::of_client(address).to_string()
            }),
        };
        self.memory().count(noted, count);
    }

    /// Takes the counts, to be written.
    pub fn take_uses(&self) -> HashMap<Use, Count> {
        std::mem::take(&mut self.memory().uses)
    }

    /// Takes back counts that could not be written.
    pub fn give_back(&self, uses: HashMap<Use, Count>) {
        let mut memory = self.memory();
        for (noted, count) in uses {
            memory.count(noted, count);
        }
    }
}

impl Memory {
    fn count(&mut self, mut noted: Use, count: Count) {
        if self.uses.len() >= MOST && !self.uses.contains_key(&noted) {
            noted.address.clear();
        }
        if self.uses.len() >= 2 * MOST && !self.uses.contains_key(&noted) {
            noted.key_id.clear();
        }
        self.uses
            .entry(noted)
            .and_modify(|known| {
                known.calls += count.calls;
                known.first = known.first.min(count.first);
                known.last = known.last.max(count.last);
            })
            .or_insert(count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn a02_an_address_with_too_many_refusals_is_shut_but_for_keys_that_worked_there() {
        let (keeper, now) = (Gatekeeper::new(10), Instant::now());
        let (bad, good) = (address("203.0.113.9"), address("198.51.100.1"));
        keeper.welcome(bad, "known");
        for _ in 0..10 {
            assert_eq!(keeper.is_shut(bad, Some("other"), now), None);
            assert_eq!(keeper.refused(bad, now), None);
        }
        assert_eq!(keeper.refused(bad, now), Some(6));
        assert_eq!(keeper.is_shut(bad, Some("other"), now), Some(6));
        assert_eq!(keeper.is_shut(bad, None, now), Some(6));
        assert_eq!(keeper.is_shut(bad, Some("known"), now), None);
        assert_eq!(keeper.is_shut(good, Some("other"), now), None);
        let later = now + Duration::from_secs(6);
        assert_eq!(keeper.is_shut(bad, Some("other"), later), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (keeper, now) = (Gatekeeper::new(1), Instant::now());
        assert_eq!(keeper.refused(address("2001:db8::1"), now), None);
        assert!(keeper.refused(address("2001:db8::2"), now).is_some());
        assert_eq!(keeper.refused(address("2001:db8:0:1::1"), now), None);
    }

    #[test]
    fn memory_has_a_bound_however_many_addresses_try_and_no_count_is_lost() {
        let (keeper, now) = (Gatekeeper::new(2), Instant::now());
        let tries = 3 * MOST as u32;
        for number in 0..tries {
            let address = IpAddr::V4(number.into());
            keeper.refused(address, now);
            keeper.welcome(address, "key");
            keeper.allowance(&number.to_string(), 5, now);
            keeper.note("", Outcome::Wrong, Some(address));
        }
        {
            let memory = keeper.memory();
            assert!(memory.refused.len() <= MOST && memory.keys.len() <= MOST);
            assert!(memory.welcome.len() <= MOST && memory.uses.len() <= MOST + 1);
        }
        let uses = keeper.take_uses();
        keeper.give_back(uses);
        let calls: i64 = keeper.take_uses().values().map(|count| count.calls).sum();
        assert_eq!(calls, i64::from(tries));
    }
}
