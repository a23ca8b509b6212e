//! The HTTP side: one listener for the token endpoint and Graph.

pub(crate) mod answer;
mod assertion;
mod batch;
mod connection;
pub(crate) mod faults;
mod http;
mod managed_identity;
pub(crate) mod query;
mod state;
pub(crate) mod stats;
mod throttle;
pub(crate) mod token;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::connection::SimListener;
use self::faults::Faults;
use self::state::Shared;
use self::stats::{LoggedRequest, Recorder, Stats};
use self::throttle::Meter;
use self::token::Tokens;
use crate::error::SimError;
use crate::model::Tenant;
use crate::options::{SimOptions, Throttle};
use crate::summary::ChangeSummary;
use crate::truth::Truth;

/// How long requests under way may take to finish when the simulator stops.
const GRACE: Duration = Duration::from_secs(2);

/// A running simulator. Dropping it stops it without waiting.
pub struct Simulator {
    shared: Arc<Shared>,
    tenant_id: Uuid,
    stopping: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts serving a tenant on 127.0.0.1.
    pub async fn start(tenant: Tenant, options: SimOptions) -> Result<Self, SimError> {
        let port = options.port;
        let failed = |source| SimError::Listen { port, source };
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tenant_id = tenant.tenant_id;
        let shared = Arc::new(Shared {
            base_url: format!("http://{address}"),
            seed: tenant.seed,
            tokens: Tokens::new(tenant_id, &options),
            meter: Mutex::new(Meter::new(options.throttle)),
            recorder: Recorder::new(options.log_capacity),
            options,
            tenant: RwLock::new(tenant),
            faults: Faults::default(),
            serial: AtomicU64::new(0),
        });
        let stopping = CancellationToken::new();
        let server = tokio::spawn(http::serve(
            SimListener(listener),
            shared.clone(),
            stopping.clone(),
        ));
        Ok(Self {
            shared,
            tenant_id,
            stopping,
            server: Some(server),
        })
    }

    /// Origin of both the token endpoint and Graph, e.g. `http://127.0.0.1:4711`.
    pub fn base_url(&self) -> String {
        self.shared.base_url.clone()
    }

    /// Id of the tenant.
    pub fn tenant_id(&self) -> Uuid {
        self.tenant_id
    }

    /// The client that may ask for tokens.
    pub fn client_id(&self) -> Uuid {
        self.shared.options.client_id
    }

    /// Its secret. It is made up and protects nothing, so it is given out plainly.
    pub fn client_secret(&self) -> &str {
        self.shared.options.client_secret.expose_secret()
    }

    /// What a complete crawl must end up with now.
    pub fn truth(&self) -> Truth {
        self.shared.read_tenant().truth()
    }

    /// Lets a round of life pass; see [`Tenant::change`].
    pub fn change(&self, seed: u64, fraction: f64) -> ChangeSummary {
        self.with_tenant(|tenant| tenant.change(seed, fraction))
    }

    /// Looks at or changes the tenant between two requests.
    pub fn with_tenant<R>(&self, action: impl FnOnce(&mut Tenant) -> R) -> R {
        let mut tenant = self
            .shared
            .tenant
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        action(&mut tenant)
    }

    /// The switchboard of faults.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.shared.recorder.stats()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.recorder.log()
    }

    /// Sets counters and log to nothing.
    pub fn reset_stats(&self) {
        self.shared.recorder.reset();
    }

    /// Changes the permissions in tokens given out from now on.
    pub fn set_roles(&self, roles: Vec<String>) {
        self.shared.tokens.set_roles(roles);
    }

    /// Changes the permissions that the application's service principal has, while tokens go on carrying others: a token
    /// that the platform keeps is older than the last grant. `None` is what tokens carry.
    pub fn set_assigned_roles(&self, roles: Option<Vec<String>>) {
        self.shared.tokens.set_assigned(roles);
    }

    /// Replaces the client's secret, as an administrator does who rotates it.
    pub fn set_client_secret(&self, secret: &str) {
        self.shared.tokens.set_client_secret(secret.into());
    }

    /// What `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` would be in App Service.
    pub fn identity_endpoint(&self) -> (String, String) {
        let url = format!(
            "{}{}",
            self.shared.base_url,
            managed_identity::APP_SERVICE_PATH
        );
        (url, self.shared.options.identity_header.clone())
    }

    /// Makes every token given out so far an expired one.
    pub fn expire_tokens(&self) {
        self.shared.tokens.expire_all();
    }

    /// Replaces the request limits and forgets what was spent.
    pub fn set_throttle(&self, throttle: Throttle) {
        self.shared
            .meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reset(throttle);
    }

    /// Stops listening, lets requests under way finish for a moment, and returns.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(GRACE, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulator")
            .field("base_url", &self.shared.base_url)
            .field("tenant_id", &self.tenant_id)
            .finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
