//! What it costs to make rows of record texts, on the fast path and on the careful one.
//!
//! `cargo bench -p ingest-api --bench decode`. One thread, no database.

use std::{hint::black_box, sync::Arc, time::Instant};

use contract::{Entity, Scope, SyncMode};
use ingest_api::{
    entity,
    record::{Decoder, IdRule, LoadContext, Schemas},
};
use uuid::Uuid;

/// Few enough that a round often passes undisturbed on a busy machine.
const RECORDS: u32 = 2_000;
const ROUNDS: usize = 200;

/// Writes the record with this number.
type Write = fn(u32) -> String;

const KINDS: [(&str, Entity, Write); 5] = [
    ("assignments", Entity::ResourceAssignments, assignment),
    (
        "assignments, scattered",
        Entity::ResourceAssignments,
        scattered_assignment,
    ),
    ("principals", Entity::Principals, principal),
    ("principals, \\u", Entity::Principals, escaped_principal),
    ("resources", Entity::Resources, resource),
];

fn main() {
    let schemas = Arc::new(Schemas::compile());
    println!("{:<40}{:>9}{:>9}{:>9}", "records", "bytes", "ns", "MB/s");
    for (name, entity, record) in KINDS {
        let context = LoadContext {
            spec: entity::spec(entity).expect("a merged entity"),
            schemas: Arc::clone(&schemas),
            system_id: 1,
            mode: SyncMode::Full,
            scope: Scope::new(),
            ids: IdRule::Native { system_id: 1 },
        };
        let texts: Vec<String> = (0..RECORDS).map(record).collect();
        measure(&format!("{name}, fast"), &texts, || {
            Decoder::new(context.clone())
        });
        measure(&format!("{name}, careful"), &texts, || {
            Decoder::careful_only(context.clone())
        });
    }
}

/// Prints the best of some rounds: the records alone, and with sorting them into a batch.
fn measure(name: &str, texts: &[String], decoder: impl Fn() -> Decoder) {
    let bytes: usize = texts.iter().map(String::len).sum();
    let (mut read, mut finished) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let mut decoder = decoder();
        let begun = Instant::now();
        for text in texts {
            decoder.record(text);
        }
        read = read.min(begun.elapsed().as_secs_f64());
        let decoded = black_box(decoder.finish());
        finished = finished.min(begun.elapsed().as_secs_f64());
        assert_eq!(
            decoded.batch.rows.len(),
            texts.len(),
            "every record is good"
        );
    }
    for (step, seconds) in [("", read), (", sorted", finished)] {
        println!(
            "{:<40}{:>9.0}{:>9.0}{:>9.0}",
            format!("{name}{step}"),
            bytes as f64 / texts.len() as f64,
            seconds * 1e9 / texts.len() as f64,
            bytes as f64 / seconds / 1e6
        );
    }
}

fn id(space: u128, number: u32) -> Uuid {
    let scattered = u128::from(number.wrapping_mul(2_654_435_761));
    Uuid::from_u128((scattered << 96) | (0x4000_8000 << 32) | space)
}

fn assignment(number: u32) -> String {
    format!(
        r#"{{"resourceId":"{}","principalId":"{}","assignmentType":"Direct","principalType":"User","resourceType":"EntraGroup","state":"Active","startDateTime":"2025-10-06T09:30:00Z"}}"#,
        Uuid::from_u128(u128::from(number / 25) << 96),
        id(2, number)
    )
}

fn scattered_assignment(number: u32) -> String {
    assignment((number * 7_919) % RECORDS)
}

fn principal(number: u32) -> String {
    format!(
        r#"{{"id":"{}","principalType":"User","displayName":"Jürgen Müller {number}","userPrincipalName":"juergen.mueller{number}@contoso.example","email":"juergen.mueller{number}@contoso.example","givenName":"Jürgen","surname":"Müller","jobTitle":"Senior Engineer","department":"Research and Development","companyName":"Contoso","employeeId":"E{number:07}","officeLocation":"Building 4","country":"Germany","managerId":"{}","accountEnabled":true,"createdDateTime":"2021-03-04T05:06:07Z","extendedAttributes":{{"onPremisesSyncEnabled":true,"otherMails":["j{number}@home.example"],"usageLocation":"DE","userType":"Member"}}}}"#,
        id(3, number),
        id(3, number / 8)
    )
}

/// As JSON encoders write that know only ASCII.
fn escaped_principal(number: u32) -> String {
    principal(number).replace('ü', "\\u00fc")
}

fn resource(number: u32) -> String {
    format!(
        r#"{{"id":"{}","resourceType":"EntraGroup","displayName":"sg-finance-{number}-readers","description":"Read access to the \"finance\" reports of unit {number}","mail":"sg-finance-{number}@contoso.example","visibility":"Private","enabled":true,"isAssignableToRole":false,"createdDateTime":"2020-01-02T03:04:05Z","extendedAttributes":{{"groupTypes":[],"mailEnabled":false,"mailNickname":"sg-finance-{number}","securityEnabled":true}}}}"#,
        id(4, number)
    )
}
