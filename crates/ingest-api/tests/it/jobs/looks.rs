//! Jobs that only look at a source: who gets them, what they may tell, who sees it.

use contract::{MAX_RESULT_BYTES, Permission};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bench::{Bench, id_of};

const LOOKS: [&str; 3] = ["check", "discover", "preview"];

async fn ask(bench: &Bench, crawler: Uuid, kind: &str) -> Uuid {
    let body = json!({"crawlerId": crawler, "kind": kind});
    let job = bench.post(0, "/api/jobs", &body).await.expect(201);
    assert_eq!(job["kind"], kind);
    id_of(&job["jobId"])
}

/// What a worker of today is given.
async fn claim(bench: &Bench, kinds: &[&str]) -> Option<Value> {
    let body = json!({"worker": "W", "version": "2", "claimId": Uuid::new_v4(), "kinds": kinds});
    let answer = bench.post(0, "/api/jobs/claim", &body).await.expect(200);
    answer.get("claimed").cloned()
}

fn preview(name: &str) -> Value {
    json!({
        "kind": "preview", "users": 2, "matching": 1, "identities": 1, "otherSamples": [],
        "matchingSamples": [{"displayName": name}],
    })
}

async fn finish(bench: &Bench, job: Uuid, outcome: &str, result: &Value) -> crate::app::Answer {
    let body = json!({"epoch": 1, "outcome": outcome, "result": result});
    bench
        .post(1, &format!("/api/jobs/{job}/finish"), &body)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_go_before_crawls_and_beside_them_to_workers_that_can_look() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let crawls = [
        bench.create(crawler, 0).await,
        bench.create(crawler, 0).await,
    ];
    let mut looks = Vec::new();
    for kind in LOOKS {
        looks.push(ask(&bench, crawler, kind).await);
    }
    // A worker that names no kinds is of an older version.
    let given = bench.claim(0, "old").await.expect("a crawl");
    assert_eq!(id_of(&given["job"]["jobId"]), crawls[0]);
    assert!(bench.claim(0, "old").await.is_none());
    // The others do not wait for the crawl; its rival does.
    let all = ["crawl", "check", "discover", "preview"];
    for look in looks {
        let given = claim(&bench, &all).await.expect("a look");
        assert_eq!(id_of(&given["job"]["jobId"]), look);
        assert_eq!(
            given["crawler"]["secrets"]["clientSecret"]["value"],
            "CANARY"
        );
    }
    assert!(claim(&bench, &all).await.is_none());
    bench.finish(crawls[0], 1, "complete").await.expect(200);
    let given = claim(&bench, &all).await.expect("the other crawl");
    assert_eq!(id_of(&given["job"]["jobId"]), crawls[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawler_that_is_switched_off_may_be_looked_through_but_does_not_crawl() {
    let bench = Bench::start().await;
    let crawler = bench.crawler("crawler").await;
    let off = json!({"version": 1, "enabled": false});
    let request = bench
        .app
        .request(Method::PATCH, &format!("/api/crawlers/{crawler}"));
    bench.app.send(request.json(&off)).await.expect(200);
    let crawl = json!({"crawlerId": crawler});
    bench.post(0, "/api/jobs", &crawl).await.expect(409);
    let look = ask(&bench, crawler, "check").await;
    let given = claim(&bench, &["check"]).await.expect("the look");
    assert_eq!(id_of(&given["job"]["jobId"]), look);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_of_the_jobs_kind_comes_with_success_and_is_not_too_long() {
    let bench = Bench::start().await;
    let job = ask(&bench, bench.crawler("crawler").await, "preview").await;
    claim(&bench, &["preview"]).await.expect("given");
    let before = bench.row(job).await;
    let other = json!({"kind": "discover", "sampled": 0, "attributes": [], "gaps": []});
    let long = preview(&"x".repeat(MAX_RESULT_BYTES));
    let good = preview("Ada \u{0}\u{1F600}");
    for (outcome, result) in [
        ("complete", &other),
        ("complete", &long),
        ("failed", &good),
        ("partial", &good),
        ("complete", &json!({"kind": "preview"})),
    ] {
        finish(&bench, job, outcome, result).await.expect(400);
    }
    assert_eq!(
        bench.row(job).await,
        before,
        "what is refused changes nothing"
    );
    finish(&bench, job, "complete", &good).await.expect(200);
    // Said again, it is the same.
    finish(&bench, job, "complete", &good).await.expect(200);
    let ended = bench.job(job).await;
    assert_eq!(
        (&ended["state"], &ended["result"]),
        (&json!("succeeded"), &good)
    );
    // A crawl has a report instead.
    let crawl = bench.create(bench.crawler("another").await, 0).await;
    bench.claim(0, "W").await.expect("given");
    finish(&bench, crawl, "complete", &good).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_shown_to_whoever_may_read_or_administer_and_with_one_job_only() {
    let bench = Bench::start().await;
    let app = &bench.app;
    let job = ask(&bench, bench.crawler("crawler").await, "preview").await;
    claim(&bench, &["preview"]).await.expect("given");
    let finished = finish(&bench, job, "complete", &preview("Ada"))
        .await
        .expect(200);
    assert_eq!(finished.get("result"), None);
    let listed = bench.get("/api/jobs").await;
    assert_eq!(listed["items"][0].get("result"), None);
    for (permission, sees) in [
        (Permission::Read, true),
        (Permission::Admin, true),
        (Permission::Jobs, false),
    ] {
        let key = app.new_key(&[permission], None).await;
        let request = reqwest::Client::new()
            .get(format!("{}/api/jobs/{job}", app.base()))
            .bearer_auth(key);
        let shown = app.send(request).await.expect(200);
        assert_eq!(shown.get("result").is_some(), sees, "{permission:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_listed_with_what_they_work_on() {
    let bench = Bench::start().await;
    let job = bench.create(bench.crawler("crawler").await, 0).await;
    bench.claim(0, "busy").await.expect("given");
    assert!(bench.claim(1, "idle").await.is_none());
    let listed = bench.get("/api/workers").await;
    let mut workers: Vec<_> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|worker| (worker["name"].clone(), worker["jobs"].clone()))
        .collect();
    workers.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(
        workers,
        [(json!("busy"), json!([job])), (json!("idle"), json!([]))]
    );
    // A key that is limited to other systems does not learn of their jobs.
    let other_system = bench.app.new_system("Other").await;
    let elsewhere = bench
        .app
        .new_key(&[Permission::Read], Some(vec![other_system]))
        .await;
    let request = reqwest::Client::new()
        .get(format!("{}/api/workers", bench.app.base()))
        .bearer_auth(elsewhere);
    let listed = bench.app.send(request).await.expect(200);
    let jobs = |worker: &Value| worker["jobs"].as_array().map(Vec::len);
    assert!(
        listed["items"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|worker| jobs(worker) == Some(0))
    );
}
