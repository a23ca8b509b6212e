//! What it means for readers and loads that attributes get columns meanwhile.
//!
//! A table of N principals; readers ask twenty times a second and a load writes batches of 500, without a pause. Measured
//! before anything is promoted, then while five attributes are. A request that fails ends the run with an error.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use contract::{
    Entity, Promote, PromoteAll, PromotedAll, PromotionPage, PromotionState, SyncMode,
    records::Principal,
};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::{
    bed::Bed,
    generate::{Day, Tenant},
};

/// Attributes that every principal of the tenant has.
pub const ATTRIBUTES: [&str; 5] = [
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "proxyAddresses",
    "usageLocation",
    "userType",
];

/// What readers ask in turn.
const QUESTIONS: [&str; 4] = [
    "/api/register/principals",
    "/api/register/principals?sort=displayName&before=end",
    "/api/register/principals?sort=displayName&filter=lower(displayName)%20startsWith%20'm'",
    "/api/register/principals?filter=ext.usageLocation%20eq%20'NL'",
];

/// Readers ask so often.
const BETWEEN_READS: Duration = Duration::from_millis(50);
/// How long it is measured before.
const BEFORE: Duration = Duration::from_secs(20);
/// Records of a batch of the load that goes on.
const BATCH: usize = 500;

/// Gives the first so many attributes columns and waits until they can be read.
pub async fn promote(bed: &Bed, count: usize) -> anyhow::Result<()> {
    let wanted = PromoteAll {
        promotions: ATTRIBUTES[..count]
            .iter()
            .map(|name| Promote::attribute(Entity::Principals, *name))
            .collect(),
    };
    let answer: PromotedAll = bed.driver.client.promote_attributes(&wanted).await?;
    ensure!(answer.refused.is_empty(), "{:?}", answer.refused);
    loop {
        let page: PromotionPage = bed
            .get("/api/attributes/promotions?entity=principals")
            .await?
            .json()
            .await?;
        if page
            .items
            .iter()
            .all(|one| one.state == PromotionState::Ready)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What readers and the load noticed.
struct Noticed {
    reads: Vec<Duration>,
    batches: Vec<Duration>,
}

/// Measures, and prints what it found.
pub async fn measure(bed: &Bed, tenant: &Tenant) -> anyhow::Result<()> {
    let before = beside(bed, tenant, async {
        tokio::time::sleep(BEFORE).await;
        Ok(())
    })
    .await?;
    let began = Instant::now();
    let during = beside(bed, tenant, promote(bed, ATTRIBUTES.len())).await?;
    let took = began.elapsed();
    println!("\n{:<28}{:>12}{:>12}", "", "before", "during");
    let line = |name: &str, before: f64, during: f64| {
        println!("{name:<28}{before:>12.1}{during:>12.1}");
    };
    for (name, of) in [
        (
            "reads",
            (|noticed| &noticed.reads) as fn(&Noticed) -> &Vec<Duration>,
        ),
        ("batches of 500", |noticed| &noticed.batches),
    ] {
        let (before, during) = (of(&before), of(&during));
        line(name, before.len() as f64, during.len() as f64);
        for (what, share) in [("  p50 ms", 50), ("  p99 ms", 99), ("  max ms", 100)] {
            line(what, at(before, share), at(during, share));
        }
    }
    println!(
        "five columns ready after {:.1} s; no request failed",
        took.as_secs_f64()
    );
    check(bed).await
}

/// So many of a hundred took no longer, in milliseconds.
fn at(all: &[Duration], share: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    let place = (all.len() * share).div_ceil(100).clamp(1, all.len().max(1)) - 1;
    all.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

/// Reads and loads until the work is done.
async fn beside(
    bed: &Bed,
    tenant: &Tenant,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Noticed> {
    let is_over = AtomicBool::new(false);
    let work = async {
        let done = work.await;
        is_over.store(true, Ordering::Relaxed);
        done
    };
    let (done, reads, batches) =
        tokio::join!(work, read(bed, &is_over), load(bed, tenant, &is_over));
    done?;
    Ok(Noticed {
        reads: reads?,
        batches: batches?,
    })
}

async fn read(bed: &Bed, is_over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut all = Vec::new();
    let mut questions = QUESTIONS.iter().cycle();
    while !is_over.load(Ordering::Relaxed)
        && let Some(question) = questions.next()
    {
        let began = Instant::now();
        let answer = bed.get(question).await?;
        ensure!(
            answer.status().is_success(),
            "a read was answered {}",
            answer.status()
        );
        answer.bytes().await?;
        let took = began.elapsed();
        all.push(took);
        tokio::time::sleep(BETWEEN_READS.saturating_sub(took)).await;
    }
    Ok(all)
}

async fn load(bed: &Bed, tenant: &Tenant, is_over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut all = Vec::new();
    let mut round = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        round += 1;
        let mut people = tenant.principals(Day::FIRST).map(|item| item.record);
        loop {
            let mut batch: Vec<Principal> = people.by_ref().take(BATCH).collect();
            if batch.is_empty() || is_over.load(Ordering::Relaxed) {
                break;
            }
            for person in &mut batch {
                // Each is changed, its attributes too.
                person.office_location = Some(format!("round {round}"));
                if let Some(more) = &mut person.extended_attributes {
                    more.insert("usageLocation".into(), json!(format!("N{round}")));
                }
            }
            let began = Instant::now();
            let request = json!({"systemId": bed.driver.system_id, "syncMode": SyncMode::Delta, "records": batch});
            let answer = bed.post("/api/ingest/principals", &request).await?;
            ensure!(
                answer.status().is_success(),
                "a batch was answered {}",
                answer.status()
            );
            all.push(began.elapsed());
        }
    }
    Ok(all)
}

/// Every row's column holds what its attribute says.
async fn check(bed: &Bed) -> anyhow::Result<()> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select attribute, column_name from promoted_attributes where state = 'ready'",
    )
    .fetch_all(&bed.admin)
    .await?;
    ensure!(columns.len() == ATTRIBUTES.len(), "columns are missing");
    for (attribute, column) in columns {
        let sql = format!(
            "select count(*) from principals where {column} is distinct from extended_attributes ->> $1"
        );
        let wrong: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&attribute)
            .fetch_one(&bed.admin)
            .await
            .with_context(|| attribute.clone())?;
        ensure!(wrong == 0, "{wrong} rows have a wrong {attribute}");
    }
    Ok(())
}
