//! The words of the model: what callers do, what they are answered, and what there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::kind::{Fields, Key, Scope};

/// A system and one of its entities, both by number.
pub type Table = (usize, usize);
/// The records of a batch; the bytes are the same when they are.
pub type Records = Arc<Vec<Fields>>;
/// When something happened: in which step, and behind how many of its other actions. What happens in a step happens after
/// everything in the ones before.
pub type Time = usize;
/// The times of a step; its first one stands for the whole step once it is over.
pub const TIMES_OF_A_STEP: Time = 16;

/// A row, live or removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub fields: Fields,
    pub is_live: bool,
    pub written: Time,
    pub first_seen: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Open,
    Committed,
    Aborted,
}

/// A load, open or ended.
#[derive(Debug, Clone)]
pub struct Session {
    pub table: Table,
    pub is_full: bool,
    pub scope: Scope,
    pub filter: Option<String>,
    /// When the reading of its source began.
    pub read_since: Time,
    pub state: State,
    pub has_unidentified: bool,
    /// How often each row was named by a good record.
    pub named: BTreeMap<Key, u64>,
    /// Somebody else wrote or removed rows of the table meanwhile: what of it the load repeated is not counted exactly.
    pub is_disturbed: bool,
    /// Number → what came first under it.
    pub batches: BTreeMap<u32, Records>,
    /// When it was committed with nothing left open: what the next load of the scope is compared with.
    pub settled: Option<u64>,
    pub committed: u64,
    pub end: Option<Reply>,
}

/// Removals that wait for a person, or waited.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub session: usize,
    pub table: Table,
    pub scope: Scope,
    pub reason: &'static str,
    pub would_delete: u64,
    pub state: &'static str,
    /// The rows, and when each was written.
    pub rows: BTreeMap<Key, Time>,
}

/// What a call is answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    pub status: u16,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub rejected: u64,
    /// `None` where it cannot be told.
    pub duplicates: Option<u64>,
    pub deleted: u64,
    pub held: Option<(&'static str, u64)>,
    pub is_skipped: bool,
    /// It is the answer of the first time, which the caller has.
    pub is_repetition: bool,
}

impl Reply {
    /// An answer without counts.
    pub fn refused(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

/// What is read to the end.
#[derive(Debug, Clone, Default)]
pub struct Completeness {
    pub complete: bool,
    pub incomplete_parents: BTreeSet<String>,
    /// Where there are some, nothing else was read.
    pub complete_parents: BTreeSet<String>,
}

/// Something that a caller does.
#[derive(Debug, Clone)]
pub enum Action {
    Open {
        table: Table,
        is_full: bool,
        scope: Scope,
        filter: Option<String>,
        /// So many steps before it, the reading began.
        steps_ago: usize,
    },
    Batch {
        session: usize,
        seq: u32,
        records: Records,
    },
    Commit {
        session: usize,
        batches: u32,
        completeness: Completeness,
    },
    Abort {
        session: usize,
    },
    Call {
        load: Box<Call>,
    },
    Decide {
        held: usize,
        approve: bool,
    },
}

/// A load in one call.
#[derive(Debug, Clone)]
pub struct Call {
    pub table: Table,
    pub is_full: bool,
    pub scope: Scope,
    pub filter: Option<String>,
    /// Its reading began before everything else.
    pub is_of_old: bool,
    pub records: Records,
    pub deleted: Vec<Fields>,
    pub completeness: Completeness,
}
