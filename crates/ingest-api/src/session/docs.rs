//! What the routes about sessions do.

use contract::{
    Entity, IngestAnswer, MAX_RECORDS, Permission, Role, record_subschema,
    session::{OpenSession, SessionOpened, SessionPage, SessionStatus},
};
use schemars::SchemaGenerator;
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::{CommitBody, RejectedPage, RejectedQuery, SessionsQuery};
use crate::openapi::{LINES, Operation, SchemaOf, Tag, schema_of};

fn session(id: &str, summary: &str) -> Operation {
    Operation::new(Tag::Sessions, id, summary).path::<Uuid>("syncId", "The session.")
}

/// What a crawl that claimed its run may say with everything that it sends.
fn under_claim(operation: Operation) -> Operation {
    operation.header(
        "X-Run-Claim",
        "The claim of a run that this is sent under: the run's id, a blank, the epoch. Refused (409) when somebody claimed \
         the run since, or it has ended.",
        &json!({"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12} [0-9]{1,9}$"}),
    )
}

pub fn open() -> Operation {
    let same = json!({"syncId": "$response.body#/syncId"});
    under_claim(Operation::new(Tag::Sessions, "openSession", "Open a session"))
        .says("A session expires when no batch came for 24 hours. Only a committed full load removes rows.")
        .needs(&[Permission::Ingest])
        .takes::<OpenSession>(json!({
            "systemId": 1, "entity": "principals", "syncMode": "full", "scope": {"principalType": "User"},
        }))
        .answers::<SessionOpened>(201, "The session is open.")
        .leads_to("getSession", &same)
        .leads_to("putBatch", &json!({"syncId": "$response.body#/syncId", "seq": "0"}))
        .leads_to("commitSession", &same)
        .leads_to("abortSession", &same)
        .leads_to("listRejected", &same)
        .refuses(403, "The key lacks the permission or the system.")
        .refuses(409, "A full load of the same scope is open; `syncId` names it.")
}

pub fn put_batch() -> Operation {
    let principal =
        json!({"id": "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10", "displayName": "Ada Lovelace"});
    let whole = json!({"records": [principal]});
    let lines = format!("{{}}\n{principal}\n");
    under_claim(session("putBatch", "Send a batch of records"))
        .says(
            "In any order and in parallel. The same number with the same bytes is answered as the first time. Rows are \
             visible when the batch is answered; a record that cannot be stored is refused by itself and counted in \
             `rejected`. A delta session may name rows to remove in `deletedIds`: of a record and a removal of the same row \
             the last one counts, by number of batch, and in a batch the removal. The commit applies them, or holds them for \
             a person, all together.",
        )
        .needs(&[Permission::Ingest])
        .path_like(
            "seq",
            "The batch's number, from 0.",
            Box::new(|_| json!({"type": "integer", "format": "int64", "minimum": 0})),
        )
        .takes_any(
            "At most 64 MiB as sent and 256 MiB decompressed. May be compressed: `Content-Encoding` gzip or zstd.",
            vec![
                ("application/json", batch_schema(), Some(whole)),
                (LINES, schema_of::<String>(), Some(lines.into())),
            ],
        )
        .answers::<IngestAnswer>(200, "The batch is stored; what became of its records.")
        .refuses(409, "The number was used for other bytes, or the session is not open.")
}

/// Records of the session's entity, whichever that is.
fn batch_schema() -> SchemaOf {
    Box::new(|generator: &mut SchemaGenerator| {
        let records: Vec<Value> = Entity::ALL
            .into_iter()
            .filter(|entity| *entity != Entity::Systems)
            .map(|entity| record_subschema(entity, generator).to_value())
            .collect();
        json!({
            "type": "object",
            "required": ["records"],
            "additionalProperties": false,
            "properties": {
                "records": {
                    "type": "array",
                    "description": format!("Records of the session's entity, at most {MAX_RECORDS}."),
                    "items": {"anyOf": records},
                },
                "deletedIds": {
                    "type": "array",
                    "maxItems": MAX_RECORDS,
                    "description": "Keys of rows that the commit removes or holds; only in sessions with the syncMode `delta`.",
                    "items": {"type": ["string", "object"]},
                },
            },
        })
    })
}

pub fn commit() -> Operation {
    under_claim(session("commitSession", "End a session, with what was read to its end"))
        .says(
            "A full load now removes the rows of its scope that it did not bring, in parents that were read to the end, \
             or holds them for a person; a delta session so those that it named. Sent again, it gets the first answer.",
        )
        .needs(&[Permission::Ingest])
        .takes::<CommitBody>(json!({"batches": 2, "complete": true}))
        .answers::<IngestAnswer>(200, "The session is committed; the sum of its batches.")
        .refuses(409, "A batch is missing, or the session is not open.")
}

pub fn abort() -> Operation {
    under_claim(session("abortSession", "Give a session up"))
        .says("Removes nothing. Rows that its batches brought stay.")
        .needs(&[Permission::Ingest, Permission::Admin])
        .answers::<SessionStatus>(200, "The session is aborted.")
        .refuses(400, "The header `X-Run-Claim` cannot be read.")
        .refuses(409, "The session was committed or has expired.")
}

pub fn show() -> Operation {
    session("getSession", "Where a session stands")
        .says("For the key that opened it, or that it was rotated to, and for admin keys of the workspace.")
        .from_role(Role::Admin)
        .answers::<SessionStatus>(200, "Its state and its counts.")
}

pub fn list() -> Operation {
    Operation::new(Tag::Sessions, "listSessions", "The sessions of a run")
        .says(
            "Those that the key, or one that it was rotated from, opened, in systems that it may touch. A crawl that is \
             resumed goes on in the open ones: first it sends empty batches under the numbers in `missing`, then its own \
             from `nextSeq` on.",
        )
        .needs(&[Permission::Ingest])
        .query::<SessionsQuery>()
        .answers::<SessionPage>(200, "In the order in which they were opened.")
}

pub fn rejected() -> Operation {
    Operation::new(
        Tag::Sessions,
        "listRejected",
        "The records of a load that were refused",
    )
    .says("For the key that made the load, and for admin keys of the workspace.")
    .from_role(Role::Admin)
    .query::<RejectedQuery>()
    .answers::<RejectedPage>(
        200,
        "A page; pass the last `rejectedId` as `after` for the next one.",
    )
    .refuses(404, "There is no such load.")
}
