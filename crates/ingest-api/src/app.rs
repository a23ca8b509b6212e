//! The application: its state, its routes, its life.

use std::{num::NonZero, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use contract::Problem;
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use crate::{
    attributes::{self, Attributes},
    audit, auth,
    body::Pace,
    config::ServerSettings,
    crawler, deletion, delta_token, edge,
    error::ApiError,
    health, history, ingest,
    job::{self, Jobs},
    memory::{Memory, PATIENCE},
    merge::News,
    metrics::Metrics,
    openapi::{self, Routes},
    people::{self, People},
    read,
    record::Schemas,
    request,
    retention::{self, Retention},
    run, schedule,
    secret::Keyring,
    session,
    statistics::Statistics,
    view_refresh::ViewRefresher,
};

/// The header that names a request.
pub const REQUEST_ID: &str = "x-request-id";
/// Most characters of a caller's name for its request.
const MAX_REQUEST_ID: usize = 128;
/// How long work in the background may take when the server stops, once the requests have ended or were given up.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(3);

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
    /// The register.
    pub pool: PgPool,
    /// The contract's schemas.
    pub schemas: Arc<Schemas>,
    /// Memory for bodies that are read, decoded and merged.
    pub memory: Memory,
    /// How slowly a body may come.
    pub pace: Pace,
    /// One permit per core, for work that keeps a core busy.
    pub cores: Arc<Semaphore>,
    /// Room for batches that are merged; each takes a database connection.
    pub ingest_slots: Arc<Semaphore>,
    /// Where batches are expected to be new from end to end.
    pub news: News,
    /// Room for exports; each takes a database connection most of the time.
    pub exports: Arc<Semaphore>,
    /// Renews the statistics of tables that grow fast.
    pub statistics: Statistics,
    /// Brings the views up to date, one refresh at a time.
    pub refresher: ViewRefresher,
    /// What is known of extended attributes, and the work on their columns.
    pub attributes: Attributes,
    /// What this server remembers of keys and of who tries them.
    pub gatekeeper: auth::Gatekeeper,
    /// How people sign in, and who is signed in.
    pub people: People,
    /// Jobs for workers, and the schedules that ask for them.
    pub jobs: Jobs,
    /// How long what is kept.
    pub retention: Retention,
    /// The keys that secrets of crawlers are sealed with; without any, no secrets are taken.
    pub keyring: Keyring,
    /// How clients are served.
    pub settings: Arc<ServerSettings>,
    /// Figures for whoever watches.
    pub metrics: Metrics,
}

impl AppState {
    /// State over an open pool, with the usual settings and the usual retention.
    pub fn new(pool: PgPool) -> Self {
        Self::with_settings(pool, ServerSettings::default())
    }

    /// State over an open pool.
    pub fn with_settings(pool: PgPool, settings: ServerSettings) -> Self {
        // Merges wait for the database most of their time, so its connections are what is scarce, not our cores. Half of
        // them stay for keys, sessions and questions.
        let slots = (pool.options().get_max_connections() / 2).max(1) as usize;
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self {
            news: News::default(),
            statistics: Statistics::new(pool.clone()),
            refresher: ViewRefresher::new(pool.clone()),
            attributes: Attributes::new(pool.clone(), settings.attributes.clone()),
            people: People::new(settings.people.clone()),
            jobs: Jobs::new(pool.clone(), settings.jobs.clone()),
            pool,
            schemas: Arc::new(Schemas::compile()),
            memory: Memory::new(settings.ingest_memory_bytes),
            pace: settings.pace,
            cores: Arc::new(Semaphore::new(cores)),
            ingest_slots: Arc::new(Semaphore::new(slots)),
            gatekeeper: auth::Gatekeeper::new(settings.doors.refused_keys_per_minute),
            exports: Arc::new(Semaphore::new((slots / 2).max(1))),
            settings: Arc::new(settings),
            retention: Retention::default(),
            keyring: Keyring::none(),
            metrics: Metrics::default(),
        }
    }

    /// Room to merge a batch; asks the caller to come again when there is none for a moment.
    pub async fn ingest_room(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        tokio::time::timeout(PATIENCE, Arc::clone(&self.ingest_slots).acquire_owned())
            .await
            .map_err(|_| ApiError::Busy)?
            .map_err(ApiError::internal)
    }
}

/// Every route, with its description.
pub fn routes() -> Routes {
    Routes::new()
        .merge(health::routes())
        .merge(openapi::routes())
        .merge(auth::routes())
        .merge(people::routes())
        .merge(audit::routes())
        .merge(ingest::routes())
        .merge(session::routes())
        .merge(deletion::routes())
        .merge(run::routes())
        .merge(delta_token::routes())
        .merge(crawler::routes())
        .merge(job::routes())
        .merge(schedule::routes())
        .merge(read::routes())
        .merge(history::routes())
        .merge(attributes::routes())
}

/// What serves.
pub fn router(state: AppState) -> Router {
    let routes = routes()
        .into_router()
        .fallback(|| async { ApiError::NotFound("there is nothing at this path".into()) })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed });
    with_edge(routes, state)
}

/// What every request goes through, whatever its route.
fn with_edge(routes: Router<AppState>, state: AppState) -> Router {
    let request_id = HeaderName::from_static(REQUEST_ID);
    routes
        .layer(middleware::from_fn(no_store))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state.clone(), auth::note))
        .layer(middleware::from_fn(name_request))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(middleware::from_fn_with_state(
            state.metrics.clone(),
            request::watch,
        ))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .layer(middleware::from_fn(tidy_request_id))
        .with_state(state)
}

/// Drops the caller's name for a request where it is none that a log and a person can use; it gets one of ours then.
async fn tidy_request_id(mut request: Request, next: Next) -> Response {
    let mut names = request.headers().get_all(REQUEST_ID).iter();
    let is_name = match (names.next(), names.next()) {
        (Some(name), None) => {
            (1..=MAX_REQUEST_ID).contains(&name.len())
                && name.as_bytes().iter().all(u8::is_ascii_graphic)
        }
        _ => false,
    };
    if !is_name {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Names the request in a problem document, so that a person can ask about it.
async fn name_request(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let mut response = next.run(request).await;
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = id;
        if let Ok(text) = serde_json::to_vec(&problem) {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = text.into();
        }
    }
    response
}

/// Answers are about access: nobody in between keeps them, unless a route says that it tells nothing.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// What a panic said may hold data: it is not answered, and the panic hook has logged where it was.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    use axum::response::IntoResponse;
    ApiError::internal("a handler panicked").into_response()
}

/// Serves until told to stop; requests that are under way are finished.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    state.people.listens_on(listener.local_addr()?);
    let background = TaskTracker::new();
    background.spawn(state.statistics.clone().run(stop.clone()));
    background.spawn(state.refresher.clone().run(stop.clone()));
    background.spawn(state.attributes.clone().run(stop.clone()));
    background.spawn(auth::keep_uses(
        state.gatekeeper.clone(),
        state.pool.clone(),
        state.settings.doors.write_uses_every,
        stop.clone(),
    ));
    background.spawn(state.jobs.clone().run(stop.clone()));
    background.spawn(session::expire_abandoned(state.pool.clone(), stop.clone()));
    background.spawn(retention::run(
        state.pool.clone(),
        state.retention.clone(),
        stop.clone(),
    ));
    background.close();
    let settings = Arc::clone(&state.settings);
    edge::serve(listener, router(state.clone()), &settings, &stop).await;
    // How often keys were used is not worth more than the background is.
    let last_things = async {
        auth::write_uses(&state.gatekeeper, &state.pool).await;
        background.wait().await;
    };
    // The background was told to stop when the requests were. A refresh is one transaction; what is not done in time is
    // rolled back and done again at the next start.
    if tokio::time::timeout(BACKGROUND_PATIENCE, last_things)
        .await
        .is_err()
    {
        tracing::warn!("work in the background did not end in time");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::StatusCode, routing::get};
    use sqlx::postgres::PgPoolOptions;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn s10_a_panic_is_a_problem_with_its_request_id_and_nothing_of_what_it_says() {
        let pool = PgPoolOptions::new().connect_lazy("postgres://localhost/none");
        let state = AppState::new(pool.expect("an address"));
        let routes = Router::new().route("/", get(async || -> () { panic!("CANARY") }));
        let request = Request::builder()
            .header(REQUEST_ID, "asked-1")
            .body(axum::body::Body::empty())
            .expect("a request");
        let response = with_edge(routes, state)
            .oneshot(request)
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let body = to_bytes(response.into_body(), usize::MAX).await;
        let text = String::from_utf8(body.expect("a body").to_vec()).expect("text");
        assert!(text.contains(r#""requestId":"asked-1""#), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
}
