//! The history's months: made ahead, dropped whole when retention says so, and what is outside of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ingest_api::{
    history::partitions::make_missing,
    retention::{Keep, Pace, Purged, Retention, purge},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::shown;
use crate::app::{TestApp, id, people};

/// The beginning of the month that is so many months away from the current one.
async fn month(app: &TestApp, away: i32) -> DateTime<Utc> {
    sqlx::query_scalar("select date_trunc('month', now(), 'UTC') + make_interval(months => $1)")
        .bind(away)
        .fetch_one(&app.pool)
        .await
        .expect("a month")
}

/// A row with a version for each of some moments: it was so until then.
async fn with_versions(app: &TestApp, ends: &[DateTime<Utc>]) {
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    let mut began = ends[0] - TimeDelta::days(1);
    let first = began;
    for (n, end) in ends.iter().enumerate() {
        sqlx::query(
            "insert into history_principals (row_id, system_id, id, principal_type, display_name, extended_attributes, first_seen_at, \
             valid_from, sync_id, valid_to, ended_by, operation) select row_id, system_id, id, principal_type, $1, '{}', $2, $3, sync_id, \
             $4, sync_id, 'update' from principals",
        )
        .bind(format!("Ada before {n}"))
        .bind(first)
        .bind(began)
        .bind(end)
        .execute(&app.pool)
        .await
        .expect("a version");
        began = *end;
    }
    sqlx::query("update principals set first_seen_at = $1, valid_from = $2")
        .bind(first)
        .bind(began)
        .execute(&app.pool)
        .await
        .expect("the row");
}

async fn make_months(app: &TestApp, first: DateTime<Utc>, months: i32) {
    sqlx::query("call make_history_partitions($1, $2)")
        .bind(first)
        .bind(months)
        .execute(&app.pool)
        .await
        .expect("months");
}

/// A round at a moment, with the history kept for so many days.
async fn keep_history(app: &TestApp, now: DateTime<Utc>, days: u16) -> Purged {
    let retention = Retention {
        history: Keep::Days(days),
        pace: Pace {
            step: 2,
            pause: Duration::ZERO,
            ..Pace::default()
        },
        ..Retention::default()
    };
    let purged = purge(&app.pool, &retention, now, &CancellationToken::new()).await;
    assert_eq!(purged.failed, 0);
    purged
}

async fn names_at(app: &TestApp, at: DateTime<Utc>) -> Vec<String> {
    sqlx::query_scalar("select display_name from principals_as_of($1)")
        .bind(at)
        .fetch_all(&app.pool)
        .await
        .expect("names")
}

/// The names in the row's versions, newest first.
async fn told(app: &TestApp) -> (Value, Vec<String>) {
    let path = format!(
        "/api/history/principals?systemId={}&id={}",
        app.system_id,
        id(0)
    );
    let page = app.get(&path).await.expect(200);
    let names = page["items"].as_array().expect("a list").iter();
    let names = names
        .map(|item| {
            item["values"]["displayName"]
                .as_str()
                .expect("a name")
                .to_owned()
        })
        .collect();
    (page, names)
}

async fn months_of_principals(app: &TestApp) -> i64 {
    app.count("select count(*) from pg_inherits where inhparent = 'history_principals'::regclass")
        .await
}

#[tokio::test]
async fn months_that_were_kept_long_enough_go_whole_and_what_is_younger_stays_readable() {
    let app = TestApp::start().await;
    let now = month(&app, 0).await + TimeDelta::days(14);
    let day = TimeDelta::days(1);
    // The last one ends in the month that is still kept in part.
    let ends = [
        month(&app, -4).await + day * 9,
        month(&app, -2).await - day,
        month(&app, -1).await - day,
        month(&app, -1).await + day,
    ];
    make_months(&app, ends[0], 4).await;
    with_versions(&app, &ends).await;
    let before = months_of_principals(&app).await;

    // Forty days before the middle of this month: within the month before.
    let purged = keep_history(&app, now, 40).await;
    // Three months of every table: the fourth ends after the cutoff.
    assert_eq!(purged.history_months, 3 * 13);
    assert_eq!(months_of_principals(&app).await, before - 3);
    let since = month(&app, -1).await;
    let (page, names) = told(&app).await;
    assert_eq!(names, ["Ada 0", "Ada before 3"]);
    let kept_since: DateTime<Utc> = page["keptSince"]
        .as_str()
        .expect("a moment")
        .parse()
        .expect("a moment");
    assert_eq!(kept_since, since);
    // How it began cannot be told any more.
    assert_eq!(page["items"][1].get("beganAs"), None);
    assert_eq!(names_at(&app, since).await, ["Ada before 3"]);
    assert_eq!(names_at(&app, now).await, ["Ada 0"]);

    let diff = async |from: DateTime<Utc>| {
        let path = format!(
            "/api/history/principals/diff?systemId={}&from={}",
            app.system_id,
            shown(from)
        );
        app.get(&path).await
    };
    let found = diff(since).await.expect(200);
    assert_eq!(
        found["counts"],
        json!({"added": 0, "removed": 0, "changed": 1})
    );
    let problem = diff(since - TimeDelta::microseconds(1)).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/from");
    assert!(
        problem["detail"]
            .as_str()
            .expect("a sentence")
            .contains(&shown(since))
    );

    // Nothing more is due, and what is kept never grows back.
    assert_eq!(keep_history(&app, now, 40).await.history_months, 0);
    keep_history(&app, now, 400).await;
    assert_eq!(told(&app).await.0, page);
}

#[tokio::test]
async fn a_month_that_is_in_use_stays_until_a_later_round_and_nothing_is_refused_before() {
    let app = TestApp::start().await;
    let ends = [month(&app, -3).await + TimeDelta::days(3)];
    make_months(&app, ends[0], 1).await;
    with_versions(&app, &ends).await;
    let now = month(&app, 0).await;
    let mut reader = app.connect().await;
    sqlx::raw_sql("begin; select * from history_principals")
        .execute(&mut reader)
        .await
        .expect("a reader");
    let purged = keep_history(&app, now, 1).await;
    assert_eq!(purged.history_months, 12, "those of the other tables");
    assert_eq!(told(&app).await.1, ["Ada 0", "Ada before 0"]);

    sqlx::raw_sql("commit")
        .execute(&mut reader)
        .await
        .expect("the end");
    assert_eq!(keep_history(&app, now, 1).await.history_months, 1);
    assert_eq!(told(&app).await.1, ["Ada 0"]);
}

#[tokio::test]
async fn versions_outside_the_months_are_found_by_every_reader_and_go_in_small_steps() {
    let app = TestApp::start().await;
    // A clock that was far off: no month was made for these.
    let long_ago = month(&app, -30).await;
    let day = TimeDelta::days(1);
    let ends: Vec<DateTime<Utc>> = (0..5).map(|n| long_ago + day * n).collect();
    with_versions(&app, &ends).await;
    assert_eq!(
        app.count("select count(*) from history_principals_other")
            .await,
        5
    );
    assert_eq!(names_at(&app, ends[0]).await, ["Ada before 1"]);
    assert_eq!(told(&app).await.1.len(), 6);
    let path = format!(
        "/api/history/principals/diff?systemId={}&from={}&to={}",
        app.system_id,
        shown(ends[0] - day),
        shown(ends[2])
    );
    assert_eq!(app.get(&path).await.expect(200)["counts"]["changed"], 1);

    let now = month(&app, 0).await;
    assert_eq!(keep_history(&app, now, 3000).await.history_versions, 0);
    assert_eq!(keep_history(&app, now, 30).await.history_versions, 5);
    assert_eq!(told(&app).await.1, ["Ada 0"]);
    app.get(&path).await.expect(400);
}

#[tokio::test]
async fn a_month_that_is_made_late_takes_over_the_versions_that_ended_in_it() {
    let app = TestApp::start().await;
    sqlx::raw_sql(
        "do $$ declare t text; begin for t in select name from governed_tables() loop \
         execute 'drop table history_' || t || to_char(now() at time zone 'UTC', '_YYYY_MM'); end loop; end $$",
    )
    .execute(&app.pool)
    .await
    .expect("no months");
    app.ingest("principals", people(0..3, "Ada"), json!({}))
        .await
        .expect(201);
    app.ingest("principals", people(0..3, "Bo"), json!({}))
        .await
        .expect(201);
    assert_eq!(
        app.count("select count(*) from history_principals_other")
            .await,
        3
    );
    let versions = "select jsonb_agg(to_jsonb(h) order by row_key) from history h";
    let before: Value = sqlx::query_scalar(versions)
        .fetch_one(&app.pool)
        .await
        .expect("versions");

    // While somebody reads, the month waits; the round says so by nothing else than what it leaves.
    let mut reader = app.connect().await;
    sqlx::raw_sql("begin; select * from history_principals")
        .execute(&mut reader)
        .await
        .expect("a reader");
    let mut connection = app.connect().await;
    assert_eq!(make_missing(&mut connection).await.expect("made"), 12);
    sqlx::raw_sql("commit")
        .execute(&mut reader)
        .await
        .expect("the end");

    let now = Utc::now();
    let retention = Retention::default();
    let purged = purge(&app.pool, &retention, now, &CancellationToken::new()).await;
    assert_eq!(purged.failed, 0);
    assert_eq!(make_missing(&mut connection).await.expect("made"), 0);
    assert_eq!(
        app.count("select count(*) from history_principals_other")
            .await,
        0
    );
    let after: Value = sqlx::query_scalar(versions)
        .fetch_one(&app.pool)
        .await
        .expect("versions");
    assert_eq!(after, before);
}

/// What the planner does with a question about a past moment.
async fn plan(app: &TestApp, question: &'static str, at: DateTime<Utc>) -> String {
    let lines: Vec<String> = sqlx::query_scalar(question)
        .bind(at)
        .bind(app.system_id)
        .bind(id(0))
        .fetch_all(&app.pool)
        .await
        .expect("a plan");
    lines.join("\n")
}

#[tokio::test]
async fn reading_as_of_a_moment_uses_keys_on_both_sides_and_leaves_out_the_months_before() {
    let app = TestApp::start().await;
    make_months(&app, month(&app, -3).await, 3).await;
    let at = month(&app, -1).await + TimeDelta::days(1);
    let question = "explain select * from principals_as_of($1) where system_id = $2 and id = $3";
    let plan = plan(&app, question, at).await;
    assert!(!plan.contains("Function Scan"), "{plan}");
    let name = |moment: DateTime<Utc>| format!("history_principals{}", moment.format("_%Y_%m"));
    for left_out in [month(&app, -3).await, month(&app, -2).await] {
        assert!(!plan.contains(&name(left_out)), "{plan}");
    }
    for read in [month(&app, -1).await, month(&app, 0).await] {
        assert!(plan.contains(&name(read)), "{plan}");
    }
    // Each side looks for the key by itself.
    let sides = plan.matches("Index Cond: ((system_id = ").count();
    let tables =
        plan.matches(" on history_principals").count() + plan.matches(" on principals").count();
    assert!(sides >= 3, "{plan}");
    assert!(tables >= 3, "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}
