//! Which orders of a step's actions explain what the server answered, and what they leave.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    action::{Action, Held, Reply, Row, Table},
    kind::Key,
    observe::HeldSet,
    register::Register,
    resolve::Planned,
};
use crate::client::Outcome;

/// Plays the actions in an order; the model after it, if it answers as the server did.
pub fn explain(
    register: &Register,
    now: usize,
    here: &[(&Planned, &Outcome)],
    order: &[usize],
    table: Table,
    held: &[HeldSet],
) -> Option<Register> {
    let mut register = register.clone();
    for place in order {
        let (planned, outcome) = here[*place];
        let reply = register.act(now, &planned.action);
        if !agrees(&planned.action, &reply, outcome, here.len() == 1) {
            return None;
        }
    }
    let of_table = register.held.iter().filter(|set| set.table == table);
    same_held_sets(of_table, held).then_some(register)
}

/// Did the server answer as the model does? Counts of rows depend on the order in which others wrote the same ones, so
/// they are compared where nobody else did.
fn agrees(action: &Action, reply: &Reply, outcome: &Outcome, is_alone: bool) -> bool {
    let (status, body) = (outcome.answer.status.as_u16(), &outcome.answer.body);
    if let Action::Decide { .. } = action
        && status == 409
        && outcome.was_in_doubt
    {
        return reply.status == 200;
    }
    if status != reply.status {
        return false;
    }
    let count = |name: &str| body[name].as_u64().unwrap_or(0);
    let is_end = matches!(action, Action::Commit { .. } | Action::Call { .. }) && status < 300;
    let held = body
        .get("held")
        .map(|held| (held["reason"].as_str(), held["wouldDelete"].as_u64()));
    let expected = reply.held.map(|(reason, rows)| (Some(reason), Some(rows)));
    if is_end && (held != expected || body.get("removalsSkipped").is_some() != reply.is_skipped) {
        return false;
    }
    if is_end && is_alone && count("deleted") != reply.deleted {
        return false;
    }
    let is_counted = matches!(action, Action::Batch { .. } | Action::Call { .. })
        && is_alone
        && status < 300
        && !reply.is_repetition;
    !is_counted
        || (
            count("inserted"),
            count("updated"),
            count("unchanged"),
            count("rejected"),
        ) == (
            reply.inserted,
            reply.updated,
            reply.unchanged,
            reply.rejected,
        )
}

pub fn same_held_sets<'a>(model: impl Iterator<Item = &'a Held>, found: &[HeldSet]) -> bool {
    let model: Vec<&Held> = model.collect();
    model.len() == found.len()
        && model.iter().zip(found).all(|(expected, found)| {
            let has_rows = expected.state != "held" || expected.rows.keys().eq(&found.rows);
            (expected.reason, expected.state) == (found.reason.as_str(), found.state.as_str())
                && (&expected.scope, expected.would_delete) == (&found.scope, found.would_delete)
                && has_rows
        })
}

/// Takes over what the orders that explain the answers leave. Two loads that write the same rows at the same moment may
/// each be the last one for some of them, so each row must be as some order leaves it.
pub fn adopt(
    candidates: Vec<Register>,
    table: Table,
    rows: &BTreeMap<Key, Row>,
    here: &[(&Planned, &Outcome)],
) -> Register {
    let mut rows_of_orders: BTreeMap<Key, Vec<Option<Row>>> = BTreeMap::new();
    let keys: BTreeSet<Key> = candidates
        .iter()
        .flat_map(|candidate| candidate.rows.keys())
        .filter(|(at, _)| *at == table)
        .map(|(_, key)| key.clone())
        .chain(rows.keys().cloned())
        .collect();
    for key in keys {
        let place = (table, key.clone());
        let possible = candidates
            .iter()
            .map(|candidate| candidate.rows.get(&place).cloned());
        rows_of_orders.insert(key, possible.collect());
    }
    let mut register = candidates.into_iter().next().expect("one explains it");
    for (key, possible) in rows_of_orders {
        let found = rows.get(&key).cloned();
        assert!(
            possible.contains(&found),
            "{key} is {found:#?}, not one of {possible:#?} after {here:?}"
        );
        match found {
            Some(row) => register.rows.insert((table, key), row),
            None => register.rows.remove(&(table, key)),
        };
    }
    register
}

/// Every order of so many things.
pub fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, next);
                    longer
                })
            })
            .collect();
    }
    orders
}
