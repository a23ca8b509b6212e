//! More at once than the server can take: the excess is asked to come again, the rest is done (L07).

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    app::{TestApp, people},
    client::{Call, Client},
};

const AT_ONCE: u32 = 500;
const RECORDS: u32 = 5;

fn call(app: &TestApp, number: u32) -> Call {
    let records = people(number * RECORDS..(number + 1) * RECORDS, "Ada");
    let body = json!({"systemId": app.system_id, "records": records});
    Call::post("/api/ingest/principals", &body).known_as(&format!("call {number}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_requests_the_excess_is_asked_to_come_again_and_all_are_done_in_the_end() {
    let app = TestApp::with_connections(8).await;
    let client = Client::new(app.base(), &app.key);
    // Nothing can be written until some are refused, however fast the machine is.
    let mut watcher = app.connect().await;
    sqlx::raw_sql("begin; lock table principals in share mode")
        .execute(&mut watcher)
        .await
        .expect("locks");
    let (refused, release) = tokio::sync::oneshot::channel();
    let refused = std::sync::Mutex::new(Some(refused));
    let burst = join_all((0..AT_ONCE).map(async |number| {
        // The client checks that a refusal says when to come again.
        let status = client
            .once(&call(&app, number))
            .await
            .expect("an answer")
            .status;
        if status == 503
            && let Some(first) = refused.lock().expect("not poisoned").take()
        {
            let _ = first.send(());
        }
        (number, status.as_u16())
    }));
    let (answers, ()) = tokio::join!(burst, async {
        release.await.expect("somebody is refused");
        sqlx::raw_sql("rollback")
            .execute(&mut watcher)
            .await
            .expect("unlocks");
    });
    let mut outcomes: BTreeMap<u16, u32> = BTreeMap::new();
    for (_, status) in &answers {
        *outcomes.entry(*status).or_default() += 1;
    }
    println!("{outcomes:?}");
    assert_eq!(
        outcomes.keys().copied().collect::<Vec<_>>(),
        [201, 503],
        "some are done, some are refused, none fails: {outcomes:?}"
    );

    // Done and refused are exactly that; then everything is normal again.
    let done = i64::from(outcomes[&201] * RECORDS);
    let count = "select count(*) from principals where deleted_at is null";
    assert_eq!(app.count(count).await, done);
    for (number, status) in answers {
        let again = client.insist(&call(&app, number)).await.expect(201);
        assert_eq!(
            again["inserted"], RECORDS,
            "{number}, at first {status}: {again}"
        );
    }
    assert_eq!(app.count(count).await, i64::from(AT_ONCE * RECORDS));
    app.get("/health/ready").await.expect(200);
}
