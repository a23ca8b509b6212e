//! Jobs: claiming one, keeping it, and saying how it ended.

use contract::{
    AppendLog, ClaimAnswer, ClaimJob, ClaimedJob, FinishJob, HeartbeatAnswer, Job, JobHeartbeat,
};
use reqwest::Method;
use uuid::Uuid;

use crate::{ClientError, IngestClient, client::small_body, transport::Call};

impl IngestClient {
    /// Waits for a job as long as the claim says; `None` when there was none. Sent again with the same `claim_id`, it answers
    /// the lease that it got.
    pub async fn claim_job(&self, claim: &ClaimJob) -> Result<Option<ClaimedJob>, ClientError> {
        let mut call = Call::new("claim job", Method::POST, "jobs/claim").body(small_body(claim)?);
        // Whoever waits for jobs comes again anyway, and should see soon that the register is away.
        call.max_attempts = Some(2);
        let answer: ClaimAnswer = self.send(&call).await?.json()?;
        Ok(answer.claimed)
    }

    /// Keeps a job. Tried once: the next heartbeat comes soon. Refused (409) when the lease does not hold any more.
    pub async fn keep_job(
        &self,
        job_id: Uuid,
        heartbeat: &JobHeartbeat,
    ) -> Result<HeartbeatAnswer, ClientError> {
        let path = format!("jobs/{job_id}/heartbeat");
        let mut call = Call::new("keep job", Method::POST, path).body(small_body(heartbeat)?);
        call.max_attempts = Some(1);
        self.send(&call).await?.json()
    }

    /// Writes to the log of a job; lines that are sent again are kept once. Not tried for long.
    pub async fn append_job_log(&self, job_id: Uuid, log: &AppendLog) -> Result<(), ClientError> {
        let path = format!("jobs/{job_id}/log");
        let mut call = Call::new("write job log", Method::POST, path).body(small_body(log)?);
        call.max_attempts = Some(2);
        self.send(&call).await?;
        Ok(())
    }

    /// Says how the work on a job ended. Refused (409) when the lease does not hold any more.
    pub async fn finish_job(&self, job_id: Uuid, end: &FinishJob) -> Result<Job, ClientError> {
        let path = format!("jobs/{job_id}/finish");
        let call = Call::new("finish job", Method::POST, path).body(small_body(end)?);
        self.send(&call).await?.json()
    }
}
