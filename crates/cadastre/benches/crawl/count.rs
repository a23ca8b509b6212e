//! Is every row there? How many there must be is counted in the simulated tenant, kind by kind.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use graph_sim::Truth;
use sqlx::PgPool;

/// How many rows there are, by kind.
type Counts = BTreeMap<String, usize>;

/// Fails unless the register has exactly as many rows of each kind as the tenant. Answers how many rows there are in all.
pub async fn check(register: &PgPool, truth: &Truth) -> anyhow::Result<u64> {
    let expected = expected(truth);
    let (found, rows) = found(register).await?;
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(kind, wanted)| {
            let there = found.get(kind).copied().unwrap_or(0);
            (there != *wanted).then(|| format!("{there} instead of {wanted} {kind}"))
        })
        .collect();
    if !wrong.is_empty() {
        bail!("the register is not as the tenant: {}", wrong.join("; "));
    }
    Ok(rows)
}

fn expected(truth: &Truth) -> Counts {
    let mut counts = Counts::new();
    let mut add = |kind: &str, count: usize| {
        counts.insert(kind.to_owned(), count);
    };
    let guests = truth.users.iter().filter(|user| user.is_guest()).count();
    add("principals User", truth.users.len() - guests);
    add("principals ExternalUser", guests);
    add("principals of applications", truth.service_principals.len());
    add("resources EntraGroup", truth.groups.len());
    add("resources EntraDirectoryRole", truth.roles.len());
    add("resources EntraApplication", truth.service_principals.len());
    add("resources EntraAppRegistration", truth.applications.len());
    add(
        "resources EntraFederatedCredential",
        truth.federated_credentials.len(),
    );
    add(
        "resources EntraAdministrativeUnit",
        truth.administrative_units.len(),
    );
    add("resources BusinessRole", truth.governance.packages.len());
    add("assignments Direct EntraGroup", truth.members.len());
    add("assignments Owner EntraGroup", truth.owners.len());
    add(
        "assignments Owner EntraApplication",
        truth.service_principal_owners.len(),
    );
    add(
        "assignments Owner EntraAppRegistration",
        truth.application_owners.len(),
    );
    add("assignments Sponsor EntraApplication", truth.sponsors.len());
    let held: BTreeSet<_> = truth
        .app_role_assignments
        .iter()
        .map(|one| (one.resource_id, one.app_role_id, one.principal_id))
        .collect();
    add("assignments Direct EntraAppRole", held.len());
    counts
}

const SQL: &str = "
    select case when principal_type in ('User', 'ExternalUser') then 'principals ' || principal_type
                else 'principals of applications' end, count(*)
    from principals where deleted_at is null group by 1
    union all
    select 'resources ' || resource_type, count(*) from resources where deleted_at is null group by 1
    union all
    select 'assignments ' || assignment_type || ' ' || resource_type, count(*)
    from resource_assignments where deleted_at is null group by 1
    union all
    select 'other rows', (select count(*) from resource_relationships) + (select count(*) from governance_catalogs)
        + (select count(*) from assignment_policies) + (select count(*) from assignment_requests)
        + (select count(*) from certification_decisions) + (select count(*) from contexts)
        + (select count(*) from context_members) + (select count(*) from identities)
        + (select count(*) from identity_members) + (select count(*) from principal_activity)";

async fn found(register: &PgPool) -> anyhow::Result<(Counts, u64)> {
    let rows: Vec<(String, i64)> = sqlx::query_as(SQL).fetch_all(register).await?;
    let mut all = 0;
    let mut counts = Counts::new();
    for (kind, count) in rows {
        let count = usize::try_from(count)?;
        all += count as u64;
        *counts.entry(kind).or_default() += count;
    }
    Ok((counts, all))
}
