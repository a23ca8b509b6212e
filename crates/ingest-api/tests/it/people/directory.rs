//! A crawled tenant with groups, and a server on which its people sign in.

use std::{sync::Arc, time::Duration};

use contract::{Role, SystemId};
use ingest_api::{
    ServerSettings,
    people::{Link, ProviderSettings, Settings},
};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::app::{TestApp, id, members, merge, people};

pub const TENANT: &str = "11111111-2222-4333-8444-555555555555";
pub const SECRET: &str = "a secret: with/odd+letters";

/// Settings of a server whose people sign in at an issuer.
pub fn signing_in_at(issuer: &str) -> ServerSettings {
    with_link(issuer, Link::Directory)
}

/// The same, led to principals in another way.
pub fn with_link(issuer: &str, link: Link) -> ServerSettings {
    let url: Url = issuer.parse().expect("a URL");
    ServerSettings {
        people: Settings {
            provider: Some(Arc::new(ProviderSettings {
                issuer: issuer.to_owned(),
                origins: vec![url.origin()],
                client_id: "cadastre".into(),
                client_secret: Some(SECRET.to_owned().into()),
                scopes: "openid profile email".into(),
                clock_skew: Duration::from_secs(60),
                link,
            })),
            ..Settings::default()
        },
        ..ServerSettings::default()
    }
}

/// A tenant with principals 1 to 9 and groups 101 to 109, in which nobody is anything.
pub async fn new_tenant(app: &TestApp) -> SystemId {
    let body = json!({"records": [{"systemType": "EntraID", "displayName": "Tenant", "tenantId": TENANT}]});
    let answer = app.post("/api/ingest/systems", &body).await.expect(201);
    let system_id = answer["systemIds"][0].as_i64().expect("a number") as SystemId;
    load(app, system_id, "principals", people(1..10, "Person")).await;
    let groups: Value = (101..110)
        .map(|n| json!({"id": id(n), "displayName": format!("Group {n}"), "resourceType": "EntraGroup"}))
        .collect();
    load(app, system_id, "resources", groups).await;
    system_id
}

/// Loads records, all of which land.
pub async fn load(app: &TestApp, system_id: SystemId, entity: &str, records: Value) {
    let more = json!({"systemId": system_id, "syncMode": "delta"});
    let answer = app.ingest(entity, records, more).await;
    assert!(answer.status.is_success(), "{:#}", answer.body);
    assert_eq!(answer.body["rejected"], 0, "{:#}", answer.body);
}

/// Principal `who` becomes a member of a group; `more` joins the record.
pub async fn join(app: &TestApp, system_id: SystemId, group: u32, who: u32, more: Value) {
    let mut record = members(group, who..who + 1).remove(0);
    merge(&mut record, more);
    load(app, system_id, "resource-assignments", json!([record])).await;
}

/// Removes a membership.
pub async fn leave(app: &TestApp, group: u32, who: u32) {
    sqlx::query(
        "update resource_assignments set deleted_at = now() where resource_id = $1 and principal_id = $2",
    )
    .bind(id(group))
    .bind(id(who))
    .execute(&app.pool)
    .await
    .expect("removed");
}

/// Gives the members of a group a role.
pub async fn map(app: &TestApp, system_id: SystemId, group: u32, role: Role) -> Uuid {
    let body = json!({"systemId": system_id, "resourceId": id(group), "role": role});
    let made = app
        .post("/api/admin/role-mappings", &body)
        .await
        .expect(201);
    made["mappingId"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id")
}

/// How many entries of an action there are.
pub async fn entries(app: &TestApp, action: &str) -> Vec<Value> {
    sqlx::query_scalar("select detail from audit_log where action = $1 order by audit_id")
        .bind(action)
        .fetch_all(&app.pool)
        .await
        .expect("entries")
}
