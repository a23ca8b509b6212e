//! From the words of a program to actions that fit the register as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    action::{Action, Call, Completeness, Session, State, Table},
    kind::{Fields, KINDS, Kind, Scope, overlap},
    program::{EndWords, RecordWords, Word},
    records::records_of,
    register::Register,
};

/// An action, how often it is sent at once, and which table it is about.
#[derive(Debug, Clone)]
pub struct Planned {
    pub action: Action,
    pub table: Table,
    pub copies: u8,
}

/// Numbers of batches that the step gives out, by session.
type Taken = BTreeMap<usize, BTreeSet<u32>>;

/// Makes the actions of a step. Words that say nothing at this moment, or that would not get on, are left out.
pub fn plan(register: &Register, words: &[Word]) -> Vec<Planned> {
    let mut taken = BTreeMap::new();
    let mut planned: Vec<Planned> = Vec::new();
    for word in words {
        let Some((action, copies)) = resolve(register, word, &mut taken) else {
            continue;
        };
        let table = table_of_action(register, &action);
        let one = Planned {
            action,
            table,
            copies,
        };
        if planned.iter().all(|other| gets_on(register, other, &one)) {
            planned.push(one);
        }
    }
    planned
}

/// Is the outcome of both at once that of one after the other, for each row at least?
fn gets_on(register: &Register, one: &Planned, other: &Planned) -> bool {
    let commits_apart = |commit: &Planned, other: &Planned| {
        let Action::Commit { session, .. } = commit.action else {
            return true;
        };
        !takes_out(register, &register.sessions[session], &other.action)
    };
    let is_end_of_its_session = |end: &Planned, batch: &Planned| {
        let (Action::Commit { session: ended, .. } | Action::Abort { session: ended }) = end.action
        else {
            return false;
        };
        matches!(batch.action, Action::Batch { session, .. } | Action::Commit { session, .. } if session == ended)
    };
    one.table != other.table
        || (commits_apart(one, other)
            && commits_apart(other, one)
            // A caller sends one end of a load, once its batches are answered.
            && !is_end_of_its_session(one, other)
            && !is_end_of_its_session(other, one))
}

/// Does an action take rows out of the scope of a load, without waiting for the load's commit? The commit spares them,
/// but may count them, and then hold what it would have removed.
fn takes_out(register: &Register, load: &Session, action: &Action) -> bool {
    let kind = &KINDS[load.table.1];
    let (scope, records, deleted) = match action {
        // It waits.
        Action::Call { load } if load.is_full => return false,
        Action::Call { load } => (&load.scope, &load.records, load.deleted.as_slice()),
        Action::Batch {
            session, records, ..
        } => (&register.sessions[*session].scope, records, &[][..]),
        _ => return false,
    };
    let moved: &[Fields] = if overlap(scope, &load.scope) {
        &[]
    } else {
        records
    };
    moved
        .iter()
        .chain(deleted)
        .filter_map(|fields| kind.key_of(fields))
        .any(|key| register.scope_rows(load).any(|(known, _)| *known == key))
}

/// The action that a word means now, and how often it is sent.
fn resolve(register: &Register, word: &Word, taken: &mut Taken) -> Option<(Action, u8)> {
    Some(match word {
        Word::Open {
            table,
            is_full,
            scope,
            filter,
            steps_ago,
        } => {
            let table = table_of(*table);
            let (scope, filter) = (KINDS[table.1].scope(*scope), filter_of(*filter));
            (
                Action::Open {
                    table,
                    is_full: *is_full,
                    scope,
                    filter,
                    steps_ago: usize::from(*steps_ago),
                },
                1,
            )
        }
        Word::Batch {
            session,
            is_early,
            records,
            copies,
        } => (
            batch(register, *session, *is_early, records, taken),
            *copies,
        ),
        Word::Again {
            session,
            batch,
            is_other,
            copies,
        } => (again(register, *session, *batch, *is_other)?, *copies),
        Word::Commit {
            session,
            end,
            is_short,
            copies,
        } => (commit(register, *session, end, *is_short)?, *copies),
        Word::Abort { session } => {
            let session = open_session(register, *session)?;
            (Action::Abort { session }, 1)
        }
        Word::Call {
            table,
            is_full,
            scope,
            filter,
            is_of_old,
            records,
            deleted,
            end,
            copies,
        } => {
            let table = table_of(*table);
            let kind = &KINDS[table.1];
            let scope = kind.scope(*scope);
            let load = Box::new(Call {
                table,
                is_full: *is_full,
                records: records_of(register, table, &scope, records),
                deleted: deleted.iter().map(|row| kind.key_fields(*row)).collect(),
                filter: filter_of(*filter),
                is_of_old: *is_of_old,
                completeness: completeness(kind, end),
                scope,
            });
            (Action::Call { load }, *copies)
        }
        Word::Decide { held, approve } => {
            let held = usize::from(*held).checked_rem(register.held.len())?;
            (
                Action::Decide {
                    held,
                    approve: *approve,
                },
                1,
            )
        }
    })
}

/// A batch of an open load; where none is open, a call of its own.
fn batch(
    register: &Register,
    number: u8,
    is_early: bool,
    words: &RecordWords,
    taken: &mut Taken,
) -> Action {
    let Some(session) = open_session(register, number) else {
        let (table, scope) = (table_of(number), Scope::new());
        let load = Box::new(Call {
            table,
            is_full: false,
            records: records_of(register, table, &scope, words),
            scope,
            filter: None,
            is_of_old: false,
            deleted: Vec::new(),
            completeness: Completeness::default(),
        });
        return Action::Call { load };
    };
    let load = &register.sessions[session];
    let seq = next_seq(load, taken.entry(session).or_default(), is_early);
    let records = records_of(register, load.table, &load.scope, words);
    Action::Batch {
        session,
        seq,
        records,
    }
}

/// A number that was used before, with the same records or with others.
fn again(register: &Register, number: u8, batch: u8, is_other: bool) -> Option<Action> {
    let session = any_session(register, number)?;
    let load = &register.sessions[session];
    let (seq, records) = nth(load.batches.iter(), batch)?;
    let mut records = Arc::clone(records);
    if is_other {
        Arc::make_mut(&mut records).push(KINDS[load.table.1].key_fields(batch));
    }
    Some(Action::Batch {
        session,
        seq: *seq,
        records,
    })
}

fn commit(register: &Register, number: u8, end: &EndWords, is_short: bool) -> Option<Action> {
    let session = open_session(register, number)?;
    let load = &register.sessions[session];
    let last = load.batches.keys().next_back();
    let batches = last.map_or(0, |last| last + 1) - u32::from(is_short && last.is_some());
    let completeness = completeness(&KINDS[load.table.1], end);
    Some(Action::Commit {
        session,
        batches,
        completeness,
    })
}

fn table_of_action(register: &Register, action: &Action) -> Table {
    match action {
        Action::Open { table, .. } => *table,
        Action::Call { load } => load.table,
        Action::Decide { held, .. } => register.held[*held].table,
        Action::Batch { session, .. }
        | Action::Commit { session, .. }
        | Action::Abort { session } => register.sessions[*session].table,
    }
}

fn table_of(number: u8) -> Table {
    let number = usize::from(number);
    (number / KINDS.len() % 2, number % KINDS.len())
}

fn filter_of(number: u8) -> Option<String> {
    (number > 0).then(|| format!("filter {number}"))
}

fn nth<T>(mut items: impl ExactSizeIterator<Item = T>, number: u8) -> Option<T> {
    let place = usize::from(number).checked_rem(items.len())?;
    items.nth(place)
}

fn open_session(register: &Register, number: u8) -> Option<usize> {
    let open: Vec<usize> = (0..register.sessions.len())
        .filter(|session| register.sessions[*session].state == State::Open)
        .collect();
    nth(open.into_iter(), number)
}

/// One with batches, which single calls have not.
fn any_session(register: &Register, number: u8) -> Option<usize> {
    let sessions: Vec<usize> = (0..register.sessions.len())
        .filter(|session| !register.sessions[*session].batches.is_empty())
        .collect();
    nth(sessions.into_iter(), number)
}

/// The first number that is free, or the one behind it: then the gap is filled later, or the load cannot end.
fn next_seq(load: &Session, taken: &mut BTreeSet<u32>, is_early: bool) -> u32 {
    let is_free = |seq: &u32| !load.batches.contains_key(seq) && !taken.contains(seq);
    let seq = (0..)
        .filter(is_free)
        .nth(usize::from(is_early))
        .expect("endless");
    taken.insert(seq);
    seq
}

fn completeness(kind: &Kind, end: &EndWords) -> Completeness {
    let parents = end.parents.iter();
    let parents = parents
        .filter_map(|number| Some(kind.parent_id(u32::from(*number))?.as_str()?.to_owned()))
        .collect();
    // A load that was not read to its end has no complete parents to name.
    let (incomplete_parents, complete_parents) = if end.complete && end.are_the_only_ones {
        (BTreeSet::new(), parents)
    } else {
        (parents, BTreeSet::new())
    };
    Completeness {
        complete: end.complete,
        incomplete_parents,
        complete_parents,
    }
}
