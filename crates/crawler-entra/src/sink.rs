//! Where records go: a session of the register that is opened when there is something to say, or nowhere in a dry run.
//!
//! Opening late means that a forbidden or unlicensed collection never opens a session, so it can never be committed as
//! empty.

use std::time::Instant;

use contract::{
    Completeness, Entity, IngestAnswer, Scope, SyncMode, TypeName, session::OpenSession,
};
use ingest_client::{BatchLimits, BatchWriter, ClientError, IngestClient, OpenOptions};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stopping::{Stopped, once_begun, unless_cancelled};

/// What all sessions of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    pub client: IngestClient,
    pub system_id: contract::SystemId,
    pub run_id: Uuid,
    pub limits: BatchLimits,
    pub take_over: bool,
}

/// A scope to load: the entity, the scope keys, and the fingerprint of what was asked of the source.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub entity: Entity,
    pub scope: Scope,
    pub source_filter: String,
    /// Fields that are not sent stay as they are, and no row is removed.
    pub is_merged: bool,
}

impl Target {
    pub fn new(entity: Entity, scope: &[(&str, &TypeName)], source_filter: &str) -> Self {
        Self {
            entity,
            scope: scope
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.to_string()))
                .collect(),
            source_filter: source_filter.to_owned(),
            is_merged: false,
        }
    }

    /// The same target for records that leave alone what they do not mention.
    pub fn merged(self, is_merged: bool) -> Self {
        Self { is_merged, ..self }
    }

    /// The target in words.
    pub fn describe(&self) -> String {
        let keys: Vec<String> = self
            .scope
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{} [{}]", self.entity, keys.join(", "))
    }
}

/// Takes the records of one scope; several tasks may push at once.
pub(crate) struct Sink<R> {
    register: Option<Register>,
    target: Target,
    cancel: CancellationToken,
    state: Mutex<State<R>>,
    /// When the reading began: sessions open only after the first good page.
    began: Instant,
}

enum State<R> {
    Unopened,
    Open(Box<BatchWriter<R>>),
    /// A dry run counts.
    Counting(u64),
    Closed,
}

impl<R: Serialize> Sink<R> {
    /// A sink that sends nothing when there is no register.
    pub fn new(register: Option<Register>, target: Target, cancel: CancellationToken) -> Self {
        Self {
            register,
            target,
            cancel,
            state: Mutex::new(State::Unopened),
            began: Instant::now(),
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    async fn open(&self, state: &mut State<R>) -> Result<(), Stopped> {
        if !matches!(state, State::Unopened) {
            return Ok(());
        }
        let Some(register) = &self.register else {
            *state = State::Counting(0);
            return Ok(());
        };
        let open = OpenSession {
            system_id: register.system_id,
            entity: self.target.entity,
            sync_mode: if self.target.is_merged {
                SyncMode::Delta
            } else {
                SyncMode::Full
            },
            scope: self.target.scope.clone(),
            id_generation: contract::IdGeneration::Native,
            id_prefix: None,
            source_filter: Some(self.target.source_filter.clone()),
            run_id: Some(register.run_id),
            read_began_ms_ago: Some(self.began.elapsed().as_millis() as u64),
        };
        let options = OpenOptions {
            take_over: register.take_over,
        };
        let opening = register.client.open_session(&open, options);
        let session = once_begun(&self.cancel, opening).await?;
        *state = State::Open(Box::new(BatchWriter::new(session, register.limits)));
        Ok(())
    }

    /// Adds records, opening the session if it is not open yet. Waits while the register is busy.
    pub async fn push_all(&self, records: &[R]) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        self.open(&mut state).await?;
        match &mut *state {
            State::Open(writer) => {
                let pushing = async {
                    for record in records {
                        writer.push(record).await?;
                    }
                    Ok::<(), ClientError>(())
                };
                unless_cancelled(&self.cancel, pushing).await?;
            }
            State::Counting(count) => *count += records.len() as u64,
            State::Unopened | State::Closed => {}
        }
        Ok(())
    }

    /// Waits until everything that was pushed has landed.
    pub async fn flush(&self) -> Result<(), Stopped> {
        match &mut *self.state.lock().await {
            State::Open(writer) => unless_cancelled(&self.cancel, writer.flush()).await,
            _ => Ok(()),
        }
    }

    /// Commits. A scope that was read to its end is committed even when it is empty; one that was not and brought nothing
    /// is left alone. After a failure the sink is to be [abandoned](Self::abandon).
    pub async fn finish(&self, mut completeness: Completeness) -> Result<IngestAnswer, Stopped> {
        if self.target.is_merged {
            // A load of changes knows nothing about what it does not bring.
            completeness = Completeness::default();
        }
        if completeness.complete {
            self.open(&mut *self.state.lock().await).await?;
        }
        self.flush().await?;
        let mut state = self.state.lock().await;
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(writer) => self.commit(*writer, completeness).await,
            State::Counting(records) => Ok(IngestAnswer {
                records,
                ..IngestAnswer::default()
            }),
            State::Unopened | State::Closed => Ok(IngestAnswer::default()),
        }
    }

    async fn commit(
        &self,
        writer: BatchWriter<R>,
        completeness: Completeness,
    ) -> Result<IngestAnswer, Stopped> {
        if self.cancel.is_cancelled() {
            writer.abandon().await;
            return Err(Stopped::cancelled());
        }
        let session = writer.session().clone();
        let committed = once_begun(&self.cancel, writer.finish(completeness)).await;
        if committed.as_ref().is_err_and(Stopped::is_cancelled) {
            // Nobody knows whether the commit arrived; if it did, there is nothing left to give up.
            session.give_up().await;
        }
        committed
    }

    /// Gives the session up, if there is one.
    pub async fn abandon(&self) {
        let mut state = self.state.lock().await;
        if let State::Open(writer) = std::mem::replace(&mut *state, State::Closed) {
            writer.abandon().await;
        }
    }
}
