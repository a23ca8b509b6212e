//! Sessions over HTTP, in the native form.

use axum::{Json, extract::State, http::StatusCode};
use contract::{
    Completeness, IngestAnswer, NewDeltaToken, Permission,
    session::{OpenSession, SessionOpened, SessionPage, SessionState, SessionStatus},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Form, batch,
    commit::{End, commit},
    docs, open,
    outcome::outcome,
    quarantine,
    removals::named_keys,
    store,
};
use crate::{
    app::AppState,
    auth::Caller,
    body::{Received, RecordBody, SmallBody},
    delta_token,
    durable::durable,
    error::ApiError,
    openapi::Routes,
    params::{InPath, InQuery, page_size},
    run::UnderClaim,
};

/// The routes about sessions.
pub fn routes() -> Routes {
    Routes::new()
        .post("/api/ingest/sessions", open_session, docs::open())
        .get("/api/ingest/sessions", list, docs::list())
        .get("/api/ingest/sessions/{syncId}", show, docs::show())
        .put(
            "/api/ingest/sessions/{syncId}/batches/{seq}",
            put_batch,
            docs::put_batch(),
        )
        .post(
            "/api/ingest/sessions/{syncId}/commit",
            commit_session,
            docs::commit(),
        )
        .post("/api/ingest/sessions/{syncId}/abort", abort, docs::abort())
        .get("/api/ingest/rejected", rejected, docs::rejected())
}

async fn open_session(
    State(state): State<AppState>,
    caller: Caller,
    claim: UnderClaim,
    body: SmallBody,
) -> Result<(StatusCode, Json<SessionOpened>), ApiError> {
    caller.require(Permission::Ingest)?;
    claim.require_newest(&state.pool, &caller).await?;
    let wanted: OpenSession = body.json()?;
    let opened = durable(async move { open(&state, &caller, Form::Session, wanted).await }).await?;
    Ok((StatusCode::CREATED, Json(opened)))
}

/// What a batch holds beside its records.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchEnvelope {
    #[serde(default)]
    deleted_ids: Vec<serde_json::Value>,
}

async fn put_batch(
    State(state): State<AppState>,
    caller: Caller,
    InPath((sync_id, seq)): InPath<(Uuid, i64)>,
    claim: UnderClaim,
    mut body: RecordBody,
) -> Result<Json<IngestAnswer>, ApiError> {
    caller.require(Permission::Ingest)?;
    claim.require_newest(&state.pool, &caller).await?;
    if seq < 0 {
        return Err(ApiError::bad_body("batches are numbered from 0"));
    }
    let answer = durable(async move {
        let session =
            store::load(&mut *state.pool.acquire().await?, &caller, sync_id, false).await?;
        let decoder = batch::decoder(&state, &session.wanted)?;
        let received: Received<BatchEnvelope, _> = body.read(decoder).await?;
        let named = &received.envelope.deleted_ids;
        if !named.is_empty() && !session.takes_removals() {
            return Err(ApiError::bad_field(
                "deletedIds",
                "only a native session with the syncMode delta takes rows to remove; a full load removes what it does not bring",
            ));
        }
        let removals = named_keys(&session, named)?;
        batch::put_batch(
            &state,
            &caller,
            &session,
            batch::Place::At(seq),
            received.hash,
            batch::Brought {
                records: &received.records,
                removals: &removals,
            },
        )
        .await
    })
    .await?;
    Ok(Json(answer))
}

/// `contract::session::Commit` as read: whether `complete` was said matters.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Commit")]
pub struct CommitBody {
    /// How many batches were sent: the numbers 0 to `batches - 1` must all have arrived.
    batches: u64,
    /// The whole scope was read to its end, but for `incompleteParents`. When absent, naming some of those says so.
    complete: Option<bool>,
    /// Parents (a group, for its members) whose children could not be read to the end: their rows stay.
    #[serde(default)]
    incomplete_parents: Vec<Uuid>,
    /// With `complete: true`: only these parents were read, each to its end; nothing is said about any other. Not together
    /// with `incompleteParents`.
    #[serde(default)]
    #[schemars(length(max = 20_000))]
    complete_parents: Vec<Uuid>,
    /// Where the next delta readings begin: saved with the commit, or not at all.
    #[serde(default)]
    #[schemars(length(max = 50))]
    delta_tokens: Vec<NewDeltaToken>,
}

async fn commit_session(
    State(state): State<AppState>,
    caller: Caller,
    InPath(sync_id): InPath<Uuid>,
    claim: UnderClaim,
    body: SmallBody,
) -> Result<Json<IngestAnswer>, ApiError> {
    caller.require(Permission::Ingest)?;
    claim.require_newest(&state.pool, &caller).await?;
    let end: CommitBody = body.json()?;
    // Naming the incomplete parents says that the others are complete, unless the caller says they are not.
    let completeness = Completeness {
        complete: end.complete.unwrap_or(!end.incomplete_parents.is_empty()),
        incomplete_parents: end.incomplete_parents,
        complete_parents: end.complete_parents,
    };
    delta_token::check(&end.delta_tokens)?;
    let end = End {
        batches: Some(end.batches),
        completeness,
        delta_tokens: end.delta_tokens,
    };
    let answer = durable(async move { commit(&state, &caller, sync_id, &end).await }).await?;
    Ok(Json(answer))
}

async fn abort(
    State(state): State<AppState>,
    caller: Caller,
    InPath(sync_id): InPath<Uuid>,
    claim: UnderClaim,
) -> Result<Json<SessionStatus>, ApiError> {
    let is_admin = caller.require(Permission::Admin).is_ok();
    if !is_admin {
        caller.require(Permission::Ingest)?;
    }
    claim.require_newest(&state.pool, &caller).await?;
    let status = durable(async move {
        let mut transaction = state.pool.begin().await?;
        store::hold_alone(&mut transaction, sync_id).await?;
        let session = store::load(&mut transaction, &caller, sync_id, is_admin).await?;
        if session.state != SessionState::Aborted {
            session.require_open()?;
            store::give_up(&mut transaction, sync_id, SessionState::Aborted).await?;
        }
        let session = store::load(&mut transaction, &caller, sync_id, is_admin).await?;
        let brought = outcome(&mut transaction, &session).await?;
        transaction.commit().await?;
        Ok(session.status(brought))
    })
    .await?;
    Ok(Json(status))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    InPath(sync_id): InPath<Uuid>,
) -> Result<Json<SessionStatus>, ApiError> {
    caller.require_of_people(Permission::Admin)?;
    let is_admin = caller.require(Permission::Admin).is_ok();
    let mut connection = state.pool.acquire().await?;
    let session = store::load(&mut connection, &caller, sync_id, is_admin).await?;
    let brought = outcome(&mut connection, &session).await?;
    Ok(Json(session.status(brought)))
}

/// Which sessions.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionsQuery {
    /// The run that they are part of.
    run_id: Uuid,
    /// `next` of the page before.
    after: Option<Uuid>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

/// The sessions of a run: what a crawl that is resumed goes on with.
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<SessionsQuery>,
) -> Result<Json<SessionPage>, ApiError> {
    caller.require(Permission::Ingest)?;
    let query = query.read()?;
    let limit = page_size(query.limit) as usize;
    let mut connection = state.pool.acquire().await?;
    // One more than asked for says whether there is a next page.
    let wanted = limit as i64 + 1;
    let mut sessions =
        store::of_run(&mut connection, &caller, query.run_id, query.after, wanted).await?;
    let has_more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions
        .last()
        .filter(|_| has_more)
        .map(|last| last.sync_id);
    let mut items = Vec::with_capacity(sessions.len());
    for session in sessions {
        let brought = outcome(&mut connection, &session).await?;
        items.push(session.status(brought));
    }
    Ok(Json(SessionPage { items, next }))
}

/// Which refused records.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RejectedQuery {
    /// The load: `syncId` of its answer.
    sync_id: Uuid,
    /// The last `rejectedId` of the page before.
    after: Option<i64>,
    /// At most so many; 100 when absent, never more than 1,000.
    limit: Option<u32>,
}

/// A page of refused records.
#[derive(Serialize, JsonSchema)]
pub struct RejectedPage {
    /// The records, in the order in which they came.
    items: Vec<quarantine::Rejected>,
}

async fn rejected(
    State(state): State<AppState>,
    caller: Caller,
    query: InQuery<RejectedQuery>,
) -> Result<Json<RejectedPage>, ApiError> {
    caller.require_of_people(Permission::Admin)?;
    let query = query.read()?;
    let is_admin = caller.require(Permission::Admin).is_ok();
    store::require_visible(
        &mut *state.pool.acquire().await?,
        &caller,
        query.sync_id,
        is_admin,
    )
    .await?;
    let limit = i64::from(page_size(query.limit));
    let items =
        quarantine::rejected(&state.pool, query.sync_id, query.after.unwrap_or(0), limit).await?;
    Ok(Json(RejectedPage { items }))
}
