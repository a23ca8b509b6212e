//! `docs/examples/identity-atlas-sequence.sh` is true: crawlers written for Identity Atlas can load the register.

use std::process::Output;

use contract::Permission;
use tokio::process::Command;

use crate::app::TestApp;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/identity-atlas-sequence.sh"
);

async fn run_example(address: &str, key: &str) -> Output {
    let has_curl = Command::new("curl").arg("--version").output().await.is_ok();
    assert!(has_curl, "curl is missing: run scripts/deps.sh curl");
    Command::new("bash")
        .arg(SCRIPT)
        .env("CADASTRE_API_BASE_URL", address)
        .env("CADASTRE_API_KEY", key)
        .output()
        .await
        .expect("bash runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Every row of the register with the transaction that wrote it.
async fn rows(app: &TestApp) -> Vec<(i64, String)> {
    app.row_versions(
        "select xmin::text::bigint, 'system ' || system_id from systems \
         union all select xmin::text::bigint, 'principal ' || id from principals \
         union all select xmin::text::bigint, 'resource ' || id from resources \
         union all select xmin::text::bigint, 'assignment ' || resource_id || ' ' || principal_id from resource_assignments \
         union all select xmin::text::bigint, 'closure ' || from_id || ' ' || to_id from access_closure \
         order by 2",
    )
    .await
}

#[tokio::test]
async fn the_example_loads_the_register_and_a_second_run_changes_nothing() {
    let app = TestApp::start().await;
    let key = app
        .new_key(&[Permission::Ingest, Permission::Read], None)
        .await;
    let first = run_example(app.base(), &key).await;
    assert!(first.status.success(), "{}", text(&first));

    // The names of managers and of what is held come from joins: every reference meets its row.
    let people: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "select p.principal_type, p.display_name, m.display_name from principals p \
         left join principals m on m.system_id = p.system_id and m.id = p.manager_id order by 1, 2",
    )
    .fetch_all(&app.pool)
    .await
    .expect("people");
    let person = |kind: &str, name: &str, manager: Option<&str>| {
        (kind.to_owned(), name.to_owned(), manager.map(str::to_owned))
    };
    assert_eq!(
        people,
        [
            person("ServicePrincipal", "Payroll robot", None),
            person("User", "Ada Example", None),
            person("User", "Bo Example", Some("Ada Example")),
            person("User", "Cy Example", None),
        ]
    );
    let held: Vec<String> = sqlx::query_scalar(
        "select coalesce(p.display_name, g.display_name) || ' -> ' || r.display_name from resource_assignments a \
         join resources r on r.system_id = a.system_id and r.id = a.resource_id \
         left join principals p on p.system_id = a.system_id and p.id = a.principal_id \
         left join resources g on g.system_id = a.system_id and g.id = a.principal_id order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .expect("assignments");
    assert_eq!(
        held,
        [
            "Ada Example -> Payroll team",
            "All staff -> Read payslips",
            "Bo Example -> All staff",
            "Payroll robot -> Payroll team",
            "Payroll team -> All staff",
        ]
    );
    let attribute =
        "select count(*) from principals where extended_attributes = '{\"shoeSize\": 38}'";
    assert_eq!(app.count(attribute).await, 1);

    let before = rows(&app).await;
    let second = run_example(&format!("{}/api/", app.base()), &key).await;
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(rows(&app).await, before);
    assert!(!text(&first).contains(&key) && !text(&second).contains(&key));
}

#[tokio::test]
async fn the_example_fails_loudly_where_an_answer_is_not_as_it_should_be() {
    let app = TestApp::start().await;
    let no_reader = app.new_key(&[Permission::Ingest], None).await;
    for (key, reason) in [
        ("fgc_not_a_key", "HTTP 401, not 200"),
        (no_reader.as_str(), "no \"read\" in"),
    ] {
        let output = run_example(app.base(), key).await;
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(reason), "{}", text(&output));
    }
    assert_eq!(app.count("select count(*) from principals").await, 0);
}
