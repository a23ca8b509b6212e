//! A load of one scope.

use std::time::Duration;

use contract::{
    Completeness, IngestAnswer, NewDeltaToken,
    session::{Batch, Commit, SessionState, SessionStatus},
};
use reqwest::Method;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    ClientError, IngestClient,
    client::small_body,
    transport::{Body, Call},
};

/// A batch without records.
const EMPTY_BATCH: &[u8] = br#"{"records":[]}"#;

/// How long a session that is given up is tried to be aborted.
const LAST_ABORT: Duration = Duration::from_secs(3);

/// An open session. Batches may be sent in any order and in parallel; cheap to clone.
#[derive(Debug, Clone)]
pub struct SyncSession {
    client: IngestClient,
    sync_id: Uuid,
}

impl SyncSession {
    pub(crate) fn new(client: IngestClient, sync_id: Uuid) -> Self {
        Self { client, sync_id }
    }

    /// The session's id.
    pub fn sync_id(&self) -> Uuid {
        self.sync_id
    }

    /// Sends the batch with this number (from 0). A retry sends the same bytes, so it cannot count twice.
    pub async fn put_batch<R: Serialize + Clone>(
        &self,
        seq: u64,
        records: &[R],
    ) -> Result<IngestAnswer, ClientError> {
        let records = records.to_vec();
        let body = self.client.records_body(&Batch {
            records,
            deleted_ids: Vec::new(),
        })?;
        self.put_body(seq, body).await
    }

    /// Where the session stands.
    pub async fn status(&self) -> Result<SessionStatus, ClientError> {
        self.client.session_status(self.sync_id).await
    }

    /// Sends empty batches under the numbers that never arrived, so that nothing that is still on its way from another
    /// process can take them. Answers the number for the next batch.
    pub(crate) async fn fill_holes(&self) -> Result<u64, ClientError> {
        loop {
            let status = self.status().await?;
            if status.missing.is_empty() {
                return Ok(status.next_seq);
            }
            for seq in status.missing {
                let empty = self.put_json(seq, EMPTY_BATCH.to_vec()).await;
                match empty {
                    Ok(_) => {}
                    // The batch that was on its way arrived first.
                    Err(error) if error.status() == Some(409) && self.has_arrived(seq).await? => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn has_arrived(&self, seq: u64) -> Result<bool, ClientError> {
        let status = self.status().await?;
        Ok(status.state == SessionState::Open
            && seq < status.next_seq
            && !status.missing.contains(&seq))
    }

    /// Sends a batch that is JSON text already.
    pub(crate) async fn put_json(
        &self,
        seq: u64,
        json: Vec<u8>,
    ) -> Result<IngestAnswer, ClientError> {
        let body = Body::json(json, self.client.compression())?;
        self.put_body(seq, body).await
    }

    async fn put_body(&self, seq: u64, body: Body) -> Result<IngestAnswer, ClientError> {
        let path = format!("ingest/sessions/{}/batches/{seq}", self.sync_id);
        let call = Call::new("put batch", Method::PUT, path).body(body);
        self.client.send(&call).await?.json()
    }

    /// Makes the load effective: `batches` is how many were sent. The answer counts the whole session, batches included; a
    /// commit that is sent again gets the same answer again.
    pub async fn commit(
        &self,
        batches: u64,
        completeness: Completeness,
    ) -> Result<IngestAnswer, ClientError> {
        self.commit_with(batches, completeness, Vec::new()).await
    }

    /// [`commit`](Self::commit) that also says where the next delta readings begin: saved with the commit, or not at all.
    pub async fn commit_with(
        &self,
        batches: u64,
        completeness: Completeness,
        delta_tokens: Vec<NewDeltaToken>,
    ) -> Result<IngestAnswer, ClientError> {
        let body = small_body(&Commit {
            batches,
            completeness,
            delta_tokens,
        })?;
        let path = format!("ingest/sessions/{}/commit", self.sync_id);
        let call = Call::new("commit session", Method::POST, path)
            .body(body)
            .idempotent();
        self.client.send(&call).await?.json()
    }

    /// Aborts the session, within seconds. What cannot be aborted expires, so a failure is only logged.
    pub async fn give_up(&self) {
        let sync_id = self.sync_id;
        match tokio::time::timeout(LAST_ABORT, self.abort()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%sync_id, %error, "the session could not be aborted; unless it has ended, it expires");
            }
            Err(_) => {
                tracing::warn!(%sync_id, "the register did not say in time whether the session is aborted; if not, it expires");
            }
        }
    }

    /// Gives the session up; it removes nothing.
    pub async fn abort(&self) -> Result<(), ClientError> {
        self.client.abort_session(self.sync_id).await
    }
}
