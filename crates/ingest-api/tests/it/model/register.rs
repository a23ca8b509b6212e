//! The register in memory: what the contract says that each call does. Every action happens at once, alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    action::{
        Action, Call, Completeness, Held, Records, Reply, Row, Session, State, TIMES_OF_A_STEP,
        Table, Time,
    },
    kind::{Fields, KINDS, Key, Scope, overlap},
    reading::{Reading, read},
};

/// Everything that there is.
#[derive(Debug, Clone, Default)]
pub struct Register {
    pub rows: BTreeMap<(Table, Key), Row>,
    /// When any load last met each row.
    met: BTreeMap<(Table, Key), Time>,
    pub sessions: Vec<Session>,
    pub held: Vec<Held>,
    commits: u64,
}

/// What became of a good record.
#[derive(PartialEq)]
enum Written {
    Stored,
    Refused,
}

impl Register {
    /// Does it, and answers as the server would. A call in one piece began to read its source at `arrived`.
    pub fn act(&mut self, now: Time, arrived: Time, action: &Action) -> Reply {
        match action {
            Action::Open {
                table,
                is_full,
                scope,
                filter,
                steps_ago,
            } => {
                let read_since = now.saturating_sub(steps_ago * TIMES_OF_A_STEP);
                self.open(read_since, *table, *is_full, scope, filter.as_ref())
            }
            Action::Batch {
                session,
                seq,
                records,
            } => self.batch(now, *session, *seq, records),
            Action::Commit {
                session,
                batches,
                completeness,
            } => self.commit(*session, *batches, completeness),
            Action::Abort { session } => self.abort(*session),
            Action::Call { load } => self.call(now, arrived, load),
            Action::Decide { held, approve } => self.decide(*held, *approve),
        }
    }

    /// The step is over: which of its times something happened at does not matter any more.
    pub fn end_step(&mut self) {
        let whole = |time: &mut Time| *time -= *time % TIMES_OF_A_STEP;
        for row in self.rows.values_mut() {
            whole(&mut row.written);
            whole(&mut row.first_seen);
        }
        self.met.values_mut().for_each(whole);
        for held in &mut self.held {
            held.rows.values_mut().for_each(whole);
        }
    }

    fn open(
        &mut self,
        read_since: Time,
        table: Table,
        is_full: bool,
        scope: &Scope,
        filter: Option<&String>,
    ) -> Reply {
        if is_full && self.is_open(table, scope) {
            return Reply::refused(409);
        }
        self.sessions.push(Session {
            table,
            is_full,
            scope: scope.clone(),
            filter: filter.cloned(),
            read_since,
            state: State::Open,
            has_unidentified: false,
            named: BTreeMap::new(),
            is_disturbed: false,
            batches: BTreeMap::new(),
            settled: None,
            committed: 0,
            end: None,
        });
        Reply {
            status: 201,
            ..Reply::default()
        }
    }

    fn is_open(&self, table: Table, scope: &Scope) -> bool {
        self.sessions.iter().any(|other| {
            other.is_full
                && other.state == State::Open
                && other.table == table
                && other.scope == *scope
        })
    }

    fn batch(&mut self, now: Time, session: usize, seq: u32, records: &Records) -> Reply {
        let load = &self.sessions[session];
        if let Some(earlier) = load.batches.get(&seq) {
            let status = if earlier == records { 200 } else { 409 };
            return Reply {
                status,
                is_repetition: true,
                ..Reply::default()
            };
        }
        if load.state != State::Open {
            return Reply::refused(409);
        }
        let mut reply = Reply {
            status: 200,
            ..Reply::default()
        };
        self.sessions[session]
            .batches
            .insert(seq, Arc::clone(records));
        self.merge(now, session, records, &mut reply);
        reply
    }

    /// Lays records over the rows, and remembers that these rows are there.
    fn merge(&mut self, now: Time, session: usize, records: &[Fields], reply: &mut Reply) {
        let Session {
            table,
            is_full,
            scope,
            ..
        } = self.sessions[session].clone();
        let mut good = BTreeMap::new();
        let mut met = BTreeSet::new();
        for record in records {
            match read(table, is_full, &scope, record) {
                Reading::Good(key, fields) => {
                    *self.sessions[session].named.entry(key.clone()).or_default() += 1;
                    good.insert(key, fields);
                }
                Reading::Refused(key) => {
                    reply.rejected += 1;
                    met.insert(key);
                }
                Reading::Unidentified => {
                    reply.rejected += 1;
                    self.sessions[session].has_unidentified = true;
                }
            }
        }
        for (key, fields) in good {
            if self.write(now, table, is_full, &key, fields, reply) == Written::Refused {
                // It named a row that is not there: nobody counts it when it comes again.
                self.sessions[session].is_disturbed = true;
            }
            met.insert(key);
        }
        met.retain(|key| self.rows.contains_key(&(table, key.clone())));
        if reply.inserted + reply.updated > 0 {
            self.disturb_all_but(session, table);
        }
        for key in &met {
            // What a merge met is remembered after what it wrote.
            self.met.insert((table, key.clone()), now + 1);
        }
        for held in self
            .held
            .iter_mut()
            .filter(|held| held.table == table && held.state == "held")
        {
            held.rows.retain(|key, _| !met.contains(key));
        }
    }

    fn disturb_all_but(&mut self, session: usize, table: Table) {
        for (number, other) in self.sessions.iter_mut().enumerate() {
            other.is_disturbed |= number != session && other.table == table;
        }
    }

    fn write(
        &mut self,
        now: Time,
        table: Table,
        is_full: bool,
        key: &Key,
        said: Fields,
        reply: &mut Reply,
    ) -> Written {
        let kind = &KINDS[table.1];
        let place = (table, key.clone());
        let before = self.rows.get(&place);
        let mut fields = match before {
            Some(row) if !is_full => row.fields.clone(),
            _ => Fields::new(),
        };
        let mut said = said;
        if let Some((name, value)) = kind.default {
            let is_said = said.get(name).is_some_and(|value| !value.is_null());
            let is_cleared = said.get(name).is_some_and(serde_json::Value::is_null);
            if is_cleared || (!is_said && (is_full || before.is_none())) {
                said.insert(name.to_owned(), value.into());
            }
        }
        for (name, value) in said {
            if value.is_null() {
                fields.remove(&name);
            } else {
                fields.insert(name, value);
            }
        }
        if before.is_none() && kind.required.is_some_and(|name| !fields.contains_key(name)) {
            reply.rejected += 1;
            return Written::Refused;
        }
        match before {
            Some(row) if row.is_live && row.fields == fields => reply.unchanged += 1,
            Some(_) => reply.updated += 1,
            None => reply.inserted += 1,
        }
        let is_changed = before.is_none_or(|row| !row.is_live || row.fields != fields);
        if is_changed {
            let first_seen = before.map_or(now, |row| row.first_seen);
            self.rows.insert(
                place,
                Row {
                    fields,
                    is_live: true,
                    written: now,
                    first_seen,
                },
            );
        }
        Written::Stored
    }

    fn commit(&mut self, session: usize, batches: u32, completeness: &Completeness) -> Reply {
        let load = &self.sessions[session];
        match (load.state, &load.end) {
            (State::Committed, Some(end)) => return end.clone(),
            (State::Open, _) => {}
            _ => return Reply::refused(409),
        }
        let is_whole = load.batches.keys().copied().eq(0..batches);
        if !is_whole {
            return Reply::refused(409);
        }
        let mut reply = Reply {
            status: 200,
            ..Reply::default()
        };
        self.conclude(session, completeness, &mut reply);
        reply
    }

    /// The end of a load: what a full one did not meet goes, waits, or stays.
    fn conclude(&mut self, session: usize, completeness: &Completeness, reply: &mut Reply) {
        self.commits += 1;
        let commit = self.commits;
        let load = &mut self.sessions[session];
        load.state = State::Committed;
        load.committed = commit;
        let load = load.clone();
        if load.is_full && completeness.complete && !load.has_unidentified {
            self.remove_missing(&load, session, completeness, reply);
        } else {
            reply.is_skipped = load.is_full;
        }
        let is_settled = load.is_full
            && !reply.is_skipped
            && reply.held.is_none()
            && completeness.incomplete_parents.is_empty()
            && completeness.complete_parents.is_empty();
        let load = &mut self.sessions[session];
        let again = load.named.values().map(|times| times - 1).sum();
        reply.duplicates = (!load.is_disturbed).then_some(again);
        load.settled = is_settled.then_some(commit);
        load.end = Some(reply.clone());
    }

    fn remove_missing(
        &mut self,
        load: &Session,
        session: usize,
        completeness: &Completeness,
        reply: &mut Reply,
    ) {
        let is_about_all = completeness.complete_parents.is_empty();
        let missing: BTreeMap<Key, Time> = self
            .scope_rows(load)
            .filter(|(key, row)| {
                let parent = KINDS[load.table.1]
                    .parent
                    .and_then(|wire| KINDS[load.table.1].part(key, wire));
                let met = self.met.get(&(load.table, (*key).clone()));
                row.written < load.read_since
                    && met.is_none_or(|met| *met < load.read_since)
                    && parent.is_none_or(|parent| {
                        !completeness.incomplete_parents.contains(parent)
                            && (is_about_all || completeness.complete_parents.contains(parent))
                    })
            })
            .map(|(key, row)| (key.clone(), row.written))
            .collect();
        let live = self.scope_rows(load).count() as u64;
        let before = self
            .scope_rows(load)
            .filter(|(_, row)| row.first_seen < load.read_since)
            .count() as u64;
        for held in &mut self.held {
            if is_about_all
                && held.table == load.table
                && held.state == "held"
                && overlap(&held.scope, &load.scope)
            {
                held.state = "expired";
            }
        }
        let count = missing.len() as u64;
        let reason = if count == 0 {
            None
        } else if let Some(reason) = self.question_changed(load) {
            Some(reason)
        } else if count >= live {
            Some("empty_source")
        } else if count > 10 && count * 20 > before {
            Some("over_limit")
        } else {
            None
        };
        if let Some(reason) = reason {
            reply.held = Some((reason, count));
            self.held.push(Held {
                session,
                table: load.table,
                scope: load.scope.clone(),
                reason,
                would_delete: count,
                state: "held",
                rows: missing,
            });
        } else {
            reply.deleted += count;
            for key in missing.into_keys() {
                self.remove(session, load.table, &key);
            }
        }
    }

    /// The live rows in a load's scope.
    pub fn scope_rows<'a>(&'a self, load: &'a Session) -> impl Iterator<Item = (&'a Key, &'a Row)> {
        let kind = &KINDS[load.table.1];
        self.rows.iter().filter_map(move |((table, key), row)| {
            let is_inside = load.scope.iter().all(|(wire, value)| {
                let found = kind
                    .part(key, wire)
                    .or_else(|| row.fields.get(wire)?.as_str());
                found == Some(value)
            });
            (*table == load.table && row.is_live && is_inside).then_some((key, row))
        })
    }

    /// Did the caller ask its source for something else than at the last settled load?
    fn question_changed(&self, load: &Session) -> Option<&'static str> {
        let settled = || {
            self.sessions
                .iter()
                .filter(|other| other.table == load.table && other.settled.is_some())
        };
        let last = settled()
            .filter(|other| other.scope == load.scope)
            .max_by_key(|other| other.settled);
        match last {
            Some(last) if last.filter != load.filter => Some("source_filter_changed"),
            Some(_) => None,
            None => settled().next().map(|_| "scope_changed"),
        }
    }

    /// Removes a row on behalf of a load.
    fn remove(&mut self, session: usize, table: Table, key: &Key) -> bool {
        match self.rows.get_mut(&(table, key.clone())) {
            Some(row) if row.is_live => {
                row.is_live = false;
                self.disturb_all_but(session, table);
                true
            }
            _ => false,
        }
    }

    fn abort(&mut self, session: usize) -> Reply {
        let load = &mut self.sessions[session];
        if load.state == State::Committed {
            return Reply::refused(409);
        }
        load.state = State::Aborted;
        Reply {
            status: 200,
            ..Reply::default()
        }
    }

    fn call(&mut self, now: Time, arrived: Time, call: &Call) -> Reply {
        let opened = self.open(
            if call.is_of_old { 0 } else { arrived },
            call.table,
            call.is_full,
            &call.scope,
            call.filter.as_ref(),
        );
        if opened.status != 201 {
            return opened;
        }
        let session = self.sessions.len() - 1;
        let mut reply = Reply {
            status: 201,
            ..Reply::default()
        };
        self.merge(now, session, &call.records, &mut reply);
        let kind = &KINDS[call.table.1];
        for key in call.deleted.iter().filter_map(|key| kind.key_of(key)) {
            reply.deleted += u64::from(self.remove(session, call.table, &key));
        }
        self.conclude(session, &call.completeness, &mut reply);
        reply
    }

    fn decide(&mut self, number: usize, approve: bool) -> Reply {
        if self.held[number].state != "held" {
            return Reply::refused(409);
        }
        let held = self.held[number].clone();
        self.held[number].state = if approve { "approved" } else { "rejected" };
        if approve {
            for (key, written) in &held.rows {
                if self.rows[&(held.table, key.clone())].written == *written {
                    self.remove(held.session, held.table, key);
                }
            }
            let load = &mut self.sessions[held.session];
            load.settled = Some(load.committed);
        }
        Reply {
            status: 200,
            ..Reply::default()
        }
    }
}
