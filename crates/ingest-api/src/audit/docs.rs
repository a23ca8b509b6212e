//! What the routes about the audit log do.

use contract::{AuditPage, Permission};

use super::routes::{ExportQuery, ListQuery};
use crate::openapi::{LINES, Operation, Tag, schema_of};

pub fn list() -> Operation {
    Operation::new(Tag::Audit, "listAudit", "Who did what, newest first")
        .says(
            "What admins do, decisions about held removals, and by day how often each key was used and refused. Entries are \
             never changed. A key that is limited to some systems does not see them.",
        )
        .needs(&[Permission::Admin])
        .query::<ListQuery>()
        .answers::<AuditPage>(200, "A page of entries.")
}

pub fn export() -> Operation {
    Operation::new(
        Tag::Audit,
        "exportAudit",
        "All entries at once, as a stream",
    )
    .says("The body ends properly only when everything was sent. The export is an entry, too.")
    .needs(&[Permission::Admin])
    .query::<ExportQuery>()
    .answers_as(
        200,
        "The entries, newest first.",
        LINES,
        schema_of::<String>(),
    )
    .or_as("text/csv", schema_of::<String>())
}
