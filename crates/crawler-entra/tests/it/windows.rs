//! Several time windows of one row.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use contract::{CollectionStatus, RunOutcome};
use graph_sim::{Tenant, TenantSpec};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Bench, line, unlimited};

/// Windows that every row gets, more than Graph puts on a page.
const MORE: u16 = 120;

/// A tenant where everything that can be held for a time has many more windows, all of them later than the first; `place`
/// tells where the list has them.
fn tenant_with_windows(place: fn(u16) -> u16) -> Tenant {
    let mut tenant = Tenant::generate(&TenantSpec::new(7, 150, 45, 40));
    let later = |number: u16| TimeDelta::days(10_000) + TimeDelta::days(number.into());
    for first in tenant.role_assignments.clone().into_values() {
        for number in 0..MORE {
            let mut window = first.clone();
            let place = place(number);
            let side = if place < MORE { "00" } else { "zz" };
            window.id = format!("{side}{place:05}-{}", first.id);
            // An assignment without a start is earlier than all of these.
            let start = first.start.unwrap_or(tenant.created);
            window.start = Some(start + later(number));
            tenant.role_assignments.insert(window.id.clone(), window);
        }
    }
    for (row, first) in (0..).zip(tenant.role_eligibilities.clone().into_values()) {
        for number in 0..MORE {
            let mut window = first.clone();
            window.id = Uuid::from_u128((u128::from(place(number)) << 112) + row);
            window.instance_id = format!("{:05}-{}", place(number), first.instance_id);
            window.start += later(number);
            tenant.role_eligibilities.insert(window.id, window);
        }
    }
    for (row, first) in (0..).zip(tenant.group_eligibilities.clone().into_values()) {
        for number in 0..MORE {
            let mut window = first.clone();
            let unique = Uuid::from_u128((u128::from(place(number)) << 112) + row);
            window.id = format!("{}_{}_{unique}", first.group_id, first.access.as_str());
            window.start += later(number);
            tenant.group_eligibilities.insert(window.id.clone(), window);
        }
    }
    tenant
}

/// What arrives of such a tenant, after checking that every window counts as read.
async fn rows_of(tenant: Tenant) -> BTreeSet<String> {
    let bench = Bench::with_tenant(tenant, unlimited()).await;
    let report = bench.crawl(bench.config()).await;
    assert_eq!(report.outcome, RunOutcome::Complete, "{report:#?}");
    let truth = bench.simulator.truth();
    let mut rows = BTreeSet::new();
    for (collection, assignment_type, resource_type, windows) in [
        (
            "role assignments",
            "Direct",
            "EntraDirectoryRole",
            truth.role_assignments.len(),
        ),
        (
            "role eligibility",
            "Eligible",
            "EntraDirectoryRole",
            truth.role_eligibilities.len(),
        ),
        (
            "group eligibility",
            "Eligible",
            "EntraGroup",
            truth.group_eligibilities.len(),
        ),
    ] {
        let line = line(&report, collection);
        assert_eq!(line.status, CollectionStatus::Complete, "{collection}");
        assert_eq!(line.read, windows as u64, "{collection}");
        let scope = [
            ("assignmentType", assignment_type),
            ("resourceType", resource_type),
        ];
        let session = bench.register.session("resource-assignments", &scope);
        let records: Vec<&Value> = session.records().collect();
        assert!(!records.is_empty(), "{collection}");
        assert!(
            records.len() * usize::from(MORE) < windows,
            "{collection}: {} rows of {windows} windows",
            records.len()
        );
        rows.extend(records.into_iter().map(Value::to_string));
    }
    bench.stop().await;
    rows
}

#[tokio::test]
async fn a_row_shows_the_same_window_wherever_and_on_whatever_page_graph_lists_it() {
    let ahead = rows_of(tenant_with_windows(|number| number)).await;
    let behind = rows_of(tenant_with_windows(|number| u16::MAX - number)).await;
    // The ids of the later windows differ, so the rows are the same only if they show the first ones.
    assert_eq!(ahead, behind);
}
