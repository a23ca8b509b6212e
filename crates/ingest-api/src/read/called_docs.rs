//! What the lists about one system, package, principal or resource do.

use contract::{Permission, SystemId};
use uuid::Uuid;

use super::{
    called::{About, StaleExportQuery, StaleQuery},
    export::ExportQuery,
    register::ListQuery,
    register_docs::{page_schema, rows},
};
use crate::{
    ingest::type_name,
    openapi::{Operation, Tag},
    query::Source,
};

const STALE: &str = "Principals that hold something and are disabled, without activity for so many days, or never active. Where \
no activity of the system is known at all, the disabled ones only.";

const WITHOUT: &str = "Every access that the package has a part in, of those who have it now. `remains` is true where something \
else gives the same. Own assignments of what it contains count as taken away with it.";

const EFFECTIVE: &str = "A row for each way, own assignments and those through groups, packages and other resources, with the \
assignment behind it. From the live tables: a refresh is not needed. Filtered, sorted, counted and exported as every list.";

/// A list about one object.
pub fn list(about: About) -> Operation {
    let says = match about.id {
        "package" => WITHOUT,
        _ => EFFECTIVE,
    };
    page(
        of_object(about, "list", "Rows")
            .says(says)
            .query::<ListQuery>(),
        about.source,
    )
}

/// The same as an export.
pub fn export(about: About) -> Operation {
    rows(of_object(about, "export", "All rows").query::<ExportQuery>())
}

/// `GET /api/systems/{systemId}/stale-principals`.
pub fn list_stale(source: &'static Source) -> Operation {
    let operation = of_system(source, "list", "Rows").says(STALE);
    page(operation.query::<StaleQuery>(), source)
}

/// The same as an export.
pub fn export_stale(source: &'static Source) -> Operation {
    rows(of_system(source, "export", "All rows").query::<StaleExportQuery>())
}

fn of_system(source: &Source, verb: &str, what: &str) -> Operation {
    let id = format!("{verb}{}", type_name(source.name));
    Operation::new(Tag::Access, id, format!("{what}: {}", source.about))
        .needs(&[Permission::Read])
        .path::<SystemId>("systemId", "The system.")
}

fn of_object(about: About, verb: &str, what: &str) -> Operation {
    let operation = of_system(about.source, verb, what);
    match about.id {
        "package" => operation.path::<Uuid>("packageId", "The access package."),
        "principal" => operation.path::<Uuid>("principalId", "The principal."),
        _ => operation.path::<Uuid>("resourceId", "The resource."),
    }
}

fn page(operation: Operation, source: &'static Source) -> Operation {
    operation.answers_as(
        200,
        "A page; empty for what is not known.",
        "application/json",
        page_schema(source),
    )
}
