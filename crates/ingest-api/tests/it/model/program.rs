//! Random programs: what several callers do, step by step, in words that fit any state of the register.

use proptest::{collection::vec, prelude::*};

/// What is done at the same time, and what happens to the servers meanwhile.
#[derive(Debug, Clone)]
pub struct Step {
    pub words: Vec<Word>,
    pub blow: Blow,
}

/// What is killed, and how long after the step began.
#[derive(Debug, Clone, Copy)]
pub enum Blow {
    None,
    Server { after_ms: u64 },
    Postgres { after_ms: u64 },
}

/// One call. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub enum Word {
    Open {
        table: u8,
        is_full: bool,
        scope: u8,
        filter: u8,
        steps_ago: u8,
    },
    Batch {
        session: u8,
        is_early: bool,
        records: RecordWords,
        copies: u8,
    },
    Again {
        session: u8,
        batch: u8,
        is_other: bool,
        copies: u8,
    },
    Commit {
        session: u8,
        end: EndWords,
        is_short: bool,
        copies: u8,
    },
    Abort {
        session: u8,
    },
    Call {
        table: u8,
        is_full: bool,
        scope: u8,
        filter: u8,
        is_of_old: bool,
        records: RecordWords,
        deleted: Vec<u8>,
        end: EndWords,
        copies: u8,
    },
    Decide {
        held: u8,
        approve: bool,
    },
}

/// What a load says about its end.
#[derive(Debug, Clone)]
pub struct EndWords {
    pub complete: bool,
    pub parents: Vec<u8>,
    /// The parents are the only ones that were read to their end, not those that were not.
    pub are_the_only_ones: bool,
}

/// The records of a call.
#[derive(Debug, Clone)]
pub enum RecordWords {
    /// Any, in any order, the same row several times too.
    Few(Vec<RecordWord>),
    /// The scope as it is, but for some rows, and some of the rest with other contents.
    Most {
        left_out: Vec<u8>,
        changed: Vec<RecordWord>,
    },
}

/// One record: which row, what it says (0 for `null`), and what is wrong with it.
#[derive(Debug, Clone)]
pub struct RecordWord {
    pub row: u8,
    pub says: Vec<(u8, u8)>,
    pub flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// A number where a text must be.
    WrongType,
    /// A part of the key is missing.
    NoKey,
}

/// Programs of so many steps.
pub fn program(steps: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), steps)
}

fn step() -> impl Strategy<Value = Step> {
    let blow = prop_oneof![
        6 => Just(Blow::None),
        2 => (0_u64..60).prop_map(|after_ms| Blow::Server { after_ms }),
        1 => (0_u64..60).prop_map(|after_ms| Blow::Postgres { after_ms }),
    ];
    (vec(word(), 1..5), blow).prop_map(|(words, blow)| Step { words, blow })
}

fn word() -> impl Strategy<Value = Word> {
    let full = || prop::bool::weighted(0.7);
    let filter = || prop::sample::select(vec![0_u8, 0, 0, 0, 0, 1]);
    prop_oneof![
        5 => (table(), full(), scope(), filter(), steps_ago()).prop_map(|(table, is_full, scope, filter, steps_ago)| {
            Word::Open { table, is_full, scope, filter, steps_ago }
        }),
        12 => (any::<u8>(), prop::bool::weighted(0.15), records(), 1_u8..4)
            .prop_map(|(session, is_early, records, copies)| Word::Batch { session, is_early, records, copies }),
        2 => (any::<u8>(), any::<u8>(), prop::bool::weighted(0.3), 1_u8..3)
            .prop_map(|(session, batch, is_other, copies)| Word::Again { session, batch, is_other, copies }),
        5 => (any::<u8>(), end(), prop::bool::weighted(0.1), 1_u8..3)
            .prop_map(|(session, end, is_short, copies)| Word::Commit { session, end, is_short, copies }),
        1 => any::<u8>().prop_map(|session| Word::Abort { session }),
        4 => (table(), prop::bool::weighted(0.6), scope(), (filter(), prop::bool::weighted(0.1)), records(), deleted(), end(),
              1_u8..3)
            .prop_map(|(table, is_full, scope, (filter, is_of_old), records, deleted, end, copies)| Word::Call {
                table, is_full, scope, filter, is_of_old, records, deleted, end, copies,
            }),
        2 => (any::<u8>(), prop::bool::weighted(0.7)).prop_map(|(held, approve)| Word::Decide { held, approve }),
    ]
}

/// Mostly the same two, so that loads meet.
fn table() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0_u8, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5])
}

/// Mostly everything, so that loads of one scope follow each other.
fn scope() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0_u8, 0, 0, 1, 2, 3, 4])
}

/// Mostly, reading begins with the load.
fn steps_ago() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![0_u8, 0, 0, 1, 2, 4])
}

fn deleted() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..5)]
}

fn end() -> impl Strategy<Value = EndWords> {
    let parents = prop_oneof![3 => Just(Vec::new()), 1 => vec(0_u8..4, 1..3)];
    (prop::bool::weighted(0.9), parents, any::<bool>()).prop_map(
        |(complete, parents, are_the_only_ones)| EndWords {
            complete,
            parents,
            are_the_only_ones,
        },
    )
}

fn records() -> impl Strategy<Value = RecordWords> {
    prop_oneof![
        2 => vec(record(), 0..16).prop_map(RecordWords::Few),
        3 => (vec(any::<u8>(), 0..6), vec(record(), 0..4))
            .prop_map(|(left_out, changed)| RecordWords::Most { left_out, changed }),
    ]
}

fn record() -> impl Strategy<Value = RecordWord> {
    let flaw =
        prop_oneof![60 => Just(Flaw::None), 2 => Just(Flaw::WrongType), 1 => Just(Flaw::NoKey)];
    // The first field is the required one, where there is one: mostly said.
    let first = prop_oneof![8 => Just(Some(1_u8)), 2 => Just(Some(2)), 2 => Just(None)];
    (any::<u8>(), first, vec((1_u8..6, 0_u8..3), 0..4), flaw).prop_map(
        |(row, first, others, flaw)| {
            let mut says: Vec<(u8, u8)> = first.map(|value| (0, value)).into_iter().collect();
            says.extend(others);
            RecordWord { row, says, flaw }
        },
    )
}
