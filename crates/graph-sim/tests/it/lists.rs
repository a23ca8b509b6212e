use std::collections::BTreeSet;

use graph_sim::{ServicePrincipalClass, TenantSpec};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{id, ids, start, start_default, unlimited};

#[tokio::test]
async fn paging_returns_every_object_once() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    for (path, expected) in [
        (
            "/v1.0/users?$select=id&$top=7",
            truth
                .users
                .iter()
                .map(|user| user.id)
                .collect::<BTreeSet<_>>(),
        ),
        (
            "/v1.0/users",
            truth.users.iter().map(|user| user.id).collect(),
        ),
        (
            "/beta/groups?$top=13&$select=id,displayName",
            truth.groups.iter().map(|group| group.id).collect(),
        ),
        (
            "/v1.0/servicePrincipals?$top=9",
            truth
                .service_principals
                .iter()
                .map(|principal| principal.id)
                .collect(),
        ),
        (
            "/v1.0/applications?$top=2",
            truth
                .applications
                .iter()
                .map(|application| application.id)
                .collect(),
        ),
        (
            "/v1.0/roleManagement/directory/roleDefinitions?$top=5",
            truth.roles.iter().map(|role| role.id).collect(),
        ),
        (
            "/beta/identityGovernance/privilegedAccess/group/resources?$top=2",
            truth.pim_groups.iter().copied().collect(),
        ),
    ] {
        let found = client.all(path).await;
        assert_eq!(found.len(), expected.len(), "{path}");
        assert_eq!(ids(&found), expected, "{path}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn only_selected_properties_are_returned() {
    let (simulator, client) = start_default().await;
    let user = &client
        .get("/v1.0/users?$select=id,department&$top=1")
        .await
        .value()[0];
    assert_eq!(user.as_object().expect("it is an object").len(), 2);
    let default = &client.get("/v1.0/users?$top=1").await.value()[0];
    assert_eq!(default.as_object().expect("it is an object").len(), 11);
    simulator.stop().await;
}

#[tokio::test]
async fn users_look_as_the_truth_says() {
    let (simulator, client) = start_default().await;
    let select = "id,displayName,userPrincipalName,accountEnabled,userType,department,createdDateTime,mail,employeeId";
    let users = client
        .all(&format!(
            "/v1.0/users?$select={select}&$expand=manager($select=id)&$top=50"
        ))
        .await;
    for truth in simulator.truth().users {
        let user = users
            .iter()
            .find(|user| id(user) == truth.id)
            .expect("it is listed");
        assert_eq!(user["displayName"], json!(truth.display_name));
        assert_eq!(user["userPrincipalName"], json!(truth.user_principal_name));
        assert_eq!(user["accountEnabled"], json!(truth.account_enabled));
        assert_eq!(user["userType"], json!(truth.user_type.as_str()));
        assert_eq!(user["department"], json!(truth.department));
        assert_eq!(user["mail"], json!(truth.mail));
        assert_eq!(user["employeeId"], json!(truth.employee_id));
        let created: chrono::DateTime<chrono::Utc> = user["createdDateTime"]
            .as_str()
            .expect("it is text")
            .parse()
            .expect("it is a moment");
        assert_eq!(created, truth.created);
        let manager = user.get("manager").map(id);
        assert_eq!(manager, truth.manager_id);
    }
    simulator.stop().await;
}

#[tokio::test]
async fn agents_are_marked_by_their_type() {
    let (simulator, client) = start_default().await;
    let found = client.all("/v1.0/servicePrincipals").await;
    let agents: BTreeSet<Uuid> = found
        .iter()
        .filter(|object| object["@odata.type"] == "#microsoft.graph.agentIdentity")
        .map(id)
        .collect();
    let truth = simulator.truth();
    let expected: BTreeSet<Uuid> = truth
        .service_principals
        .iter()
        .filter(|principal| principal.class == ServicePrincipalClass::AgentIdentity)
        .map(|principal| principal.id)
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(agents, expected);
    let types: BTreeSet<&str> = found
        .iter()
        .filter_map(|object| object["servicePrincipalType"].as_str())
        .collect();
    assert_eq!(
        types,
        BTreeSet::from([
            "Application",
            "Legacy",
            "ManagedIdentity",
            "ServiceIdentity"
        ])
    );
    simulator.stop().await;
}

#[tokio::test]
async fn roles_and_eligibilities_come_as_the_truth_says() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let text = |object: &Value| object["id"].as_str().expect("it is text").to_owned();
    let base = "/v1.0/roleManagement/directory";
    let assignments = client
        .all(&format!("{base}/roleAssignments?$expand=principal&$top=3"))
        .await;
    assert!(
        assignments
            .iter()
            .all(|held| held["principal"]["@odata.type"].is_string())
    );
    let expected: BTreeSet<String> = truth
        .role_assignments
        .iter()
        .map(|held| held.id.clone())
        .collect();
    assert_eq!(
        assignments.iter().map(text).collect::<BTreeSet<_>>(),
        expected
    );
    let instances = client
        .all(&format!("{base}/roleAssignmentScheduleInstances"))
        .await;
    assert_eq!(
        instances.iter().map(text).collect::<BTreeSet<_>>(),
        expected
    );
    let schedules = client
        .all(&format!("{base}/roleEligibilitySchedules?$top=4"))
        .await;
    assert_eq!(
        ids(&schedules),
        truth
            .role_eligibilities
            .iter()
            .map(|held| held.id)
            .collect()
    );
    let instances = client
        .all(&format!("{base}/roleEligibilityScheduleInstances?$top=4"))
        .await;
    assert_eq!(instances.len(), truth.role_eligibilities.len());
    let mut eligible = BTreeSet::new();
    for group in &truth.pim_groups {
        let path = format!(
            "/v1.0/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances?$filter=groupId eq '{group}'&$top=1"
        );
        eligible.extend(client.all(&path).await.iter().map(text));
    }
    assert_eq!(
        eligible,
        truth
            .group_eligibilities
            .iter()
            .map(|held| held.id.clone())
            .collect()
    );
    simulator.stop().await;
}

#[tokio::test]
async fn is_privileged_is_known_to_beta_only() {
    let (simulator, client) = start_default().await;
    let path = "roleManagement/directory/roleDefinitions?$select=id,isPrivileged";
    assert_eq!(client.get(&format!("/v1.0/{path}")).await.status, 400);
    let roles = client.all(&format!("/beta/{path}")).await;
    assert!(roles.iter().any(|role| role["isPrivileged"] == true));
    simulator.stop().await;
}

#[tokio::test]
async fn wrong_questions_get_graphs_errors() {
    let (simulator, client) = start_default().await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let pim = "/v1.0/identityGovernance/privilegedAccess/group";
    for (path, status, code) in [
        (
            "/v1.0/users?$select=id,shoeSize".to_owned(),
            400,
            "Request_BadRequest",
        ),
        (
            "/v1.0/users?$top=1000".to_owned(),
            400,
            "Request_BadRequest",
        ),
        ("/v1.0/users?$top=0".to_owned(), 400, "Request_BadRequest"),
        (
            "/v1.0/users?$search=x".to_owned(),
            400,
            "Request_UnsupportedQuery",
        ),
        (
            "/v1.0/users?$skiptoken=nonsense".to_owned(),
            400,
            "Request_BadRequest",
        ),
        (
            "/v1.0/users?$expand=manager($select=shoeSize)".to_owned(),
            400,
            "Request_BadRequest",
        ),
        ("/v1.0/users/$count".to_owned(), 400, "Request_BadRequest"),
        (
            format!("/v1.0/groups/{nobody}/members"),
            404,
            "Request_ResourceNotFound",
        ),
        (
            format!("/v1.0/groups/{nobody}"),
            404,
            "Request_ResourceNotFound",
        ),
        (
            format!("{pim}/eligibilityScheduleInstances"),
            400,
            "MissingParameters",
        ),
        (format!("{pim}/resources"), 404, "BadRequest"),
        ("/v1.0/flyingCarpets".to_owned(), 404, "BadRequest"),
        ("/v9/users".to_owned(), 404, "UnknownVersion"),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path}"
        );
        let inner = &answer.json()["error"]["innerError"];
        assert!(
            inner["request-id"].is_string() && inner["date"].is_string(),
            "{path}"
        );
    }
    simulator.stop().await;
}

#[tokio::test]
async fn next_links_stay_on_the_simulators_origin_and_keep_the_options() {
    let (simulator, client) = start_default().await;
    let page = client
        .get("/v1.0/users?$select=id&$filter=userType eq 'Member'&$top=5")
        .await
        .json();
    let link = page["@odata.nextLink"].as_str().expect("there is more");
    assert!(
        link.starts_with(&format!("{}/v1.0/users?", simulator.base_url())),
        "{link}"
    );
    assert!(
        link.contains("$filter=userType%20eq%20'Member'") && link.contains("$skiptoken="),
        "{link}"
    );
    assert!(
        page["@odata.context"]
            .as_str()
            .expect("it is text")
            .contains("$metadata#users")
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_page_that_was_left_goes_on_behind_deleted_objects() {
    let (simulator, client) = start_default().await;
    let before: BTreeSet<Uuid> = simulator.truth().users.iter().map(|user| user.id).collect();
    let page = client.get("/v1.0/users?$select=id&$top=20").await;
    let first = ids(&page.value());
    simulator.with_tenant(|tenant| tenant.remove_objects(first.iter().copied()));
    let rest = ids(&client
        .all(
            page.json()["@odata.nextLink"]
                .as_str()
                .expect("there is more"),
        )
        .await);
    assert_eq!(&rest, &before.difference(&first).copied().collect());
    simulator.stop().await;
}

#[tokio::test]
async fn ids_are_resolved_with_their_types_and_unknown_ones_are_left_out() {
    let (simulator, client) = start_default().await;
    let truth = simulator.truth();
    let wanted = [
        truth.users[0].id,
        truth.groups[0].id,
        truth.service_principals[0].id,
        Uuid::nil(),
    ];
    let found = client
        .post(
            "/v1.0/directoryObjects/getByIds?$select=id",
            &json!({"ids": wanted}),
        )
        .await
        .value();
    assert_eq!(ids(&found), wanted[..3].iter().copied().collect());
    let body = json!({"ids": wanted, "types": ["group"]});
    let groups = client
        .post("/v1.0/directoryObjects/getByIds", &body)
        .await
        .value();
    assert_eq!(ids(&groups), BTreeSet::from([truth.groups[0].id]));
    let many: Vec<Uuid> = (0..1_001).map(|_| truth.users[0].id).collect();
    assert_eq!(
        client
            .post("/v1.0/directoryObjects/getByIds", &json!({"ids": many}))
            .await
            .status,
        400
    );
    simulator.stop().await;
}

#[tokio::test]
async fn filters_and_counts_agree_with_the_truth() {
    let (simulator, client) = start(&TenantSpec::new(5, 300, 80, 20), unlimited()).await;
    let truth = simulator.truth();
    let guests = truth.users.iter().filter(|user| user.is_guest()).count();
    let filter = "$filter=userType eq 'Guest'";
    assert_eq!(
        client
            .all(&format!("/v1.0/users?$select=id&{filter}"))
            .await
            .len(),
        guests
    );
    let counted = client
        .get_eventual(&format!("/v1.0/users/$count?{filter}"))
        .await;
    assert_eq!(counted.text, guests.to_string());
    let page = client
        .get_eventual("/v1.0/groups?$count=true&$top=1")
        .await
        .json();
    assert_eq!(page["@odata.count"], truth.groups.len());
    let assignable = truth
        .groups
        .iter()
        .filter(|group| group.is_role_assignable())
        .count();
    let found = client
        .all("/v1.0/groups?$filter=isAssignableToRole eq true")
        .await;
    assert_eq!(found.len(), assignable);
    let app_id = truth.applications[0].app_id;
    let single = client
        .get(&format!(
            "/v1.0/servicePrincipals(appId='{app_id}')?$select=id,appId"
        ))
        .await;
    assert_eq!(single.json()["appId"], json!(app_id));
    simulator.stop().await;
}
