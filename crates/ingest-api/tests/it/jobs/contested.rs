//! Several workers and servers at once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::bench::{Bench, id_of};
use crate::app::until;

#[tokio::test(flavor = "multi_thread")]
async fn many_claims_at_once_give_every_job_to_one_worker_and_a_crawler_to_one_at_a_time() {
    let bench = Bench::start().await;
    let mut jobs = BTreeSet::new();
    for n in 0..4 {
        let crawler = bench.crawler(&format!("crawler {n}")).await;
        for _ in 0..3 {
            jobs.insert(bench.create(crawler, 0).await);
        }
    }
    let mut done = BTreeSet::new();
    while done.len() < jobs.len() {
        let names: Vec<String> = (0..8).map(|n| format!("worker {n}")).collect();
        let claims = names
            .iter()
            .enumerate()
            .map(|(n, name)| bench.claim(n, name));
        let given: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
        assert!(!given.is_empty(), "there are jobs for somebody");
        let crawlers: BTreeSet<_> = given
            .iter()
            .map(|one| one["job"]["crawlerId"].to_string())
            .collect();
        assert_eq!(
            crawlers.len(),
            given.len(),
            "a crawler's jobs run one after the other"
        );
        for one in &given {
            let job = id_of(&one["job"]["jobId"]);
            assert!(done.insert(job), "{job} is given out once");
            assert_eq!(one["epoch"], 1);
        }
        let ends = given
            .iter()
            .map(|one| bench.finish(id_of(&one["job"]["jobId"]), 1, "complete"));
        for end in join_all(ends).await {
            end.expect(200);
        }
    }
    assert_eq!(done, jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_thought_lost_changes_nothing_any_more() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let job = bench.create(crawler, 0).await;
    let first = bench.claim(0, "A").await.expect("given");
    bench.heartbeat(job, 1).await.expect(200);
    bench.expire(job).await;
    // Nobody has it: even so, the lease does not hold any more.
    bench.heartbeat(job, 1).await.expect(409);
    let second = bench.claim(1, "B").await.expect("given");
    assert_eq!(
        (&second["epoch"], &second["job"]["attempt"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        second["job"]["runId"], first["job"]["runId"],
        "it goes on from its checkpoint"
    );
    assert_eq!(second["job"]["progress"]["users"]["read"], 7);

    let line = json!({"epoch": 1, "lines": [{"seq": 0, "level": "info", "message": "late"}]});
    let late = async || {
        let before = bench.row(job).await;
        bench.heartbeat(job, 1).await.expect(409);
        bench.finish(job, 1, "complete").await.expect(409);
        bench
            .post(0, &format!("/api/jobs/{job}/log"), &line)
            .await
            .expect(409);
        assert_eq!(bench.row(job).await, before);
    };
    late().await;
    bench.finish(job, 2, "complete").await.expect(200);
    late().await;
    assert_eq!(bench.job(job).await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_workers_is_dead_after_five_and_holds_up_no_other() {
    let bench = Bench::start().await;
    let (poison, healthy) = (
        bench.crawler("poison").await,
        bench.crawler("healthy").await,
    );
    let job = bench.create(poison, 10).await;
    for attempt in 1..=5 {
        let other = bench.create(healthy, 0).await;
        let given = bench.claim(attempt, "W").await.expect("given");
        assert_eq!(
            (id_of(&given["job"]["jobId"]), &given["job"]["attempt"]),
            (job, &json!(attempt))
        );
        let given = bench.claim(attempt, "V").await.expect("given");
        assert_eq!(id_of(&given["job"]["jobId"]), other);
        bench.finish(other, 1, "complete").await.expect(200);
        bench.expire(job).await;
    }
    let dead = bench.job(job).await;
    assert_eq!(dead["state"], "dead");
    let why = dead["message"].as_str().expect("a reason");
    assert!(why.contains("lost 5 times") && why.contains('W'), "{why}");
    assert!(
        bench.claim(0, "W").await.is_none(),
        "it is not given out again"
    );
    let log = bench.get(&format!("/api/jobs/{job}/log")).await;
    assert!(log["items"].to_string().contains("attempt 5 of 5"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_run_has_reported_its_end_is_not_given_out_again() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let job = bench.create(crawler, 0).await;
    let given = bench.claim(0, "A").await.expect("given");
    let report = json!({
        "runId": given["job"]["runId"], "systemId": bench.app.system_id, "crawler": "test", "mode": "full", "outcome": "partial",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z", "collections": [],
        "traffic": {"httpCalls": 0, "requests": 0, "resourceUnits": 0, "throttled": 0, "retries": 0, "waitedMs": 0, "receivedBytes": 0},
    });
    bench
        .post(0, "/api/ingest/sync-log", &report)
        .await
        .expect(201);
    bench.expire(job).await;
    assert_eq!(bench.job(job).await["state"], "partially_succeeded");
    assert!(bench.claim(1, "B").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_a_job_that_another_server_queues_and_holds_no_connection_meanwhile() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let wait = async |claim_id: Uuid| {
        let body = json!({"worker": "W", "version": "1", "claimId": claim_id, "waitSeconds": 30});
        bench.post(1, "/api/jobs/claim", &body).await.expect(200)
    };
    // More than there are connections.
    let claims: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    let waiting = join_all(claims.iter().map(|claim| wait(*claim)));
    let ask = async {
        until(async || {
            let workers: i64 = sqlx::query_scalar("select count(*) from workers")
                .fetch_one(&bench.app.pool)
                .await
                .expect("counts");
            workers == 1
        })
        .await;
        let job = bench.create(crawler, 0).await;
        until(async || bench.job(job).await["state"] == "leased").await;
        bench.stop_waiting();
        job
    };
    let (answers, job) = tokio::join!(waiting, ask);
    let given: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.get("claimed"))
        .collect();
    assert_eq!(given.len(), 1);
    assert_eq!(id_of(&given[0]["job"]["jobId"]), job);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_gets_the_same_lease_again() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    bench.create(crawler, 0).await;
    let body = json!({"worker": "W", "version": "1", "claimId": Uuid::new_v4()});
    let first = bench.post(0, "/api/jobs/claim", &body).await.expect(200);
    let second = bench.post(1, "/api/jobs/claim", &body).await.expect(200);
    assert_eq!(first, second);
    assert_eq!(
        first["claimed"]["crawler"]["secrets"]["clientSecret"]["value"],
        "CANARY"
    );
}
