//! Sends records as `crawler-entra` does: one session per scope, opened with its first record, all that share a list
//! open at once; batches of the client's size, several under way; all of them answered before the commits, which are made
//! side by side.
//!
//! The client's `BatchWriter` does not tell how long a batch took, so the same is done here with its sessions.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::{
    Completeness, Entity, IngestAnswer, Scope, SyncMode, SystemId, TypeName, session::OpenSession,
};
use ingest_client::{BatchLimits, ClientError, IngestClient, OpenOptions, SyncSession};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::generate::{Fate, Item};

/// What sends.
#[derive(Debug, Clone)]
pub struct Driver {
    /// The client.
    pub client: IngestClient,
    /// The system that everything belongs to.
    pub system_id: SystemId,
    /// When batches are sent.
    pub limits: BatchLimits,
}

/// A scope to load.
#[derive(Debug, Clone)]
pub struct Lane {
    entity: Entity,
    scope: Scope,
    source_filter: &'static str,
}

impl Lane {
    /// The scope of an entity with these keys.
    pub fn new(entity: Entity, scope: &[(&str, TypeName)], source_filter: &'static str) -> Self {
        Self {
            entity,
            scope: scope
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.to_string()))
                .collect(),
            source_filter,
        }
    }
}

/// A batch that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// How many records it held.
    pub records: u64,
    /// From before it was written as JSON and compressed until its answer was read.
    pub took: Duration,
    /// When that was.
    pub answered: Instant,
}

/// What became of a scope.
#[derive(Debug)]
pub struct Loaded {
    /// The scope in words.
    pub scope: String,
    /// What the commit answered: the counts of the whole session.
    pub answer: IngestAnswer,
    /// Records that were sent.
    pub sent: u64,
    /// Those among them that had changed.
    pub changed: u64,
    /// Those that were not sent because they are gone.
    pub gone: u64,
    /// Their length as JSON, in bytes.
    pub json_bytes: u64,
    /// The batches.
    pub batches: Vec<Sent>,
    /// How long the commit took.
    pub commit: Duration,
}

/// Loads what a list brings into its scopes, and commits them.
pub async fn load<R: Serialize>(
    driver: &Driver,
    lanes: &[Lane],
    items: impl Iterator<Item = Item<R>>,
) -> anyhow::Result<Vec<Loaded>> {
    let began = Instant::now();
    let run_id = Uuid::new_v4();
    let mut writers: Vec<Writer> = lanes
        .iter()
        .map(|lane| Writer::new(driver, lane, run_id, began))
        .collect();
    for item in items {
        let writer = &mut writers[item.lane];
        match item.fate {
            Fate::Gone => {
                writer.gone += 1;
                continue;
            }
            Fate::Absent => continue,
            Fate::Changed => writer.changed += 1,
            Fate::Same => {}
        }
        writer.push(&item.record).await?;
    }
    for writer in &mut writers {
        writer.flush().await?;
    }
    futures_util::future::try_join_all(writers.into_iter().map(Writer::finish)).await
}

struct Writer {
    driver: Driver,
    open: OpenSession,
    began: Instant,
    session: Option<SyncSession>,
    waiting: Vec<Box<RawValue>>,
    waiting_bytes: usize,
    next_seq: u64,
    under_way: JoinSet<Result<Sent, ClientError>>,
    sent: u64,
    changed: u64,
    gone: u64,
    json_bytes: u64,
    batches: Vec<Sent>,
}

impl Writer {
    fn new(driver: &Driver, lane: &Lane, run_id: Uuid, began: Instant) -> Self {
        Self {
            driver: driver.clone(),
            open: OpenSession {
                system_id: driver.system_id,
                entity: lane.entity,
                sync_mode: SyncMode::Full,
                scope: lane.scope.clone(),
                id_generation: contract::IdGeneration::Native,
                id_prefix: None,
                source_filter: Some(lane.source_filter.to_owned()),
                run_id: Some(run_id),
                read_began_ms_ago: None,
            },
            began,
            session: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            next_seq: 0,
            under_way: JoinSet::new(),
            sent: 0,
            changed: 0,
            gone: 0,
            json_bytes: 0,
            batches: Vec::new(),
        }
    }

    async fn session(&mut self) -> Result<SyncSession, ClientError> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        self.open.read_began_ms_ago = Some(self.began.elapsed().as_millis() as u64);
        let opening = self
            .driver
            .client
            .open_session(&self.open, OpenOptions::default());
        let session = opening.await?;
        self.session = Some(session.clone());
        Ok(session)
    }

    async fn push<R: Serialize>(&mut self, record: &R) -> anyhow::Result<()> {
        let json = to_raw_value(record)?;
        self.waiting_bytes += json.get().len() + 1;
        self.waiting.push(json);
        let limits = self.driver.limits;
        if self.waiting.len() >= limits.max_records || self.waiting_bytes >= limits.max_bytes {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let session = self.session().await?;
        while self.under_way.len() >= self.driver.limits.in_flight.max(1) {
            self.collect_one().await?;
        }
        let records = std::mem::take(&mut self.waiting);
        self.sent += records.len() as u64;
        self.json_bytes += std::mem::take(&mut self.waiting_bytes) as u64;
        let seq = self.next_seq;
        self.next_seq += 1;
        self.under_way.spawn(async move {
            let began = Instant::now();
            let texts: Vec<&RawValue> = records.iter().map(AsRef::as_ref).collect();
            session.put_batch(seq, &texts).await?;
            Ok(Sent {
                records: records.len() as u64,
                took: began.elapsed(),
                answered: Instant::now(),
            })
        });
        Ok(())
    }

    async fn collect_one(&mut self) -> anyhow::Result<()> {
        if let Some(sent) = self.under_way.join_next().await {
            self.batches.push(sent??);
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.send().await?;
        while !self.under_way.is_empty() {
            self.collect_one().await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<Loaded> {
        let session = self.session().await?;
        let completeness = Completeness {
            complete: true,
            ..Completeness::default()
        };
        let scope = describe(&self.open);
        let began = Instant::now();
        let answer = session
            .commit(self.next_seq, completeness)
            .await
            .with_context(|| format!("committing {scope}"))?;
        Ok(Loaded {
            scope,
            answer,
            sent: self.sent,
            changed: self.changed,
            gone: self.gone,
            json_bytes: self.json_bytes,
            batches: self.batches,
            commit: began.elapsed(),
        })
    }
}

fn describe(open: &OpenSession) -> String {
    let values: Vec<&str> = open.scope.values().map(String::as_str).collect();
    format!("{} [{}]", open.entity, values.join(", "))
}
