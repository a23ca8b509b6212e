//! What the API tells about the past, to whom, and what it refuses.

use chrono::{DateTime, TimeDelta, Utc};
use contract::Permission;
use serde_json::{Value, json};

use super::{all_pages, shown};
use crate::app::{TestApp, id, members, people};

async fn moment(app: &TestApp) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&app.pool)
        .await
        .expect("a moment")
}

#[tokio::test]
async fn a_held_removal_names_its_load_its_run_its_key_and_who_approved_it_and_why() {
    let app = TestApp::start().await;
    let run = id(4711);
    let full = async |records: Value| {
        let open = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "runId": run});
        let opened = app.post("/api/ingest/sessions", &open).await.expect(201);
        let path = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        let batch = json!({"records": records});
        app.put(&format!("{path}/batches/0"), &batch)
            .await
            .expect(200);
        let commit = json!({"batches": 1, "complete": true});
        app.post(&format!("{path}/commit"), &commit)
            .await
            .expect(200)
    };
    full(people(0..100, "Ada")).await;
    let held = full(people(0..50, "Ada")).await["held"]["changeSetId"].clone();
    let set = held.as_str().expect("an id");
    let decision = json!({"reason": "the department was closed"});
    app.post(&format!("/api/ingest/held/{set}/approve"), &decision)
        .await
        .expect(200);
    let path = |n: u32| {
        format!(
            "/api/history/principals?systemId={}&id={}",
            app.system_id,
            id(n)
        )
    };

    let told = app.get(&path(70)).await.expect(200);
    let version = &told["items"][0];
    assert_eq!(told["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(version["endedAs"], "removed");
    for by in [&version["beganBy"], &version["endedBy"]] {
        assert_eq!(by["actor"]["name"], "test");
        assert_eq!(by["runId"], json!(run));
        assert_eq!(
            (&by["entity"], &by["syncMode"]),
            (&json!("principals"), &json!("full"))
        );
    }
    let approval = &version["endedBy"]["approval"];
    assert_eq!(approval["reason"], "the department was closed");
    assert_eq!(approval["changeSetId"], held);
    assert!(
        approval["by"]
            .as_str()
            .expect("a person")
            .starts_with("key:")
    );
    assert_eq!(version["beganBy"].get("approval"), None);
    // Without what the person decided about, the list of its rows included.
    sqlx::query("delete from held_rows")
        .execute(&app.pool)
        .await
        .expect("gone");
    assert_eq!(app.get(&path(70)).await.expect(200), told);
}

#[tokio::test]
async fn what_a_load_removed_by_name_was_approved_by_nobody() {
    let app = TestApp::start().await;
    let full = json!({"syncMode": "full"});
    app.ingest("principals", people(0..100, "Ada"), full)
        .await
        .expect(201);
    // One call names a row that goes, and brings so few others that their removal is held.
    let more = json!({"syncMode": "full", "deletedIds": [id(99)]});
    let answer = app
        .ingest("principals", people(0..50, "Ada"), more)
        .await
        .expect(201);
    let set = answer["held"]["changeSetId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let decision = json!({"reason": "the department was closed"});
    app.post(&format!("/api/ingest/held/{set}/approve"), &decision)
        .await
        .expect(200);
    for (n, is_approved) in [(99, false), (98, true)] {
        let path = format!(
            "/api/history/principals?systemId={}&id={}",
            app.system_id,
            id(n)
        );
        let told = app.get(&path).await.expect(200);
        let by = &told["items"][0]["endedBy"];
        assert_eq!(by.get("approval").is_some(), is_approved, "{by:#}");
    }
}

#[tokio::test]
async fn a_removal_after_a_change_is_told_with_its_own_time_and_load() {
    let app = TestApp::start().await;
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    let from = moment(&app).await;
    app.ingest("principals", people(0..1, "Bo"), json!({}))
        .await
        .expect(201);
    let between = moment(&app).await;
    let gone = json!({"deletedIds": [id(0)]});
    app.ingest("principals", json!([]), gone).await.expect(201);
    let path = format!(
        "/api/history/principals/diff?systemId={}&from={}",
        app.system_id,
        shown(from)
    );
    let told = app.get(&path).await.expect(200);
    let item = &told["items"][0];
    assert_eq!(
        (&item["change"], &item["before"]["displayName"]),
        (&json!("removed"), &json!("Ada 0"))
    );
    let at: DateTime<Utc> = item["at"]
        .as_str()
        .expect("a moment")
        .parse()
        .expect("a moment");
    assert!(at > between);
    let removed_by: String =
        sqlx::query_scalar("select ended_by::text from history where operation = 'delete'")
            .fetch_one(&app.pool)
            .await
            .expect("a load");
    assert_eq!(item["by"]["syncId"], removed_by);
    assert_eq!(
        told["counts"],
        json!({"added": 0, "removed": 1, "changed": 0})
    );
}

#[tokio::test]
async fn assignments_are_told_with_names_and_narrowed_by_key_and_by_scope() {
    let app = TestApp::start().await;
    let from = moment(&app).await;
    app.ingest("principals", people(0..5, "Ada"), json!({}))
        .await
        .expect(201);
    let groups =
        json!([{"id": id(100), "displayName": "Ops"}, {"id": id(101), "displayName": "Dev"}]);
    app.ingest("resources", groups, json!({})).await.expect(201);
    let mut all = members(100, 0..5);
    all.extend(members(101, 0..2));
    for (n, member) in all.iter_mut().enumerate() {
        member["resourceType"] = if n % 2 == 0 {
            "EntraGroup"
        } else {
            "EntraAppRole"
        }
        .into();
    }
    app.ingest("resource-assignments", all.clone().into(), json!({}))
        .await
        .expect(201);
    let between = moment(&app).await;
    all[0]["resourceType"] = "EntraAppRole".into();
    app.ingest("resource-assignments", json!([all[0]]), json!({}))
        .await
        .expect(201);

    let history = format!(
        "/api/history/resource-assignments?systemId={}",
        app.system_id
    );
    let held = all_pages(&app, &format!("{history}&principalId={}&limit=1", id(1))).await;
    assert_eq!(held.len(), 2);
    for version in &held {
        assert_eq!(version["names"]["principalId"], "Ada 1");
        assert!(["Ops", "Dev"].contains(&version["names"]["resourceId"].as_str().expect("a name")));
    }
    let narrow = format!(
        "{history}&principalId={}&resourceId={}&assignmentType=Owner",
        id(1),
        id(100)
    );
    assert_eq!(all_pages(&app, &narrow).await, Vec::<Value>::new());

    let diff = |from: DateTime<Utc>, more: String| {
        format!(
            "/api/history/resource-assignments/diff?systemId={}&from={}&limit=2{more}",
            app.system_id,
            shown(from)
        )
    };
    for (since, more, expected) in [
        (from, String::new(), 7),
        (from, format!("&resourceId={}", id(100)), 5),
        (from, format!("&principalId={}", id(1)), 2),
        (from, "&resourceType=EntraAppRole".to_owned(), 4),
        (from, "&assignmentType=Owner".to_owned(), 0),
        // It was one before, and is another now.
        (between, "&resourceType=EntraGroup".to_owned(), 1),
        (between, "&resourceType=EntraAppRole".to_owned(), 1),
        (between, "&resourceType=EntraDirectoryRole".to_owned(), 0),
    ] {
        let path = diff(since, more);
        let items = all_pages(&app, &path).await;
        assert_eq!(items.len(), expected, "{path}");
        let counts = app.get(&path).await.expect(200)["counts"].clone();
        let sum: i64 = ["added", "removed", "changed"]
            .iter()
            .map(|change| counts[*change].as_i64().expect("a number"))
            .sum();
        assert_eq!(sum, expected as i64, "{path}");
    }
}

#[tokio::test]
async fn a_systems_own_past_is_told_too() {
    let app = TestApp::start().await;
    let key = json!({"systemType": "Test", "tenantId": "t", "displayName": "First"});
    let answer = app
        .post("/api/ingest/systems", &json!({"records": [key]}))
        .await
        .expect(201);
    let system_id = &answer["systemIds"][0];
    let from = moment(&app).await;
    let renamed =
        json!({"systemType": "Test", "tenantId": "t", "displayName": "Second", "owner": "Ada"});
    app.post("/api/ingest/systems", &json!({"records": [renamed]}))
        .await
        .expect(201);
    let told = app
        .get(&format!("/api/history/systems?systemId={system_id}"))
        .await
        .expect(200);
    let expected = json!([
        {"field": "/displayName", "before": "First", "after": "Second"},
        {"field": "/extendedAttributes/owner", "after": "Ada"},
    ]);
    assert_eq!(told["items"][0]["differences"], expected);
    assert_eq!(told["items"][1]["beganAs"], "added");
    let path = format!(
        "/api/history/systems/diff?systemId={system_id}&from={}",
        shown(from)
    );
    let told = app.get(&path).await.expect(200);
    assert_eq!(told["items"][0]["differences"], expected);
}

#[tokio::test]
async fn every_entity_with_a_past_answers_and_every_question_is_prepared() {
    let app = TestApp::start().await;
    let from = shown(moment(&app).await);
    let nobody = id(1);
    for spec in ingest_api::entity::ALL {
        let entity = spec.entity;
        let key = spec.key[0].wire;
        let answer = app
            .get(&format!(
                "/api/history/{entity}?systemId={}&{key}={nobody}",
                app.system_id
            ))
            .await;
        if !spec.keeps_history {
            answer.expect(404);
            continue;
        }
        assert_eq!(answer.expect(200), json!({"items": []}), "{entity}");
        let path = format!(
            "/api/history/{entity}/diff?systemId={}&from={from}",
            app.system_id
        );
        let told = app.get(&path).await.expect(200);
        assert_eq!(told["items"], json!([]), "{entity}");
        for (scope, _) in spec.scope_keys {
            let value = if scope.ends_with("Id") {
                nobody.to_string()
            } else {
                "x".to_owned()
            };
            app.get(&format!("{path}&{scope}={value}"))
                .await
                .expect(200);
        }
    }
}

#[tokio::test]
async fn nothing_is_told_to_keys_that_may_not_read_it() {
    let app = TestApp::start().await;
    let other = app.new_system("Another").await;
    app.ingest("principals", people(0..1, "Ada"), json!({}))
        .await
        .expect(201);
    let from = shown(moment(&app).await);
    let only_other = app.new_key(&[Permission::Read], Some(vec![other])).await;
    let may_not_read = app.new_key(&[Permission::Ingest], None).await;
    let foreign = foreign_key(&app).await;
    for path in [
        format!(
            "/api/history/principals?systemId={}&id={}",
            app.system_id,
            id(0)
        ),
        format!(
            "/api/history/principals/diff?systemId={}&from={from}",
            app.system_id
        ),
    ] {
        for (key, status) in [(&only_other, 404), (&may_not_read, 403), (&foreign, 404)] {
            let request = app.request(reqwest::Method::GET, &path).headers(
                [(
                    reqwest::header::AUTHORIZATION,
                    format!("Bearer {key}").parse().expect("a header"),
                )]
                .into_iter()
                .collect(),
            );
            app.send(request).await.expect(status);
        }
        app.get(&path).await.expect(200);
    }
}

/// A key of another workspace.
async fn foreign_key(app: &TestApp) -> String {
    use secrecy::ExposeSecret as _;
    let workspace_id: i32 = sqlx::query_scalar(
        "insert into workspaces (name) values ('subsidiary') returning workspace_id",
    )
    .fetch_one(&app.pool)
    .await
    .expect("a workspace");
    let new = ingest_api::auth::NewKey {
        workspace_id,
        name: "foreign".into(),
        permissions: Permission::ALL.to_vec(),
        system_ids: None,
        expires_at: None,
        created_by: "test".into(),
    };
    let mut connection = app.pool.acquire().await.expect("a connection");
    let (key, _) = ingest_api::auth::create_key(&mut connection, &new)
        .await
        .expect("a key");
    key.key.expose_secret().to_owned()
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_and_the_refusal_names_the_parameter() {
    let app = TestApp::start().await;
    let now = moment(&app).await;
    let hour = TimeDelta::hours(1);
    let (past, future) = (shown(now - hour), shown(now + hour));
    let now = shown(now);
    let principal = id(1);
    for (path, field) in [
        (format!("principals?id={principal}"), "systemId"),
        ("principals?systemId=one&id=x".to_owned(), "systemId"),
        ("principals?systemId=1".to_owned(), "id"),
        ("principals?systemId=1&id=Ada".to_owned(), "id"),
        (
            format!("principals?systemId=1&id={principal}&id={principal}"),
            "id",
        ),
        (
            format!("principals?systemId=1&id={principal}&department=Tax"),
            "department",
        ),
        (
            format!("principals?systemId=1&id={principal}&after=00"),
            "after",
        ),
        (
            format!("principals?systemId=1&id={principal}&limit=-1"),
            "limit",
        ),
        (
            "resource-assignments?systemId=1&assignmentType=Direct".to_owned(),
            "resourceId",
        ),
        ("principals/diff?systemId=1".to_owned(), "from"),
        (
            "principals/diff?systemId=1&from=yesterday".to_owned(),
            "from",
        ),
        (format!("principals/diff?systemId=1&from={future}"), "from"),
        (
            format!("principals/diff?systemId=1&from={past}&to={future}"),
            "to",
        ),
        (
            format!("principals/diff?systemId=1&from={now}&to={past}"),
            "to",
        ),
        (
            format!("principals/diff?systemId=1&from={past}&after=5b5d"),
            "after",
        ),
        (
            format!("principals/diff?systemId=1&from={past}&principalType=a%00b"),
            "principalType",
        ),
        (
            format!("principals/diff?systemId=1&from={past}&displayName=Ada"),
            "displayName",
        ),
    ] {
        let answer = app.get(&format!("/api/history/{path}")).await;
        assert_eq!(answer.content_type, "application/problem+json");
        let problem = answer.expect(400);
        assert_eq!(
            problem["errors"][0]["pointer"],
            format!("/{field}"),
            "{path}: {problem:#}"
        );
    }
    // What looks like SQL is a value like any other.
    let path = "identity-members/diff?systemId=1&from=0001-01-01T00:00:00Z";
    app.get(&format!("/api/history/{path}")).await.expect(200);
    let path = format!(
        "/api/history/resources/diff?systemId=1&from={past}&resourceType=%27%3B%20drop%20table%20resources%3B--"
    );
    assert_eq!(app.get(&path).await.expect(200)["items"], json!([]));
}
