use std::collections::{BTreeMap, BTreeSet};

use graph_sim::{
    DeltaExpiry, DeltaOptions, MemberKind, Removal, SimOptions, Simulator, TenantSpec,
};
use proptest::prelude::*;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::client::{Client, id, start, start_default, unlimited};

/// What a client knows of a collection that it follows by deltas.
#[derive(Default)]
struct Mirror {
    objects: BTreeMap<Uuid, Map<String, Value>>,
    links: BTreeSet<(String, Uuid, Uuid)>,
    items: usize,
    pages: usize,
}

impl Mirror {
    /// Reads one round to its end; gives the deltaLink.
    async fn follow(&mut self, client: &Client, link: &str) -> String {
        let mut next = link.to_owned();
        loop {
            let answer = client.get(&next).await;
            for item in answer.value() {
                self.apply(&item);
            }
            self.pages += 1;
            let page = answer.json();
            match page["@odata.nextLink"].as_str() {
                Some(link) => link.clone_into(&mut next),
                None => return page["@odata.deltaLink"].as_str().expect("the end").into(),
            }
        }
    }

    fn apply(&mut self, item: &Value) {
        self.items += 1;
        let object_id = id(item);
        if item.get("@removed").is_some() {
            self.objects.remove(&object_id);
            self.links.retain(|(_, from, _)| *from != object_id);
            return;
        }
        let object = self.objects.entry(object_id).or_default();
        for (name, value) in item.as_object().expect("items are objects") {
            if let Some(relation) = name.strip_suffix("@delta") {
                for end in value.as_array().expect("a list") {
                    let link = (relation.to_owned(), object_id, id(end));
                    match end.get("@removed") {
                        Some(_) => self.links.remove(&link),
                        None => self.links.insert(link),
                    };
                }
            } else if value.is_null() {
                object.remove(name);
            } else {
                object.insert(name.clone(), value.clone());
            }
        }
    }

    fn links_called(&self, name: &str) -> BTreeSet<(Uuid, Uuid)> {
        let named = self.links.iter().filter(|(known, _, _)| known == name);
        named.map(|(_, from, to)| (*from, *to)).collect()
    }
}

const GROUPS: &str = "/v1.0/groups/delta?$select=displayName,description,members,owners";
const USERS: &str =
    "/v1.0/users/delta?$select=displayName,accountEnabled,mobilePhone,jobTitle,manager";

/// The mirrors hold what the tenant holds.
fn assert_equal(simulator: &Simulator, users: &Mirror, groups: &Mirror) {
    let truth = simulator.truth();
    let text = |object: &Map<String, Value>, name: &str| {
        object.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let seen: Vec<_> = users
        .objects
        .iter()
        .map(|(id, user)| {
            (
                *id,
                text(user, "displayName"),
                user.get("accountEnabled").and_then(Value::as_bool),
                text(user, "mobilePhone"),
                text(user, "jobTitle"),
            )
        })
        .collect();
    let real: Vec<_> = truth
        .users
        .iter()
        .map(|user| {
            (
                user.id,
                Some(user.display_name.clone()),
                user.account_enabled,
                user.mobile_phone.clone(),
                user.job_title.clone(),
            )
        })
        .collect();
    assert_eq!(seen, real);
    let managers: BTreeSet<(Uuid, Uuid)> = truth
        .users
        .iter()
        .filter_map(|user| Some((user.id, user.manager_id?)))
        .collect();
    assert_eq!(users.links_called("manager"), managers);
    let seen: Vec<_> = groups
        .objects
        .iter()
        .map(|(id, group)| (*id, text(group, "displayName"), text(group, "description")))
        .collect();
    let real: Vec<_> = truth
        .groups
        .iter()
        .map(|group| {
            (
                group.id,
                Some(group.display_name.clone()),
                group.description.clone(),
            )
        })
        .collect();
    assert_eq!(seen, real);
    for (name, links) in [("members", &truth.members), ("owners", &truth.owners)] {
        let real: BTreeSet<(Uuid, Uuid)> = links
            .iter()
            .map(|link| (link.group_id, link.member_id))
            .collect();
        assert_eq!(groups.links_called(name), real, "{name}");
    }
}

fn any_options() -> impl Strategy<Value = DeltaOptions> {
    (
        (1_usize..60, 1_usize..20, 1_usize..60, 0.0..0.9),
        any::<bool>(),
        0_usize..4,
        0_usize..4,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |((page, fragment, links, replay), shuffled, empty, unknown, delayed, seed)| {
                DeltaOptions {
                    page_size: page,
                    links_per_fragment: fragment,
                    links_per_page: links,
                    replay_share: replay,
                    shuffled,
                    empty_pages: empty,
                    unknown_removals: unknown,
                    replication_delay: delayed,
                    seed,
                    ..DeltaOptions::default()
                }
            },
        )
}

async fn follows_the_tenant(options: DeltaOptions, seed: u64) {
    let (simulator, client) = start(
        &TenantSpec::new(seed, 60, 20, 10),
        SimOptions {
            delta: options,
            ..unlimited()
        },
    )
    .await;
    let (mut users, mut groups) = (Mirror::default(), Mirror::default());
    let mut user_link = users.follow(&client, USERS).await;
    let mut group_link = groups.follow(&client, GROUPS).await;
    assert_equal(&simulator, &users, &groups);
    for round in 0..3 {
        simulator.change(seed ^ round, 0.1);
        // A delayed change needs a second look.
        for _ in 0..=usize::from(options.replication_delay) {
            user_link = users.follow(&client, &user_link).await;
            group_link = groups.follow(&client, &group_link).await;
        }
        assert_equal(&simulator, &users, &groups);
    }
    simulator.stop().await;
}

proptest! {
    // One of these costs as much as many pure cases.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 16,
        ..ProptestConfig::default()
    })]
    #[test]
    fn who_follows_the_deltas_knows_the_tenant(options in any_options(), seed in 0_u64..1_000) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(follows_the_tenant(options, seed));
    }
}

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
    for collection in ["users", "groups", "servicePrincipals", "applications"] {
        links.push(
            latest(
                &client,
                &format!("/v1.0/{collection}/delta?$select=displayName"),
            )
            .await,
        );
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
async fn a_page_can_be_read_again_while_the_tenant_changes() {
    let (simulator, client) = start_default().await;
    let mut mirror = Mirror::default();
    simulator.set_delta(DeltaOptions {
        page_size: 7,
        ..DeltaOptions::default()
    });
    let page = client.get(USERS).await;
    let next = page.json()["@odata.nextLink"]
        .as_str()
        .expect("more")
        .to_owned();
    let before = client.get(&next).await;
    simulator.change(3, 0.3);
    assert_eq!(client.get(&next).await.text, before.text);
    for item in page.value() {
        mirror.apply(&item);
    }
    let link = mirror.follow(&client, &next).await;
    mirror.follow(&client, &link).await;
    let mut groups = Mirror::default();
    groups.follow(&client, GROUPS).await;
    assert_equal(&simulator, &mirror, &groups);
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
