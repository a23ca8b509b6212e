//! The heartbeat of a job.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{AppendLog, JobHeartbeat};
use ingest_client::{ClientError, IngestClient};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::recorder::Recorder;

/// What keeps a lease.
pub struct Heart {
    pub client: IngestClient,
    pub job_id: Uuid,
    pub epoch: i32,
    pub lease: Duration,
    pub every: Duration,
    pub recorder: Arc<Recorder>,
    /// Cancelled when somebody wants the job's end.
    pub wanted_end: CancellationToken,
    /// Cancelled when the lease does not hold any more.
    pub lost: CancellationToken,
}

impl Heart {
    /// Beats until the lease is lost; to be dropped when the job has ended.
    pub async fn beat(self) {
        let mut heard = Instant::now();
        loop {
            match self.once().await {
                Ok(is_end_wanted) => {
                    heard = Instant::now();
                    if is_end_wanted {
                        self.wanted_end.cancel();
                    }
                }
                Err(error) if matches!(error.status(), Some(404 | 409)) => {
                    tracing::warn!(job_id = %self.job_id, %error, "the job is another worker's now; giving it up");
                    break;
                }
                Err(error) => {
                    tracing::warn!(job_id = %self.job_id, %error, "the register does not hear the heartbeat");
                }
            }
            // By then somebody else may have it.
            if heard.elapsed() >= self.lease {
                tracing::warn!(job_id = %self.job_id, "the register was away for longer than the lease; giving the job up");
                break;
            }
            tokio::time::sleep(self.every).await;
        }
        self.lost.cancel();
    }

    /// One beat: does somebody want the job's end?
    async fn once(&self) -> Result<bool, ClientError> {
        let heartbeat = JobHeartbeat {
            epoch: self.epoch,
            progress: self.recorder.take_progress(),
        };
        // Only HTTP: nothing is left half-done when it is dropped.
        let asked = tokio::time::timeout(
            self.lease / 3,
            self.client.keep_job(self.job_id, &heartbeat),
        );
        let answer = asked.await.unwrap_or_else(|_| {
            Err(ClientError::Unreachable {
                operation: "keep job",
                attempts: 1,
                reason: "it took too long".to_owned(),
            })
        });
        match answer {
            Ok(answer) => {
                if let Err(error) = self.tell().await {
                    tracing::debug!(job_id = %self.job_id, %error, "log lines are sent later");
                }
                Ok(answer.is_cancel_requested)
            }
            Err(error) => {
                self.recorder.put_back(heartbeat.progress);
                Err(error)
            }
        }
    }

    async fn tell(&self) -> Result<(), ClientError> {
        tell(&self.client, self.job_id, self.epoch, &self.recorder).await
    }
}

/// Sends lines that were not sent yet, a call's worth.
pub async fn tell(
    client: &IngestClient,
    job_id: Uuid,
    epoch: i32,
    recorder: &Recorder,
) -> Result<(), ClientError> {
    let lines = recorder.lines();
    if lines.is_empty() {
        return Ok(());
    }
    let count = lines.len();
    client
        .append_job_log(job_id, &AppendLog { epoch, lines })
        .await?;
    recorder.told(count);
    Ok(())
}
