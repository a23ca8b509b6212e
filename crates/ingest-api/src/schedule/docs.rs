//! What the routes about schedules do.

use contract::{Permission, Schedule, Schedules, WriteSchedule};
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::SchedulesQuery;
use crate::{
    job::LOOK,
    openapi::{Operation, Tag},
};

fn example() -> Value {
    json!({
        "crawlerId": "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10", "cron": "30 2 * * *", "timeZone": "Europe/Stockholm",
        "mode": "delta",
    })
}

fn one(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Jobs, id, summary).path::<Uuid>("scheduleId", "The schedule.")
}

pub fn list() -> Operation {
    Operation::new(Tag::Jobs, "listSchedules", "Schedules, oldest first")
        .needs(LOOK)
        .query::<SchedulesQuery>()
        .answers::<Schedules>(200, "The schedules that the key may see.")
}

pub fn create() -> Operation {
    Operation::new(Tag::Jobs, "createSchedule", "Run a crawler again and again")
        .says("The expression names times of the zone's clocks. Where these are changed, a time that comes twice counts once, and one that is left out is made up for right after the gap.")
        .needs(&[Permission::Admin])
        .takes::<WriteSchedule>(example())
        .answers::<Schedule>(201, "The schedule, with its next five firings.")
        .leads_to("getSchedule", &json!({"scheduleId": "$response.body#/scheduleId"}))
        .refuses(404, "There is no such crawler for this key.")
        .refuses(409, "The crawler has as many schedules as it may have.")
}

pub fn show() -> Operation {
    one("getSchedule", "A schedule")
        .needs(LOOK)
        .answers::<Schedule>(200, "The schedule, with its next five firings.")
}

pub fn change() -> Operation {
    one("changeSchedule", "Change a schedule")
        .needs(&[Permission::Admin])
        .takes::<WriteSchedule>(example())
        .answers::<Schedule>(200, "The schedule as it is now.")
}

pub fn remove() -> Operation {
    one("deleteSchedule", "Remove a schedule")
        .says("Jobs that it asked for stay.")
        .needs(&[Permission::Admin])
        .answers_nothing(204, "It is removed.")
}
