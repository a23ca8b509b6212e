//! A client that knows a tenant by its deltas alone.

use std::collections::{BTreeMap, BTreeSet};

use graph_sim::{DeltaOptions, SimOptions, Simulator, TenantSpec};
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
