//! Core fields get an index on request and lose it again, and nothing else about them changes.

use std::time::Duration;

use contract::Permission;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, TestApp, id, until},
    attributes::{at_once, demote, path, promote, server, until_is},
    openapi_examples::stand_alone,
};

pub async fn ask(app: &TestApp, entity: &str, field: &str) -> Answer {
    let body = json!({"entity": entity, "field": field});
    app.post("/api/attributes/promotions", &body).await
}

/// Asks for the index of a field of principals and waits until it is there.
async fn indexed_now(app: &TestApp, field: &str) -> Value {
    let begun = ask(app, "principals", field).await.expect(201);
    until_is(app, &begun, "ready").await
}

/// Is there a whole index with this name? None where there is no such index.
pub async fn is_whole(app: &TestApp, index: &str) -> Option<bool> {
    sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass($1)")
        .bind(index)
        .fetch_optional(&app.pool)
        .await
        .expect("an answer")
}

pub const CREATED: &str = "principals_created_date_time";

pub async fn people(app: &TestApp, count: u32) {
    let records: Vec<Value> = (0..count)
        .map(|n| {
            let mut person = json!({"id": id(n), "displayName": "Ada", "department": format!("Core {}", count - n),
                "extendedAttributes": {"department": format!("Ext {n}")}});
            if n % 3 != 0 {
                person["createdDateTime"] = json!(format!("2026-01-{:02}T00:00:00Z", 1 + n % 28));
            }
            person
        })
        .collect();
    let answer = app
        .ingest("principals", records.into(), json!({"syncMode": "delta"}))
        .await
        .expect(201);
    assert_eq!(answer["rejected"], 0, "{answer}");
}

/// Columns of the table, and everything that is in its rows but for columns of attributes.
async fn seen(app: &TestApp) -> (String, String) {
    sqlx::query_as(
        "select (select string_agg(column_name || ' ' || data_type, ',' order by column_name) from information_schema.columns \
         where table_name = 'principals' and column_name !~ '^attr_'), \
         (select string_agg((select string_agg(e.key || e.value, ',' order by e.key) from jsonb_each_text(to_jsonb(p)) e \
         where e.key !~ '^attr_'), '/' order by p.row_id) from principals p)",
    )
    .fetch_one(&app.pool)
    .await
    .expect("rows")
}

/// Rows whose column is not what it should be.
async fn wrong(app: &TestApp, promotion: &Value, expected: &str) -> i64 {
    let column = promotion["column"].as_str().expect("a name");
    let sql = format!("select count(*) from principals where {column} is distinct from {expected}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(&app.pool)
        .await
        .expect("a number")
}

/// The ids of a list in its order.
async fn listed(app: &TestApp, sort: &str) -> Vec<Value> {
    let list = app
        .get(&format!("/api/register/principals?limit=1000&sort={sort}"))
        .await
        .expect(200);
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["id"].clone()).collect()
}

#[tokio::test]
async fn a_field_gets_an_index_and_keeps_its_column_and_values_when_that_is_taken_back() {
    let app = server(at_once()).await;
    people(&app, 60).await;
    let (before, order) = (seen(&app).await, listed(&app, "createdDateTime").await);
    let created = indexed_now(&app, "createdDateTime").await;
    assert_eq!(created["field"], "createdDateTime");
    assert_eq!(created["column"], "created_date_time");
    for absent in [
        "attribute",
        "type",
        "mismatches",
        "progressPercent",
        "error",
    ] {
        assert!(created.get(absent).is_none(), "{created}");
    }
    assert!(created["readyAt"].is_string(), "{created}");
    let page = app
        .get("/api/attributes/promotions?entity=principals&state=ready")
        .await
        .expect(200);
    assert_eq!(page["items"], json!([created]));
    let definition: String =
        sqlx::query_scalar("select indexdef from pg_indexes where indexname = $1")
            .bind(CREATED)
            .fetch_one(&app.pool)
            .await
            .expect("an index");
    assert!(
        definition.ends_with("(system_id, created_date_time, id)"),
        "{definition}"
    );
    // Asking again answers the one that there is.
    let again = ask(&app, "principals", "createdDateTime").await.expect(200);
    assert_eq!(again["promotionId"], created["promotionId"]);
    // It is no column of an attribute: nothing fills it, nothing reads it as one.
    let fills = "select count(*) from pg_trigger where tgname = 'fill_promoted'";
    assert_eq!(app.count(fills).await, 0);
    let found = ingest_api::attributes::promoted(&app.pool, contract::Entity::Principals).await;
    assert_eq!(found.expect("an answer"), []);

    assert_eq!(demote(&app, &created).await["state"], "demoting");
    until_is(&app, &created, "demoted").await;
    assert_eq!(is_whole(&app, CREATED).await, None);
    assert_eq!(seen(&app).await, before);
    assert_eq!(listed(&app, "createdDateTime").await, order);
    let audited = "select count(*) from audit_log where detail ->> 'field' = 'createdDateTime' \
         and action in ('attribute.promote', 'attribute.demote')";
    assert_eq!(app.count(audited).await, 2);
}

#[tokio::test]
async fn an_attribute_and_a_field_of_one_name_are_promoted_and_taken_back_each_for_itself() {
    let app = server(at_once()).await;
    people(&app, 40).await;
    let before = seen(&app).await;
    let (core, extended) = (
        listed(&app, "department").await,
        listed(&app, "ext.department").await,
    );
    assert_ne!(core, extended);
    let (theirs, ours) = (
        "extended_attributes ->> 'department'",
        "'Core ' || 40 - ('x' || right(id::text, 4))::bit(16)::integer",
    );
    // Both waiting together, each first to go once.
    for attribute_goes_first in [true, false] {
        let field = ask(&app, "principals", "department").await.expect(201);
        let attribute = promote(&app, "department", "text").await.expect(201);
        let field = until_is(&app, &field, "ready").await;
        let attribute = until_is(&app, &attribute, "ready").await;
        assert_ne!(field["column"], attribute["column"]);
        // What is promoted is remembered for a moment.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(listed(&app, "department").await, core);
        assert_eq!(listed(&app, "ext.department").await, extended);
        assert_eq!(wrong(&app, &attribute, theirs).await, 0);
        assert_eq!(wrong(&app, &field, ours).await, 0);

        let mut order = [&field, &attribute];
        if attribute_goes_first {
            order.reverse();
        }
        for promotion in order {
            demote(&app, promotion).await;
            until_is(&app, promotion, "demoted").await;
            assert_eq!(wrong(&app, &field, ours).await, 0);
        }
        assert_eq!(wrong(&app, &attribute, "null").await, 0);
        assert_eq!(is_whole(&app, "principals_department").await, None);
    }
    assert_eq!(seen(&app).await, before);
}

#[tokio::test]
async fn what_is_no_field_to_sort_by_or_has_an_index_is_refused_and_named() {
    let app = server(at_once()).await;
    for (body, pointer, says) in [
        (json!({"entity": "principals"}), "", "either"),
        (
            json!({"entity": "principals", "attribute": "a", "field": "department"}),
            "",
            "either",
        ),
        (
            json!({"entity": "principals", "field": "costCenter"}),
            "/field",
            "'costCenter'",
        ),
        (
            json!({"entity": "principals", "field": "created_date_time"}),
            "/field",
            "createdDateTime",
        ),
        (
            json!({"entity": "principals", "field": "a\0b"}),
            "/field",
            "no core field",
        ),
        (
            json!({"entity": "principals", "field": "ext.site"}),
            "/field",
            "'ext.site'",
        ),
        (
            json!({"entity": "principals", "field": "id"}),
            "/field",
            "already",
        ),
        (
            json!({"entity": "principals", "field": "displayName"}),
            "/field",
            "already",
        ),
        (
            json!({"entity": "resources", "field": "displayName"}),
            "/field",
            "already",
        ),
        (
            json!({"entity": "resource-assignments", "field": "resourceId"}),
            "/field",
            "already",
        ),
        (
            json!({"entity": "principals", "field": "extendedAttributes"}),
            "/field",
            "sorted",
        ),
        (
            json!({"entity": "principals", "field": "department", "type": "text"}),
            "/type",
            "department",
        ),
        (
            json!({"entity": "systems", "field": "displayName"}),
            "/entity",
            "systems",
        ),
    ] {
        let refused = app.post("/api/attributes/promotions", &body).await;
        let refused = refused.expect(400);
        // What is wrong with the whole body has no place in it.
        let found = refused["errors"][0]["pointer"].as_str().unwrap_or("");
        assert_eq!(found, pointer, "{body}: {refused}");
        let detail = refused["detail"].as_str().expect("a text");
        assert!(detail.contains(says), "{body}: {detail}");
    }
    let wanted = json!({"promotions": [{"entity": "principals", "field": "no such"},
        {"entity": "contexts", "field": "displayName"}, {"entity": "contexts", "field": "extendedAttributes"}]});
    let answer = app
        .put("/api/attributes/promotions", &wanted)
        .await
        .expect(200);
    assert_eq!(answer["items"][0]["field"], "displayName", "{answer}");
    let refused = answer["refused"].as_array().expect("a list");
    let places: Vec<&Value> = refused.iter().map(|one| &one["index"]).collect();
    assert_eq!(places, [0, 2], "{answer}");
    until_is(&app, &answer["items"][0], "ready").await;
    let asked = "select count(*) from promoted_attributes";
    assert_eq!(app.count(asked).await, 1);
}

#[test]
fn the_document_asks_for_an_attribute_or_a_field_and_for_a_type_of_attributes_only() {
    let promote = json!({"$ref": "#/components/schemas/Promote"});
    let promote = jsonschema::validator_for(&stand_alone(&promote)).expect("a schema");
    for (body, is_taken) in [
        (json!({"attribute": "a"}), true),
        (json!({"attribute": "a", "type": "text"}), true),
        (json!({"attribute": "a", "field": null}), true),
        (json!({"field": "department"}), true),
        (
            json!({"field": "department", "attribute": null, "type": null}),
            true,
        ),
        (json!({}), false),
        (json!({"attribute": null, "field": null}), false),
        (json!({"attribute": "a", "field": "department"}), false),
        (json!({"field": "department", "type": "text"}), false),
    ] {
        let mut body = body;
        body["entity"] = json!("principals");
        assert_eq!(promote.is_valid(&body), is_taken, "{body}");
    }
}

#[tokio::test]
async fn only_keys_that_may_promote_and_only_their_own_workspace_sees_a_fields_index() {
    let mut app = server(at_once()).await;
    let created = indexed_now(&app, "createdDateTime").await;
    let reader = app.new_key(&[Permission::Read], None).await;
    let all = std::mem::replace(&mut app.key, reader);
    app.get(&path(&created)).await.expect(200);
    ask(&app, "principals", "department").await.expect(403);
    app.send(app.request(Method::POST, &format!("{}/demote", path(&created))))
        .await
        .expect(403);
    app.key = all;
    // Another workspace wants it too: it stays until neither wants it.
    sqlx::query("with other as (insert into workspaces (name) values ('other') returning workspace_id) \
         update promoted_attributes set workspace_ids = workspace_ids || workspace_id, wanted_by = wanted_by || workspace_id from other")
        .execute(&app.pool)
        .await
        .expect("another workspace");
    assert_eq!(demote(&app, &created).await["state"], "ready");
    assert_eq!(is_whole(&app, CREATED).await, Some(true));
    sqlx::query("update promoted_attributes set workspace_ids = array_remove(workspace_ids, 1)")
        .execute(&app.pool)
        .await
        .expect("an update");
    app.get(&path(&created)).await.expect(404);
    app.send(app.request(Method::POST, &format!("{}/demote", path(&created))))
        .await
        .expect(404);
    let list = app.get("/api/attributes/promotions").await.expect(200);
    assert_eq!(list["items"], json!([]));
    // What only others asked for is a promotion of one's own as soon as one asks.
    let mine = ask(&app, "principals", "createdDateTime").await.expect(200);
    assert_eq!(mine["state"], "ready");
    assert_eq!(demote(&app, &mine).await["state"], "ready");
}

#[tokio::test]
async fn an_index_that_is_asked_for_again_while_it_goes_is_there_in_the_end() {
    let app = server(at_once()).await;
    people(&app, 20).await;
    for _ in 0..5 {
        let first = ask(&app, "principals", "createdDateTime").await.expect(201);
        demote(&app, &first).await;
        let second = ask(&app, "principals", "createdDateTime").await.expect(201);
        assert_ne!(second["promotionId"], first["promotionId"]);
        until_is(&app, &first, "demoted").await;
        until_is(&app, &second, "ready").await;
        assert_eq!(is_whole(&app, CREATED).await, Some(true));
        demote(&app, &second).await;
        let third = ask(&app, "principals", "createdDateTime").await.expect(201);
        until_is(&app, &second, "demoted").await;
        until_is(&app, &third, "ready").await;
        assert_eq!(is_whole(&app, CREATED).await, Some(true));
        demote(&app, &third).await;
        until_is(&app, &third, "demoted").await;
        assert_eq!(is_whole(&app, CREATED).await, None);
    }
    // One that was taken back long ago and could not go until now.
    indexed_now(&app, "createdDateTime").await;
    sqlx::query(
        "insert into promoted_attributes (promotion_id, entity, table_name, field, column_name, state, workspace_ids, wanted_by, \
         requested_by) select gen_random_uuid(), entity, table_name, field, column_name, 'demoting', workspace_ids, '{}', 'late' \
         from promoted_attributes where state = 'ready'",
    )
    .execute(&app.pool)
    .await
    .expect("another promotion");
    let late = "select count(*) from promoted_attributes where requested_by = 'late' and state = 'demoted'";
    until(async || app.count(late).await == 1).await;
    assert_eq!(is_whole(&app, CREATED).await, Some(true));
}

#[tokio::test]
async fn a_list_of_promotions_with_one_that_names_nothing_or_two_things_is_refused_as_a_whole() {
    let app = TestApp::start().await;
    let good = json!({"entity": "principals", "attribute": "costCenter"});
    for bad in [
        json!({"entity": "principals"}),
        json!({"entity": "principals", "attribute": null, "field": null}),
        json!({"entity": "principals", "attribute": "a", "field": "surname"}),
        json!({"entity": "principals", "field": "surname", "type": "text"}),
    ] {
        let body = json!({"promotions": [good, bad]});
        let answer = app.put("/api/attributes/promotions", &body).await;
        let refused = answer.expect(400);
        assert_eq!(
            refused["errors"][0]["pointer"], "/promotions/1",
            "{refused}"
        );
    }
    let known = app.get("/api/attributes/promotions").await.expect(200);
    assert_eq!(known["items"], json!([]), "nothing was begun");
}
