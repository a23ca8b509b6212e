use std::time::Duration;

use crate::register::{DEFAULT_WORKSPACE, Holder, Register, id};

/// The same ids in two workspaces; what one asks must never come from the other.
#[tokio::test]
async fn rows_of_another_workspace_never_appear() {
    let register = Register::start().await;
    let theirs = register.add_workspace("theirs").await;
    let their_system = register.add_system(theirs, "EntraID:one").await;
    let (ada, role) = (id(1), id(0x62e9_0394_69f5_4237_9190_0121_7714_5e10));
    register.user(their_system, ada, "Their Ada").await;
    register
        .resource(their_system, role, "EntraDirectoryRole", "Their role")
        .await;
    register
        .hold_at(their_system, Holder::User(ada), "Direct", "/", role)
        .await;
    views::refresh(&register.pool).await.expect("refreshes");
    let pool = &register.pool;
    for (workspace, expected) in [(theirs, 1), (DEFAULT_WORKSPACE, 0)] {
        let holders = views::resource_holders(pool, workspace, their_system, role, None, 10)
            .await
            .expect("holders");
        let holdings = views::principal_holdings(pool, workspace, their_system, ada, None, 10)
            .await
            .expect("holdings");
        let explanation = views::explain(pool, workspace, their_system, ada, role)
            .await
            .expect("an explanation");
        let privileged = views::privileged_principals(pool, workspace, 10)
            .await
            .expect("a ranking");
        let principals = views::find_principals(pool, workspace, &ada.to_string(), None, 10)
            .await
            .expect("principals");
        let resources = views::find_resources(pool, workspace, "role", None, 10)
            .await
            .expect("resources");
        let totals = views::totals(pool, workspace, Duration::from_secs(60))
            .await
            .expect("totals");
        let counts = [
            holders.items.len(),
            holdings.items.len(),
            explanation.paths.len(),
            usize::from(explanation.principal_name.is_some()),
            usize::from(explanation.resource_name.is_some()),
            privileged.len(),
            principals.len(),
            resources.len(),
            totals.principals as usize,
            totals.resource_assignments as usize,
            totals.effective_access.expect("counted") as usize,
        ];
        assert_eq!(counts, [expected; 11], "workspace {workspace}");
    }
}

/// Equal ids in two systems of one workspace stay apart.
#[tokio::test]
async fn groups_of_one_system_convey_nothing_in_another() {
    let register = Register::start().await;
    let second = register.add_system(DEFAULT_WORKSPACE, "EntraID:two").await;
    register.hold(Holder::User(id(1)), "Direct", id(101)).await;
    register
        .hold_at(second, Holder::Group(id(101)), "Direct", "/", id(201))
        .await;
    views::refresh(&register.pool).await.expect("refreshes");
    let rows: Vec<(i32, uuid::Uuid)> =
        sqlx::query_as("select system_id, resource_id from effective_access")
            .fetch_all(&register.pool)
            .await
            .expect("rows");
    assert_eq!(rows, [(register.system_id, id(101))]);
}
