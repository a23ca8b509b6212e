//! A load of everything there is: driven, measured, checked, summed up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{
    Entity,
    records::{assignment_type, resource_type},
};
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    bed::Bed,
    check::{Contents, check_answers, check_contents, check_untouched},
    drive::{Driver, Lane, Loaded, Sent, load},
    generate::{Day, PRINCIPAL_TYPES, Tenant},
    measure::{Cost, measured},
};

/// The name of loads of what is there already.
pub const UNCHANGED: &str = "unchanged";
/// The name of loads that change and remove.
pub const CHANGED: &str = "1 % changed + 1 % removed";

/// Which loads there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Everything is new.
    First,
    /// Everything is as it was after so many days that changed it.
    Unchanged(u32),
    /// The day of this number: 1 % changed, 1 % is gone.
    Changed(u32),
    /// So many days after the first load; on each of them, 1 % changes.
    Daily(u32),
}

impl Round {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first load",
            Self::Unchanged(_) => UNCHANGED,
            Self::Changed(_) => CHANGED,
            Self::Daily(_) => "a day: 1 % changed",
        }
    }

    fn day(self) -> Day {
        let (number, removes, again) = match self {
            Self::First => return Day::FIRST,
            Self::Unchanged(days) => (days, true, true),
            Self::Changed(day) => (day, true, false),
            Self::Daily(day) => (day, false, false),
        };
        Day {
            number,
            removes,
            again,
        }
    }
}

/// What is loaded, and how.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// All lists side by side.
    pub parallel: bool,
    /// Nothing but principals.
    pub principals_only: bool,
    /// Refresh the views afterwards.
    pub views: bool,
}

/// A list that was loaded.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Records that were sent.
    pub rows: u64,
    /// How long it took, commits included.
    pub seconds: f64,
    /// How long the commits took.
    pub commit_seconds: f64,
    /// New rows.
    pub inserted: u64,
    /// Changed rows.
    pub updated: u64,
    /// Rows that were so already.
    pub unchanged: u64,
    /// Removed rows.
    pub deleted: u64,
    /// What was sent as JSON, in bytes.
    pub json_bytes: u64,
    /// Seconds that each full million of rows took, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub million_seconds: Vec<f64>,
}

/// How long batches took, in milliseconds, as the crawler sees it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// How many batches there were.
    pub batches: u64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
}

/// A load and what it cost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// Records that were sent.
    pub rows: u64,
    /// Records per second.
    pub rows_per_second: f64,
    /// What it cost.
    pub cost: Cost,
    /// How long batches took.
    pub latency: Latency,
    /// The lists.
    pub parts: Vec<Part>,
    /// How long the refresh of the views took after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views_seconds: Option<f64>,
}

/// A list that was loaded, before it is summed up.
pub struct Listed {
    name: &'static str,
    began: Instant,
    ended: Instant,
    /// The scopes that its records went into.
    pub scopes: Vec<Loaded>,
}

/// Loads everything once and checks the outcome.
pub async fn run(
    bed: &Bed,
    tenant: &Arc<Tenant>,
    round: Round,
    shape: Shape,
) -> anyhow::Result<Phase> {
    let before = Contents::read(bed).await?;
    let (cost, listed) = measured(bed, load_all(bed, tenant, round, shape)).await?;
    let after = Contents::read(bed).await?;
    check_answers(round, &listed)?;
    check_contents(&listed, &before, &after)?;
    if matches!(round, Round::Unchanged(_)) {
        check_untouched(bed, &before, &cost).await?;
    }
    let rows = listed.iter().flat_map(|list| &list.scopes);
    let rows: u64 = rows.map(|scope| scope.sent).sum();
    Ok(Phase {
        name: round.name(),
        rows,
        rows_per_second: rows as f64 / cost.seconds,
        cost,
        latency: latency(&listed),
        parts: listed.iter().map(part).collect(),
        views_seconds: if shape.views {
            Some(refresh_views(bed).await?)
        } else {
            None
        },
    })
}

async fn load_all(
    bed: &Bed,
    tenant: &Arc<Tenant>,
    round: Round,
    shape: Shape,
) -> anyhow::Result<Vec<Listed>> {
    let names: &[&'static str] = if shape.principals_only {
        &["principals"]
    } else {
        &["principals", "resources", "assignments"]
    };
    let start = |name: &'static str| {
        let list = load_list(bed.driver.clone(), Arc::clone(tenant), round.day(), name);
        AbortOnDropHandle::new(tokio::spawn(list))
    };
    let mut listed = Vec::new();
    if shape.parallel {
        let tasks: Vec<_> = names.iter().copied().map(start).collect();
        for task in tasks {
            listed.push(task.await??);
        }
    } else {
        for name in names {
            listed.push(start(name).await??);
        }
    }
    Ok(listed)
}

async fn load_list(
    driver: Driver,
    tenant: Arc<Tenant>,
    day: Day,
    name: &'static str,
) -> anyhow::Result<Listed> {
    let began = Instant::now();
    let scopes = match name {
        "principals" => load(&driver, &principal_lanes(), tenant.principals(day)).await?,
        "resources" => load(&driver, &resource_lanes(), tenant.resources(day)).await?,
        _ => load(&driver, &assignment_lanes(), tenant.assignments(day)).await?,
    };
    Ok(Listed {
        name,
        began,
        ended: Instant::now(),
        scopes,
    })
}

fn principal_lanes() -> Vec<Lane> {
    PRINCIPAL_TYPES
        .into_iter()
        .map(|kind| {
            let scope = [("principalType", kind)];
            Lane::new(Entity::Principals, &scope, "entra:users:all")
        })
        .collect()
}

fn resource_lanes() -> Vec<Lane> {
    [
        (resource_type::ENTRA_GROUP, "entra:groups:all"),
        (
            resource_type::ENTRA_DIRECTORY_ROLE,
            "entra:roleDefinitions:all",
        ),
    ]
    .into_iter()
    .map(|(kind, filter)| Lane::new(Entity::Resources, &[("resourceType", kind)], filter))
    .collect()
}

fn assignment_lanes() -> Vec<Lane> {
    let (group, role) = (
        resource_type::ENTRA_GROUP,
        resource_type::ENTRA_DIRECTORY_ROLE,
    );
    [
        (assignment_type::DIRECT, group.clone(), "entra:members:all"),
        (assignment_type::OWNER, group, "entra:owners:all"),
        (assignment_type::DIRECT, role, "entra:roleAssignments:all"),
    ]
    .into_iter()
    .map(|(kind, resource, filter)| {
        let scope = [("assignmentType", kind), ("resourceType", resource)];
        Lane::new(Entity::ResourceAssignments, &scope, filter)
    })
    .collect()
}

async fn refresh_views(bed: &Bed) -> anyhow::Result<f64> {
    let began = Instant::now();
    bed.driver.client.refresh_views().await?;
    loop {
        let views = views::refresh_status(&bed.admin).await?;
        if !views.iter().any(|view| view.is_stale || view.is_running) {
            return Ok(began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn batches(listed: &[Listed]) -> impl Iterator<Item = &Sent> {
    let scopes = listed.iter().flat_map(|list| &list.scopes);
    scopes.flat_map(|scope| &scope.batches)
}

fn latency(listed: &[Listed]) -> Latency {
    let mut took: Vec<Duration> = batches(listed).map(|batch| batch.took).collect();
    took.sort_unstable();
    let at = |share: f64| {
        let place = (took.len() as f64 * share).ceil() as usize;
        let found = took.get(place.saturating_sub(1));
        found.map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    Latency {
        batches: took.len() as u64,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    }
}

fn part(list: &Listed) -> Part {
    let sum = |count: fn(&Loaded) -> u64| list.scopes.iter().map(count).sum();
    Part {
        name: list.name,
        rows: sum(|scope| scope.sent),
        seconds: (list.ended - list.began).as_secs_f64(),
        commit_seconds: list
            .scopes
            .iter()
            .map(|scope| scope.commit.as_secs_f64())
            .sum(),
        inserted: sum(|scope| scope.answer.inserted),
        updated: sum(|scope| scope.answer.updated),
        unchanged: sum(|scope| scope.answer.unchanged),
        deleted: sum(|scope| scope.answer.deleted),
        json_bytes: sum(|scope| scope.json_bytes),
        million_seconds: million_seconds(list),
    }
}

/// How long each full million took, by the moments at which its batches were answered.
fn million_seconds(list: &Listed) -> Vec<f64> {
    let mut sent: Vec<Sent> = list
        .scopes
        .iter()
        .flat_map(|scope| scope.batches.iter().copied())
        .collect();
    sent.sort_unstable_by_key(|batch| batch.answered);
    let (mut rows, mut since, mut seconds) = (0, list.began, Vec::new());
    for batch in sent {
        rows += batch.records;
        if rows / 1_000_000 > seconds.len() as u64 {
            seconds.push((batch.answered - since).as_secs_f64());
            since = batch.answered;
        }
    }
    seconds
}
