//! Runs a program against a server and holds what comes of it against the model.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contract::SystemId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    action::{Action, Row, Session, State, TIMES_OF_A_STEP, Table},
    explain::{adopt, explain, orders, same_held_sets},
    kind::{Fields, KINDS, Key, Kind},
    observe,
    program::{Blow, Step},
    register::Register,
    resolve::{Planned, plan},
};
use crate::client::{Call, Client, Outcome};

/// Longer than any program takes.
const AN_HOUR_MS: i64 = 3_600_000;

/// A server that a program runs against, and what happens to it meanwhile.
pub trait Site {
    fn client(&self) -> Client;
    async fn connect(&mut self) -> PgConnection;
    async fn suffer(&mut self, blow: Blow);
}

/// A run of one program, in two systems of its own.
pub struct Run<'a, S> {
    site: &'a mut S,
    client: Client,
    connection: PgConnection,
    systems: [SystemId; 2],
    register: Register,
    /// The ids of the sessions; none for single calls.
    sync_ids: Vec<Option<String>>,
    held_ids: Vec<Uuid>,
    /// Just before and after each step.
    beginnings: Vec<DateTime<Utc>>,
    moments: Vec<DateTime<Utc>>,
    /// How each batch was answered at first.
    first_answers: BTreeMap<(usize, u32), Value>,
    /// The live rows at each moment.
    snapshots: Vec<BTreeMap<(Table, Key), Fields>>,
}

impl<'a, S: Site> Run<'a, S> {
    pub async fn new(site: &'a mut S, systems: [SystemId; 2]) -> Self {
        Self {
            client: site.client(),
            connection: site.connect().await,
            site,
            systems,
            register: Register::default(),
            sync_ids: Vec::new(),
            held_ids: Vec::new(),
            beginnings: Vec::new(),
            moments: Vec::new(),
            first_answers: BTreeMap::new(),
            snapshots: Vec::new(),
        }
    }

    /// Runs the whole program and checks the register after each step, then its past.
    pub async fn program(mut self, steps: &[Step]) {
        for step in steps {
            let planned = plan(&self.register, &step.words);
            let (opens, others): (Vec<Planned>, Vec<Planned>) = planned
                .into_iter()
                .partition(|one| matches!(one.action, Action::Open { .. }));
            // Whether a session was opened before or after a write of the same moment would decide what it may remove.
            for open in opens {
                self.begin_step().await;
                self.open(&open.action).await;
                self.check_and_remember().await;
            }
            if others.is_empty() {
                continue;
            }
            self.begin_step().await;
            let outcomes = self.send_all(&others, step.blow).await;
            self.reconnect().await;
            self.follow(&others, &outcomes).await;
            self.check_and_remember().await;
        }
        self.check_past().await;
    }

    async fn begin_step(&mut self) {
        self.beginnings
            .push(observe::moment(&mut self.connection).await);
    }

    async fn open(&mut self, action: &Action) {
        let outcome = self.client.insist_on(&self.call(action, 0)).await;
        let now = self.moments.len() * TIMES_OF_A_STEP;
        let reply = self.register.act(now, now, action);
        let status = outcome.answer.status.as_u16();
        // The lost answer was that of our own session.
        let is_ours = status == 409 && outcome.was_in_doubt;
        assert!(
            status == reply.status || (reply.status == 201 && is_ours),
            "{action:?}: {outcome:?}"
        );
        if reply.status == 201 {
            let sync_id = outcome.answer.body["syncId"].as_str().expect("an id");
            self.sync_ids.push(Some(sync_id.to_owned()));
            self.place_in_time(sync_id).await;
        }
    }

    /// Notes between which steps the reading of the last opened load began. One that began while others wrote could not be
    /// told apart from one before or behind them: it is given up.
    async fn place_in_time(&mut self, sync_id: &str) {
        self.reconnect().await;
        let read_since = observe::read_since(&mut self.connection, sync_id).await;
        let step = observe::step_of(&self.moments, read_since);
        let last = self.register.sessions.len() - 1;
        if step == self.moments.len() || read_since <= self.beginnings[step] {
            self.register.sessions[last].read_since = step * TIMES_OF_A_STEP;
            return;
        }
        let abort = Action::Abort { session: last };
        self.client.insist(&self.call(&abort, 0)).await.expect(200);
        self.register.act(0, 0, &abort);
    }

    /// How long ago it is that the step so many steps before this one began.
    fn ms_since(&self, steps_ago: usize) -> i64 {
        let now = self.beginnings[self.beginnings.len() - 1];
        let end_before = (self.moments.len() - steps_ago.min(self.moments.len()))
            .checked_sub(1)
            .map(|step| self.moments[step]);
        end_before.map_or(AN_HOUR_MS, |end| (now - end).num_milliseconds())
    }

    /// Sends everything at once, while the servers suffer what they must.
    async fn send_all(&mut self, planned: &[Planned], blow: Blow) -> Vec<Outcome> {
        let calls: Vec<Call> = planned
            .iter()
            .enumerate()
            .map(|(number, one)| self.call(&one.action, number))
            .collect();
        let client = &self.client;
        let sending = join_all(planned.iter().zip(&calls).map(async |(one, call)| {
            let copies = join_all((0..one.copies).map(|_| client.insist_on(call))).await;
            the_same_answer(one, copies)
        }));
        let (outcomes, ()) = tokio::join!(sending, self.site.suffer(blow));
        outcomes
    }

    async fn reconnect(&mut self) {
        if self.connection.ping().await.is_err() {
            self.connection = self.site.connect().await;
        }
    }

    fn call(&self, action: &Action, number: usize) -> Call {
        let session = |session: &usize| {
            let sync_id = self.sync_ids[*session].as_deref().expect("a session");
            format!("/api/ingest/sessions/{sync_id}")
        };
        match action {
            Action::Open {
                table,
                is_full,
                scope,
                filter,
                steps_ago,
            } => {
                let ago = (*steps_ago > 0).then(|| self.ms_since(*steps_ago));
                let body = json!({"systemId": self.systems[table.0], "entity": KINDS[table.1].entity,
                                  "syncMode": mode(*is_full), "scope": scope, "sourceFilter": filter,
                                  "readBeganMsAgo": ago});
                Call::post("/api/ingest/sessions", &body)
            }
            Action::Batch {
                session: load,
                seq,
                records,
            } => Call::put(
                &format!("{}/batches/{seq}", session(load)),
                &json!({"records": **records}),
            ),
            Action::Commit {
                session: load,
                batches,
                completeness,
            } => {
                let body = json!({"batches": batches, "complete": completeness.complete,
                                  "incompleteParents": completeness.incomplete_parents,
                                  "completeParents": completeness.complete_parents});
                Call::post(&format!("{}/commit", session(load)), &body)
            }
            Action::Abort { session: load } => {
                Call::post(&format!("{}/abort", session(load)), &json!({}))
            }
            Action::Call { load } => {
                let kind = &KINDS[load.table.1];
                let body = json!({"systemId": self.systems[load.table.0], "syncMode": mode(load.is_full),
                                  "scope": load.scope, "sourceFilter": load.filter, "records": *load.records,
                                  "readBeganMsAgo": load.is_of_old.then_some(AN_HOUR_MS), "deletedIds": load.deleted, "complete": load.completeness.complete,
                                  "incompleteParents": load.completeness.incomplete_parents,
                                  "completeParents": load.completeness.complete_parents});
                // Of the step and the place in it: the same in every try, another one for every call.
                let key = format!("{:?} {} {number}", self.systems, self.moments.len());
                Call::post(&format!("/api/ingest/{}", kind.entity), &body).known_as(&key)
            }
            Action::Decide { held, approve } => {
                let word = if *approve { "approve" } else { "reject" };
                let body = json!({"reason": "the program says so"});
                Call::post(
                    &format!("/api/ingest/held/{}/{word}", self.held_ids[*held]),
                    &body,
                )
            }
        }
    }

    /// Finds an order of the step's actions that explains the answers, and moves the model on.
    async fn follow(&mut self, planned: &[Planned], outcomes: &[Outcome]) {
        for (one, outcome) in planned.iter().zip(outcomes) {
            self.answered_as_at_first(&one.action, outcome);
        }
        let now = self.moments.len();
        let tables: BTreeSet<Table> = planned.iter().map(|one| one.table).collect();
        for table in tables {
            let (system_id, kind) = (self.systems[table.0], &KINDS[table.1]);
            let mut moments = self.moments.clone();
            moments.push(observe::moment(&mut self.connection).await);
            let rows = observe::rows(&mut self.connection, system_id, kind, &moments).await;
            let held = observe::held(&mut self.connection, system_id, kind).await;
            let here: Vec<(&Planned, &Outcome)> = planned
                .iter()
                .zip(outcomes)
                .filter(|(one, _)| one.table == table)
                .collect();
            let candidates: Vec<Register> = orders(here.len())
                .into_iter()
                .flat_map(|order| explain(&self.register, now, &here, &order, table, &held))
                .collect();
            assert!(
                !candidates.is_empty(),
                "no order explains {here:?} with {held:?}"
            );
            self.register = adopt(candidates, table, &rows, &here);
        }
        // Single calls have no session to be named later.
        self.sync_ids.resize(self.register.sessions.len(), None);
    }

    fn answered_as_at_first(&mut self, action: &Action, outcome: &Outcome) {
        if let Action::Batch { session, seq, .. } = action
            && outcome.answer.status == 200
        {
            let body = &outcome.answer.body;
            let first = self
                .first_answers
                .entry((*session, *seq))
                .or_insert_with(|| body.clone());
            assert_eq!(first, body, "the answer of the first time");
        }
    }

    /// What the model knows about a table, for messages.
    fn of(&self, table: Table) -> Vec<(&Key, &Row)> {
        let rows = self
            .register
            .rows
            .iter()
            .filter(|((at, _), _)| *at == table);
        rows.map(|((_, key), row)| (key, row)).collect()
    }

    async fn check_and_remember(&mut self) {
        self.moments
            .push(observe::moment(&mut self.connection).await);
        let mut live = BTreeMap::new();
        for (table, system_id, kind) in self.tables() {
            let rows = observe::rows(&mut self.connection, system_id, kind, &self.moments).await;
            let expected = self.of(table);
            assert_eq!(rows.len(), expected.len(), "{table:?}");
            for ((key, row), (_, expected)) in rows.into_iter().zip(expected) {
                assert_eq!(row, *expected, "{table:?} {key}");
                if row.is_live {
                    live.insert((table, key), row.fields);
                }
            }
        }
        self.snapshots.push(live);
        self.name_held_sets().await;
        for (number, system_id) in self.systems.into_iter().enumerate() {
            let is_open = |load: &&Session| load.is_full && load.state == State::Open;
            let expected = self
                .register
                .sessions
                .iter()
                .filter(|load| load.table.0 == number)
                .filter(is_open)
                .count();
            assert_eq!(
                observe::open_sessions(&mut self.connection, system_id).await,
                expected as i64
            );
        }
    }

    async fn name_held_sets(&mut self) {
        let mut ids: BTreeMap<Table, std::vec::IntoIter<Uuid>> = BTreeMap::new();
        for (table, system_id, kind) in self.tables() {
            let held = observe::held(&mut self.connection, system_id, kind).await;
            assert!(
                same_held_sets(&self.register, table, &held),
                "{held:?} is not {:#?}",
                self.register.held
            );
            ids.insert(
                table,
                held.into_iter()
                    .map(|set| set.id)
                    .collect::<Vec<_>>()
                    .into_iter(),
            );
        }
        let next = |table: &Table| ids.get_mut(table)?.next();
        self.held_ids = self
            .register
            .held
            .iter()
            .map(|set| set.table)
            .filter_map({
                let mut next = next;
                move |table| next(&table)
            })
            .collect();
    }

    fn tables(&self) -> Vec<(Table, SystemId, &'static Kind)> {
        let pairs = (0..self.systems.len())
            .flat_map(|system| (0..KINDS.len()).map(move |kind| (system, kind)));
        pairs
            .map(|table| (table, self.systems[table.0], &KINDS[table.1]))
            .collect()
    }

    /// The versions of each row, laid end to end, give what was observed at every earlier moment.
    async fn check_past(&mut self) {
        for (table, system_id, kind) in self.tables() {
            let current = observe::current(&mut self.connection, system_id, kind).await;
            let history = observe::history(&mut self.connection, system_id, kind).await;
            for key in history.keys() {
                assert!(current.contains_key(key), "{key} has a past and no row");
            }
            for (key, current) in &current {
                let versions = history.get(key).map_or(&[][..], Vec::as_slice);
                observe::assert_versions_follow(key, versions, current);
                for (at, snapshot) in self.moments.iter().zip(&self.snapshots) {
                    assert_eq!(
                        observe::as_of(*at, versions, current),
                        snapshot.get(&(table, key.clone())),
                        "{table:?} {key} as of {at}: {versions:#?}"
                    );
                }
            }
        }
    }
}

fn mode(is_full: bool) -> &'static str {
    if is_full { "full" } else { "delta" }
}

/// However often a call was sent at once, all were answered the same.
fn the_same_answer(planned: &Planned, mut copies: Vec<Outcome>) -> Outcome {
    // A full call finds the load of its scope that is in the way ended meanwhile.
    copies.sort_by_key(|copy| copy.answer.status == 409);
    let first = copies.remove(0);
    for copy in copies {
        if matches!(planned.action, Action::Call { .. }) && copy.answer.status == 409 {
            continue;
        }
        assert_eq!(
            copy.answer.status, first.answer.status,
            "{planned:?}: {copy:?} and {first:?}"
        );
        // A refusal names its request.
        if first.answer.status != 409 {
            assert_eq!(copy.answer.body, first.answer.body, "{planned:?}");
        }
    }
    first
}
