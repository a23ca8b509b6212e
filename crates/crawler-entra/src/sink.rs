//! Where records go: a session of the register that is opened when there is something to say, or nowhere in a dry run.
//!
//! Opening late means that a forbidden or unlicensed collection never opens a session, so it can never be committed as
//! empty.

use std::{sync::Arc, time::Instant};

use contract::{
    Completeness, Entity, IngestAnswer, Scope, SyncMode, TypeName,
    session::{OpenSession, SessionState, SessionStatus},
};
use ingest_client::{BatchLimits, BatchWriter, ClientError, IngestClient, OpenOptions};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    journal::Journal,
    stopping::{Stopped, once_begun, unless_cancelled},
};

/// What all sessions of a run have in common.
#[derive(Clone)]
pub(crate) struct Register {
    pub client: IngestClient,
    pub system_id: contract::SystemId,
    pub run_id: Uuid,
    pub limits: BatchLimits,
    pub take_over: bool,
    pub journal: Arc<Journal>,
}

impl Register {
    /// A sink's state in the session that an earlier attempt left.
    async fn go_on<R: Serialize>(&self, known: &SessionStatus) -> Result<State<R>, ClientError> {
        if known.state == SessionState::Committed {
            return Ok(State::Committed(Box::new(known.totals.clone())));
        }
        let session = self.client.session(known.sync_id);
        let writer = BatchWriter::resume(session, self.limits).await?;
        Ok(State::Open(Box::new(writer)))
    }
}

/// A scope to load: the entity, the scope keys, and the fingerprint of what was asked of the source.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub entity: Entity,
    pub scope: Scope,
    pub source_filter: String,
    pub sync_mode: SyncMode,
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
            sync_mode: SyncMode::Full,
        }
    }

    /// The same target for changes: what is not mentioned stays as it is, and rows are removed by name only.
    pub fn of_changes(self) -> Self {
        Self {
            sync_mode: SyncMode::Delta,
            ..self
        }
    }

    /// The same target for records that leave alone what they do not mention.
    pub fn merged(self, is_merged: bool) -> Self {
        let sync_mode = if is_merged {
            SyncMode::Delta
        } else {
            self.sync_mode
        };
        Self { sync_mode, ..self }
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
    /// An earlier attempt committed it.
    Committed(Box<IngestAnswer>),
    Closed,
}

impl<R: Serialize> Sink<R> {
    /// A sink that sends nothing when there is no register.
    pub fn new(register: Option<Register>, target: Target, cancel: CancellationToken) -> Self {
        let began = register
            .as_ref()
            .map_or_else(Instant::now, |register| register.journal.began());
        Self {
            register,
            target,
            cancel,
            state: Mutex::new(State::Unopened),
            began,
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
        if let Some(known) = register.journal.session_for(&self.target) {
            *state = once_begun(&self.cancel, register.go_on(known)).await?;
            return Ok(());
        }
        let open = OpenSession {
            system_id: register.system_id,
            entity: self.target.entity,
            sync_mode: self.target.sync_mode,
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
        let session = match once_begun(&self.cancel, opening).await {
            // An earlier attempt had asked for it when it was killed, and got it only after this one had looked.
            Err(Stopped::Register(ClientError::SessionInTheWay {
                status: Some(known),
                ..
            })) if known.run_id == open.run_id && known.sync_mode == open.sync_mode => {
                *state = once_begun(&self.cancel, register.go_on(&known)).await?;
                return register.journal.opened(known.sync_id).await;
            }
            opened => opened?,
        };
        let sync_id = session.sync_id();
        *state = State::Open(Box::new(BatchWriter::new(session, register.limits)));
        register.journal.opened(sync_id).await
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
            // The earlier attempt had sent everything before it committed.
            State::Committed(_) | State::Unopened | State::Closed => {}
        }
        Ok(())
    }

    /// Names rows to remove at the commit, opening the session if it is not open yet.
    pub async fn remove_all(&self, ids: &[Uuid]) -> Result<(), Stopped> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        self.open(&mut state).await?;
        match &mut *state {
            State::Open(writer) => {
                let removing = async {
                    for id in ids {
                        writer.remove(id).await?;
                    }
                    Ok::<(), ClientError>(())
                };
                unless_cancelled(&self.cancel, removing).await?;
            }
            State::Counting(count) => *count += ids.len() as u64,
            // The earlier attempt had named everything before it committed.
            State::Committed(_) | State::Unopened | State::Closed => {}
        }
        Ok(())
    }

    /// Waits until everything that was pushed has landed. Answers the session that it went to, if there is one.
    pub async fn land(&self) -> Result<Option<Uuid>, Stopped> {
        self.flush().await?;
        Ok(match &*self.state.lock().await {
            State::Open(writer) => Some(writer.session().sync_id()),
            _ => None,
        })
    }

    /// Turns to the session of an earlier attempt, if there is one: it must not stay open when nothing more is sent.
    async fn attach(&self) -> Result<(), Stopped> {
        let mut state = self.state.lock().await;
        let has_earlier = self
            .register
            .as_ref()
            .is_some_and(|register| register.journal.session_for(&self.target).is_some());
        if has_earlier {
            self.open(&mut state).await?;
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
        if self.target.sync_mode == SyncMode::Delta {
            // A load of changes knows nothing about what it does not bring.
            completeness = Completeness::default();
        }
        self.attach().await?;
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
            State::Committed(answer) => Ok(*answer),
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
        if self.attach().await.is_err() {
            // It expires.
            return;
        }
        let mut state = self.state.lock().await;
        if let State::Open(writer) = std::mem::replace(&mut *state, State::Closed) {
            writer.abandon().await;
        }
    }
}
