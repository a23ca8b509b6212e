use graph_sim::{SimOptions, TenantSpec};

use crate::client::{Client, id, start, unlimited};

fn with_roles(roles: &[&str]) -> SimOptions {
    SimOptions {
        roles: roles.iter().map(ToString::to_string).collect(),
        ..unlimited()
    }
}

#[tokio::test]
async fn a_missing_permission_is_denied() {
    let (simulator, client) = start(
        &TenantSpec::default(),
        with_roles(&["GroupMember.Read.All"]),
    )
    .await;
    assert_eq!(client.get("/v1.0/groups").await.status, 200);
    for path in [
        "/v1.0/users",
        "/v1.0/servicePrincipals",
        "/v1.0/organization",
        "/v1.0/roleManagement/directory/roleAssignments",
    ] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
    }
    simulator.set_roles(vec!["User.Read.All".to_owned()]);
    assert_eq!(
        client.get("/v1.0/users").await.status,
        403,
        "an old token keeps its permissions"
    );
    assert_eq!(
        Client::login(&simulator)
            .await
            .get("/v1.0/users")
            .await
            .status,
        200
    );
    simulator.stop().await;
}

#[tokio::test]
async fn objects_the_caller_may_not_read_come_as_type_and_id() {
    let (simulator, client) = start(
        &TenantSpec::default(),
        with_roles(&["GroupMember.Read.All"]),
    )
    .await;
    let truth = simulator.truth();
    let group = truth
        .groups
        .iter()
        .find(|group| group.display_name == "DG-All-Employees")
        .expect("it exists")
        .id;
    let members = client
        .get(&format!(
            "/beta/groups/{group}/members?$select=id,displayName&$top=5"
        ))
        .await
        .value();
    assert_eq!(members.len(), 5);
    for member in members {
        assert_eq!(member["@odata.type"], "#microsoft.graph.user");
        assert!(truth.users.iter().any(|user| user.id == id(&member)));
        assert!(member["displayName"].is_null());
    }
    simulator.stop().await;
}

#[tokio::test]
async fn hidden_members_are_shown_only_with_the_permission_for_it() {
    let (simulator, client) = start(
        &TenantSpec::default(),
        with_roles(&["GroupMember.Read.All", "User.Read.All"]),
    )
    .await;
    let truth = simulator.truth();
    let group = truth
        .groups
        .iter()
        .find(|group| {
            group.hides_members() && truth.members.iter().any(|link| link.group_id == group.id)
        })
        .expect("the tenant has one")
        .id;
    let path = format!("/v1.0/groups/{group}/members?$select=id");
    assert!(client.get(&path).await.value().is_empty());
    simulator.set_roles(vec![
        "GroupMember.Read.All".to_owned(),
        "Member.Read.Hidden".to_owned(),
    ]);
    let client = Client::login(&simulator).await;
    assert!(!client.get(&path).await.value().is_empty());
    simulator.stop().await;
}

#[tokio::test]
async fn without_p2_pim_is_refused_and_the_rest_goes_on() {
    let options = SimOptions {
        p2_licensed: false,
        ..unlimited()
    };
    let (simulator, client) = start(&TenantSpec::default(), options).await;
    for path in [
        "/v1.0/roleManagement/directory/roleEligibilitySchedules",
        "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances",
        "/v1.0/roleManagement/directory/roleAssignmentScheduleInstances",
        "/beta/identityGovernance/privilegedAccess/group/resources",
    ] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "AadPremiumLicenseRequired"),
            "{path}"
        );
    }
    assert_eq!(
        client
            .get("/v1.0/roleManagement/directory/roleAssignments")
            .await
            .status,
        200
    );
    simulator.stop().await;
}

#[tokio::test]
async fn one_forbidden_property_fails_the_whole_request() {
    let (simulator, client) = start(&TenantSpec::default(), with_roles(&["User.Read.All"])).await;
    let leave = client
        .get("/v1.0/users?$select=id,employeeLeaveDateTime")
        .await;
    assert_eq!(
        (leave.status, leave.code().as_str()),
        (403, "Authorization_RequestDenied")
    );
    let activity = client.get("/v1.0/users?$select=id,signInActivity").await;
    assert_eq!(
        (activity.status, activity.code().as_str()),
        (403, "Authentication_MSGraphPermissionMissing")
    );
    simulator.stop().await;
}

#[tokio::test]
async fn sign_in_activity_needs_p1_and_shorter_pages() {
    let path = "/v1.0/users?$select=id,signInActivity";
    let (simulator, client) = start(&TenantSpec::default(), unlimited()).await;
    assert_eq!(client.get(&format!("{path}&$top=501")).await.status, 400);
    let users = client.get(&format!("{path}&$top=500")).await.value();
    assert!(
        users
            .iter()
            .any(|user| user["signInActivity"]["lastSignInDateTime"].is_string())
    );
    simulator.stop().await;
    let options = SimOptions {
        p1_licensed: false,
        ..unlimited()
    };
    let (simulator, client) = start(&TenantSpec::default(), options).await;
    assert_eq!(
        client.get(path).await.code(),
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
    );
    simulator.stop().await;
}
