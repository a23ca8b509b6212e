//! What the register must hold for a tenant, told from the ground truth alone.
//!
//! Written from `docs/entra-mapping.md`, without a line of the crawler's mapping: where both are wrong in the same way, a
//! person was wrong twice.

mod applications;
mod assignments;
mod governance;
mod objects;
mod people;

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use graph_sim::Truth;
use serde_json::{Map, Value};

pub use self::people::identity_filter;
use self::{
    assignments::{Holders, group_eligibility, role_assignment, role_eligibility},
    objects::{group, role, service_principal, user},
};

/// A row: its columns by name, without those that every table has.
pub type Row = Map<String, Value>;
/// Rows by table and key; the key is written as the register's history writes it.
pub type Rows = BTreeMap<(&'static str, String), Row>;

/// The tables that a crawl of Entra fills, with the entity's name on the wire and the key columns.
pub const TABLES: [(&str, &str, &[&str]); 13] = [
    ("principals", "principals", &["id"]),
    ("resources", "resources", &["id"]),
    (
        "resource_assignments",
        "resource-assignments",
        &[
            "resource_id",
            "principal_id",
            "assignment_type",
            "role_scope",
        ],
    ),
    (
        "resource_relationships",
        "resource-relationships",
        &[
            "parent_resource_id",
            "child_resource_id",
            "relationship_type",
            "role_name",
        ],
    ),
    ("governance_catalogs", "governance/catalogs", &["id"]),
    ("assignment_policies", "governance/policies", &["id"]),
    ("assignment_requests", "governance/requests", &["id"]),
    (
        "certification_decisions",
        "governance/certifications",
        &["id"],
    ),
    ("contexts", "contexts", &["id"]),
    (
        "context_members",
        "context-members",
        &["context_id", "member_id"],
    ),
    ("identities", "identities", &["id"]),
    (
        "identity_members",
        "identity-members",
        &["identity_id", "principal_id"],
    ),
    (
        "principal_activity",
        "principal-activity",
        &["principal_id", "resource_id", "activity_type"],
    ),
];

/// A moment as the columns of the register hold it: cut to microseconds.
pub fn moment(at: DateTime<Utc>) -> Value {
    let cut = DateTime::from_timestamp_micros(at.timestamp_micros()).expect("a moment of now");
    cut.to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

/// The key of a row.
pub fn key_of(columns: &[&str], row: &Row) -> String {
    let parts: Vec<&str> = columns
        .iter()
        .map(|column| row[*column].as_str().expect("a key is text"))
        .collect();
    parts.join("|")
}

/// Every row that a complete crawl leaves.
pub fn expected(truth: &Truth) -> Rows {
    let mut rows = Rows::new();
    let mut add = |table: usize, row: Row| {
        let row = row
            .into_iter()
            .map(|(name, value)| {
                let is_moment = name.ends_with("_date_time");
                let is_never = is_moment && value.as_str().is_some_and(is_sentinel);
                let value = if is_never { Value::Null } else { stored(value) };
                (name, value)
            })
            .collect();
        let (name, _, key) = TABLES[table];
        let key = (name, key_of(key, &row));
        // Several of the same key are several time windows of one row.
        if rows.get(&key).is_none_or(|shown| goes_before(&row, shown)) {
            rows.insert(key, row);
        }
    };
    truth.users.iter().for_each(|one| add(0, user(one)));
    let principals = truth.service_principals.iter();
    principals.for_each(|one| add(0, service_principal(one)));
    truth.groups.iter().for_each(|one| add(1, group(one)));
    truth.roles.iter().for_each(|one| add(1, role(one)));

    let holders = Holders::new(truth);
    for (links, assignment_type) in [(&truth.members, "Direct"), (&truth.owners, "Owner")] {
        for link in links {
            let holder = (link.member_id, link.member_kind);
            let ends = (link.group_id, "EntraGroup", "/");
            add(2, holders.assignment(ends, holder, assignment_type));
        }
    }
    for one in &truth.role_assignments {
        let activated_using = truth.governance.role_activations.get(&one.id);
        add(2, role_assignment(&holders, one, activated_using));
    }
    let eligible = truth.role_eligibilities.iter();
    eligible.for_each(|one| add(2, role_eligibility(&holders, one)));
    let eligible = truth.group_eligibilities.iter();
    eligible.for_each(|one| add(2, group_eligibility(&holders, one)));
    add_applications(truth, &holders, &mut add);
    for (table, row) in governance::rows(&truth.governance, &holders) {
        let place = TABLES.iter().position(|(name, ..)| *name == table);
        add(place.expect("a table of a crawl"), row);
    }
    for (table, row) in people::rows(truth) {
        let place = TABLES.iter().position(|(name, _, _)| *name == table);
        add(place.expect("one of the tables"), row);
    }
    rows
}

/// Applications, their roles and registrations, and access to and through them.
/// Moments that stand for none.
fn is_sentinel(text: &str) -> bool {
    text.starts_with("0001-01-01T00:00:00") || text.starts_with("9999-12-31T23:59:59")
}

/// What the register makes of a value: it stores no NUL (docs/ingest-api.md).
fn stored(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => items.into_iter().map(stored).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, stored(value)))
            .collect(),
        other => other,
    }
}

fn add_applications(truth: &Truth, holders: &Holders, add: &mut impl FnMut(usize, Row)) {
    let (resources, offers) = applications::applications(truth);
    for row in resources {
        add(1, row);
    }
    for row in offers {
        add(3, row);
    }
    let registrations = truth.applications.iter().map(applications::registration);
    registrations.for_each(|row| add(1, row));
    let trusted = truth.federated_credentials.iter();
    let trusted = trusted.map(applications::federated_credential);
    trusted.for_each(|row| add(1, row));
    for held in &truth.app_role_assignments {
        add(2, applications::app_role_assignment(holders, held));
    }
    for (owners, resource_type, kind) in [
        (&truth.service_principal_owners, "EntraApplication", "Owner"),
        (&truth.application_owners, "EntraAppRegistration", "Owner"),
        (&truth.sponsors, "EntraApplication", "Sponsor"),
    ] {
        for owner in owners {
            let ends = (owner.object_id, resource_type, "/");
            let holder = (owner.owner_id, owner.owner_kind);
            add(2, holders.assignment(ends, holder, kind));
        }
    }
    let (of_users, of_all) = applications::grants(holders, truth);
    for row in of_users {
        add(2, row);
    }
    for row in of_all {
        add(3, row);
    }
}

/// Is this window shown rather than the other: does it start earlier, or end later, or is its id smaller?
fn goes_before(row: &Row, other: &Row) -> bool {
    // The texts of moments have one length and one zone: they sort as the moments do.
    let text = |row: &Row, column: &str| {
        let value = row.get(column).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    let (start, other_start) = (text(row, "start_date_time"), text(other, "start_date_time"));
    if start != other_start {
        return match (start, other_start) {
            (Some(start), Some(other)) => start < other,
            (start, _) => start.is_none(),
        };
    }
    let end = "expiration_date_time";
    let (end, other_end) = (text(row, end), text(other, end));
    if end != other_end {
        return match (end, other_end) {
            (Some(end), Some(other)) => end > other,
            (end, _) => end.is_none(),
        };
    }
    text(row, "source_id") < text(other, "source_id")
}

fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => unreachable!("rows are written as objects"),
    }
}
