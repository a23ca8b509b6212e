//! Runs that a schedule asks for, while workers, the server and PostgreSQL are killed: none is lost, none counts twice, and
//! the register is the tenant.

pub mod scene;

use std::time::Duration;

use contract::{Crawler, Schedule};
use graph_sim::{SimOptions, TenantSpec, Throttle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use uuid::Uuid;

use crate::{oracle, register::seed};
use scene::Scene;

/// How many runs the schedule asks for: `CADASTRE_TEST_RUNS`, or 5.
fn runs() -> u64 {
    let chosen = std::env::var("CADASTRE_TEST_RUNS").ok();
    chosen.map_or(5, |text| text.parse().expect("a number"))
}

/// A crawler of everything, and a schedule whose slots come when the test says so.
async fn schedule(scene: &Scene) -> Schedule {
    let simulator = &scene.register.simulator;
    let address = simulator.base_url();
    let crawler = json!({
        "name": "tenant",
        "settings": {
            "graph": {"tenantId": simulator.tenant_id(), "clientId": simulator.client_id(), "baseUrl": address, "loginBaseUrl": address},
            "sync": {"servicePrincipals": true, "pim": true, "governance": true},
            // The tenant's days do not go by as ours do.
            "requestWindowDays": 36_500,
            "identityFilter": oracle::identity_filter(),
        },
        "secrets": {"clientSecret": simulator.client_secret()},
    });
    let crawler: Crawler = scene.register.post("/api/crawlers", &crawler).await;
    let wanted = json!({"crawlerId": crawler.crawler_id, "cron": "0 0 1 1 *", "mode": "full", "overlap": "queue"});
    scene.register.post("/api/schedules", &wanted).await
}

/// Lets a slot come; answers its job.
async fn fire(scene: &Scene, schedule: &Schedule, jobs_before: i64) -> Uuid {
    sqlx::query("update schedules set next_at = now() where schedule_id = $1")
        .bind(schedule.schedule_id)
        .execute(scene.pool())
        .await
        .expect("a slot comes");
    let newest = "select max(job_id::text)::uuid from jobs having count(*) > $1";
    scene
        .until("the slot's job", async |pool| {
            sqlx::query_scalar(newest)
                .bind(jobs_before)
                .fetch_optional(pool)
                .await
        })
        .await
}

/// How the job ended, if it has.
async fn end_of(scene: &Scene, job: Uuid) -> Option<String> {
    let ended = "select state from jobs where job_id = $1 and finished_at is not null";
    let state = sqlx::query_scalar(ended)
        .bind(job)
        .fetch_optional(scene.pool())
        .await;
    state.ok().flatten()
}

/// Kills this and that while the job is under way.
async fn disturb(scene: &mut Scene, job: Uuid, random: &mut StdRng) {
    for _ in 0..random.random_range(1..=3) {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..3_000))).await;
        scene.hurry().await;
        if end_of(scene, job).await.is_some() {
            return;
        }
        match random.random_range(0..4) {
            0 => {
                println!("  the worker is killed");
                scene.kill_worker().await;
            }
            1 => {
                println!("  the server is killed");
                scene.kill_server().await;
            }
            2 => {
                println!("  PostgreSQL is killed");
                scene.kill_postgres().await;
            }
            _ => {
                println!("  the worker sleeps past its lease");
                scene.freeze_worker().await;
                if random.random_bool(0.5) {
                    // While the other one is at work, or later.
                    for _ in 0..random.random_range(10..80) {
                        scene.hurry().await;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    scene.wake_worker();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_no_run_is_lost_none_counts_twice_and_the_register_is_the_tenant() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let spec = TenantSpec::new(seed, 300, 900, 60).with_access_packages(5);
    let mut options = SimOptions {
        throttle: Throttle::off(),
        latency: Duration::from_millis(20),
        ..SimOptions::default()
    };
    options.throttle.report_requests = None;
    let mut scene = Scene::start(&spec, options).await;
    let schedule = schedule(&scene).await;
    for run in 0..runs() {
        scene.register.simulator.change(seed ^ run, 0.01);
        let job = fire(&scene, &schedule, run as i64).await;
        println!("run {run}, job {job}");
        disturb(&mut scene, job, &mut random).await;
        let state = scene
            .until("the job's end", async |_| Ok(end_of(&scene, job).await))
            .await;
        println!("  {state}");
        // It wakes up to find that the job is not its own, and changes nothing.
        scene.wake_worker();
        assert!(["succeeded", "held"].contains(&state.as_str()), "{state}");
        scene.register.approve_all().await;
        scene.register.assert_equals_truth().await;
        scene.register.assert_no_false_removal().await;
    }
    every_run_counts_once(&scene).await;
    // What is the tenant is written once: another run finds nothing to do.
    let versions = scene.register.row_versions().await;
    let job = fire(&scene, &schedule, runs() as i64).await;
    let state = scene
        .until("the job's end", async |_| Ok(end_of(&scene, job).await))
        .await;
    assert_eq!(state, "succeeded");
    assert!(versions == scene.register.row_versions().await);
}

/// Every slot has its job, every job one run that reported its end once, and nothing is left open.
async fn every_run_counts_once(scene: &Scene) {
    let register = &scene.register;
    let runs = runs() as i64;
    for (sql, expected) in [
        (
            "select count(*) from jobs where finished_at is not null",
            runs,
        ),
        ("select count(distinct slot) from jobs", runs),
        ("select count(distinct run_id) from jobs", runs),
        (
            "select count(*) from jobs join run_reports using (run_id) where outcome in ('complete', 'held')",
            runs,
        ),
        (
            "select count(*) from job_log where message like 'succeeded%' or message like 'held%'",
            runs,
        ),
        ("select count(*) from sync_sessions where state = 'open'", 0),
        ("select count(*) from runs_under_way", 0),
    ] {
        assert_eq!(register.count(sql).await, expected, "{sql}");
    }
}
