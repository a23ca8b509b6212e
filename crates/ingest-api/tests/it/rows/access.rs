//! Registers with access of all kinds, drawn from a seed.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, id};

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(sides)) as u32
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}

pub const PEOPLE: std::ops::Range<u32> = 1..9;
const GROUPS: std::ops::Range<u32> = 101..106;
const ROLES: std::ops::Range<u32> = 201..203;
const APP_ROLES: std::ops::Range<u32> = 301..302;
pub const PACKAGES: std::ops::Range<u32> = 401..405;
/// What nobody told the register about.
const UNKNOWN: u32 = 901;

fn numbers(ranges: &[std::ops::Range<u32>]) -> Vec<u32> {
    ranges.iter().cloned().flatten().collect()
}

fn resources() -> Vec<Value> {
    let typed = [
        (GROUPS, "EntraGroup"),
        (ROLES, "EntraDirectoryRole"),
        (APP_ROLES, "EntraAppRole"),
        (PACKAGES, "BusinessRole"),
    ];
    let of = |(numbers, kind): (std::ops::Range<u32>, &'static str)| {
        numbers.map(move |n| json!({"id": id(n), "displayName": format!("{kind} {}", n % 3), "resourceType": kind}))
    };
    typed.into_iter().flat_map(of).collect()
}

fn assignment(dice: &mut Dice) -> Value {
    let is_group = dice.below(3) == 0;
    let kind = dice.of(&[
        "Direct",
        "Direct",
        "Direct",
        "Eligible",
        "Owner",
        "Governed",
        "OAuth2Grant",
        "Indirect",
    ]);
    let resource = match kind {
        "Governed" => dice.of(&numbers(&[PACKAGES])),
        _ => dice.of(&numbers(&[
            GROUPS,
            GROUPS,
            ROLES,
            APP_ROLES,
            UNKNOWN..UNKNOWN + 1,
        ])),
    };
    let holders = if is_group { GROUPS } else { PEOPLE };
    let holder = dice.of(&numbers(&[holders, UNKNOWN..UNKNOWN + 1]));
    let mut record =
        json!({"resourceId": id(resource), "principalId": id(holder), "assignmentType": kind});
    if is_group {
        record["principalType"] = json!("Group");
    }
    match dice.below(4) {
        0 => record["roleScope"] = json!("/administrativeUnits/7"),
        1 if kind == "Eligible" => record["roleScope"] = json!("/owner"),
        2 => {
            record["state"] = json!("Delivered");
            record["expirationDateTime"] = json!("2027-01-01T00:00:00Z");
        }
        _ => {}
    }
    record
}

fn relationship(dice: &mut Dice) -> Value {
    let kind = dice.of(&["Contains", "Contains", "Contains", "GrantsAccessTo"]);
    let parent = match kind {
        "Contains" => dice.of(&numbers(&[PACKAGES])),
        _ => dice.of(&numbers(&[GROUPS])),
    };
    let child = dice.of(&numbers(&[GROUPS, ROLES, PACKAGES, UNKNOWN..UNKNOWN + 1]));
    let role = dice.of(&["Member", "Owner", "Eligible Member", "Eligible Owner"]);
    json!({"parentResourceId": id(parent), "childResourceId": id(child), "relationshipType": kind, "roleName": role})
}

fn activity(n: u32) -> Value {
    let day = if n.is_multiple_of(2) {
        "2020-01-31"
    } else {
        "2026-01-31"
    };
    json!({"principalId": id(n), "resourceId": Uuid::nil(), "activityType": "SignIn",
        "lastActivityDateTime": format!("{day}T08:00:00Z")})
}

/// Fills a system, and brings the views up to date.
pub async fn fill(app: &TestApp, system_id: i32, seed: u64) {
    let dice = &mut Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let people: Vec<Value> = PEOPLE
        .map(|n| {
            json!({"id": id(n), "displayName": format!("Person {}", n % 3), "principalType": "User",
                "accountEnabled": n % 4 != 0, "createdDateTime": "2019-01-01T00:00:00Z"})
        })
        .collect();
    let assignments: Vec<Value> = (0..80).map(|_| assignment(dice)).collect();
    let relationships: Vec<Value> = (0..16).map(|_| relationship(dice)).collect();
    let activities: Vec<Value> = PEOPLE.filter(|n| n % 3 != 0).map(activity).collect();
    for (entity, records) in [
        ("principals", people),
        ("resources", resources()),
        ("resource-assignments", assignments),
        ("resource-relationships", relationships),
        ("principal-activity", activities),
    ] {
        let more = json!({"systemId": system_id, "syncMode": "delta"});
        let answer = app.ingest(entity, json!(records), more).await.expect(201);
        assert_eq!(answer["rejected"], 0, "{answer}");
    }
    views::refresh(&app.pool).await.expect("refreshes");
}
