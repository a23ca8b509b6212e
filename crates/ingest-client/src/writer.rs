//! A stream of records becomes batches of a session.

use std::{marker::PhantomData, time::Duration};

use contract::{Completeness, IngestAnswer, NewDeltaToken};
use serde::Serialize;
use tokio::{task::JoinSet, time::timeout};

use crate::{ClientError, SyncSession};

const BATCH_OPENS: &[u8] = br#"{"records":["#;
const REMOVALS_OPEN: &[u8] = br#"],"deletedIds":["#;
const BATCH_CLOSES: &[u8] = b"]}";

/// How long a writer that is given up waits for its batches under way. The register finishes them before it aborts the
/// session in any case; waiting only spares it broken connections.
const LAST_BATCHES: Duration = Duration::from_secs(2);

/// When a batch is sent and how many are under way at once; together they bound the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// A batch is sent when it holds this many records.
    pub max_records: usize,
    /// A batch is sent when its JSON is at least this long.
    pub max_bytes: usize,
    /// Batches under way at once.
    pub in_flight: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            max_records: 5_000,
            max_bytes: 4 * 1024 * 1024,
            in_flight: 4,
        }
    }
}

/// Collects records into batches and sends them while more arrive. [`push`](Self::push) waits when all places are taken.
///
/// Finish it with [`finish`](Self::finish) or give it up with [`abandon`](Self::abandon); dropped, it leaves a session
/// that expires without having removed anything.
#[derive(Debug)]
pub struct BatchWriter<R> {
    session: SyncSession,
    limits: BatchLimits,
    buffer: Vec<u8>,
    buffered: usize,
    /// Keys of rows to remove, which come after the records of their batch.
    removals: Vec<u8>,
    next_seq: u64,
    under_way: JoinSet<Result<IngestAnswer, ClientError>>,
    record: PhantomData<fn(R)>,
}

impl<R: Serialize> BatchWriter<R> {
    /// A writer into this session.
    pub fn new(session: SyncSession, limits: BatchLimits) -> Self {
        Self {
            session,
            limits,
            buffer: BATCH_OPENS.to_vec(),
            buffered: 0,
            removals: Vec::new(),
            next_seq: 0,
            under_way: JoinSet::new(),
            record: PhantomData,
        }
    }

    /// A writer that goes on in a session that another process left open. Numbers of batches that never arrived are filled
    /// with empty ones first: what those held must be pushed again. A failure leaves the session as it is.
    pub async fn resume(session: SyncSession, limits: BatchLimits) -> Result<Self, ClientError> {
        let next_seq = session.fill_holes().await?;
        Ok(Self {
            next_seq,
            ..Self::new(session, limits)
        })
    }

    /// The session that is written to.
    pub fn session(&self) -> &SyncSession {
        &self.session
    }

    /// Adds a record. An error may be about a batch sent earlier; the session cannot be finished after it. May be dropped
    /// while it waits: batches under way go on, and the writer can still be given up.
    pub async fn push(&mut self, record: &R) -> Result<(), ClientError> {
        if !self.removals.is_empty() {
            // In their batch they would come after this record.
            self.send_buffer().await?;
        }
        if self.buffered > 0 {
            self.buffer.push(b',');
        }
        serde_json::to_writer(&mut self.buffer, record)
            .map_err(|error| ClientError::Unserialisable(error.to_string()))?;
        self.added().await
    }

    /// Names a row to remove at the commit, in a session whose mode is delta: by its id, or an object with the fields of its
    /// key. Of records and removals of the same row the last one counts. Records that are pushed after a removal go into
    /// another batch, so push those of a page first where their order does not matter. As [`push`](Self::push) otherwise.
    pub async fn remove<K: Serialize>(&mut self, key: &K) -> Result<(), ClientError> {
        let before = self.removals.len();
        if before > 0 {
            self.removals.push(b',');
        }
        if let Err(error) = serde_json::to_writer(&mut self.removals, key) {
            self.removals.truncate(before);
            return Err(ClientError::Unserialisable(error.to_string()));
        }
        self.added().await
    }

    async fn added(&mut self) -> Result<(), ClientError> {
        self.buffered += 1;
        let length = self.buffer.len() + self.removals.len();
        if self.buffered >= self.limits.max_records || length >= self.limits.max_bytes {
            self.send_buffer().await?;
        }
        Ok(())
    }

    async fn send_buffer(&mut self) -> Result<(), ClientError> {
        if self.buffered == 0 {
            return Ok(());
        }
        while self.under_way.len() >= self.limits.in_flight.max(1) {
            self.collect_one().await?;
        }
        let mut json = std::mem::replace(&mut self.buffer, BATCH_OPENS.to_vec());
        if !self.removals.is_empty() {
            json.extend_from_slice(REMOVALS_OPEN);
            json.append(&mut self.removals);
        }
        json.extend_from_slice(BATCH_CLOSES);
        self.buffered = 0;
        let seq = self.next_seq;
        self.next_seq += 1;
        let session = self.session.clone();
        self.under_way
            .spawn(async move { session.put_json(seq, json).await });
        Ok(())
    }

    async fn collect_one(&mut self) -> Result<(), ClientError> {
        match self.under_way.join_next().await {
            Some(Ok(answered)) => answered.map(drop)?,
            Some(Err(_)) => return Err(ClientError::Interrupted),
            None => {}
        }
        Ok(())
    }

    /// Sends what is buffered and waits until every batch is answered. Several sessions that belong together are best
    /// flushed before the first of them is finished. May be dropped while it waits, as [`push`](Self::push).
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        self.send_buffer().await?;
        while !self.under_way.is_empty() {
            self.collect_one().await?;
        }
        Ok(())
    }

    /// Sends the rest and commits. The answer counts the whole session: its batches and the commit. A failure gives the
    /// session up.
    pub async fn finish(self, completeness: Completeness) -> Result<IngestAnswer, ClientError> {
        self.finish_with(completeness, Vec::new()).await
    }

    /// [`finish`](Self::finish) that also says where the next delta readings begin: saved with the commit, or not at all.
    pub async fn finish_with(
        mut self,
        completeness: Completeness,
        delta_tokens: Vec<NewDeltaToken>,
    ) -> Result<IngestAnswer, ClientError> {
        let finished = match self.flush().await {
            Ok(()) => {
                let batches = self.next_seq;
                (self
                    .session
                    .commit_with(batches, completeness, delta_tokens))
                .await
            }
            Err(error) => Err(error),
        };
        if finished.is_err() {
            self.abandon().await;
        }
        finished
    }

    /// Gives the session up, within seconds. Records that were answered stay, nothing is removed. A register that cannot
    /// be reached any more lets the session expire, so a failure here is only logged.
    pub async fn abandon(mut self) {
        let batches = async { while self.under_way.join_next().await.is_some() {} };
        // What they answer does not matter any more.
        let _ = timeout(LAST_BATCHES, batches).await;
        self.under_way.shutdown().await;
        self.session.give_up().await;
    }
}
