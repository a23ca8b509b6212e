//! One job, from its lease to the last word about it.

use std::{sync::Arc, time::Duration};

use contract::{
    ClaimedJob, CrawlMode, FinishJob, Job, JobOutcome, JobResult, LeasedCrawler, LogLevel,
    RunOutcome, RunReport,
};
use crawler_entra::{CrawlError, Mode, crawl};
use ingest_client::IngestClient;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Claiming,
    heart::{self, Heart},
    look::look,
    recorder::Recorder,
};
use crate::GRACE;

/// How long a worker that stops tries to hand a job back; then its lease runs out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A job that this worker has.
pub struct Work {
    client: IngestClient,
    job_id: Uuid,
    run_id: Uuid,
    epoch: i32,
    lease: Duration,
    every: Duration,
    recorder: Arc<Recorder>,
    wanted_end: CancellationToken,
    lost: CancellationToken,
}

/// A task that ends with its owner.
struct Owned<T>(JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How the work on a job ended.
enum End {
    /// To be said to the register.
    Said(FinishJob),
    /// The worker stops; whoever gets the job goes on.
    HandedBack,
    /// The job is another worker's.
    Lost,
}

type Crawled = Result<Result<RunReport, CrawlError>, JoinError>;
type Looked = Result<Result<JobResult, String>, JoinError>;

impl Work {
    pub fn new(client: IngestClient, claimed: &ClaimedJob) -> Self {
        Self {
            client,
            job_id: claimed.job.job_id,
            run_id: claimed.job.run_id,
            epoch: claimed.epoch,
            lease: Duration::from_secs(claimed.lease_seconds.max(1).into()),
            every: Duration::from_secs(claimed.heartbeat_seconds.max(1).into()),
            recorder: Arc::new(Recorder::new(claimed.job.crawler.clone())),
            wanted_end: CancellationToken::new(),
            lost: CancellationToken::new(),
        }
    }

    /// Runs the job and says how it ended.
    pub async fn run(
        self,
        crawler: LeasedCrawler,
        job: &Job,
        worker: &Claiming,
        stop: &CancellationToken,
    ) {
        let (job_id, epoch) = (self.job_id, self.epoch);
        tracing::info!(%job_id, run_id = %self.run_id, epoch, crawler = crawler.name, "job begins");
        // A job that does not say how to read reads as the crawler says.
        let mode = match job.mode {
            CrawlMode::Auto => None,
            CrawlMode::Delta => Some(Mode::Delta),
            CrawlMode::Full => Some(Mode::Full),
        };
        let register = worker.register.clone();
        let config = worker
            .policy
            .config(crawler, register, mode, Some(self.run_id));
        let end = match config {
            Ok(config) if job.kind.only_looks() => {
                let (sink, end) = (self.recorder.clone(), self.wanted_end.clone());
                let looking = Owned(tokio::spawn(look(job.kind, config, sink, end)));
                self.watch(looking, stop, Self::end_of_look).await
            }
            Ok(mut config) => {
                config.lease_epoch = Some(self.epoch);
                // In a task of its own: a crawl that panics is a failed job, not the end of the worker.
                let sink = self.recorder.clone();
                let crawling = Owned(tokio::spawn(crawl(config, sink, self.wanted_end.clone())));
                self.watch(crawling, stop, Self::end_of).await
            }
            Err(error) => End::Said(self.end(JobOutcome::Failed, Some(error.to_string()), false)),
        };
        self.say(end).await;
    }

    fn end(&self, outcome: JobOutcome, message: Option<String>, may_retry: bool) -> FinishJob {
        FinishJob {
            epoch: self.epoch,
            outcome,
            message,
            result: None,
            may_retry,
            begin_anew: self.recorder.is_run_lost(),
        }
    }

    /// Waits for what comes first: the crawl's end, the worker's, or the loss of the lease.
    async fn watch<T>(
        &self,
        mut crawling: Owned<T>,
        stop: &CancellationToken,
        end_of: impl Fn(&Self, Result<T, JoinError>) -> FinishJob,
    ) -> End {
        let heart = Heart {
            client: self.client.clone(),
            job_id: self.job_id,
            epoch: self.epoch,
            lease: self.lease,
            every: self.every,
            recorder: self.recorder.clone(),
            wanted_end: self.wanted_end.clone(),
            lost: self.lost.clone(),
        };
        let _beating = Owned(tokio::spawn(heart.beat()));
        let overdue = async {
            self.wanted_end.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let end = tokio::select! {
            biased;
            ended = &mut crawling.0 => return End::Said(end_of(self, ended)),
            () = self.lost.cancelled() => End::Lost,
            () = stop.cancelled() => End::HandedBack,
            () = overdue => End::Said(self.end(
                JobOutcome::Cancelled,
                Some("the crawl did not end in time and was dropped".to_owned()),
                false,
            )),
        };
        // As if the process were killed, which a run can go on from.
        crawling.0.abort();
        let _ = (&mut crawling.0).await;
        end
    }

    fn end_of(&self, ended: Crawled) -> FinishJob {
        let (outcome, message, may_retry) = match ended {
            Ok(Ok(report)) => {
                self.recorder.journal().report(&report);
                (outcome_of(report.outcome), report.message, true)
            }
            Ok(Err(error)) => {
                let may_help = matches!(error, CrawlError::Register { .. });
                (JobOutcome::Failed, Some(error.to_string()), may_help)
            }
            Err(error) => {
                tracing::error!(job_id = %self.job_id, %error, "the crawl broke off");
                let message = "the crawl broke off by a fault of its own".to_owned();
                (JobOutcome::Failed, Some(message), true)
            }
        };
        self.end(outcome, message, may_retry && outcome == JobOutcome::Failed)
    }

    fn end_of_look(&self, ended: Looked) -> FinishJob {
        let failed = match ended {
            Ok(Ok(result)) => {
                return FinishJob {
                    result: Some(result),
                    ..self.end(JobOutcome::Complete, None, false)
                };
            }
            Ok(Err(reason)) => reason,
            Err(error) => {
                tracing::error!(job_id = %self.job_id, %error, "the look broke off");
                "the look broke off by a fault of its own".to_owned()
            }
        };
        let outcome = if self.wanted_end.is_cancelled() {
            JobOutcome::Cancelled
        } else {
            JobOutcome::Failed
        };
        self.end(outcome, Some(failed), false)
    }

    async fn say(self, end: End) {
        let job_id = self.job_id;
        let (word, patience) = match end {
            End::Lost => return,
            End::HandedBack => {
                let line = "the worker stops and hands the job back".to_owned();
                self.recorder.line(LogLevel::Info, line);
                (self.end(JobOutcome::HandedBack, None, false), LAST_WORDS)
            }
            End::Said(word) => (word, self.lease),
        };
        let told = heart::tell(&self.client, job_id, self.epoch, &self.recorder);
        if let Err(error) = tokio::time::timeout(LAST_WORDS, told)
            .await
            .unwrap_or(Ok(()))
        {
            tracing::debug!(%job_id, %error, "the last log lines are lost");
        }
        // Later than the lease nobody listens.
        match tokio::time::timeout(patience, self.client.finish_job(job_id, &word)).await {
            Ok(Ok(job)) => {
                tracing::info!(%job_id, state = job.state.wire_name(), "job ended");
            }
            Ok(Err(error)) => {
                tracing::warn!(%job_id, %error, "the register did not take the end of the job");
            }
            Err(_) => {
                tracing::warn!(%job_id, "the register did not hear of the end of the job; its lease runs out");
            }
        }
    }
}

fn outcome_of(outcome: RunOutcome) -> JobOutcome {
    match outcome {
        RunOutcome::Complete => JobOutcome::Complete,
        RunOutcome::Partial => JobOutcome::Partial,
        RunOutcome::Held => JobOutcome::Held,
        RunOutcome::Failed => JobOutcome::Failed,
        RunOutcome::Cancelled => JobOutcome::Cancelled,
    }
}
