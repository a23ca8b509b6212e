//! The HTTP side: one listener for the token endpoint and Graph.

pub(crate) mod answer;
mod assertion;
mod batch;
mod conditions;
mod connection;
pub(crate) mod faults;
mod foreign;
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
use self::foreign::ForeignHost;
use self::state::{Licences, Shared};
use self::stats::{LoggedRequest, ReceivedRequest, Recorder, Stats};
use self::throttle::Meter;
use self::token::Tokens;
use crate::error::SimError;
use crate::model::Tenant;
use crate::options::{DeltaOptions, SimOptions, Throttle};
use crate::profile::Profile;
use crate::routes::delta::book::DeltaBook;
use crate::summary::ChangeSummary;
use crate::truth::Truth;

/// How long requests under way may take to finish when the simulator stops.
const GRACE: Duration = Duration::from_secs(2);

/// A running simulator. Dropping it stops it without waiting.
pub struct Simulator {
    shared: Arc<Shared>,
    tenant_id: Uuid,
    foreign: ForeignHost,
    stopping: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts serving a tenant on 127.0.0.1.
    pub async fn start(tenant: Tenant, mut options: SimOptions) -> Result<Self, SimError> {
        options.time_scale = sane_scale(options.time_scale);
        let port = options.port;
        let failed = |source| SimError::Listen { port, source };
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopping = CancellationToken::new();
        let foreign = ForeignHost::start(options.log_capacity, stopping.clone())
            .await
            .map_err(failed)?;
        let tenant_id = tenant.tenant_id;
        let shared = Arc::new(Shared {
            base_url: format!("http://{address}"),
            foreign_url: foreign.url(),
            licences: Mutex::new(Licences {
                p1: options.p1_licensed,
                p2: options.p2_licensed,
            }),
            seed: tenant.seed,
            tokens: Tokens::new(tenant_id, &options),
            meter: Mutex::new(Meter::new(options.throttle, options.time_scale)),
            recorder: Recorder::new(options.log_capacity),
            deltas: DeltaBook::new(options.delta, options.time_scale),
            options,
            tenant: RwLock::new(Arc::new(tenant)),
            faults: Faults::default(),
            serial: AtomicU64::new(0),
        });
        let server = tokio::spawn(http::serve(
            SimListener(listener),
            shared.clone(),
            stopping.clone(),
        ));
        let profile = shared.options.profile;
        let simulator = Self {
            shared,
            tenant_id,
            foreign,
            stopping,
            server: Some(server),
        };
        if profile != Profile::Calm {
            simulator.set_profile(profile);
        }
        Ok(simulator)
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
        // What delta tokens remember stays as it was.
        action(Arc::make_mut(&mut tenant))
    }

    /// The switchboard of faults.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats {
            faults: self.shared.faults.struck(),
            ..self.shared.recorder.stats()
        }
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.recorder.log()
    }

    /// The last HTTP calls to Graph and the token endpoint, oldest first, refused ones
    /// included.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.recorder.received_log()
    }

    /// Origin of a host that is not ours but that faults lead to.
    pub fn foreign_url(&self) -> String {
        self.foreign.url()
    }

    /// What that host was asked; nobody should ever ask it.
    pub fn foreign_requests(&self) -> Vec<ReceivedRequest> {
        self.foreign.received()
    }

    /// Sets counters and log to nothing.
    pub fn reset_stats(&self) {
        self.shared.recorder.reset();
        self.shared.faults.forget_struck();
        self.foreign.forget();
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

    /// Changes how deltas are told from now on.
    pub fn set_delta(&self, options: DeltaOptions) {
        self.shared.deltas.set_options(options);
    }

    /// Makes every deltaLink given out so far an expired one.
    pub fn expire_delta_tokens(&self) {
        self.shared.deltas.expire_all();
    }

    /// Changes what the tenant has licences for.
    pub fn set_licences(&self, p1: bool, p2: bool) {
        *self
            .shared
            .licences
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Licences { p1, p2 };
    }

    /// How long the tokens given out from now on are accepted.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.shared.tokens.set_lifetime(lifetime);
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
        self.foreign.stop().await;
    }
}

/// A factor that every time of the simulator can be divided by.
fn sane_scale(scale: f64) -> f64 {
    if scale.is_finite() && scale > 0.0 {
        scale.clamp(0.01, 1_000_000.0)
    } else {
        1.0
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
