//! Held removals as the person sees them who decides.

use contract::Permission;
use serde_json::{Value, json};

use crate::app::{TestApp, id, members, people};

async fn live(app: &TestApp) -> i64 {
    app.count("select count(*) from principals where deleted_at is null")
        .await
}

async fn full(app: &TestApp, records: Value) -> Value {
    app.ingest("principals", records, json!({"syncMode": "full"}))
        .await
        .expect(201)
}

/// Loads `of` people, then only those up to `left`; answers the path of the change set that is held.
async fn hold(app: &TestApp, of: u32, left: u32) -> String {
    full(app, people(0..of, "Ada")).await;
    let held = full(app, people(0..left, "Ada")).await["held"].clone();
    assert_eq!(held["wouldDelete"], of - left);
    path(&held)
}

fn path(held: &Value) -> String {
    format!(
        "/api/ingest/held/{}",
        held["changeSetId"].as_str().expect("an id")
    )
}

/// Follows `next` to the last page.
async fn all_pages(app: &TestApp, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut page = app.get(path).await.expect(200);
    loop {
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        assert!(items.len() <= 10_000, "pages never end");
        let after = match &page["next"] {
            Value::Null => return items,
            Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        page = app.get(&format!("{path}&after={after}")).await.expect(200);
    }
}

#[tokio::test]
async fn fifty_of_a_thousand_go_unasked() {
    let app = TestApp::start().await;
    full(&app, people(0..1000, "Ada")).await;
    let answer = full(&app, people(50..1000, "Ada")).await;
    assert_eq!((&answer["deleted"], answer.get("held")), (&json!(50), None));
    assert_eq!(live(&app).await, 950);
    let held = app.get("/api/ingest/held").await.expect(200);
    assert_eq!(held, json!({"items": []}));
}

#[tokio::test]
async fn fifty_one_of_a_thousand_are_listed_and_go_when_a_person_approved_just_them() {
    let app = TestApp::start().await;
    let set = hold(&app, 1000, 949).await;
    assert_eq!(live(&app).await, 1000);
    let shown = app.get(&set).await.expect(200);
    assert_eq!(
        (&shown["state"], &shown["wouldDelete"], &shown["of"]),
        (&json!("held"), &json!(51), &json!(1000))
    );
    assert_eq!(shown["wouldDeleteNow"], 51);

    let rows = all_pages(&app, &format!("{set}/rows?limit=20")).await;
    let named: Vec<(Value, Value)> = rows
        .iter()
        .map(|row| (row["key"]["id"].clone(), row["displayName"].clone()))
        .collect();
    let expected: Vec<(Value, Value)> = (949..1000)
        .map(|n| (json!(id(n)), json!(format!("Ada {n}"))))
        .collect();
    assert_eq!(named, expected, "each once, in order");
    assert!(rows.iter().all(|row| row["isAsHeld"] == true));
    assert!(rows.iter().all(|row| row["changedAt"].is_string()));

    let approve = format!("{set}/approve");
    let reason = "contractors left";
    let refused = app
        .post(&approve, &json!({"reason": reason, "wouldDelete": 50}))
        .await
        .expect(409);
    assert!(
        refused["detail"].as_str().expect("text").contains("51"),
        "{refused}"
    );
    assert_eq!(live(&app).await, 1000, "nothing was done");
    let approved = app
        .post(&approve, &json!({"reason": reason, "wouldDelete": 51}))
        .await
        .expect(200);
    assert_eq!(approved["state"], "approved");
    assert_eq!(live(&app).await, 949);
    app.post(&approve, &json!({"reason": reason}))
        .await
        .expect(409);

    let entries: Vec<(String, Value)> =
        sqlx::query_as("select actor, detail from audit_log where action = 'held.approve'")
            .fetch_all(&app.pool)
            .await
            .expect("entries");
    let [(actor, detail)] = entries.as_slice() else {
        panic!("one entry: {entries:?}")
    };
    assert!(actor.starts_with("key:"), "{actor}");
    assert_eq!(
        (&detail["reason"], &detail["removed"]),
        (&json!(reason), &json!(51))
    );
    let rows = all_pages(&app, &format!("{set}/rows?limit=100")).await;
    assert_eq!(rows.len(), 51, "the list stays");
    assert!(rows.iter().all(|row| row["isAsHeld"] == false));
}

#[tokio::test]
async fn a_rejection_removes_nothing_and_is_final() {
    let app = TestApp::start().await;
    let set = hold(&app, 1000, 949).await;
    let reason = json!({"reason": "the export was cut off"});
    app.post(
        &format!("{set}/reject"),
        &json!({"reason": "cut off", "wouldDelete": 51}),
    )
    .await
    .expect(400);
    app.post(&format!("{set}/reject"), &reason)
        .await
        .expect(200);
    assert_eq!(live(&app).await, 1000);
    app.post(&format!("{set}/approve"), &reason)
        .await
        .expect(409);
    assert_eq!(live(&app).await, 1000);
    let removed = app
        .count("select (detail->>'removed')::bigint from audit_log where action = 'held.reject'")
        .await;
    assert_eq!(removed, 0);
}

#[tokio::test]
async fn a_newer_full_load_makes_a_waiting_set_void() {
    let app = TestApp::start().await;
    let set = hold(&app, 100, 50).await;
    // The source is whole again, but for one who really left.
    assert_eq!(full(&app, people(0..99, "Ada")).await["deleted"], 1);
    let reason = json!({"reason": "too late", "wouldDelete": 50});
    let refused = app
        .post(&format!("{set}/approve"), &reason)
        .await
        .expect(409);
    assert!(
        refused["detail"].as_str().expect("text").contains("newer"),
        "{refused}"
    );
    let shown = app.get(&set).await.expect(200);
    assert_eq!(
        (&shown["state"], shown.get("wouldDeleteNow")),
        (&json!("expired"), None)
    );
    assert_eq!(live(&app).await, 99);
}

#[tokio::test]
async fn what_changed_since_is_shown_and_is_not_removed() {
    let app = TestApp::start().await;
    let set = hold(&app, 100, 50).await;
    // 60 comes back, 61 is removed by its name, 62 is changed behind the server's back.
    app.ingest("principals", people(60..61, "Ada"), json!({}))
        .await
        .expect(201);
    app.ingest("principals", json!([]), json!({"deletedIds": [id(61)]}))
        .await
        .expect(201);
    sqlx::query("update principals set valid_from = clock_timestamp() where id = $1")
        .bind(id(62))
        .execute(&app.pool)
        .await
        .expect("updates");

    let shown = app.get(&set).await.expect(200);
    assert_eq!(
        (&shown["wouldDelete"], &shown["wouldDeleteNow"]),
        (&json!(50), &json!(47))
    );
    let rows = all_pages(&app, &format!("{set}/rows?limit=7")).await;
    assert_eq!(rows.len(), 49, "who came back is no candidate any more");
    let not_as_held: Vec<&Value> = rows
        .iter()
        .filter(|row| row["isAsHeld"] == false)
        .map(|row| &row["key"]["id"])
        .collect();
    assert_eq!(not_as_held, [&json!(id(61)), &json!(id(62))]);

    let approve = format!("{set}/approve");
    app.post(&approve, &json!({"reason": "as seen", "wouldDelete": 50}))
        .await
        .expect(409);
    app.post(&approve, &json!({"reason": "as seen", "wouldDelete": 47}))
        .await
        .expect(200);
    assert_eq!(live(&app).await, 52, "50 that were met, 60 and 62");
}

#[tokio::test]
async fn a_held_assignment_shows_the_names_of_both_ends() {
    let app = TestApp::start().await;
    let groups: Value = (1..3)
        .map(|n| json!({"id": id(n), "displayName": format!("Group {n}"), "resourceType": "EntraGroup"}))
        .collect();
    app.ingest("resources", groups, json!({})).await.expect(201);
    app.ingest("principals", people(100..111, "Ada"), json!({}))
        .await
        .expect(201);
    let mut records = members(1, 100..112);
    records.push(json!({"resourceId": id(1), "principalId": id(2), "assignmentType": "Direct", "principalType": "Group"}));
    let scope = json!({"syncMode": "full", "scope": {"assignmentType": "Direct"}});
    app.ingest("resource-assignments", json!(records), scope.clone())
        .await
        .expect(201);
    let held = app
        .ingest("resource-assignments", json!([]), scope)
        .await
        .expect(201)["held"]
        .clone();
    let rows = all_pages(&app, &format!("{}/rows?limit=5", path(&held))).await;
    assert_eq!(rows.len(), 13);
    let names = |principal: u32| {
        let row = rows
            .iter()
            .find(|row| row["key"]["principalId"] == json!(id(principal)))
            .expect("the row");
        assert_eq!(
            row["key"],
            json!({"resourceId": id(1), "principalId": id(principal), "assignmentType": "Direct", "roleScope": "/"})
        );
        row["names"].clone()
    };
    assert_eq!(
        names(100),
        json!({"resourceId": "Group 1", "principalId": "Ada 100"})
    );
    assert_eq!(
        names(2),
        json!({"resourceId": "Group 1", "principalId": "Group 2"}),
        "a group in a group"
    );
    assert_eq!(
        names(111),
        json!({"resourceId": "Group 1"}),
        "nobody knows this principal"
    );
}

#[tokio::test]
async fn sets_are_found_by_state_system_and_entity_page_by_page() {
    let mut app = TestApp::start().await;
    let first = app.system_id;
    let rejected = hold(&app, 20, 0).await;
    app.post(
        &format!("{rejected}/reject"),
        &json!({"reason": "no reason"}),
    )
    .await
    .expect(200);
    hold(&app, 20, 5).await;
    let resources = json!([{"id": id(1), "displayName": "Group"}]);
    let more = json!({"syncMode": "full"});
    app.ingest("resources", resources, more.clone())
        .await
        .expect(201);
    app.ingest("resources", json!([]), more).await.expect(201);
    app.system_id = app.new_system("Other").await;
    hold(&app, 20, 0).await;

    let find = async |filter: &str| {
        all_pages(&app, &format!("/api/ingest/held?limit=1{filter}"))
            .await
            .iter()
            .map(|set| {
                (
                    set["systemId"].clone(),
                    set["entity"].clone(),
                    set["state"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let set = |system: i32, entity: &str, state: &str| (json!(system), json!(entity), json!(state));
    let newest_first = [
        set(app.system_id, "principals", "held"),
        set(first, "resources", "held"),
        set(first, "principals", "held"),
        set(first, "principals", "rejected"),
    ];
    assert_eq!(find("").await, newest_first);
    assert_eq!(find("&state=rejected").await, newest_first[3..]);
    assert_eq!(find("&state=held").await, newest_first[..3]);
    assert_eq!(find("&entity=resources").await, newest_first[1..2]);
    assert_eq!(
        find(&format!("&systemId={first}&entity=principals&state=held")).await,
        newest_first[2..3]
    );
    for wrong in ["state=waiting", "entity=people", "colour=red", "after=last"] {
        app.get(&format!("/api/ingest/held?{wrong}"))
            .await
            .expect(400);
    }

    // A key of one system: the others' sets are not there.
    let other = app.system_id;
    app.key = app.new_key(&[Permission::Admin], Some(vec![other])).await;
    let seen = all_pages(&app, "/api/ingest/held?limit=1").await;
    assert_eq!(seen.len(), 1);
    app.get(&rejected).await.expect(404);
    app.get(&format!("{rejected}/rows")).await.expect(404);
    app.post(
        &format!("{rejected}/approve"),
        &json!({"reason": "not mine"}),
    )
    .await
    .expect(404);
    app.get(&path(&seen[0])).await.expect(200);
}

#[tokio::test]
async fn a_reader_sees_and_only_an_admin_decides_with_a_reason() {
    let mut app = TestApp::start().await;
    let set = hold(&app, 20, 0).await;
    let approve = format!("{set}/approve");
    for reason in ["", "  ", "ab", &"x".repeat(1001)] {
        app.post(&approve, &json!({"reason": reason}))
            .await
            .expect(400);
    }
    app.post(&approve, &json!({})).await.expect(400);
    app.post(&approve, &json!({"reason": "left", "wouldDelete": -1}))
        .await
        .expect(400);

    app.key = app.new_key(&[Permission::Read], None).await;
    app.get(&set).await.expect(200);
    app.get(&format!("{set}/rows")).await.expect(200);
    app.post(&approve, &json!({"reason": "they left"}))
        .await
        .expect(403);
    app.key = app.new_key(&[Permission::Ingest], None).await;
    for path in ["/api/ingest/held", &set, &format!("{set}/rows")] {
        app.get(path).await.expect(403);
    }
    app.post(&approve, &json!({"reason": "they left"}))
        .await
        .expect(403);
    assert_eq!(live(&app).await, 20);
    assert_eq!(
        app.count("select count(*) from audit_log where action like 'held.%'")
            .await,
        0
    );
}

#[tokio::test]
async fn of_decisions_that_come_together_one_counts() {
    let app = TestApp::start().await;
    let set = hold(&app, 20, 0).await;
    let decisions = (0..6).map(|n| {
        let (app, how) = (&app, if n % 2 == 0 { "approve" } else { "reject" });
        let path = format!("{set}/{how}");
        async move { app.post(&path, &json!({"reason": "they left"})).await }
    });
    let answers = futures_util::future::join_all(decisions).await;
    let (done, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 5));
    assert!(refused.iter().all(|answer| answer.status == 409));
    let left = match done[0].body["state"].as_str() {
        Some("approved") => 0,
        Some("rejected") => 20,
        other => panic!("{other:?}"),
    };
    assert_eq!(live(&app).await, left);
    assert_eq!(
        app.count("select count(*) from audit_log where action like 'held.%'")
            .await,
        1
    );
}
