//! The rows of every entity: filtered, sorted, page by page.

use std::time::Duration;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use contract::SystemId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{export, readable, register_docs, visible};
use crate::{
    app::AppState,
    attributes,
    auth::Caller,
    entity,
    error::ApiError,
    history::Moment,
    openapi::Routes,
    params::{InQuery, MAX_PAGE, USUAL_PAGE},
    pieces::TellsTheEnd,
    query::{
        Called, Cursor, Direction, Filter, Format, Limits, Names, Order, Page, PageRows, Past,
        QueryError, RunError, Scope, Selected, Source, Writer, count_exactly, estimate, read_page,
        views, write_string,
    },
    system,
};

/// What a page may take.
const LIMITS: Limits = Limits {
    max_bytes: 8 * 1024 * 1024,
    patience: Duration::from_secs(15),
};
/// Longest time for an exact count.
const COUNT_PATIENCE: Duration = Duration::from_secs(2);
/// The word that stands for the place behind the last row.
const END: &str = "end";

/// The routes of every entity, and of the views that are read in the same way.
pub fn routes() -> Routes {
    entity::ALL
        .iter()
        .map(|spec| Source::of(spec))
        .chain(views())
        .fold(Routes::new(), with_source)
}

fn with_source(routes: Routes, source: &'static Source) -> Routes {
    let path = format!("/api/register/{}", source.name);
    routes
        .get(
            &path,
            move |state: State<AppState>, caller: Caller, query: InQuery<ListQuery>| async move {
                readable(&caller)?;
                list(&state.0, &caller, source, &query.read()?).await
            },
            register_docs::list(source),
        )
        .get(
            &format!("{path}/export"),
            move |state: State<AppState>,
                  caller: Caller,
                  tells: TellsTheEnd,
                  query: InQuery<export::ExportQuery>| async move {
                readable(&caller)?;
                export::export(&state.0, &caller, source, query.read()?, tells).await
            },
            register_docs::export(source),
        )
}

/// How rows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CountWanted {
    /// Not at all.
    #[default]
    None,
    /// As PostgreSQL's statistics have it: at once, and roughly.
    Estimated,
    /// One by one; an estimate where that takes longer than two seconds.
    Exact,
}

/// Which rows, in which order, and what of them.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListQuery {
    /// A condition, such as `department eq 'Sales' and not ext.site exists`; docs/read-api.md has the language.
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// Up to four fields, separated by commas, the greatest first where one has a minus sign: `department,-createdDateTime`.
    /// Rows without a value come last. The row's key decides in the end.
    #[schemars(length(min = 1, max = 1024))]
    pub sort: Option<String>,
    /// The fields to answer, separated by commas, `ext.site` among them; all when absent.
    #[schemars(length(min = 1, max = 2048))]
    pub fields: Option<String>,
    /// `next` of a page: the rows after it. Not together with `before`.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub after: Option<String>,
    /// `previous` of a page: the rows before it. `end`: the last rows.
    #[schemars(length(min = 1), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub before: Option<String>,
    /// At most so many; 100 when absent.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Whether to count the rows of all pages; not when absent.
    pub count: Option<CountWanted>,
    /// Removed rows too, which have `deletedAt`.
    pub include_deleted: Option<bool>,
    /// As the rows were at this instant.
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// How many rows there are on all pages together.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RowCount")]
pub struct RowCount {
    /// How many.
    rows: u64,
    /// Counted, or estimated: also where an exact count was asked for and took too long.
    kind: CountKind,
}

/// How sure a count is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RowCountKind")]
pub enum CountKind {
    /// Counted.
    Exact,
    /// From PostgreSQL's statistics.
    Estimated,
}

/// What is asked.
#[derive(Clone)]
pub enum Subject {
    /// A table, or a view over whole systems.
    Source(&'static Source),
    /// A function with its arguments, about one system.
    Called(Called),
}

impl Subject {
    /// What it is called on the wire.
    pub const fn name(&self) -> &'static str {
        self.source().name
    }

    const fn source(&self) -> &'static Source {
        match self {
            Self::Source(source) => source,
            Self::Called(called) => called.source,
        }
    }

    /// The systems that the caller may see of it. One that it may not see is not there for it.
    async fn systems(&self, state: &AppState, caller: &Caller) -> Result<Vec<SystemId>, ApiError> {
        match self {
            Self::Source(_) => Ok(system::visible(&state.pool, caller).await?),
            Self::Called(called) => {
                visible(state, caller, called.system_id).await?;
                Ok(vec![called.system_id])
            }
        }
    }
}

impl From<&'static Source> for Subject {
    fn from(source: &'static Source) -> Self {
        Self::Source(source)
    }
}

impl From<Called> for Subject {
    fn from(called: Called) -> Self {
        Self::Called(called)
    }
}

/// What both lists and exports are asked for.
pub struct Wanted<'a> {
    /// The condition.
    pub filter: Option<&'a str>,
    /// The order.
    pub sort: Option<&'a str>,
    /// The columns.
    pub fields: Option<&'a str>,
    /// Removed rows too?
    pub includes_removed: bool,
    /// The instant.
    pub as_of: Option<&'a str>,
    /// Will it be read for long? A column that an attribute has may belong to another one by its end.
    pub is_long: bool,
}

/// The same, understood.
#[derive(Clone)]
pub struct Asked {
    /// What names mean.
    pub names: Names,
    /// Which rows there are.
    pub scope: Scope,
    /// As they were then.
    moment: Option<Moment>,
    /// Which of them.
    pub filter: Option<Filter>,
    /// In which order.
    pub order: Order,
    /// Which columns.
    pub selected: Vec<Selected>,
}

/// What is wrong with a parameter.
fn bad(parameter: &'static str) -> impl FnOnce(QueryError) -> ApiError {
    move |error| ApiError::BadQuery { parameter, error }
}

impl Asked {
    /// Understands what is wanted, for a caller.
    pub async fn understand(
        state: &AppState,
        caller: &Caller,
        subject: impl Into<Subject>,
        wanted: &Wanted<'_>,
    ) -> Result<Self, ApiError> {
        let subject = subject.into();
        let source = subject.source();
        let systems = subject.systems(state, caller).await?;
        let filter: Option<Filter> = wanted
            .filter
            .map(str::parse)
            .transpose()
            .map_err(bad("filter"))?;
        let moment = match wanted.as_of {
            Some(_) if source.as_of == Past::Unknown => {
                let detail = format!("of {} only the present is known", source.name);
                return Err(ApiError::bad_field("asOf", detail));
            }
            Some(text) => Some(Moment::of_query(&state.pool, "asOf", text).await?),
            None => None,
        };
        if wanted.includes_removed && !source.keeps_removed {
            let detail = format!("{} has no removed rows", source.name);
            return Err(ApiError::bad_field("includeDeleted", detail));
        }
        if moment.is_some() && wanted.includes_removed {
            return Err(ApiError::bad_field(
                "includeDeleted",
                "asOf answers the rows that were there at the instant; there are no removed ones among them",
            ));
        }
        let names_attributes = filter.as_ref().is_some_and(Filter::names_attributes)
            || wanted.sort.is_some_and(Order::may_name_attributes);
        let promoted = match source.entity {
            Some(entity) if names_attributes && moment.is_none() && !wanted.is_long => {
                attributes::promoted(&state.pool, entity).await?
            }
            _ => Vec::new(),
        };
        let names = match subject {
            Subject::Source(source) => Names::new(source, promoted),
            Subject::Called(called) => Names::of_call(called),
        };
        Ok(Self {
            order: Order::parse(wanted.sort, &names).map_err(bad("sort"))?,
            selected: names.select(wanted.fields).map_err(bad("fields"))?,
            scope: Scope {
                systems,
                includes_removed: wanted.includes_removed,
                as_of: moment.map(Moment::at),
            },
            moment,
            names,
            filter,
        })
    }

    /// A page of it.
    pub fn page(&self, format: Format, direction: Direction, limit: u32) -> Page<'_> {
        Page {
            names: &self.names,
            scope: &self.scope,
            filter: self.filter.as_ref(),
            order: &self.order,
            selected: &self.selected,
            format,
            direction,
            limit,
        }
    }

    /// To be asked after a read: is the past that was read still whole?
    pub async fn still_known(&self, pool: &PgPool) -> Result<(), ApiError> {
        match self.moment {
            Some(moment) => moment.still_kept(pool).await,
            None => Ok(()),
        }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let error = match error {
            RunError::Filter(error) => return bad("filter")(error),
            RunError::Database(error) => error,
        };
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // An attribute lost its column a moment ago; it is read from elsewhere the next time.
            Some("42703") => Self::Busy,
            _ => error.into(),
        }
    }
}

/// Answers a page.
pub async fn list(
    state: &AppState,
    caller: &Caller,
    subject: impl Into<Subject>,
    query: &ListQuery,
) -> Result<Response, ApiError> {
    let wanted = Wanted {
        filter: query.filter.as_deref(),
        sort: query.sort.as_deref(),
        fields: query.fields.as_deref(),
        includes_removed: query.include_deleted.unwrap_or(false),
        as_of: query.as_of.as_deref(),
        is_long: false,
    };
    let limit = query.limit.unwrap_or(USUAL_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::bad_field("limit", "a page has 1 to 1,000 rows"));
    }
    let asked = Asked::understand(state, caller, subject, &wanted).await?;
    let direction = direction(query, &asked)?;
    let writer = Writer::new(&asked.names, &asked.selected, Format::Json);
    let page = asked.page(Format::Json, direction.clone(), limit);
    let rows = read_page(&state.pool, page, &writer, b"", LIMITS).await?;
    let count = count(state, &asked, query.count.unwrap_or_default()).await?;
    asked.still_known(&state.pool).await?;

    let body = written(&asked, &rows, &direction, count)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The answer's text.
fn written(
    asked: &Asked,
    rows: &PageRows,
    direction: &Direction,
    count: Option<RowCount>,
) -> Result<Vec<u8>, ApiError> {
    let is_backward = matches!(direction, Direction::Before(_));
    let mut body = Vec::with_capacity(rows.bytes.len() + rows.ends.len() + 1_024);
    body.extend(b"{\"items\":[");
    let mut write = |number: usize, row: &[u8]| {
        if number > 0 {
            body.push(b',');
        }
        body.extend(row);
    };
    if is_backward {
        rows.rows()
            .rev()
            .enumerate()
            .for_each(|(number, row)| write(number, row));
    } else {
        rows.rows()
            .enumerate()
            .for_each(|(number, row)| write(number, row));
    }
    body.push(b']');
    // Where this page was reached from, there are other rows, or were.
    let (has_next, has_previous) = match direction {
        Direction::After(place) => (rows.has_more, place.is_some()),
        Direction::Before(place) => (place.is_some(), rows.has_more),
    };
    let word = |cursor: &Cursor| cursor.word(&asked.order, &asked.names);
    let next = rows.last.as_ref().filter(|_| has_next).map(word);
    let previous = match &rows.first {
        Some(first) => has_previous.then(|| word(first)),
        // Behind the last row.
        None => (has_previous && !is_backward).then(|| END.to_owned()),
    };
    for (name, word) in [("next", next), ("previous", previous)] {
        if let Some(word) = word {
            body.extend(format!(",\"{name}\":").as_bytes());
            write_string(&mut body, &word);
        }
    }
    if let Some(count) = count {
        body.extend(b",\"count\":");
        serde_json::to_writer(&mut body, &count).map_err(ApiError::internal)?;
    }
    body.push(b'}');
    Ok(body)
}

/// The place that a word of an earlier answer names.
pub fn place_after(parameter: &str, word: &str, asked: &Asked) -> Result<Cursor, ApiError> {
    Cursor::read(word, &asked.order, &asked.names).ok_or_else(|| {
        let detail =
            "the word is not one of an earlier answer with the same sort; begin anew without it";
        ApiError::bad_field(parameter, detail)
    })
}

fn direction(query: &ListQuery, asked: &Asked) -> Result<Direction, ApiError> {
    let read = |parameter: &'static str, word: &str| place_after(parameter, word, asked);
    match (&query.after, &query.before) {
        (None, None) => Ok(Direction::After(None)),
        (Some(word), None) => read("after", word).map(|place| Direction::After(Some(place))),
        (None, Some(word)) if word == END => Ok(Direction::Before(None)),
        (None, Some(word)) => read("before", word).map(|place| Direction::Before(Some(place))),
        (Some(_), Some(_)) => Err(ApiError::bad_field(
            "before",
            "after and before are not taken together",
        )),
    }
}

async fn count(
    state: &AppState,
    asked: &Asked,
    wanted: CountWanted,
) -> Result<Option<RowCount>, ApiError> {
    if wanted == CountWanted::None {
        return Ok(None);
    }
    let (names, scope, filter) = (&asked.names, &asked.scope, asked.filter.as_ref());
    if wanted == CountWanted::Exact {
        let rows = count_exactly(&state.pool, names, scope, filter, COUNT_PATIENCE).await?;
        if let Some(rows) = rows {
            return Ok(Some(RowCount {
                rows: rows as u64,
                kind: CountKind::Exact,
            }));
        }
    }
    let rows = estimate(&state.pool, names, scope, filter).await?;
    Ok(Some(RowCount {
        rows: rows as u64,
        kind: CountKind::Estimated,
    }))
}
