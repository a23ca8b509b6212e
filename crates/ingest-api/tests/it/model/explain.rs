//! Which orders of a step's actions explain what the server answered, and what they leave.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    action::{Action, Held, Reply, Row, TIMES_OF_A_STEP, Table, Time},
    kind::Key,
    observe::HeldSet,
    register::Register,
    resolve::Planned,
};
use crate::client::Outcome;

/// Plays the actions in an order; the models after it that answer as the server did. There is more than one where a call
/// in one piece may have arrived before or after what others did at the same moment.
pub fn explain(
    register: &Register,
    step: usize,
    here: &[(&Planned, &Outcome)],
    order: &[usize],
    table: Table,
    held: &[HeldSet],
) -> Vec<Register> {
    let began = step * TIMES_OF_A_STEP;
    let mut models = vec![register.clone()];
    for (place, number) in order.iter().enumerate() {
        let (planned, outcome) = here[*number];
        // It writes, then remembers what it met: an arrival may also fall in between.
        let now = began + 2 * place + 1;
        let arrivals = if is_full_call(&planned.action) {
            began + 1..=now
        } else {
            now..=now
        };
        let play = |model: &Register, arrived: Time| {
            let mut model = model.clone();
            let reply = model.act(now, arrived, &planned.action);
            agrees(&planned.action, &reply, outcome, here.len() == 1).then_some(model)
        };
        models = models
            .iter()
            .flat_map(|model| arrivals.clone().filter_map(|arrived| play(model, arrived)))
            .collect();
    }
    models.retain(|model| same_held_sets(model, table, held));
    models.iter_mut().for_each(Register::end_step);
    models
}

fn is_full_call(action: &Action) -> bool {
    matches!(action, Action::Call { load } if load.is_full)
}

/// Did the server answer as the model does? Counts of rows depend on the order in which others wrote the same ones, so
/// they are compared where nobody else did.
fn agrees(action: &Action, reply: &Reply, outcome: &Outcome, is_alone: bool) -> bool {
    let (status, body) = (outcome.answer.status.as_u16(), &outcome.answer.body);
    if let Action::Decide { .. } = action
        && status == 409
        && outcome.was_in_doubt
    {
        // The first try decided it, or it was decided before.
        return reply.status == 200 || reply.status == 409;
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
    if is_end
        && reply
            .duplicates
            .is_some_and(|duplicates| count("duplicates") != duplicates)
    {
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

/// Are the held change sets of a table, and the rows that an approval would remove, those of the model?
pub fn same_held_sets(register: &Register, table: Table, found: &[HeldSet]) -> bool {
    let model: Vec<&Held> = (register.held.iter())
        .filter(|set| set.table == table)
        .collect();
    let is_as_held = |(key, written): &(&Key, &Time)| {
        let row = &register.rows[&(table, (*key).clone())];
        row.is_live && row.written == **written
    };
    model.len() == found.len()
        && model.iter().zip(found).all(|(expected, found)| {
            let rows = expected.rows.iter().filter(is_as_held);
            let has_rows = expected.state != "held" || rows.map(|(key, _)| key).eq(&found.rows);
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
    let disturbed: Vec<usize> = candidates
        .iter()
        .flat_map(|candidate| candidate.sessions.iter().enumerate())
        .filter(|(_, session)| session.is_disturbed)
        .map(|(number, _)| number)
        .collect();
    let mut register = candidates.into_iter().next().expect("one explains it");
    for number in disturbed {
        register.sessions[number].is_disturbed = true;
    }
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
