//! Crawlers over HTTP.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use contract::{
    Permission,
    crawler::{
        Crawler, CrawlerPage, CrawlerSettings, CrawlerVersionPage, CreateCrawler, ExportForm,
        ExportedCrawler, ImportCrawler, NewSecrets, PatchCrawler, ReplaceCrawler, SecretText,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    body,
    change::{self, Change},
    check, docs, new_secret,
    store::{self, Kept},
};
use crate::{
    app::AppState,
    audit,
    auth::Caller,
    body::SmallBody,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, page_size},
    system,
};

/// The routes about crawlers.
pub fn routes() -> Routes {
    let one = "/api/crawlers/{crawlerId}";
    Routes::new()
        .get("/api/crawlers", list, docs::list())
        .post("/api/crawlers", create, docs::create())
        .post("/api/crawlers/import", import, docs::import())
        .get(one, show, docs::show())
        .put(one, replace, docs::replace())
        .patch(one, patch, docs::patch())
        .delete(one, delete, docs::delete())
        .get(
            "/api/crawlers/{crawlerId}/versions",
            versions,
            docs::versions(),
        )
        .get("/api/crawlers/{crawlerId}/export", export, docs::export())
}

/// A crawler and the tag of its version.
type Tagged = ([(header::HeaderName, String); 1], Json<Crawler>);

fn tagged(kept: Kept) -> Tagged {
    let tag = format!("\"{}\"", kept.version);
    ([(header::ETAG, tag)], Json(kept.shown()))
}

fn not_found() -> ApiError {
    ApiError::NotFound("there is no such crawler".into())
}

/// Which crawlers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `next` of the page before.
    after: Option<Uuid>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<ListQuery>,
) -> Result<Json<CrawlerPage>, ApiError> {
    caller.require(Permission::Admin)?;
    let query = query.read()?;
    let limit = page_size(query.limit);
    let mut connection = state.pool.acquire().await?;
    // One more than asked for says whether there is a next page.
    let mut kept = store::page(&mut connection, &caller, query.after, limit + 1).await?;
    let has_more = kept.len() > limit as usize;
    kept.truncate(limit as usize);
    let next = kept.last().filter(|_| has_more).map(|last| last.crawler_id);
    let items = kept.into_iter().map(Kept::shown).collect();
    Ok(Json(CrawlerPage { items, next }))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
) -> Result<Tagged, ApiError> {
    caller.require(Permission::Admin)?;
    let mut connection = state.pool.acquire().await?;
    let found = store::one(&mut connection, &caller, crawler_id).await?;
    found.map(tagged).ok_or_else(not_found)
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Tagged), ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: CreateCrawler = body::read(&body)?;
    let mut faults = Vec::new();
    let change = Change {
        name: wanted.name,
        system_id: wanted.system_id,
        enabled: wanted.enabled,
        settings: wanted.settings,
        secrets: new_secret::read(wanted.secrets, &mut faults),
    };
    change.check(faults)?;
    let kept = durable(make(state, caller, change, "crawler.create")).await?;
    Ok((StatusCode::CREATED, tagged(kept)))
}

async fn make(
    state: AppState,
    caller: Caller,
    change: Change,
    action: &'static str,
) -> Result<Kept, ApiError> {
    require_system(&state, &caller, change.system_id).await?;
    let mut transaction = state.pool.begin().await?;
    let kept = change::create(&mut transaction, &state.keyring, &caller, &change, action).await?;
    transaction.commit().await?;
    Ok(kept)
}

/// A crawler fills a system of the workspace that the key may touch; a key that is limited to systems makes no others.
async fn require_system(
    state: &AppState,
    caller: &Caller,
    system_id: Option<contract::SystemId>,
) -> Result<(), ApiError> {
    let is_good = match system_id {
        None => caller.system_ids.is_none(),
        Some(system_id) => system::is_visible(&state.pool, caller, system_id).await?,
    };
    if is_good {
        return Ok(());
    }
    Err(ApiError::bad_field(
        "systemId",
        "the crawler must fill a system that is there for this key",
    ))
}

/// The version that the caller looked at, and where it said so.
struct Expected {
    version: i32,
    by_header: bool,
}

impl Expected {
    fn of(headers: &HeaderMap, version: Option<i32>) -> Result<Self, ApiError> {
        let tag = headers.get(header::IF_MATCH).map(|tag| {
            let text = tag.to_str().ok();
            let quoted = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
            let digits = quoted.filter(|tag| tag.bytes().all(|byte| byte.is_ascii_digit()));
            let number = digits.and_then(|digits| digits.parse::<i32>().ok());
            number.ok_or_else(|| {
                ApiError::bad_body("If-Match must be the version of the crawler, such as \"3\"")
            })
        });
        match (tag.transpose()?, version) {
            (Some(tag), Some(version)) if tag != version => Err(ApiError::bad_field(
                "version",
                "the version and If-Match differ",
            )),
            (Some(version), _) => Ok(Self {
                version,
                by_header: true,
            }),
            (None, Some(version)) => Ok(Self {
                version,
                by_header: false,
            }),
            (None, None) => Err(ApiError::bad_field(
                "version",
                "say which version is changed, here or as If-Match",
            )),
        }
    }

    fn check(&self, current: i32) -> Result<(), ApiError> {
        if self.version == current {
            return Ok(());
        }
        let detail = format!(
            "the crawler is at version {current}, not {}: read it again",
            self.version
        );
        if self.by_header {
            return Err(ApiError::PreconditionFailed(detail));
        }
        Err(ApiError::Conflict {
            detail,
            sync_id: None,
        })
    }
}

async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
    headers: HeaderMap,
    body: SmallBody,
) -> Result<Tagged, ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: ReplaceCrawler = body::read(&body)?;
    let expected = Expected::of(&headers, wanted.version)?;
    let mut faults = Vec::new();
    let change = Change {
        name: wanted.name,
        system_id: wanted.system_id,
        enabled: wanted.enabled,
        settings: wanted.settings,
        secrets: new_secret::read(wanted.secrets, &mut faults),
    };
    change.check(faults)?;
    durable(update(state, caller, crawler_id, expected, move |_| {
        Ok(change)
    }))
    .await
}

async fn patch(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
    headers: HeaderMap,
    body: SmallBody,
) -> Result<Tagged, ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: PatchCrawler = body::read(&body)?;
    let expected = Expected::of(&headers, wanted.version)?;
    durable(update(state, caller, crawler_id, expected, move |before| {
        let mut faults = Vec::new();
        let change = Change {
            name: wanted.name.unwrap_or_else(|| before.name.clone()),
            system_id: wanted.system_id.unwrap_or(before.system_id),
            enabled: wanted.enabled.unwrap_or(before.enabled),
            settings: patched(&before.settings, wanted.settings)?,
            secrets: new_secret::read(wanted.secrets, &mut faults),
        };
        change.check(faults)?;
        Ok(change)
    }))
    .await
}

fn patched(
    settings: &CrawlerSettings,
    changes: Option<Map<String, Value>>,
) -> Result<CrawlerSettings, ApiError> {
    let Some(changes) = changes else {
        return Ok(settings.clone());
    };
    let mut value = serde_json::to_value(settings).map_err(ApiError::internal)?;
    merge(&mut value, Value::Object(changes));
    body::from_value("/settings", value)
}

/// RFC 7396. The filter is one value: half of one would be another filter.
fn merge(target: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else {
        *target = changes;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(&name);
        } else if name == "identityFilter" {
            fields.insert(name, change);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

async fn update(
    state: AppState,
    caller: Caller,
    crawler_id: Uuid,
    expected: Expected,
    change: impl FnOnce(&Kept) -> Result<Change, ApiError> + Send,
) -> Result<Tagged, ApiError> {
    let mut transaction = state.pool.begin().await?;
    let before = locked(&mut transaction, &caller, crawler_id).await?;
    expected.check(before.version)?;
    let change = change(&before)?;
    if change.system_id != before.system_id {
        require_system(&state, &caller, change.system_id).await?;
    }
    let kept = change::update(&mut transaction, &state.keyring, &caller, &before, &change).await?;
    transaction.commit().await?;
    Ok(tagged(kept))
}

async fn locked(
    connection: &mut PgConnection,
    caller: &Caller,
    crawler_id: Uuid,
) -> Result<Kept, ApiError> {
    let found = store::lock(connection, caller, crawler_id).await?;
    found.ok_or_else(not_found)
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    caller.require(Permission::Admin)?;
    let expected = if headers.contains_key(header::IF_MATCH) {
        Some(Expected::of(&headers, None)?)
    } else {
        None
    };
    durable(async move {
        let mut transaction = state.pool.begin().await?;
        let before = locked(&mut transaction, &caller, crawler_id).await?;
        if let Some(expected) = expected {
            expected.check(before.version)?;
        }
        store::remove(&mut transaction, &caller, crawler_id).await?;
        let detail = json!({"name": before.name, "version": before.version});
        let target = crawler_id.to_string();
        audit::record(&mut transaction, &caller, "crawler.delete", &target, detail).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Which versions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsQuery {
    /// `next` of the page before.
    after: Option<i32>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

async fn versions(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
    query: InQuery<VersionsQuery>,
) -> Result<Json<CrawlerVersionPage>, ApiError> {
    caller.require(Permission::Admin)?;
    let query = query.read()?;
    let limit = page_size(query.limit);
    let mut connection = state.pool.acquire().await?;
    let found = store::one(&mut connection, &caller, crawler_id).await?;
    found.ok_or_else(not_found)?;
    let mut items = store::versions(&mut connection, crawler_id, query.after, limit + 1).await?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| has_more).map(|last| last.version);
    Ok(Json(CrawlerVersionPage { items, next }))
}

async fn export(
    State(state): State<AppState>,
    caller: Caller,
    InPath(crawler_id): InPath<Uuid>,
) -> Result<Json<ExportedCrawler>, ApiError> {
    caller.require(Permission::Admin)?;
    let mut connection = state.pool.acquire().await?;
    let found = store::one(&mut connection, &caller, crawler_id).await?;
    let kept = found.ok_or_else(not_found)?;
    let mut exported = ExportedCrawler {
        form: ExportForm::One,
        kind: kept.kind,
        name: kept.name,
        settings: kept.settings,
        references: std::collections::BTreeMap::new(),
        stored_secrets: Vec::new(),
    };
    for (field, note) in kept.secrets {
        match note.reference {
            Some(reference) => drop(exported.references.insert(field, reference)),
            None => exported.stored_secrets.push(field),
        }
    }
    Ok(Json(exported))
}

async fn import(
    State(state): State<AppState>,
    caller: Caller,
    body: SmallBody,
) -> Result<(StatusCode, Tagged), ApiError> {
    caller.require(Permission::Admin)?;
    let wanted: ImportCrawler = body::read(&body)?;
    let exported = wanted.crawler;
    let mut secrets: NewSecrets = exported
        .references
        .into_iter()
        .map(|(field, reference)| (field, Some(SecretText::from(reference))))
        .collect();
    // What an export calls a reference is one: a secret in its place would be in every copy of the file.
    let mut faults = Vec::new();
    for (field, new) in new_secret::read(secrets.clone(), &mut faults) {
        if !matches!(new, new_secret::NewSecret::Reference(_)) {
            faults.push(super::fault::fault(
                format!("/crawler/references/{}", field.wire_name()),
                "a reference is file:/path or env:NAME",
            ));
        }
    }
    secrets.extend(wanted.secrets);
    let mut change = Change {
        name: wanted.name.unwrap_or(exported.name),
        system_id: wanted.system_id,
        enabled: true,
        settings: exported.settings,
        secrets: new_secret::read(secrets, &mut faults),
    };
    change.check(faults)?;
    let has = |field| {
        let given = change.secrets.iter().find(|(known, _)| *known == field);
        given.is_some_and(|(_, new)| !matches!(new, new_secret::NewSecret::Clear))
    };
    change.enabled = check::missing(&change.settings, has).is_none();
    let kept = durable(make(state, caller, change, "crawler.import")).await?;
    Ok((StatusCode::CREATED, tagged(kept)))
}
