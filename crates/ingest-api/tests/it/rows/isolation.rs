//! A key sees the rows of its systems, in lists, counts and exports alike.

use contract::Permission;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ask, each};
use crate::app::{TestApp, people};

async fn seen(app: &TestApp, key: &str, more: &[(&str, &str)]) -> (Vec<Value>, Value, usize) {
    let base = "/api/register/principals";
    let parameters = [&[("count", "exact"), ("sort", "displayName")], more].concat();
    let list = ask(app, key, base, &parameters)
        .send()
        .await
        .expect("an answer");
    let list: Value = list.json().await.expect("JSON");
    let export = ask(app, key, &format!("{base}/export"), more)
        .send()
        .await
        .expect("an answer");
    let export = export.text().await.expect("a body");
    (
        each(&list, "displayName"),
        list["count"]["rows"].clone(),
        export.lines().count(),
    )
}

#[tokio::test]
async fn a_key_sees_nothing_of_other_systems_and_workspaces_in_lists_counts_and_exports() {
    let app = TestApp::start().await;
    let other = app.new_system("Other").await;
    app.ingest("principals", people(1..3, "Ada"), json!({}))
        .await
        .expect(201);
    app.ingest("principals", people(1..4, "Bo"), json!({"systemId": other}))
        .await
        .expect(201);
    let limited = app.new_key(&[Permission::Read], Some(vec![other])).await;
    let none = app.new_key(&[Permission::Read], Some(Vec::new())).await;
    let names = |word: &str, range: std::ops::Range<u32>| -> Vec<Value> {
        range.map(|n| json!(format!("{word} {n}"))).collect()
    };
    let (ada, bo) = (names("Ada", 1..3), names("Bo", 1..4));
    let both = [ada, bo.clone()].concat();
    assert_eq!(seen(&app, &app.key, &[]).await, (both.clone(), json!(5), 5));
    assert_eq!(seen(&app, &limited, &[]).await, (bo.clone(), json!(3), 3));
    assert_eq!(seen(&app, &none, &[]).await, (Vec::new(), json!(0), 0));
    let mine = format!("systemId eq {} or id exists", app.system_id);
    assert_eq!(
        seen(&app, &limited, &[("filter", &mine)]).await,
        (bo, json!(3), 3)
    );
    // A place of one key shows another key nothing that is not its own.
    let page = ask(
        &app,
        &app.key,
        "/api/register/principals",
        &[("limit", "1")],
    )
    .send()
    .await;
    let page: Value = page.expect("an answer").json().await.expect("JSON");
    let after = [("after", page["next"].as_str().expect("more"))];
    let rest = ask(&app, &limited, "/api/register/principals", &after)
        .send()
        .await;
    let rest: Value = rest.expect("an answer").json().await.expect("JSON");
    assert!(
        each(&rest, "systemId")
            .iter()
            .all(|system| *system == other),
        "{rest}"
    );

    // The system moves to another workspace.
    sqlx::query("with w as (insert into workspaces (name) values ('else') returning workspace_id) update systems set workspace_id = (select workspace_id from w) where system_id = $1")
        .bind(other)
        .execute(&app.pool)
        .await
        .expect("moves");
    assert_eq!(
        seen(&app, &app.key, &[]).await,
        (both[..2].to_vec(), json!(2), 2)
    );
    assert_eq!(seen(&app, &limited, &[]).await, (Vec::new(), json!(0), 0));
}

#[tokio::test]
async fn a_key_that_may_not_read_gets_neither_rows_nor_errors_about_its_question() {
    let app = TestApp::start().await;
    let key = app.new_key(&[Permission::Ingest], None).await;
    for path in [
        "/api/register/principals",
        "/api/register/governance/catalogs/export",
        "/api/register/orphan-references",
    ] {
        for filter in ["id exists", "nonsense"] {
            let answer = ask(&app, &key, path, &[("filter", filter)])
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        }
    }
}
