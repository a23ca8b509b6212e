use contract::Permission;
use serde_json::{Value, json};

use crate::app::{TestApp, id, members, people};

async fn live(app: &TestApp) -> i64 {
    app.count(
        "select (select count(*) from principals where deleted_at is null) \
               + (select count(*) from resource_assignments where deleted_at is null)",
    )
    .await
}

async fn full(app: &TestApp, records: Value, more: Value) -> Value {
    let mut more = more;
    more.as_object_mut()
        .expect("an object")
        .insert("syncMode".into(), json!("full"));
    app.ingest("principals", records, more).await.expect(201)
}

#[tokio::test]
async fn what_a_complete_load_does_not_meet_is_removed_within_the_limits() {
    let app = TestApp::start().await;
    full(&app, people(0..1000, "Ada"), json!({})).await;
    let answer = full(&app, people(50..1000, "Ada"), json!({})).await;
    assert_eq!((&answer["deleted"], answer.get("held")), (&json!(50), None));
    assert_eq!(
        app.count("select count(*) from history where operation = 'delete'")
            .await,
        50
    );

    let answer = full(&app, people(98..1000, "Ada"), json!({})).await;
    assert_eq!(
        answer["held"]["wouldDelete"], 48,
        "48 of 950 are more than 5 %"
    );
    assert_eq!(answer["held"]["of"], 950);
    assert_eq!(answer["held"]["reason"], "over_limit");
    assert_eq!(live(&app).await, 950);
}

#[tokio::test]
async fn a_source_that_suddenly_is_empty_removes_nothing() {
    let app = TestApp::start().await;
    full(&app, people(0..5, "Ada"), json!({})).await;
    let answer = full(&app, json!([]), json!({})).await;
    assert_eq!(
        (&answer["held"]["reason"], &answer["deleted"]),
        (&json!("empty_source"), &json!(0))
    );
    assert_eq!(live(&app).await, 5);
}

#[tokio::test]
async fn a_load_that_was_not_read_to_the_end_removes_nothing() {
    let app = TestApp::start().await;
    full(&app, people(0..40, "Ada"), json!({})).await;
    let answer = full(&app, people(0..39, "Ada"), json!({"complete": false})).await;
    assert_eq!(answer["deleted"], 0);
    assert!(answer["removalsSkipped"].is_string());
    assert_eq!(live(&app).await, 40);
}

#[tokio::test]
async fn only_rows_of_completely_read_parents_are_removed() {
    let app = TestApp::start().await;
    let groups = |sizes: [u32; 3]| -> Value {
        sizes
            .iter()
            .zip(1..)
            .flat_map(|(size, group)| members(group, 100..100 + size))
            .collect()
    };
    let load = async |sizes: [u32; 3], incomplete: Value| {
        let scope = json!({"syncMode": "full", "scope": {"assignmentType": "Direct"}, "incompleteParents": incomplete});
        app.ingest("resource-assignments", groups(sizes), scope)
            .await
            .expect(201)
    };
    load([20, 20, 20], json!([])).await;
    let answer = load([19, 0, 20], json!([id(2)])).await;
    assert_eq!(
        answer["deleted"], 1,
        "the one that left group 1; group 2 could not be read"
    );
    assert_eq!(live(&app).await, 59);
    // Another type of assignment is another scope.
    let owner = json!([{"resourceId": id(1), "principalId": id(100), "assignmentType": "Owner"}]);
    app.ingest("resource-assignments", owner, json!({}))
        .await
        .expect(201);
    let answer = load([18, 20, 20], json!([])).await;
    assert_eq!(answer["deleted"], 1);
    assert_eq!(app.count("select count(*) from resource_assignments where assignment_type = 'Owner' and deleted_at is null").await, 1);
}

#[tokio::test]
async fn a_refused_record_protects_its_row_and_one_that_names_none_protects_all() {
    let app = TestApp::start().await;
    full(&app, people(0..40, "Ada"), json!({})).await;
    let mut records = people(0..38, "Ada");
    records
        .as_array_mut()
        .expect("a list")
        .push(json!({"id": id(39), "displayName": 7}));
    let answer = full(&app, records.clone(), json!({})).await;
    assert_eq!(
        (&answer["rejected"], &answer["deleted"]),
        (&json!(1), &json!(1)),
        "38 is gone, 39 is only unreadable"
    );
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        39
    );

    records.as_array_mut().expect("a list")[0] = json!({"id": "not an id", "displayName": "Ada"});
    let answer = full(&app, records, json!({})).await;
    assert_eq!(
        (&answer["rejected"], &answer["deleted"]),
        (&json!(2), &json!(0))
    );
    assert!(
        answer["removalsSkipped"]
            .as_str()
            .expect("why")
            .contains("refused")
    );
}

#[tokio::test]
async fn removals_are_held_when_the_question_to_the_source_changed() {
    let app = TestApp::start().await;
    let session = async |filter: &str, range: std::ops::Range<u32>| {
        let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "sourceFilter": filter});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        let path = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        app.put(
            &format!("{path}/batches/0"),
            &json!({"records": people(range, "Ada")}),
        )
        .await
        .expect(200);
        app.post(
            &format!("{path}/commit"),
            &json!({"batches": 1, "complete": true}),
        )
        .await
        .expect(200)
    };
    session("all", 0..100).await;
    assert_eq!(session("all", 0..99).await["deleted"], 1);
    for _ in 0..2 {
        let answer = session("no guests", 0..98).await;
        assert_eq!(
            answer["held"]["reason"], "source_filter_changed",
            "also the second time"
        );
    }
    let held = app.get("/api/ingest/held").await.expect(200);
    let newest = held["items"][0]["changeSetId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        held["items"][1]["state"], "expired",
        "the newer load made the older set void"
    );
    app.post(
        &format!("/api/ingest/held/{newest}/approve"),
        &json!({"reason": "guests are out of scope now"}),
    )
    .await
    .expect(200);
    assert_eq!(
        session("no guests", 0..97).await["deleted"],
        1,
        "settled: the limits hold again"
    );
}

#[tokio::test]
async fn a_person_approves_or_rejects_with_a_reason_once() {
    let mut app = TestApp::start().await;
    full(&app, people(0..100, "Ada"), json!({})).await;
    let held = full(&app, people(0..50, "Ada"), json!({})).await["held"]["changeSetId"].clone();
    let path = |how: &str| format!("/api/ingest/held/{}/{how}", held.as_str().expect("an id"));
    let reason = json!({"reason": "office closed"});
    app.post(&path("approve"), &json!({"reason": " "}))
        .await
        .expect(400);
    // Number 60 came back before the decision: it is not what was held any more.
    app.ingest("principals", people(60..61, "Eve"), json!({}))
        .await
        .expect(201);

    let admin = std::mem::take(&mut app.key);
    app.key = app
        .new_key(&[Permission::Ingest, Permission::Read], None)
        .await;
    app.post(&path("approve"), &reason).await.expect(403);
    app.key = admin;
    let approved = app.post(&path("approve"), &reason).await.expect(200);
    assert_eq!(
        (&approved["state"], &approved["decisionReason"]),
        (&json!("approved"), &json!("office closed"))
    );
    assert_eq!(live(&app).await, 51);
    app.post(&path("approve"), &reason).await.expect(409);
    app.post(&path("reject"), &reason).await.expect(409);
    assert_eq!(
        app.count("select count(*) from audit_log where action = 'held.approve'")
            .await,
        1
    );

    let held = full(&app, people(0..20, "Ada"), json!({})).await["held"]["changeSetId"].clone();
    let path = format!("/api/ingest/held/{}/reject", held.as_str().expect("an id"));
    app.post(&path, &reason).await.expect(200);
    assert_eq!(live(&app).await, 51);
}

#[tokio::test]
async fn a_full_load_of_one_system_never_touches_another() {
    let mut app = TestApp::start().await;
    full(&app, people(0..3, "Ada"), json!({})).await;
    app.system_id = app.new_system("Other").await;
    full(&app, people(0..3, "Eve"), json!({})).await;
    full(&app, people(0..2, "Eve"), json!({})).await;
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        5
    );
    assert_eq!(
        app.count(
            "select count(*) from principals where display_name like 'Ada%' and deleted_at is null"
        )
        .await,
        3
    );
}

#[tokio::test]
async fn incomplete_parents_do_not_make_an_incomplete_load_complete() {
    let app = TestApp::start().await;
    let groups = |range: std::ops::Range<u32>| -> Value {
        range.flat_map(|group| members(group, 100..110)).collect()
    };
    let load = async |records: Value, commit: Value| {
        let body = json!({"systemId": app.system_id, "entity": "resource-assignments", "syncMode": "full"});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        let path = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        app.put(&format!("{path}/batches/0"), &json!({"records": records}))
            .await
            .expect(200);
        app.post(&format!("{path}/commit"), &commit)
            .await
            .expect(200)
    };
    load(groups(1..6), json!({"batches": 1, "complete": true})).await;
    let said_no = json!({"batches": 1, "complete": false, "incompleteParents": [id(1)]});
    assert_eq!(
        load(groups(1..5), said_no).await["deleted"],
        0,
        "the list of groups broke off"
    );
    assert_eq!(
        load(groups(1..5), json!({"batches": 1})).await["deleted"],
        0,
        "nothing was said"
    );
    let others = json!({"batches": 1, "incompleteParents": [id(1)]});
    assert_eq!(
        load(groups(2..5), others).await["deleted"],
        10,
        "all but the first were read"
    );
    assert_eq!(live(&app).await, 40);
}

#[tokio::test]
async fn in_a_small_scope_ten_rows_may_go_and_eleven_are_held() {
    let app = TestApp::start().await;
    full(&app, people(0..12, "Ada"), json!({})).await;
    assert_eq!(
        full(&app, people(3..12, "Ada"), json!({})).await["deleted"],
        3
    );
    full(&app, people(0..12, "Ada"), json!({})).await;
    let answer = full(&app, people(11..12, "Ada"), json!({})).await;
    assert_eq!(
        (&answer["deleted"], &answer["held"]["wouldDelete"]),
        (&json!(0), &json!(11))
    );
    assert_eq!(live(&app).await, 12);
}

#[tokio::test]
async fn a_filter_that_leaves_a_third_out_of_the_question_removes_nothing_unasked() {
    let app = TestApp::start().await;
    let load = async |range: std::ops::Range<u32>, filter: &str| {
        let body = json!({"systemId": app.system_id, "entity": "principals", "syncMode": "full", "sourceFilter": filter});
        let opened = app.post("/api/ingest/sessions", &body).await.expect(201);
        let path = format!(
            "/api/ingest/sessions/{}",
            opened["syncId"].as_str().expect("an id")
        );
        app.put(
            &format!("{path}/batches/0"),
            &json!({"records": people(range, "Ada")}),
        )
        .await
        .expect(200);
        app.post(
            &format!("{path}/commit"),
            &json!({"batches": 1, "complete": true}),
        )
        .await
        .expect(200)
    };
    load(0..100, "department=all").await;
    let answer = load(0..70, "department=Payroll").await;
    assert_eq!(
        (&answer["deleted"], &answer["held"]["wouldDelete"]),
        (&json!(0), &json!(30))
    );
    assert_eq!(
        answer["held"]["reason"], "source_filter_changed",
        "not that they were deleted at the source"
    );
    assert_eq!(live(&app).await, 100);
    // The old question again: nobody is missing, and nothing is left to decide.
    let answer = load(0..100, "department=all").await;
    assert_eq!((&answer["deleted"], answer.get("held")), (&json!(0), None));
    assert_eq!(live(&app).await, 100);
    let waiting = app.get("/api/ingest/held?state=held").await.expect(200);
    assert_eq!(waiting, json!({"items": []}));
}

#[tokio::test]
async fn incomplete_parents_that_nobody_knows_protect_nothing_and_hide_nothing() {
    let app = TestApp::start().await;
    let load = async |records: Vec<Value>, incomplete: Value| {
        let more = json!({"syncMode": "full", "incompleteParents": incomplete});
        app.ingest("resource-assignments", json!(records), more)
            .await
            .expect(201)
    };
    let both = |first: u32| [members(1, first..120), members(2, 100..120)].concat();
    load(both(100), json!([])).await;
    // Parent 3 has no row at all: a group that could not be read in its very first load.
    let answer = load(both(101), json!([id(3), id(3)])).await;
    assert_eq!(answer["deleted"], 1);
    let answer = load(members(1, 102..120), json!([id(3), id(2)])).await;
    assert_eq!(answer["deleted"], 1, "group 2 could not be read");
    assert_eq!(live(&app).await, 38);
    // Parents that all could not be read: nothing is missing.
    let answer = load(Vec::new(), json!([id(1), id(2), id(3)])).await;
    assert_eq!((&answer["deleted"], answer.get("held")), (&json!(0), None));
    assert_eq!(live(&app).await, 38);
    let nonsense = json!({"syncMode": "full", "incompleteParents": ["group 1"]});
    app.ingest("resource-assignments", json!([]), nonsense)
        .await
        .expect(400);
}

#[tokio::test]
async fn a_load_of_some_parents_removes_only_inside_them_and_decides_nothing_else() {
    let app = TestApp::start().await;
    let load = async |records: Vec<Value>, more: Value| {
        let mut all = json!({"syncMode": "full", "scope": {"assignmentType": "Direct"}});
        let (into, from) = (all.as_object_mut().expect("fields"), more.as_object());
        into.extend(from.expect("fields").clone());
        app.ingest("resource-assignments", json!(records), all)
            .await
    };
    let all = || -> Vec<Value> { (1..6).flat_map(|group| members(group, 100..120)).collect() };
    load(all(), json!({})).await.expect(201);
    // Half of group 1 left, and group 2 is gone with all its members; the rest was not read.
    let some = json!({"completeParents": [id(1), id(2), id(2), id(77)]});
    let answer = load(members(1, 100..118), some).await.expect(201);
    assert_eq!(
        (&answer["deleted"], &answer["held"]["wouldDelete"]),
        (&json!(0), &json!(22)),
        "more than 5 % of the scope, so a person decides"
    );
    let held = answer["held"]["changeSetId"].clone();
    // Another load of some parents leaves that alone, whatever it finds.
    let answer = load(members(3, 100..117), json!({"completeParents": [id(3)]}))
        .await
        .expect(201);
    assert_eq!(answer["deleted"], 3);
    let answer = load(members(3, 100..117), json!({"completeParents": [id(3)]}))
        .await
        .expect(201);
    assert_eq!(answer["deleted"], 0);
    let path = format!("/api/ingest/held/{}", held.as_str().expect("an id"));
    let set = app.get(&path).await.expect(200);
    assert_eq!(
        (&set["state"], &set["wouldDeleteNow"]),
        (&json!("held"), &json!(22))
    );
    let reason = json!({"reason": "they left"});
    app.post(&format!("{path}/approve"), &reason)
        .await
        .expect(200);
    assert_eq!(live(&app).await, 75);
    let settled = "select count(*) from sync_sessions where is_settled";
    assert_eq!(
        app.count(settled).await,
        2,
        "the first, and the approved one"
    );
}

#[tokio::test]
async fn complete_parents_are_refused_where_they_mean_nothing() {
    let app = TestApp::start().await;
    for (entity, more) in [
        ("principals", json!({"completeParents": [id(1)]})),
        (
            "resource-assignments",
            json!({"complete": false, "completeParents": [id(1)]}),
        ),
        (
            "resource-assignments",
            json!({"completeParents": [id(1)], "incompleteParents": [id(2)]}),
        ),
        (
            "resource-assignments",
            json!({"completeParents": vec![id(1); 20_001]}),
        ),
    ] {
        let mut all = json!({"syncMode": "full"});
        let (into, from) = (all.as_object_mut().expect("fields"), more.as_object());
        into.extend(from.expect("fields").clone());
        let refused = app.ingest(entity, json!([]), all).await.expect(400);
        assert_eq!(
            refused["errors"][0]["pointer"], "/completeParents",
            "{entity}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_row_that_comes_back_is_the_same_row_and_history_shows_both_lives() {
    let app = TestApp::start().await;
    full(&app, people(0..20, "Ada"), json!({})).await;
    let row = "select row_id from principals order by id limit 1";
    let before = app.count(row).await;
    full(&app, people(1..20, "Ada"), json!({})).await;
    assert_eq!(live(&app).await, 19);
    let answer = full(&app, people(0..20, "Ada"), json!({})).await;
    assert_eq!(
        (&answer["inserted"], &answer["updated"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(live(&app).await, 20);
    assert_eq!(app.count(row).await, before);
    let lives: Vec<(String, bool, bool)> = sqlx::query_as(
        "select h.operation, h.valid_from < h.valid_to, h.valid_to <= p.valid_from from history h \
         join principals p using (system_id, row_id)",
    )
    .fetch_all(&app.pool)
    .await
    .expect("history");
    assert_eq!(
        lives,
        [("delete".to_owned(), true, true)],
        "one life that ended, and the one since"
    );
}
