//! A register that was filled twice from a tenant that changed in between, and what must be in it at both moments.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use contract::{RunOutcome, RunReport};
use graph_sim::{Governance, SimOptions, TenantSpec, Truth};
use serde_json::{Map, Value, json};

use super::{
    ask::{Fillings, moment},
    facts::{self, Records},
    tenant::{Cast, DEPARTMENT},
    walk::{Access, Graph, text},
};
use crate::{
    effective::wait_for_views,
    oracle::{self, Row, Rows},
    register::{Register, seed},
};

/// Which share of the tenant changes between the crawls.
const FRACTION: f64 = 0.05;

/// What the tenant and the facts say at a moment.
pub struct Moment {
    pub rows: Rows,
    pub access: BTreeSet<Access>,
}

impl Moment {
    fn new(rows: Rows) -> Self {
        let graph = Graph::new(&rows);
        let access = graph.principals().flat_map(|one| graph.access_of(one));
        Self {
            access: access.collect(),
            rows,
        }
    }

    /// The rows of a table.
    pub fn of(&self, table: &'static str) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter();
        rows.filter(move |((name, _), _)| *name == table)
            .map(|(_, row)| row)
    }

    /// The assignments.
    pub fn assignments(&self) -> impl Iterator<Item = &Row> {
        self.of("resource_assignments")
    }

    /// A column of a row of principals or resources; empty where there is no value.
    pub fn look_up(&self, table: &'static str, id: &str, column: &str) -> &str {
        let row = self.rows.get(&(table, id.to_owned()));
        row.map_or("", |row| text(row, column))
    }

    pub fn principal_type(&self, id: &str) -> &str {
        self.look_up("principals", id, "principal_type")
    }

    pub fn resource_type(&self, id: &str) -> &str {
        self.look_up("resources", id, "resource_type")
    }

    /// Is it an account that is switched off?
    pub fn is_disabled(&self, id: &str) -> bool {
        let row = self.rows.get(&("principals", id.to_owned()));
        row.is_some_and(|row| row["account_enabled"] == json!(false))
    }

    /// Is it a principal of the department? None for one that is not known.
    pub fn is_in(&self, department: &str, id: &str) -> Option<bool> {
        let row = self.rows.get(&("principals", id.to_owned()))?;
        Some(text(row, "department") == department)
    }

    /// The access to directory roles, but for ownership.
    pub fn roles(&self) -> impl Iterator<Item = &Access> {
        self.access.iter().filter(|access| {
            self.resource_type(&access.resource) == "EntraDirectoryRole"
                && access.assignment_type != "Owner"
                && access.role_scope != "/owner"
        })
    }
}

pub struct World {
    pub register: Register,
    pub fillings: Fillings,
    /// When the facts were made.
    pub today: DateTime<Utc>,
    pub before: Moment,
    pub now: Moment,
}

impl World {
    pub async fn build() -> Self {
        let seed = seed();
        let register =
            Register::start(&TenantSpec::new(seed, 300, 80, 60), SimOptions::default()).await;
        let cast = register.simulator.with_tenant(|tenant| {
            // What governs access is made up in the facts, so that each answer is known.
            tenant.governance = Governance::default();
            let cast = Cast::of(tenant, seed, FRACTION);
            cast.take_their_places(tenant);
            cast
        });
        let today = Utc::now();
        let truth = register.simulator.truth();
        let records = facts::all(&truth, &cast, today);
        let passing = facts::passing(&cast, today);

        let report = crawl(&register).await;
        assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
        post(&register, &records).await;
        post(&register, &passing).await;
        let since = now(&register).await;
        let mut rows = crawled(&truth);
        rows.extend(rows_of(&records));
        rows.extend(rows_of(&passing));
        let before = Moment::new(rows);

        delete(&register, &passing).await;
        register.simulator.with_tenant(|tenant| {
            tenant.change(seed, FRACTION);
            cast.take_their_places(tenant);
            cast.live_on(tenant);
            assert_eq!(tenant.inconsistencies(), Vec::<String>::new());
        });
        crawl(&register).await;
        register.approve_all().await;
        wait_for_views(&register).await;
        let until = now(&register).await;
        let mut rows = crawled(&register.simulator.truth());
        rows.extend(rows_of(&records));
        let now = Moment::new(rows);

        let fillings = fillings(&register, &cast, (since, until, today)).await;
        Self {
            register,
            fillings,
            today,
            before,
            now,
        }
    }

    /// What is filled in for a name.
    pub fn filled(&self, name: &str) -> &str {
        &self.fillings[name]
    }
}

/// A crawl that leaves alone what the facts tell: who is who, and when they were seen.
async fn crawl(register: &Register) -> RunReport {
    // A full load of packages would remove what the facts post.
    let mut config = register.ungoverned();
    config.identity_filter = None;
    config.selection.sign_ins = false;
    config.selection.contexts = false;
    register.crawl_with(config).await
}

/// The rows that such a crawl leaves.
fn crawled(truth: &Truth) -> Rows {
    let told = [
        "principal_activity",
        "identities",
        "identity_members",
        "contexts",
        "context_members",
    ];
    let mut rows = oracle::expected(truth);
    rows.retain(|(table, _), _| !told.contains(table));
    rows
}

/// What is filled in for the names on the page.
async fn fillings(
    register: &Register,
    cast: &Cast,
    (since, until, today): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>),
) -> Fillings {
    let system = system_of(register).await;
    let mut fillings = BTreeMap::from([
        ("system_id", system.to_string()),
        ("since", moment(since)),
        ("until", moment(until)),
        ("today", moment(today)),
        ("in_30_days", moment(today + Duration::days(30))),
        ("department", DEPARTMENT.to_owned()),
    ]);
    let people = &cast.people;
    let ids = [
        ("group_id", cast.chain),
        ("member_id", cast.member_of_chain),
        ("principal_id", people[0]),
        ("app_id", cast.app_id),
        ("identity_id", facts::id(4, 0)),
        ("package_id", facts::package(0)),
        ("package_group_id", cast.groups[0]),
        ("changed_group_id", cast.groups[4]),
        ("changed_principal_id", people[5]),
    ];
    fillings.extend(ids.map(|(name, id)| (name, id.to_string())));
    fillings
}

async fn system_of(register: &Register) -> i32 {
    sqlx::query_scalar("select system_id from systems")
        .fetch_one(&register.pool)
        .await
        .expect("one system")
}

/// The time at the database, which dates every version.
async fn now(register: &Register) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&register.pool)
        .await
        .expect("a clock")
}

async fn post(register: &Register, records: &Records) {
    let system = system_of(register).await;
    for (entity, records) in records {
        let call = json!({"systemId": system, "atomic": true, "records": records});
        let done: Value = register.post(&format!("/api/ingest/{entity}"), &call).await;
        assert_eq!(done["inserted"], json!(records.len()), "{entity}: {done}");
    }
}

async fn delete(register: &Register, records: &Records) {
    let system = system_of(register).await;
    for (entity, records) in records {
        let (_, _, key) = place_of(entity);
        let key_of = |record: &Value| -> Value {
            let record = record.as_object().expect("a record").iter();
            let is_key = |name: &str| key.contains(&snake_case(name).as_str());
            let fields: Map<String, Value> = record
                .filter(|(name, _)| is_key(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            fields.into()
        };
        let gone: Vec<Value> = records.iter().map(key_of).collect();
        let call = json!({"systemId": system, "records": [], "deletedIds": gone});
        let done: Value = register.post(&format!("/api/ingest/{entity}"), &call).await;
        assert_eq!(done["deleted"], json!(records.len()), "{entity}: {done}");
    }
}

fn place_of(entity: &str) -> (&'static str, &'static str, &'static [&'static str]) {
    let place = POSTED.iter().find(|(name, ..)| *name == entity);
    *place.expect("an entity that is posted")
}

/// Tables and key columns of what is posted.
const POSTED: [(&str, &str, &[&str]); 11] = [
    ("principals", "principals", &["id"]),
    ("resources", "resources", &["id"]),
    (
        "resource-assignments",
        "resource_assignments",
        &[
            "resource_id",
            "principal_id",
            "assignment_type",
            "role_scope",
        ],
    ),
    (
        "resource-relationships",
        "resource_relationships",
        &[
            "parent_resource_id",
            "child_resource_id",
            "relationship_type",
            "role_name",
        ],
    ),
    (
        "principal-activity",
        "principal_activity",
        &["principal_id", "resource_id", "activity_type"],
    ),
    ("governance/catalogs", "governance_catalogs", &["id"]),
    ("governance/policies", "assignment_policies", &["id"]),
    ("governance/requests", "assignment_requests", &["id"]),
    (
        "governance/certifications",
        "certification_decisions",
        &["id"],
    ),
    ("identities", "identities", &["id"]),
    (
        "identity-members",
        "identity_members",
        &["identity_id", "principal_id"],
    ),
];

/// The rows that the records become.
fn rows_of(records: &Records) -> Rows {
    let mut rows = Rows::new();
    for (entity, records) in records {
        let (_, table, key) = place_of(entity);
        for record in records {
            let record = record.as_object().expect("a record");
            let mut row: Map<String, Value> = record
                .iter()
                .map(|(name, value)| (snake_case(name), value.clone()))
                .collect();
            row.entry("extended_attributes").or_insert(json!({}));
            let twice = rows.insert((table, oracle::key_of(key, &row)), row);
            assert!(twice.is_none(), "the facts have {twice:?} twice");
        }
    }
    rows
}

/// `resourceId` as `resource_id`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
