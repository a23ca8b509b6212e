//! Claiming jobs from the register and running them.
//!
//! A worker asks for jobs, one for each of its slots, and runs each under the job's run id, so that a job that another
//! worker left goes on from its checkpoint. While it runs, a heartbeat every few seconds keeps the lease, brings progress and
//! log lines, and learns whether somebody wants the job's end. A worker whose lease does not hold any more, or that the
//! register has not answered for as long as the lease lasts, stops the job and says nothing more about it. Told to stop, it
//! drops its crawls as they are and hands the jobs back: whoever gets them goes on.

mod heart;
mod look;
mod recorder;
mod run;

use std::time::Duration;

use contract::{ClaimJob, ClaimedJob, JobKind};
use crawler_entra::{LeasePolicy, RegisterConfig};
use ingest_client::{ClientError, IngestClient, retry::full_jitter};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use run::Work;

/// How long a claim waits for a job, in seconds.
const WAIT_SECONDS: u32 = 25;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a worker that stops asks whether it was just given a job.
const LAST_CLAIM: Duration = Duration::from_secs(3);

/// A worker that claims jobs.
#[derive(Debug, Clone)]
pub struct Claiming {
    register: RegisterConfig,
    policy: LeasePolicy,
    client: IngestClient,
    name: String,
}

impl Claiming {
    /// A worker of a register, and what crawlers may use of its machine. Its name is another one for each start: what an earlier process left is not mistaken for
    /// this one's.
    pub fn new(register: RegisterConfig, policy: LeasePolicy) -> Result<Self, ClientError> {
        let client = IngestClient::new(register.base_url.clone(), register.api_key.clone())?;
        Ok(Self {
            register,
            policy,
            client,
            name: format!("{} {} {}", host(), std::process::id(), Uuid::new_v4()),
        })
    }

    /// The worker's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs jobs, at most so many at once, until told to stop.
    pub async fn run(&self, parallel: usize, stop: &CancellationToken) {
        tracing::info!(worker = self.name, parallel, "waiting for jobs");
        let mut slots = JoinSet::new();
        for _ in 0..parallel {
            let (worker, stop) = (self.clone(), stop.clone());
            slots.spawn(async move { worker.slot(&stop).await });
        }
        while let Some(ended) = slots.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a slot of the worker broke off");
            }
        }
    }

    /// One job after the other.
    async fn slot(&self, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let mut claim = ClaimJob {
                worker: self.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                claim_id: Uuid::new_v4(),
                wait_seconds: WAIT_SECONDS,
                kinds: JobKind::ALL.to_vec(),
            };
            let claimed = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    claim.wait_seconds = 0;
                    self.give_back_what_comes_late(claim, stop).await;
                    return;
                }
                claimed = self.client.claim_job(&claim) => claimed,
            };
            match claimed {
                Ok(claimed) => {
                    failures = 0;
                    if let Some(claimed) = claimed {
                        self.work(claimed, stop).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, "no job could be claimed; trying again");
                    let pause = FIRST_PAUSE + full_jitter(failures, FIRST_PAUSE, LONGEST_PAUSE);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// The register may have given out a job just when the worker stopped listening: the same claim gets it again.
    async fn give_back_what_comes_late(&self, claim: ClaimJob, stop: &CancellationToken) {
        let late = tokio::time::timeout(LAST_CLAIM, self.client.claim_job(&claim)).await;
        if let Ok(Ok(Some(claimed))) = late {
            self.work(claimed, stop).await;
        }
    }

    async fn work(&self, claimed: ClaimedJob, stop: &CancellationToken) {
        Work::new(self.client.clone(), &claimed)
            .run(claimed.crawler, &claimed.job, self, stop)
            .await;
    }
}

/// The machine's name, for people.
fn host() -> String {
    std::fs::read_to_string("/etc/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().chars().take(64).collect::<String>())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "worker".to_owned())
}
