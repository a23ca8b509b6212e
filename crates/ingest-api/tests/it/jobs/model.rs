//! Random interleavings of what people, workers and time do, on two servers, against a model of the states.

use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::bench::{Bench, id_of};

const CRAWLERS: usize = 3;
const MAX_ATTEMPTS: i64 = 5;

#[derive(Debug, Clone, Copy)]
enum Action {
    Create {
        crawler: usize,
        priority: i16,
    },
    Claim {
        server: usize,
    },
    Heartbeat {
        job: usize,
        late: i64,
    },
    Finish {
        job: usize,
        late: i64,
        outcome: &'static str,
    },
    Cancel {
        job: usize,
    },
    Retry {
        job: usize,
    },
    Expire {
        job: usize,
    },
}

/// Mostly the newest lease, now and then an older one or one that was never given.
fn late() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0i64), 2 => Just(1), 1 => Just(2), 1 => Just(-1)]
}

fn action() -> impl Strategy<Value = Action> {
    let job = 0usize..12;
    let outcome = prop_oneof![
        Just("complete"),
        Just("partial"),
        Just("held"),
        Just("failed"),
        Just("failed"),
        Just("cancelled"),
        Just("handed_back"),
    ];
    prop_oneof![
        3 => (0..CRAWLERS, -1i16..2).prop_map(|(crawler, priority)| Action::Create { crawler, priority }),
        6 => (0usize..2).prop_map(|server| Action::Claim { server }),
        3 => (job.clone(), late()).prop_map(|(job, late)| Action::Heartbeat { job, late }),
        5 => (job.clone(), late(), outcome).prop_map(|(job, late, outcome)| Action::Finish { job, late, outcome }),
        2 => job.clone().prop_map(|job| Action::Cancel { job }),
        2 => job.clone().prop_map(|job| Action::Retry { job }),
        4 => job.prop_map(|job| Action::Expire { job }),
    ]
}

/// A job as it should be.
#[derive(Debug, Clone)]
struct Job {
    id: Uuid,
    crawler: usize,
    priority: i16,
    state: &'static str,
    epoch: i64,
    attempt: i64,
    is_cancel_requested: bool,
    finished_epoch: Option<i64>,
    /// Had a worker it since somebody asked for it?
    is_begun: bool,
    /// When it was queued, as a number that grows.
    turn: usize,
}

impl Job {
    fn is_leased(&self) -> bool {
        matches!(self.state, "leased" | "running")
    }

    fn again(&mut self, turn: usize, is_counted: bool) {
        if self.is_cancel_requested {
            self.state = "cancelled";
        } else if is_counted && self.attempt >= MAX_ATTEMPTS {
            self.state = "dead";
        } else {
            self.state = "queued";
            self.turn = turn;
            self.attempt -= i64::from(!is_counted);
        }
    }
}

struct World {
    bench: Bench,
    crawlers: Vec<Uuid>,
    jobs: Vec<Job>,
    turn: usize,
}

impl World {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let mut crawlers = Vec::new();
        for n in 0..CRAWLERS {
            crawlers.push(bench.crawler(&format!("crawler {n}")).await);
        }
        Self {
            bench,
            crawlers,
            jobs: Vec::new(),
            turn: 0,
        }
    }

    /// The job whose turn it is.
    fn next(&self) -> Option<usize> {
        let is_busy = |crawler| {
            self.jobs
                .iter()
                .any(|job| job.crawler == crawler && job.is_leased())
        };
        let has_begun = |crawler| {
            self.jobs
                .iter()
                .any(|job| job.crawler == crawler && job.state == "queued" && job.is_begun)
        };
        (0..self.jobs.len())
            .filter(|n| self.jobs[*n].state == "queued" && !is_busy(self.jobs[*n].crawler))
            .filter(|n| self.jobs[*n].is_begun || !has_begun(self.jobs[*n].crawler))
            .min_by_key(|n| (-self.jobs[*n].priority, self.jobs[*n].turn))
    }

    async fn play(&mut self, action: Action) {
        self.turn += 1;
        let turn = self.turn;
        match action {
            Action::Create { crawler, priority } => {
                let id = self.bench.create(self.crawlers[crawler], priority).await;
                self.jobs.push(Job {
                    id,
                    crawler,
                    priority,
                    state: "queued",
                    epoch: 0,
                    attempt: 0,
                    is_cancel_requested: false,
                    finished_epoch: None,
                    is_begun: false,
                    turn,
                });
            }
            Action::Claim { server } => {
                let expected = self.next();
                let claimed = self.bench.claim(server, &format!("worker {server}")).await;
                let given = claimed
                    .as_ref()
                    .map(|claimed| id_of(&claimed["job"]["jobId"]));
                assert_eq!(given, expected.map(|n| self.jobs[n].id));
                if let Some(n) = expected {
                    let job = &mut self.jobs[n];
                    job.state = "leased";
                    job.is_begun = true;
                    job.epoch += 1;
                    job.attempt += 1;
                    assert_eq!(claimed.expect("given")["epoch"], job.epoch);
                }
            }
            Action::Heartbeat { job, late } => self.heartbeat(job, late).await,
            Action::Finish { job, late, outcome } => self.finish(job, late, outcome).await,
            Action::Cancel { job } => self.cancel(job).await,
            Action::Retry { job } => self.retry(job).await,
            Action::Expire { job } => {
                let Some(job) = self.jobs.get_mut(job) else {
                    return;
                };
                self.bench.expire(job.id).await;
                if job.is_leased() {
                    job.again(turn, true);
                }
            }
        }
    }

    async fn heartbeat(&mut self, job: usize, late: i64) {
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        let epoch = job.epoch - late;
        let before = self.bench.row(job.id).await;
        let answer = self.bench.heartbeat(job.id, epoch).await;
        if job.is_leased() && late == 0 {
            let answer = answer.expect(200);
            assert_eq!(answer["isCancelRequested"], job.is_cancel_requested);
            job.state = "running";
        } else {
            answer.expect(409);
            assert_eq!(
                self.bench.row(job.id).await,
                before,
                "a refusal changes nothing"
            );
        }
    }

    async fn finish(&mut self, job: usize, late: i64, outcome: &'static str) {
        let turn = self.turn;
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        let epoch = job.epoch - late;
        let before = self.bench.row(job.id).await;
        let answer = self.bench.finish(job.id, epoch, outcome).await;
        if job.is_leased() && late == 0 {
            answer.expect(200);
            match outcome {
                "complete" => job.state = "succeeded",
                "partial" => job.state = "partially_succeeded",
                "held" => job.state = "held",
                "cancelled" => job.state = "cancelled",
                "handed_back" => job.again(turn, false),
                _ => job.again(turn, true),
            }
            job.finished_epoch = Some(epoch);
            return;
        }
        // The same worker again, whose answer was lost, is answered; anybody else is not.
        let is_echo = late == 0 && job.finished_epoch == Some(epoch);
        answer.expect(if is_echo { 200 } else { 409 });
        assert_eq!(self.bench.row(job.id).await, before, "nothing changes");
    }

    async fn cancel(&mut self, job: usize) {
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        let answer = self
            .bench
            .post(0, &format!("/api/jobs/{}/cancel", job.id), &Value::Null)
            .await;
        if job.state == "queued" {
            answer.expect(200);
            job.state = "cancelled";
            job.is_cancel_requested = true;
        } else if job.is_leased() {
            answer.expect(200);
            job.is_cancel_requested = true;
        } else {
            answer.expect(409);
        }
    }

    async fn retry(&mut self, job: usize) {
        let turn = self.turn;
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        let answer = self
            .bench
            .post(1, &format!("/api/jobs/{}/retry", job.id), &Value::Null)
            .await;
        if matches!(job.state, "failed" | "dead" | "cancelled") {
            answer.expect(200);
            job.state = "queued";
            job.attempt = 0;
            job.is_begun = false;
            job.is_cancel_requested = false;
            job.finished_epoch = None;
            job.turn = turn;
        } else {
            answer.expect(409);
        }
    }

    async fn compare(&self) {
        let page = self.bench.get("/api/jobs?limit=1000").await;
        let items = page["items"].as_array().expect("a list");
        assert_eq!(items.len(), self.jobs.len());
        for (job, found) in self.jobs.iter().zip(items.iter().rev()) {
            assert_eq!(id_of(&found["jobId"]), job.id);
            let stands = (&found["state"], &found["epoch"], &found["attempt"]);
            assert_eq!(
                stands,
                (&job.state.into(), &job.epoch.into(), &job.attempt.into()),
                "{job:?}"
            );
            assert_eq!(
                found.get("cancelRequestedAt").is_some(),
                job.is_cancel_requested,
                "{job:?}"
            );
            assert_eq!(
                found.get("leaseUntil").is_some(),
                job.is_leased(),
                "{job:?}"
            );
            let is_ended = !job.is_leased() && job.state != "queued";
            assert_eq!(found.get("finishedAt").is_some(), is_ended, "{job:?}");
        }
        for crawler in 0..CRAWLERS {
            let leased = self
                .jobs
                .iter()
                .filter(|job| job.crawler == crawler && job.is_leased());
            assert!(leased.count() <= 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn jobs_go_the_ways_of_the_model_whoever_does_what_when(actions in proptest::collection::vec(action(), 20..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::start().await;
            for action in actions {
                world.play(action).await;
                world.compare().await;
            }
        });
    }
}
