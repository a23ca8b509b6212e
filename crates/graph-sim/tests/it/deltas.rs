use graph_sim::{DeltaExpiry, DeltaOptions, MemberKind, Removal};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Answer, Client, id, start_default};

async fn latest(client: &Client, path: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    let page = client
        .get(&format!("{path}{separator}$deltatoken=latest"))
        .await;
    assert!(page.value().is_empty());
    assert!(page.json().get("@odata.nextLink").is_none());
    page.json()["@odata.deltaLink"]
        .as_str()
        .expect("a link")
        .to_owned()
}

#[tokio::test]
async fn the_latest_token_begins_at_now_for_every_collection() {
    let (simulator, client) = start_default().await;
    let mut links = Vec::new();
    for (collection, select) in [
        ("users", "displayName"),
        ("groups", "displayName"),
        ("servicePrincipals", "displayName"),
        ("applications", "displayName"),
        ("oauth2PermissionGrants", "scope"),
        ("directory/administrativeUnits", "displayName"),
    ] {
        let path = format!("/v1.0/{collection}/delta?$select={select}");
        links.push(latest(&client, &path).await);
    }
    for link in &links {
        assert!(client.get(link).await.value().is_empty());
    }
    simulator.with_tenant(|tenant| {
        let id = *tenant.applications.keys().next().expect("there are some");
        tenant
            .applications
            .get_mut(&id)
            .expect("known")
            .display_name = "Renamed".to_owned();
    });
    let changed = client.get(&links[3]).await.value();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["displayName"], "Renamed");
    simulator.stop().await;
}

#[tokio::test]
async fn only_selected_properties_surface_and_unset_ones_are_left_out() {
    let (simulator, client) = start_default().await;
    let link = latest(
        &client,
        "/v1.0/users/delta?$select=displayName,mobilePhone,faxNumber",
    )
    .await;
    let (first, second) = simulator.with_tenant(|tenant| {
        let mut users = tenant.users.values_mut();
        let first = users.next().expect("there are some");
        first.job_title = Some("Not selected".to_owned());
        let second = users.next().expect("there are some");
        second.mobile_phone = Some("+31 6 555 0000".to_owned());
        (first.id, second.id)
    });
    let page = client.get(&link).await;
    let changed = page.value();
    assert_eq!(changed.iter().map(id).collect::<Vec<_>>(), [second]);
    assert_eq!(changed[0]["mobilePhone"], "+31 6 555 0000");
    assert!(changed[0]["displayName"].is_string(), "selected, unchanged");
    assert!(changed[0].get("faxNumber").is_none(), "never set");
    assert!(changed[0].get("jobTitle").is_none(), "not selected");
    let link = page.json()["@odata.deltaLink"]
        .as_str()
        .expect("a link")
        .to_owned();
    simulator.with_tenant(|tenant| {
        tenant.users.get_mut(&second).expect("known").mobile_phone = None;
        tenant.remove_objects([first]);
    });
    let changed = client.get(&link).await.value();
    let cleared = changed
        .iter()
        .find(|item| id(item) == second)
        .expect("it is told");
    assert_eq!(cleared.get("mobilePhone"), Some(&Value::Null));
    let gone = changed
        .iter()
        .find(|item| id(item) == first)
        .expect("it is told");
    assert!(["changed", "deleted"].contains(&gone["@removed"]["reason"].as_str().expect("why")));
    simulator.stop().await;
}

#[tokio::test]
async fn fragments_show_service_principals_and_members_that_left() {
    let (simulator, client) = start_default().await;
    let link = latest(&client, "/v1.0/groups/delta?$select=members").await;
    let (group, principal, gone) = simulator.with_tenant(|tenant| {
        let principal = *tenant.service_principals.keys().next().expect("some");
        let user = |link: &graph_sim::Link| link.kind == MemberKind::User;
        let (group, gone) = tenant
            .groups
            .values()
            .filter(|group| !tenant.members.contains(group.id, principal))
            .find_map(|group| {
                let member = tenant.members.of(group.id).iter().find(|link| user(link))?;
                Some((group.id, member.id))
            })
            .expect("some group has a user");
        tenant.add_member(group, principal);
        tenant.remove_member(group, gone);
        (group, principal, gone)
    });
    let changed = client.get(&link).await.value();
    assert_eq!(changed.len(), 1);
    assert_eq!(id(&changed[0]), group);
    assert!(changed[0].get("displayName").is_none());
    let ends = changed[0]["members@delta"].as_array().expect("a list");
    let end = |wanted: Uuid| {
        ends.iter()
            .find(|end| id(end) == wanted)
            .expect("it is told")
    };
    assert_eq!(ends.len(), 2);
    assert!(end(principal)["@odata.type"].is_string());
    assert!(end(principal).get("@removed").is_none());
    assert_eq!(end(gone)["@removed"]["reason"], "deleted");
    simulator.stop().await;
}

#[tokio::test]
async fn tokens_expire_and_say_where_to_begin_again() {
    let (simulator, client) = start_default().await;
    let link = latest(&client, "/v1.0/users/delta").await;
    simulator.expire_delta_tokens();
    let answer = client.get(&link).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (410, "resyncRequired")
    );
    assert_eq!(simulator.stats().faults["expired delta token"], 1);
    let again = answer.header("location").expect("a place to go").to_owned();
    assert!(!client.get(&again).await.value().is_empty());
    simulator.set_delta(DeltaOptions {
        lifetime: std::time::Duration::ZERO,
        expiry: DeltaExpiry::SyncStateNotFound,
        ..DeltaOptions::default()
    });
    let link = latest(&client, "/v1.0/users/delta").await;
    let answer = client.get(&link).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "syncStateNotFound")
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_token_belongs_to_its_selection_and_collection() {
    let (simulator, client) = start_default().await;
    let link = latest(&client, "/v1.0/users/delta?$select=displayName").await;
    assert_eq!(
        client
            .get(&format!("{link}&$select=displayName"))
            .await
            .status,
        200
    );
    assert_eq!(
        client.get(&format!("{link}&$select=mail")).await.status,
        400
    );
    let elsewhere = link.replace("/users/", "/groups/");
    assert_eq!(client.get(&elsewhere).await.status, 400);
    for option in [
        "$top=5",
        "$expand=manager",
        "$orderby=displayName",
        "$search=x",
    ] {
        let answer = client.get(&format!("/v1.0/users/delta?{option}")).await;
        assert_eq!(answer.code(), "Request_UnsupportedQuery", "{option}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_filter_names_the_objects_to_watch() {
    let (simulator, client) = start_default().await;
    let users = simulator.truth().users;
    let path = format!(
        "/v1.0/users/delta?$filter=id eq '{}' or id eq '{}'",
        users[0].id, users[1].id
    );
    assert_eq!(client.get(&path).await.value().len(), 2);
    simulator.stop().await;
}

#[tokio::test]
async fn deleted_objects_can_be_reported_as_restorable_or_final() {
    for (removal, reason) in [
        (Removal::Restorable, "changed"),
        (Removal::Final, "deleted"),
    ] {
        let (simulator, client) = start_default().await;
        simulator.set_delta(DeltaOptions {
            removal,
            ..DeltaOptions::default()
        });
        let link = latest(&client, "/v1.0/users/delta").await;
        simulator.with_tenant(|tenant| {
            let gone: Vec<Uuid> = tenant.users.keys().copied().take(4).collect();
            tenant.remove_objects(gone);
        });
        let reasons: Vec<Value> = client.get(&link).await.value();
        assert_eq!(
            reasons
                .iter()
                .filter(|item| item["@removed"]["reason"] == reason)
                .count(),
            4
        );
        simulator.stop().await;
    }
}

#[tokio::test]
async fn the_minimal_answer_holds_only_what_changed() {
    let (simulator, client) = start_default().await;
    let link = latest(&client, "/v1.0/users/delta?$select=displayName,mobilePhone").await;
    simulator.with_tenant(|tenant| {
        let user = tenant.users.values_mut().next().expect("there are some");
        user.display_name = "Renamed".to_owned();
        user.mobile_phone = Some("+31 6 555 0000".to_owned());
    });
    let link = {
        let page = client.get(&link).await;
        page.json()["@odata.deltaLink"]
            .as_str()
            .expect("a link")
            .to_owned()
    };
    simulator.with_tenant(|tenant| {
        let user = tenant.users.values_mut().next().expect("there are some");
        user.display_name = "Renamed again".to_owned();
    });
    let full = client.get(&link).await.value();
    assert!(full[0].get("mobilePhone").is_some());
    let minimal = client.get_preferring(&link, "return=minimal").await.value();
    assert_eq!(minimal[0]["displayName"], "Renamed again");
    assert!(minimal[0].get("mobilePhone").is_none());
    simulator.stop().await;
}

#[tokio::test]
async fn a_restored_object_comes_back_without_a_mark() {
    let (simulator, client) = start_default().await;
    let link = latest(&client, "/v1.0/users/delta?$select=displayName").await;
    let user = simulator.with_tenant(|tenant| {
        let user = tenant.users.values().next().expect("some").clone();
        tenant.remove_objects([user.id]);
        user
    });
    let gone = client.get(&link).await;
    assert!(gone.value()[0].get("@removed").is_some());
    simulator.with_tenant(|tenant| tenant.users.insert(user.id, user.clone()));
    let link = gone.json()["@odata.deltaLink"]
        .as_str()
        .expect("a link")
        .to_owned();
    let back = client.get(&link).await.value();
    assert_eq!(back.iter().map(id).collect::<Vec<_>>(), [user.id]);
    assert!(back[0].get("@removed").is_none());
    assert_eq!(back[0]["displayName"], user.display_name.as_str());
    simulator.stop().await;
}

fn delta_link(page: &Answer) -> String {
    let link = page.json()["@odata.deltaLink"].as_str().map(str::to_owned);
    link.expect("a link")
}

/// A round in which nothing changed: one empty page with the link of the next.
async fn assert_nothing_to_tell(client: &Client, link: &str) {
    let page = client.get(link).await;
    assert!(page.value().is_empty(), "{}", page.text);
    assert!(page.json().get("@odata.nextLink").is_none());
    delta_link(&page);
}

#[tokio::test]
async fn grants_that_came_changed_and_went_are_told_under_their_words() {
    let (simulator, client) = start_default().await;
    let path = "/v1.0/oauth2PermissionGrants/delta?$select=clientId,consentType,scope";
    let whole = client.get("/v1.0/oauth2PermissionGrants/delta").await;
    let listed = client.get("/v1.0/oauth2PermissionGrants?$top=999").await;
    assert_eq!(whole.value().len(), listed.value().len());
    let link = latest(&client, path).await;
    assert_nothing_to_tell(&client, &link).await;
    let (changed, gone, new) = simulator.with_tenant(|tenant| {
        let grants = &mut tenant.app_access.grants;
        let mut ids = grants.keys().cloned();
        let (changed, gone) = (ids.next().expect("some"), ids.next().expect("some"));
        let mut copy = grants[&changed].clone();
        copy.id = "aNewGrant_Of-theTenant".to_owned();
        let new = copy.id.clone();
        grants.insert(new.clone(), copy);
        grants.remove(&gone);
        grants.get_mut(&changed).expect("known").scope = " Files.Read".to_owned();
        (changed, gone, new)
    });
    let page = client.get(&link).await;
    let told = page.value();
    assert_eq!(told.len(), 3);
    let item = |wanted: &str| {
        let found = told.iter().find(|item| item["id"] == wanted);
        found.unwrap_or_else(|| panic!("{wanted} is not told in {told:?}"))
    };
    assert_eq!(item(&changed)["scope"], " Files.Read");
    assert!(item(&changed).get("resourceId").is_none(), "not selected");
    assert!(item(&new)["clientId"].is_string());
    assert!(item(&gone)["@removed"]["reason"].is_string());
    assert_nothing_to_tell(&client, &delta_link(&page)).await;
    let watched = format!("/v1.0/oauth2PermissionGrants/delta?$filter=id eq '{new}'");
    let watched = client.get(&watched).await.value();
    assert_eq!(watched.len(), 1, "capitals count in these ids");
    simulator.stop().await;
}

#[tokio::test]
async fn units_tell_of_members_of_every_kind_that_joined_and_left() {
    let (simulator, client) = start_default().await;
    let path = "/v1.0/directory/administrativeUnits/delta?$select=displayName,members";
    let link = latest(&client, path).await;
    assert_nothing_to_tell(&client, &link).await;
    let device = Uuid::from_u128(0xd3);
    let (unit, left, gone) = simulator.with_tenant(|tenant| {
        let gone = *tenant.administrative_units.keys().next().expect("some");
        tenant.remove_unit(gone);
        let mut units = tenant.administrative_units.values_mut();
        let unit = units
            .find(|unit| !unit.hides_members() && !tenant.unit_members.of(unit.id).is_empty())
            .expect("some");
        unit.devices.insert(0, device);
        unit.devices.sort_unstable();
        let left = tenant.unit_members.of(unit.id)[0].id;
        tenant.unit_members.remove(unit.id, left);
        (unit.id, left, gone)
    });
    let page = client.get(&link).await;
    let told = page.value();
    assert_eq!(told.len(), 2);
    let item = |wanted: Uuid| told.iter().find(|item| id(item) == wanted).expect("told");
    assert!(item(gone)["@removed"].is_object());
    let ends = item(unit)["members@delta"].as_array().expect("a list");
    assert_eq!(ends.len(), 2);
    let end = |wanted: Uuid| ends.iter().find(|end| id(end) == wanted).expect("told");
    assert_eq!(end(left)["@removed"]["reason"], "deleted");
    assert_eq!(end(device)["@odata.type"], "#microsoft.graph.device");
    assert!(end(device).get("@removed").is_none());
    assert_nothing_to_tell(&client, &delta_link(&page)).await;
    simulator.stop().await;
}

#[tokio::test]
async fn hidden_members_of_units_are_told_only_to_those_who_may_see_them() {
    let (simulator, client) = start_default().await;
    let roles = ["AdministrativeUnit.Read.All"].map(str::to_owned).to_vec();
    let path = "/v1.0/directory/administrativeUnits/delta?$select=members";
    let sees_all = latest(&client, path).await;
    simulator.set_roles(roles);
    let limited = Client::login(&simulator).await;
    let sees_some = latest(&limited, path).await;
    let unit = simulator.with_tenant(|tenant| {
        let user = *tenant.users.keys().next().expect("some");
        let link = tenant.link_to(user).expect("known");
        let unit = tenant
            .administrative_units
            .values_mut()
            .next()
            .expect("some");
        unit.visibility = Some("HiddenMembership".to_owned());
        let _ = tenant.unit_members.remove(unit.id, user) || tenant.unit_members.add(unit.id, link);
        unit.id
    });
    let told = client.get(&sees_all).await.value();
    let seen = told.iter().find(|item| id(item) == unit).expect("told");
    assert!(seen["members@delta"].is_array());
    let told = limited.get(&sees_some).await.value();
    assert!(told.iter().all(|item| item.get("members@delta").is_none()));
    simulator.stop().await;
}

#[tokio::test]
async fn changes_of_grants_and_units_expire_and_need_their_permissions() {
    let (simulator, client) = start_default().await;
    for path in [
        "/v1.0/oauth2PermissionGrants/delta",
        "/v1.0/directory/administrativeUnits/delta",
    ] {
        let link = latest(&client, path).await;
        simulator.expire_delta_tokens();
        let answer = client.get(&link).await;
        let refusal = (answer.status, answer.code());
        assert_eq!(refusal, (410, "resyncRequired".to_owned()), "{path}");
        let again = answer.header("location").expect("a place to go").to_owned();
        assert!(!client.get(&again).await.value().is_empty(), "{path}");
    }
    simulator.set_roles(vec!["User.Read.All".to_owned()]);
    let limited = Client::login(&simulator).await;
    for path in [
        "/v1.0/oauth2PermissionGrants/delta",
        "/v1.0/directory/administrativeUnits/delta",
    ] {
        assert_eq!(limited.get(path).await.status, 403, "{path}");
    }
    simulator.stop().await;
}
