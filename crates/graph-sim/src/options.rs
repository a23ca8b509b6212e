//! How the simulated Graph behaves: credentials, permissions, licences, limits.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use crate::permissions;

/// How the simulator answers. The default grants every permission, holds all
/// licences, and throttles as Graph does.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// The one client that may ask for tokens.
    pub client_id: Uuid,
    /// Its secret (made up; it protects nothing).
    pub client_secret: SecretString,
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
    /// Sign-in activity comes for 120 users at a time only, as in some tenants.
    pub short_activity_pages: bool,
    /// Answer batches in another order than asked, as Graph may.
    pub shuffle_batches: bool,
    /// How many requests the log keeps (the oldest are forgotten first).
    pub log_capacity: usize,
    /// Port to listen on; 0 = any free one.
    pub port: u16,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            client_id: Uuid::from_u128(0x5ca1_ab1e_c1ae_4d07_8a52_0ddb_a11c_afe0),
            client_secret: SecretString::from("simulated~client~secret"),
            roles: permissions::ALL.iter().map(ToString::to_string).collect(),
            throttle: Throttle::on(),
            token_lifetime: Duration::from_hours(1),
            expires_in_as_string: false,
            latency: Duration::ZERO,
            p1_licensed: true,
            p2_licensed: true,
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

/// Request limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Resource units per window.
    pub limit: Limit,
    /// Requests for sign-in activity per window (Graph: 5).
    pub report_requests: Option<u32>,
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
