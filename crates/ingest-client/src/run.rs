//! Runs that can be resumed: claiming them, what is remembered of them, and their open sessions.

use contract::{
    CheckpointEntry, CheckpointPage, ClaimRun, RunClaimed, RunReport, SaveCheckpoint, SystemId,
    session::{SessionPage, SessionStatus},
};
use reqwest::Method;
use uuid::Uuid;

use crate::{ClientError, IngestClient, client::small_body, transport::Call};

impl IngestClient {
    /// Claims a run, a new one or one that another process left: that one cannot save or report it any more. Refused
    /// (409) for a run that has ended, that nobody touched for 7 days, that is not the key's, or that belongs to a job whose
    /// lease is not said.
    pub async fn claim_run(
        &self,
        run_id: Uuid,
        system_id: SystemId,
        lease_epoch: Option<i32>,
    ) -> Result<RunClaimed, ClientError> {
        let path = format!("ingest/runs/{run_id}/claim");
        let claim = ClaimRun {
            system_id,
            lease_epoch,
        };
        let call = Call::new("claim run", Method::POST, path).body(small_body(&claim)?);
        self.send(&call).await?.json()
    }

    /// Remembers entries of a run; the value `null` forgets one. All of them or none: at most 5,000, and 1 MiB of JSON.
    /// Refused (409) when the epoch is not that of the newest claim. Save only what the register has answered.
    pub async fn save_checkpoint(
        &self,
        run_id: Uuid,
        epoch: i32,
        entries: Vec<CheckpointEntry>,
    ) -> Result<(), ClientError> {
        let path = format!("ingest/runs/{run_id}/checkpoint");
        let call = Call::new("save checkpoint", Method::PUT, path)
            .body(small_body(&SaveCheckpoint { epoch, entries })?);
        self.send(&call).await?;
        Ok(())
    }

    /// Everything that is remembered of a run, ordered by stream and key.
    pub async fn checkpoint(&self, run_id: Uuid) -> Result<Vec<CheckpointEntry>, ClientError> {
        let mut entries = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("ingest/runs/{run_id}/checkpoint?limit=1000{after}");
            let call = Call::new("read checkpoint", Method::GET, path);
            let page: CheckpointPage = self.send(&call).await?.json()?;
            entries.extend(page.items);
            match page.next {
                // Made of characters that need no escape.
                Some(next) => after = format!("&after={next}"),
                None => return Ok(entries),
            }
        }
    }

    /// The sessions of a run that this key, or one that it was rotated from, opened.
    pub async fn sessions_of_run(&self, run_id: Uuid) -> Result<Vec<SessionStatus>, ClientError> {
        let mut sessions = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("ingest/sessions?runId={run_id}&limit=1000{after}");
            let call = Call::new("sessions of run", Method::GET, path);
            let page: SessionPage = self.send(&call).await?.json()?;
            sessions.extend(page.items);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(sessions),
            }
        }
    }

    /// Posts the report of a run that was claimed. Refused (409) when somebody claimed the run since.
    pub async fn post_report_of_claim(
        &self,
        report: &RunReport,
        epoch: i32,
    ) -> Result<(), ClientError> {
        let path = format!("ingest/sync-log?epoch={epoch}");
        let call = Call::new("post run report", Method::POST, path)
            .body(small_body(report)?)
            .idempotent();
        self.send(&call).await?;
        Ok(())
    }
}
