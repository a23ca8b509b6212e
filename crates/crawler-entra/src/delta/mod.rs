//! Reading only what changed.
//!
//! A delta function of Graph tells *which* objects changed; what they are now is read anew, by the same requests and the same
//! mapping as in a full read. So nothing depends on what a round of changes leaves out, repeats or shuffles.
//!
//! Each endpoint (users, groups, service principals) finds its own [`Way`] before anything of it is read: in full, with the
//! place where the next round begins taken *first*, or only what changed since the last run. The way is kept in the run's
//! checkpoint, so that a run which is gone on with keeps it. At the end of the run, the next beginning is saved where
//! everything of the endpoint was read and has landed ([`keep_tokens`]); where it was not, the old one stays and the next run
//! is told the same changes again.

mod keep;
mod token;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use contract::DeltaToken;
use uuid::Uuid;

pub(crate) use keep::{forgive, keep_tokens, not_there};
use way::Found;
pub(crate) use way::find_way;

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything.
    Full,
    /// What changed, where the last beginning is known and not too old; everything elsewhere.
    Delta,
    /// As delta, and everything once in a while.
    #[default]
    Auto,
}

/// Everything is read once in a week unless the configuration says otherwise.
pub const FULL_READ_EVERY: Duration = Duration::from_hours(7 * 24);

/// What Graph does not tell the changes of is read by every daily run, unless the configuration says otherwise.
pub const UNTOLD_READ_EVERY: Duration = Duration::from_hours(20);

/// Something of Graph that is read in full or by what changed in it.
#[derive(Default)]
pub(crate) struct Endpoint {
    /// Its address below the version, where it has a delta function.
    pub name: &'static str,
    /// The properties and relations that are watched.
    pub select: String,
    /// What else decides what can be read of it.
    pub seen_with: String,
    /// The collections of the report that it feeds; the ones with its own objects first.
    pub collections: Vec<&'static str>,
    /// How many of those have its own objects.
    pub of_objects: usize,
    /// Everything is read when anything changed: a list costs little, or its objects are understood together only.
    pub is_read_whole: bool,
    /// Collections among those whose changes Graph does not tell: they are read when everything is.
    pub untold: Vec<&'static str>,
    /// Properties are read, too, whose changes Graph does not tell.
    pub has_untold_properties: bool,
    /// It has no delta function at all.
    pub is_silent: bool,
}

impl Endpoint {
    /// Could something change unnoticed?
    fn hides_changes(&self) -> bool {
        self.is_silent || self.has_untold_properties || !self.untold.is_empty()
    }
}

/// An object to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub id: Uuid,
    /// Graph says that it is gone.
    pub is_removed: bool,
}

/// How an endpoint is read.
#[derive(Debug)]
pub(crate) enum Way {
    /// Everything.
    Full,
    /// Only these.
    Changes(Vec<Change>),
}

/// What is known about deltas, and what this run finds out.
#[derive(Default)]
pub(crate) struct Deltas {
    /// Where the rounds begin that earlier runs left.
    known: Vec<DeltaToken>,
    /// How the endpoints are read.
    found: Mutex<BTreeMap<String, Found>>,
    /// Collections that are partial only for reasons that reading again would not mend.
    forgiven: Mutex<BTreeSet<String>>,
    /// Objects that Graph told of and does not have, by endpoint.
    unseen: Mutex<BTreeMap<String, Vec<Uuid>>>,
}

impl Deltas {
    pub fn new(known: Vec<DeltaToken>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Was anything read by its changes only?
    pub fn any(&self) -> bool {
        lock(&self.found).values().any(|found| !found.is_full)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps and sets are valid after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
