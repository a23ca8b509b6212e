//! How the simulated Graph behaves: credentials, permissions, licences, limits.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use crate::permissions;
use crate::profile::Profile;
use crate::sample;

/// How the simulator answers. The default grants every permission, holds all
/// licences, and throttles as Graph does.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// The one client that may ask for tokens.
    pub client_id: Uuid,
    /// Its secret (made up; it protects nothing).
    pub client_secret: SecretString,
    /// Certificates registered with it (PEM).
    pub certificates: Vec<String>,
    /// Identities of other issuers that it trusts.
    pub federated_credentials: Vec<TrustedIssuer>,
    /// Id of the managed identity that the metadata service knows; `None` is a system-assigned one.
    pub managed_identity: Option<String>,
    /// What App Service wants to be shown.
    pub identity_header: String,
    /// Application permissions that go into new tokens.
    pub roles: Vec<String>,
    /// Request limits.
    pub throttle: Throttle,
    /// How long a token is accepted.
    pub token_lifetime: Duration,
    /// Emit `expires_in` as a string, as some issuers do.
    pub expires_in_as_string: bool,
    /// Added to every HTTP call.
    pub latency: Duration,
    /// Tenant has Entra ID P1 (sign-in activity).
    pub p1_licensed: bool,
    /// Tenant has Entra ID P2 (PIM).
    pub p2_licensed: bool,
    /// Faults and conditions to begin with.
    pub profile: Profile,
    /// Divides every wait the simulator asks for or makes as a fault, the windows of
    /// the limits and the lifetimes of tokens. Above 1, a `Retry-After` in seconds
    /// comes with a fraction, or it could not be shorter than a second. What is no
    /// number above 0 counts as 1.
    pub time_scale: f64,
    /// How delta functions answer.
    pub delta: DeltaOptions,
    /// Sign-in activity comes for 120 users at a time only, as in some tenants.
    pub short_activity_pages: bool,
    /// Answer batches in another order than asked, as Graph may.
    pub shuffle_batches: bool,
    /// How many requests the log keeps (the oldest are forgotten first).
    pub log_capacity: usize,
    /// Port to listen on; 0 = any free one.
    pub port: u16,
}

/// A registered identity of another issuer: whose assertions the application may use instead of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// `iss` of its assertions.
    pub issuer: String,
    /// `sub` of its assertions.
    pub subject: String,
    /// `aud` of its assertions.
    pub audience: String,
    /// A certificate (PEM) with the issuer's public key.
    pub certificate: String,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            client_id: Uuid::from_u128(0x5ca1_ab1e_c1ae_4d07_8a52_0ddb_a11c_afe0),
            client_secret: SecretString::from("simulated~client~secret"),
            certificates: vec![sample::CERTIFICATE.to_owned()],
            federated_credentials: vec![TrustedIssuer {
                issuer: sample::ISSUER.to_owned(),
                subject: sample::SUBJECT.to_owned(),
                audience: sample::AUDIENCE.to_owned(),
                certificate: sample::OTHER_CERTIFICATE.to_owned(),
            }],
            managed_identity: None,
            identity_header: "simulated-identity-header".to_owned(),
            roles: permissions::ALL.iter().map(ToString::to_string).collect(),
            throttle: Throttle::on(),
            token_lifetime: Duration::from_hours(1),
            expires_in_as_string: false,
            latency: Duration::ZERO,
            p1_licensed: true,
            p2_licensed: true,
            profile: Profile::Calm,
            time_scale: 1.0,
            delta: DeltaOptions::default(),
            short_activity_pages: false,
            shuffle_batches: true,
            log_capacity: 10_000,
            port: 0,
        }
    }
}

/// How many resource units an app may spend in a tenant per window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit.
    Off,
    /// Graph's own: 3,500, 5,000 or 8,000 by number of users.
    ByTenantSize,
    /// This many.
    Units(u32),
}

/// In which form a 429 tells when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfterForm {
    /// Whole seconds.
    Seconds,
    /// Seconds with a fraction, as seen in the wild.
    Fractional,
    /// An HTTP date.
    HttpDate,
    /// No header at all, and a body without a message.
    Absent,
}

/// Someone else who begins to spend the same resource units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// How many requests are charged before the neighbour comes.
    pub after_requests: u64,
    /// Share of the limit that is gone from then on, in percent.
    pub percent: u32,
}

/// Request limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Resource units per window.
    pub limit: Limit,
    /// Requests for sign-in activity per window (Graph: 5).
    pub report_requests: Option<u32>,
    /// HTTP calls per second, whatever they cost; a batch is one call.
    pub calls_per_second: Option<u32>,
    /// Another user of the same quota.
    pub neighbour: Option<Neighbour>,
    /// Length of the sliding window.
    pub window: Duration,
    /// Form of `Retry-After`.
    pub retry_after: RetryAfterForm,
}

impl Throttle {
    /// As Graph does it: limit by tenant size in a window of ten seconds.
    pub fn on() -> Self {
        Self {
            limit: Limit::ByTenantSize,
            report_requests: Some(5),
            calls_per_second: None,
            neighbour: None,
            window: Duration::from_secs(10),
            retry_after: RetryAfterForm::Seconds,
        }
    }

    /// No limits; prices are still reported.
    pub fn off() -> Self {
        Self {
            limit: Limit::Off,
            report_requests: None,
            ..Self::on()
        }
    }

    /// A limit of its own, per window of the given length.
    pub fn units(units: u32, window: Duration) -> Self {
        Self {
            limit: Limit::Units(units),
            window,
            ..Self::on()
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::on()
    }
}

/// What a delta token that can no longer be used is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaExpiry {
    /// 410 with a `Location` to begin again at.
    Gone,
    /// 400 with the code `syncStateNotFound`.
    SyncStateNotFound,
}

/// Which reason a deleted object is reported with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// `changed`: it could be restored.
    Restorable,
    /// `deleted`: it is gone for good.
    Final,
    /// As the tenant's recycle bin says; else the one or the other, by its id.
    Mixed,
}

/// How delta functions answer. The default is a well-behaved Graph; the other
/// fields bring in what a client must bear as well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeltaOptions {
    /// Objects per page.
    pub page_size: usize,
    /// An object with more links than this is told in several parts.
    pub links_per_fragment: usize,
    /// A page with this many links is full.
    pub links_per_page: usize,
    /// Share of the changes that are told again, in their round and in the next.
    pub replay_share: f64,
    /// Changes come in any order.
    pub shuffled: bool,
    /// Empty pages before the one with the deltaLink.
    pub empty_pages: usize,
    /// Removals of objects nobody knows, in the initial enumeration.
    pub unknown_removals: usize,
    /// Changes appear one round late.
    pub replication_delay: bool,
    /// How deleted objects are reported.
    pub removal: Removal,
    /// How long a deltaLink can be used.
    pub lifetime: Duration,
    /// What happens when it is used later.
    pub expiry: DeltaExpiry,
    /// How many states of the tenant are remembered (at least 3); a deltaLink that
    /// would need an older one has expired. Each costs as much memory as the tenant.
    pub kept_versions: usize,
    /// For all that is left to chance.
    pub seed: u64,
}

impl Default for DeltaOptions {
    fn default() -> Self {
        Self {
            page_size: 200,
            links_per_fragment: 500,
            links_per_page: 2_000,
            replay_share: 0.0,
            shuffled: false,
            empty_pages: 0,
            unknown_removals: 0,
            replication_delay: false,
            removal: Removal::Mixed,
            lifetime: Duration::from_hours(7 * 24),
            expiry: DeltaExpiry::Gone,
            kept_versions: 8,
            seed: 0,
        }
    }
}
