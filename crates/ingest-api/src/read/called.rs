//! Lists and exports about one system, package, principal or resource: what the register's functions answer, with the
//! filter, order, pages, counts and exports of every list.

use axum::{extract::State, response::Response};
use contract::SystemId;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    called_docs as docs,
    export::{self, ExportFormat, ExportQuery},
    readable,
    register::{self, CountWanted, ListQuery},
};
use crate::{
    app::AppState,
    auth::Caller,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery},
    pieces::TellsTheEnd,
    query::{Argument, Called, Source, functions},
};

/// Days without activity when nobody says otherwise, and the most that can be asked for.
const USUAL_DAYS: u32 = 90;
const MAX_DAYS: u32 = 36_500;

/// The routes.
pub fn routes() -> Routes {
    let functions = functions();
    let routes = stale_principals_routes(&functions.stale_principals);
    [
        About {
            path: "/api/systems/{systemId}/packages/{packageId}/access-without",
            id: "package",
            source: &functions.access_without_package,
        },
        About {
            path: "/api/systems/{systemId}/principals/{principalId}/effective-access",
            id: "principal",
            source: &functions.of_principal,
        },
        About {
            path: "/api/systems/{systemId}/resources/{resourceId}/effective-access",
            id: "resource",
            source: &functions.of_resource,
        },
    ]
    .into_iter()
    .fold(routes, About::serve)
}

/// A function about one object.
#[derive(Clone, Copy)]
pub struct About {
    /// Where it is asked.
    pub path: &'static str,
    /// The argument that names the object.
    pub id: &'static str,
    /// The function.
    pub source: &'static Source,
}

type InSystem = InPath<(SystemId, Uuid)>;

impl About {
    fn call(self, InPath((system_id, id)): InSystem) -> Called {
        Called::new(self.source, system_id, &[(self.id, Argument::Id(id))])
    }

    fn serve(routes: Routes, about: Self) -> Routes {
        routes
            .get(
                about.path,
                move |state: State<AppState>,
                      caller: Caller,
                      path: InSystem,
                      query: InQuery<ListQuery>| async move {
                    readable(&caller)?;
                    register::list(&state.0, &caller, about.call(path), &query.read()?).await
                },
                docs::list(about),
            )
            .get(
                &format!("{}/export", about.path),
                move |state: State<AppState>,
                      caller: Caller,
                      path: InSystem,
                      tells: TellsTheEnd,
                      query: InQuery<ExportQuery>| async move {
                    readable(&caller)?;
                    export::export(&state.0, &caller, about.call(path), query.read()?, tells).await
                },
                docs::export(about),
            )
    }
}

/// Which principals are stale, and what of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaleQuery {
    /// Without activity for so many days; 90 when absent.
    #[schemars(range(min = 1, max = 36_500))]
    days: Option<u32>,
    /// A condition, as in every list.
    #[schemars(length(min = 1, max = 4096))]
    filter: Option<String>,
    /// Up to four fields, separated by commas, the greatest first where one has a minus sign.
    #[schemars(length(min = 1, max = 1024))]
    sort: Option<String>,
    /// The fields to answer, separated by commas; all when absent.
    #[schemars(length(min = 1, max = 2048))]
    fields: Option<String>,
    /// `next` of a page: the rows after it. Not together with `before`.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    after: Option<String>,
    /// `previous` of a page: the rows before it. `end`: the last rows.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    before: Option<String>,
    /// At most so many; 100 when absent.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Whether to count the rows of all pages; not when absent.
    count: Option<CountWanted>,
}

/// The same for an export.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaleExportQuery {
    /// Without activity for so many days; 90 when absent.
    #[schemars(range(min = 1, max = 36_500))]
    days: Option<u32>,
    /// The form; `ndjson` when absent.
    format: Option<ExportFormat>,
    /// A condition, as in the list.
    #[schemars(length(min = 1, max = 4096))]
    filter: Option<String>,
    /// The fields, separated by commas; all when absent.
    #[schemars(length(min = 1, max = 2048))]
    fields: Option<String>,
}

fn stale_principals_routes(source: &'static Source) -> Routes {
    Routes::new()
        .get(
            "/api/systems/{systemId}/stale-principals",
            async move |state: State<AppState>,
                        caller: Caller,
                        InPath(system_id),
                        query: InQuery<StaleQuery>| {
                readable(&caller)?;
                let query = query.read()?;
                let called = stale(source, system_id, query.days)?;
                let list = ListQuery {
                    filter: query.filter,
                    sort: query.sort,
                    fields: query.fields,
                    after: query.after,
                    before: query.before,
                    limit: query.limit,
                    count: query.count,
                    include_deleted: None,
                    as_of: None,
                };
                register::list(&state.0, &caller, called, &list).await
            },
            docs::list_stale(source),
        )
        .get(
            "/api/systems/{systemId}/stale-principals/export",
            async move |state: State<AppState>,
                        caller: Caller,
                        InPath(system_id),
                        tells: TellsTheEnd,
                        query: InQuery<StaleExportQuery>|
                        -> Result<Response, ApiError> {
                readable(&caller)?;
                let query = query.read()?;
                let called = stale(source, system_id, query.days)?;
                let export = ExportQuery {
                    format: query.format,
                    filter: query.filter,
                    fields: query.fields,
                    include_deleted: None,
                    as_of: None,
                };
                export::export(&state.0, &caller, called, export, tells).await
            },
            docs::export_stale(source),
        )
}

fn stale(
    source: &'static Source,
    system_id: SystemId,
    days: Option<u32>,
) -> Result<Called, ApiError> {
    let days = days.unwrap_or(USUAL_DAYS);
    let in_range = (1..=MAX_DAYS).contains(&days);
    let days = i32::try_from(days).ok().filter(|_| in_range);
    let days =
        days.ok_or_else(|| ApiError::bad_field("days", "1 to 36,500 days can be asked for"))?;
    Ok(Called::new(
        source,
        system_id,
        &[("days", Argument::Number(days))],
    ))
}
