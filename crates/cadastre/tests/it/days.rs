//! The register over many days: it agrees with the tenant on each of them, and can tell later what it was like.

use chrono::{DateTime, Utc};
use graph_sim::{SimOptions, TenantSpec};
use sqlx::{AssertSqlSafe, types::Json};

use crate::{
    oracle::{self, Row, Rows, TABLES},
    register::{Register, seed},
    rows::{differences, image_of, normalise, readable},
};

/// The rows of a day as history would keep them.
fn images(rows: &Rows) -> Rows {
    let image = |((table, key), row): (&(&'static str, String), &Row)| {
        let (_, _, columns) = TABLES.iter().find(|(name, ..)| name == table)?;
        Some(((*table, key.clone()), image_of(row, columns)))
    };
    // Of sign-ins only the present is known.
    let governed = rows
        .iter()
        .filter(|((table, _), _)| *table != "principal_activity");
    governed.filter_map(image).collect()
}

/// The register at an instant: live rows that began before it, and ended versions around it.
async fn as_of(register: &Register, at: DateTime<Utc>) -> Rows {
    let mut rows = Rows::new();
    for (place, (row, frame)) in register.all_rows().await {
        let began = frame.valid_from.as_str().expect("a moment");
        let began = DateTime::parse_from_rfc3339(began).expect("a moment");
        if !frame.is_removed && began <= at {
            rows.insert(place, row);
        }
    }
    let mut rows = images(&rows);
    for (table, entity, _) in TABLES {
        let ended: Vec<(String, Json<Row>)> = sqlx::query_as(AssertSqlSafe(
            "select row_key, image from history where entity = $1 and valid_from <= $2 and $2 < valid_to",
        ))
        .bind(entity)
        .bind(at)
        .fetch_all(&register.pool)
        .await
        .expect("history");
        for (key, Json(mut image)) in ended {
            normalise(&mut image);
            let twice = rows.insert((table, key), image);
            assert!(twice.is_none(), "two versions at one instant: {twice:?}");
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_day_that_was_crawled_can_be_read_back_exactly() {
    let seed = seed();
    let spec = TenantSpec::new(seed, 100, 30, 20);
    let register = Register::start(&spec, SimOptions::default()).await;
    let mut days = Vec::new();
    for day in 0..6 {
        if day > 0 {
            register.simulator.change(seed + day, 0.08);
        }
        register.crawl().await;
        register.approve_all().await;
        register.assert_equals_truth().await;
        let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&register.pool)
            .await
            .expect("a clock");
        days.push((now, oracle::expected(&register.simulator.truth())));
    }
    register.assert_no_false_removal().await;
    for (day, (at, rows)) in days.iter().enumerate() {
        let found = differences(&images(rows), &as_of(&register, *at).await);
        assert!(found.is_empty(), "day {day}: {}", readable(&found));
    }
}
