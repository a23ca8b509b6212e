//! Schedules of real servers on nights when the clocks are changed, and after downtime: every slot brings one job, which one
//! worker runs, whatever the clocks of servers and workers show. The database's clock is simulated and decides alone.

mod clock;
mod scene;
mod timetable;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use contract::SlotOutcome;
use sqlx::PgPool;
use uuid::Uuid;

use scene::Scene;
use timetable::{PLANS, Plan, at};

/// A slot that is not made up for has this long to be seen.
const MISSED_AFTER: TimeDelta = TimeDelta::minutes(5);

/// A schedule, and what became of its slots if all is well.
struct Kept {
    plan: Plan,
    schedule_id: Uuid,
    latest: Option<(DateTime<Utc>, SlotOutcome)>,
    /// The slots that brought a job.
    jobs: BTreeSet<DateTime<Utc>>,
}

impl Kept {
    /// Time went from the one moment to the other without anybody looking.
    fn pass(&mut self, after: DateTime<Utc>, until: DateTime<Utc>, does_job_wait: bool) {
        let Some(slot) = self.plan.slots(after, until).pop_last() else {
            return;
        };
        let outcome = if !self.plan.catch_up && until - slot > MISSED_AFTER {
            SlotOutcome::Missed
        } else if does_job_wait {
            SlotOutcome::Overlapped
        } else {
            self.jobs.insert(slot);
            SlotOutcome::Queued
        };
        self.latest = Some((slot, outcome));
    }
}

/// The scene, and what is expected of it.
struct Play {
    scene: Scene,
    kept: Vec<Kept>,
    seen_until: DateTime<Utc>,
}

impl Play {
    async fn start(moment: DateTime<Utc>) -> Self {
        let scene = Scene::start(moment, 3).await;
        let mut kept = Vec::new();
        for plan in PLANS {
            let body = plan.body(scene.crawlers[plan.crawler]);
            kept.push(Kept {
                plan,
                schedule_id: scene.schedule(&body).await.schedule_id,
                latest: None,
                jobs: BTreeSet::new(),
            });
        }
        Self {
            scene,
            kept,
            seen_until: moment,
        }
    }

    /// Sets the clock to some seconds after a moment.
    fn set_clock(&mut self, moment: DateTime<Utc>, are_workers_away: bool) {
        let moment = moment + TimeDelta::seconds(5);
        self.scene.set_clock(moment);
        for kept in &mut self.kept {
            let waits = are_workers_away
                && kept.latest.is_some_and(|(_, outcome)| {
                    matches!(outcome, SlotOutcome::Queued | SlotOutcome::Overlapped)
                });
            kept.pass(self.seen_until, moment, waits);
        }
        self.seen_until = moment;
    }

    /// Waits until the servers have seen what came.
    async fn seen(&self) {
        let expected: Vec<_> = self
            .kept
            .iter()
            .filter_map(|kept| {
                let (slot, outcome) = kept.latest?;
                Some((kept.schedule_id, slot, outcome.wire_name().to_owned()))
            })
            .collect();
        let mut told = Vec::new();
        let sql = "select schedule_id, last_slot, last_outcome from schedules where last_slot is not null order by schedule_id";
        self.scene
            .until(
                "the latest slot of every schedule",
                async |pool: &PgPool| {
                    told = sqlx::query_as(sql).fetch_all(pool).await.expect(sql);
                    let slots = |all: &[(Uuid, DateTime<Utc>, String)]| -> BTreeSet<_> {
                        all.iter().map(|(id, slot, _)| (*id, *slot)).collect()
                    };
                    slots(&told) == slots(&expected)
                },
            )
            .await;
        let sorted = |all: Vec<_>| BTreeSet::from_iter(all);
        assert_eq!(sorted(told), sorted(expected), "at {}", self.seen_until);
    }

    /// Waits until no job is left to do.
    async fn done(&self) {
        let sql = "select count(*) from jobs where finished_at is null";
        self.scene
            .until("the end of all jobs", async |pool: &PgPool| {
                sqlx::query_scalar::<_, i64>(sql)
                    .fetch_one(pool)
                    .await
                    .expect(sql)
                    == 0
            })
            .await;
    }

    /// A moment comes, and with it the jobs of its slots.
    async fn come(&mut self, moment: DateTime<Utc>) {
        self.set_clock(moment, false);
        self.seen().await;
        self.done().await;
    }

    /// Every half hour comes; on some a server sleeps, and wakes up when all is done.
    async fn half_hours(&mut self, from: &str, until: &str) {
        let (mut moment, until) = (at(from), at(until));
        for step in 0.. {
            let asleep = [None, Some(0), None, Some(1)][step % 4];
            if let Some(server) = asleep {
                self.scene.put_to_sleep(server);
            }
            self.come(moment).await;
            if let Some(server) = asleep {
                self.scene.wake_up(server);
            }
            println!(
                "{moment}: {} jobs so far",
                self.kept.iter().map(|kept| kept.jobs.len()).sum::<usize>()
            );
            moment += TimeDelta::minutes(30);
            if moment > until {
                break;
            }
        }
    }

    /// Nobody takes the jobs: one waits, further slots bring none.
    async fn without_workers(&mut self, moments: &[&str]) {
        self.scene.stop_workers();
        for (number, moment) in moments.iter().enumerate() {
            self.set_clock(at(moment), number > 0);
            self.seen().await;
        }
        self.scene.start_workers().await;
        self.done().await;
    }

    /// No server runs until a moment.
    async fn downtime(&mut self, until: &str) {
        self.scene.stop_servers();
        self.set_clock(at(until), false);
        self.scene.start_servers().await;
        self.seen().await;
        self.done().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_brings_one_job_over_two_changes_of_the_clocks_and_after_downtime() {
    let mut play = Play::start(at("2026-10-24T22:40:00Z")).await;
    play.half_hours("2026-10-24T23:00:00Z", "2026-10-25T04:00:00Z")
        .await;
    play.without_workers(&[
        "2026-10-26T00:00:00Z",
        "2026-10-26T00:30:00Z",
        "2026-10-26T01:00:00Z",
    ])
    .await;
    play.half_hours("2026-10-26T01:30:00Z", "2026-10-26T02:00:00Z")
        .await;
    play.downtime("2026-10-26T03:10:00Z").await;
    // After a winter without servers each schedule has one job again.
    play.half_hours("2027-03-27T23:00:00Z", "2027-03-28T04:00:00Z")
        .await;
    play.half_hours("2027-03-29T00:00:00Z", "2027-03-29T01:30:00Z")
        .await;
    every_slot_has_its_job(&play).await;
    every_job_was_run_once(&play.scene).await;
    only_the_database_tells_the_time(&play.scene).await;
}

async fn every_slot_has_its_job(play: &Play) {
    let sql = "select schedule_id, slot from jobs order by schedule_id, slot";
    let jobs: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(sql)
        .fetch_all(play.scene.pool())
        .await
        .expect(sql);
    let mut expected: Vec<_> = play
        .kept
        .iter()
        .flat_map(|kept| kept.jobs.iter().map(|slot| (kept.schedule_id, *slot)))
        .collect();
    expected.sort_unstable();
    assert_eq!(jobs, expected);
    let daily = |number: usize| -> Vec<String> {
        let slots = play.kept[number].jobs.iter();
        slots
            .map(|slot| slot.format("%Y-%m-%d %H:%M").to_string())
            .collect()
    };
    // 02:30 in Stockholm, which the clocks showed twice on the one night and not at all on the other.
    let stockholm = [
        "2026-10-25 00:30",
        "2026-10-26 01:30",
        "2027-03-27 01:30",
        "2027-03-28 01:00",
        "2027-03-29 00:30",
    ];
    assert_eq!(daily(0), stockholm);
    assert!(jobs.len() > 60, "{}", jobs.len());
}

/// Each by one worker, under one lease, in one run; and all three had some.
async fn every_job_was_run_once(scene: &Scene) {
    let jobs = scene.register.count("select count(*) from jobs").await;
    for (sql, expected) in [
        (
            "select count(*) from jobs where state = 'succeeded' and epoch = 1 and attempt = 1",
            jobs,
        ),
        (
            "select count(distinct run_id) from jobs join run_reports using (run_id) where outcome = 'complete'",
            jobs,
        ),
        ("select count(*) from run_reports", jobs),
        (
            "select count(*) from audit_log where action = 'job.lease'",
            jobs,
        ),
        (
            "select count(distinct target) from audit_log where action = 'job.lease'",
            jobs,
        ),
        (
            "select count(*) from job_log where message like 'given to %'",
            jobs,
        ),
        // Those of before and after the hours without workers.
        ("select count(distinct worker) from jobs", 6),
        ("select count(*) from sync_sessions where state = 'open'", 0),
        ("select count(*) from runs_under_way", 0),
    ] {
        assert_eq!(scene.register.count(sql).await, expected, "{sql}");
    }
}

/// No moment is in the register that the database's clock did not show, though the others were wrong and jumped.
async fn only_the_database_tells_the_time(scene: &Scene) {
    for sql in [
        "select created_at from jobs union select started_at from jobs union select finished_at from jobs",
        "select at from job_log union select at from audit_log",
        "select opened_at from sync_sessions union select closed_at from sync_sessions where closed_at is not null",
        "select first_seen_at from principals union select valid_from from principals",
        "select first_seen_at from resource_assignments union select valid_from from resource_assignments",
        "select first_seen_at from workers union select last_seen_at from workers",
        "select created_at from schedules union select created_at from crawlers union select created_at from api_keys",
    ] {
        let moments: Vec<DateTime<Utc>> = sqlx::query_scalar(sql)
            .fetch_all(scene.pool())
            .await
            .expect(sql);
        assert!(!moments.is_empty(), "{sql}");
        for moment in moments {
            assert!(scene.clock.has_shown(moment), "{moment}: {sql}");
        }
    }
}
