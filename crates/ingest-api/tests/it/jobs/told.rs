//! What jobs tell, and to whom.

use contract::Permission;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bench::{Bench, id_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_kept_once_in_order_and_can_be_followed() {
    let bench = Bench::start().await;
    let job = bench.create(bench.crawler("crawler").await, 0).await;
    bench.claim(0, "W").await.expect("given");
    let path = format!("/api/jobs/{job}/log");
    let lines = |range: std::ops::Range<u32>| -> Value {
        let lines: Vec<_> = range
            .map(|n| json!({"seq": n, "level": "info", "message": format!("line {n}\nand \u{0}more")}))
            .collect();
        json!({"epoch": 1, "lines": lines})
    };
    bench.post(0, &path, &lines(0..3)).await.expect(204);
    // The answer was lost; it comes again with more.
    bench.post(1, &path, &lines(0..5)).await.expect(204);
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = bench.get(&format!("{path}?limit=2&after={after}")).await;
        let items = page["items"].as_array().expect("a list");
        if items.is_empty() {
            assert_eq!(page["next"], after);
            break;
        }
        seen.extend(
            items
                .iter()
                .map(|line| line["message"].as_str().expect("a text").to_owned()),
        );
        after = page["next"].as_i64().expect("a place");
    }
    let own: Vec<_> = seen
        .iter()
        .filter(|line| line.starts_with("line"))
        .cloned()
        .collect();
    let expected: Vec<_> = (0..5).map(|n| format!("line {n} and  more")).collect();
    assert_eq!(own, expected);
    assert!(
        seen[0].starts_with("job.create") && seen[1].contains("given to W, attempt 1 of 5"),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_merged_and_a_wish_to_cancel_reaches_the_worker() {
    let bench = Bench::start().await;
    let job = bench.create(bench.crawler("crawler").await, 0).await;
    bench.claim(0, "W").await.expect("given");
    bench.heartbeat(job, 1).await.expect(200);
    let path = format!("/api/jobs/{job}/heartbeat");
    let groups = json!({"epoch": 1, "progress": {"groups": {"read": 3, "isDone": true}}});
    bench.post(0, &path, &groups).await.expect(200);
    let progress = &bench.job(job).await["progress"];
    assert_eq!(
        (&progress["users"]["read"], &progress["groups"]["isDone"]),
        (&json!(7), &json!(true))
    );
    let cancel = format!("/api/jobs/{job}/cancel");
    assert_eq!(
        bench.post(1, &cancel, &Value::Null).await.expect(200)["state"],
        "running"
    );
    assert_eq!(
        bench.heartbeat(job, 1).await.expect(200)["isCancelRequested"],
        true
    );
    bench.finish(job, 1, "cancelled").await.expect(200);
    assert_eq!(bench.job(job).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_with_jobs() {
    let bench = Bench::start().await;
    let app = &bench.app;
    let crawler = bench.crawler("crawler").await;
    let job = bench.create(crawler, 0).await;
    let other_system = app.new_system("Other").await;
    let reader = app.new_key(&[Permission::Read], None).await;
    let worker = app.new_key(&[Permission::Jobs], None).await;
    let elsewhere = app
        .new_key(&Permission::ALL, Some(vec![other_system]))
        .await;
    let claim = json!({"worker": "W", "version": "1", "claimId": Uuid::new_v4()});
    let ask = async |key: &str, method: Method, path: String, body: Value| {
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", app.base()))
            .bearer_auth(key);
        app.send(request.json(&body)).await
    };
    let create = json!({"crawlerId": crawler});
    for key in [&reader, &worker] {
        ask(key, Method::POST, "/api/jobs".into(), create.clone())
            .await
            .expect(403);
        ask(
            key,
            Method::POST,
            format!("/api/jobs/{job}/cancel"),
            Value::Null,
        )
        .await
        .expect(403);
        ask(key, Method::GET, format!("/api/jobs/{job}"), Value::Null)
            .await
            .expect(200);
    }
    ask(
        &reader,
        Method::POST,
        "/api/jobs/claim".into(),
        claim.clone(),
    )
    .await
    .expect(403);
    // A key for another system knows nothing of the job, as if it were not there.
    let none = ask(
        &elsewhere,
        Method::POST,
        "/api/jobs/claim".into(),
        claim.clone(),
    )
    .await
    .expect(200);
    assert_eq!(none, json!({}));
    let foreign = ask(
        &elsewhere,
        Method::GET,
        format!("/api/jobs/{job}"),
        Value::Null,
    )
    .await
    .expect(404);
    let random = ask(
        &elsewhere,
        Method::GET,
        format!("/api/jobs/{}", Uuid::new_v4()),
        Value::Null,
    )
    .await
    .expect(404);
    assert_eq!(foreign["detail"], random["detail"]);
    ask(&elsewhere, Method::POST, "/api/jobs".into(), create)
        .await
        .expect(404);
    let given = ask(&worker, Method::POST, "/api/jobs/claim".into(), claim)
        .await
        .expect(200);
    assert_eq!(id_of(&given["claimed"]["job"]["jobId"]), job);
    let audit: Vec<String> =
        sqlx::query_scalar("select action from audit_log where target = $1 order by audit_id")
            .bind(job.to_string())
            .fetch_all(&app.pool)
            .await
            .expect("entries");
    assert_eq!(audit, ["job.create", "job.lease"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_another_key_does_not_go_on_but_begins_anew() {
    let bench = Bench::start().await;
    let job = bench.create(bench.crawler("crawler").await, 0).await;
    let first = bench.claim(0, "A").await.expect("given");
    bench.expire(job).await;
    let key = bench.app.new_key(&[Permission::Jobs], None).await;
    let claim = json!({"worker": "B", "version": "1", "claimId": Uuid::new_v4()});
    let request = reqwest::Client::new()
        .post(format!("{}/api/jobs/claim", bench.app.base()))
        .bearer_auth(&key)
        .json(&claim);
    let second = bench.app.send(request).await.expect(200);
    assert_ne!(second["claimed"]["job"]["runId"], first["job"]["runId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_a_job_is_that_of_the_worker_that_has_the_job() {
    let bench = Bench::start().await;
    let job = bench.create(bench.crawler("crawler").await, 0).await;
    let first = bench.claim(0, "A").await.expect("given");
    let run = id_of(&first["job"]["runId"]);
    let claim = async |lease: Option<i64>, status: u16| {
        let mut body = json!({"systemId": bench.app.system_id});
        if let Some(lease) = lease {
            body["leaseEpoch"] = lease.into();
        }
        let path = format!("/api/ingest/runs/{run}/claim");
        bench.post(0, &path, &body).await.expect(status);
    };
    claim(None, 409).await;
    claim(Some(2), 409).await;
    claim(Some(1), 200).await;
    bench.expire(job).await;
    claim(Some(1), 409).await;
    bench.claim(1, "B").await.expect("given");
    claim(Some(1), 409).await;
    claim(Some(2), 200).await;
    bench.finish(job, 2, "complete").await.expect(200);
    claim(Some(2), 409).await;
}
