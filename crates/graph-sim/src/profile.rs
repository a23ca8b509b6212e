//! Named bundles of faults and conditions.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::options::{DeltaExpiry, DeltaOptions, Limit, Neighbour, RetryAfterForm, Throttle};
use crate::random::Random;
use crate::server::faults::{Fault, FaultAction, FaultBody, RoutePattern};

/// What a crawler meets. One profile is on at a time; see
/// [`Simulator::set_profile`](crate::Simulator::set_profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Nothing but what the options ask for.
    #[default]
    Calm,
    /// A small quota, a noisy neighbour, a hard cap of calls, stray 429s.
    Throttled,
    /// One request in twenty fails, in every form servers and gateways know.
    Flaky5,
    /// Some objects can never be read on their own.
    PoisonObjects,
    /// Tokens live briefly, and some die at once.
    TokenExpiry,
    /// Page tokens expire after some pages, by age and by chance.
    PageTokenExpiry,
    /// Delta tokens are refused.
    DeltaExpiry,
    /// Some permissions are missing, another is taken away during the crawl.
    PartialPermissions,
    /// Neither P1 nor P2.
    MissingLicence,
    /// Odd texts and dates in the tenant, for good, and objects of unknown types.
    HostileValues,
    /// Bodies arrive slowly or stall.
    SlowBody,
    /// Parts of batches are missing, doubled, throttled; whole batches time out.
    DuplicateAndMissingBatchItems,
    /// Pages lead in circles or to a foreign host, and repeat their objects.
    LoopsAndForeignHosts,
    /// Some of everything, as the seed decides.
    Mixed(u64),
}

impl Profile {
    /// Every profile; the mixed one with seed 0.
    pub const ALL: &'static [Self] = &[
        Self::Calm,
        Self::Throttled,
        Self::Flaky5,
        Self::PoisonObjects,
        Self::TokenExpiry,
        Self::PageTokenExpiry,
        Self::DeltaExpiry,
        Self::PartialPermissions,
        Self::MissingLicence,
        Self::HostileValues,
        Self::SlowBody,
        Self::DuplicateAndMissingBatchItems,
        Self::LoopsAndForeignHosts,
        Self::Mixed(0),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Throttled => "throttled",
            Self::Flaky5 => "flaky5",
            Self::PoisonObjects => "poison-objects",
            Self::TokenExpiry => "token-expiry",
            Self::PageTokenExpiry => "page-token-expiry",
            Self::DeltaExpiry => "delta-expiry",
            Self::PartialPermissions => "partial-permissions",
            Self::MissingLicence => "missing-licence",
            Self::HostileValues => "hostile-values",
            Self::SlowBody => "slow-body",
            Self::DuplicateAndMissingBatchItems => "duplicate-and-missing-batch-items",
            Self::LoopsAndForeignHosts => "loops-and-foreign-hosts",
            Self::Mixed(_) => "mixed",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed(seed) => write!(formatter, "{}:{seed}", self.name()),
            _ => formatter.write_str(self.name()),
        }
    }
}

/// A name that no profile has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile '{0}'; known are {known}", known = known())]
pub struct UnknownProfile(String);

fn known() -> String {
    let names: Vec<String> = Profile::ALL.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    /// A name as [`fmt::Display`] writes it, e.g. `flaky5` or `mixed:17`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownProfile(text.to_owned());
        if let Some(seed) = text.strip_prefix("mixed:") {
            return seed.parse().map(Self::Mixed).map_err(|_| unknown());
        }
        let mut all = Self::ALL.iter().copied();
        all.find(|profile| profile.name() == text)
            .ok_or_else(unknown)
    }
}

/// What a profile changes; everything else is as the options say.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    pub(crate) faults: Vec<Fault>,
    pub(crate) throttle: Option<Throttle>,
    /// Permissions that are missing from tokens.
    pub(crate) missing_roles: Vec<&'static str>,
    pub(crate) token_lifetime: Option<Duration>,
    pub(crate) lacks_licences: bool,
    pub(crate) delta: Option<DeltaOptions>,
    /// Share of the objects that get odd values.
    pub(crate) hostile_share: f64,
}

impl Bundle {
    /// The bundle of a profile; `seed` decides what the profile leaves to chance.
    pub(crate) fn of(profile: Profile, seed: u64) -> Self {
        let mut bundle = Self::default();
        match profile {
            Profile::Calm => {}
            Profile::Throttled => {
                bundle.throttle = Some(throttle());
                bundle.faults = stray_rejections(seed, 0.03);
            }
            Profile::Flaky5 => bundle.faults = flaky(seed, 0.05),
            Profile::PoisonObjects => bundle.faults = poison(seed, 0.03),
            Profile::TokenExpiry => {
                bundle.token_lifetime = Some(Duration::from_secs(20));
                bundle.faults = dying_tokens(seed, 0.1);
            }
            Profile::PageTokenExpiry => bundle.faults = page_tokens(seed, 0.03),
            Profile::DeltaExpiry => bundle.delta = Some(expired_deltas(seed)),
            Profile::PartialPermissions => {
                bundle.missing_roles = MISSING_ROLES.to_vec();
                bundle.faults = vec![Fault::revoked_after(suffix("/owners"), 15)];
            }
            Profile::MissingLicence => bundle.lacks_licences = true,
            Profile::HostileValues => {
                bundle.hostile_share = 0.3;
                bundle.faults = unknown_types(seed, 0.1);
            }
            Profile::SlowBody => bundle.faults = slow(seed, 0.2),
            Profile::DuplicateAndMissingBatchItems => bundle.faults = batches(seed, 0.04),
            Profile::LoopsAndForeignHosts => {
                bundle.faults = loops(seed, 0.03);
                bundle.delta = Some(messy_deltas(seed));
            }
            Profile::Mixed(own) => bundle = mixed(own ^ seed),
        }
        bundle
    }
}

/// What a cautious administrator does not grant.
const MISSING_ROLES: &[&str] = &[
    "User-LifeCycleInfo.Read.All",
    "AuditLog.Read.All",
    "Member.Read.Hidden",
    "Directory.Read.All",
    "RoleManagement.Read.Directory",
    "RoleEligibilitySchedule.Read.Directory",
    "PrivilegedAccess.Read.AzureADGroup",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    "PrivilegedAssignmentSchedule.Read.AzureADGroup",
    "EntitlementManagement.Read.All",
];

fn suffix(text: &str) -> RoutePattern {
    RoutePattern::Suffix(text.to_owned())
}

fn throttle() -> Throttle {
    Throttle {
        limit: Limit::Units(500),
        calls_per_second: Some(60),
        neighbour: Some(Neighbour {
            after_requests: 100,
            percent: 40,
        }),
        retry_after: RetryAfterForm::Fractional,
        ..Throttle::on()
    }
}

fn stray_rejections(seed: u64, share: f64) -> Vec<Fault> {
    let rejected = |code: &str| Fault::status(RoutePattern::Any, 429, code);
    spread(
        seed,
        share,
        vec![
            rejected("TooManyRequests").retry_after("1"),
            rejected("TooManyRequests").retry_after("2.128"),
            rejected("UnknownError"),
        ],
    )
}

fn flaky(seed: u64, share: f64) -> Vec<Fault> {
    let any = || RoutePattern::Any;
    let empty = FaultAction::Answer {
        status: 503,
        body: FaultBody::Empty,
        retry_after: None,
    };
    spread(
        seed,
        share,
        vec![
            Fault::status(any(), 500, "InternalServerError"),
            Fault::html(any(), 502),
            Fault::status(any(), 503, "Directory_ReplicaUnavailable").retry_after("1"),
            Fault::html(any(), 504),
            Fault::new(any(), empty),
            Fault::new(any(), FaultAction::ResetConnection).outside_batches(),
            Fault::new(any(), FaultAction::TruncateBody).outside_batches(),
        ],
    )
}

fn poison(seed: u64, share: f64) -> Vec<Fault> {
    vec![
        Fault::status(RoutePattern::Object, 500, "InternalServerError")
            .for_share_of_paths(seed, share)
            .named("poisoned object"),
    ]
}

fn dying_tokens(seed: u64, share: f64) -> Vec<Fault> {
    let dying = Fault::new(RoutePattern::Any, FaultAction::ExpireTokens).outside_batches();
    vec![dying.with_probability(seed, share)]
}

fn page_tokens(seed: u64, share: f64) -> Vec<Fault> {
    let expire = |after_pages, after| {
        let action = FaultAction::ExpirePageTokens { after_pages, after };
        Fault::new(RoutePattern::Any, action)
    };
    vec![
        expire(Some(2), None).times(3),
        expire(None, Some(Duration::from_mins(1))),
        Fault::status(RoutePattern::Any, 400, "Directory_ExpiredPageToken")
            .on_later_pages()
            .with_probability(seed, share)
            .named("expired page token"),
    ]
}

fn unknown_types(seed: u64, share: f64) -> Vec<Fault> {
    vec![Fault::new(suffix("/members"), FaultAction::UnknownType).for_share_of_paths(seed, share)]
}

fn slow(seed: u64, share: f64) -> Vec<Fault> {
    let slow = |parts, seconds| {
        let pause = Duration::from_secs(seconds);
        let action = FaultAction::SlowBody { parts, pause };
        Fault::new(RoutePattern::Any, action).outside_batches()
    };
    vec![
        slow(2, 20)
            .with_probability(seed, share / 20.0)
            .named("stalled body"),
        slow(5, 1).with_probability(seed.wrapping_add(1), share),
    ]
}

fn batches(seed: u64, share: f64) -> Vec<Fault> {
    let any = || RoutePattern::Any;
    let whole = || RoutePattern::Exact("/$batch".to_owned());
    let parts = vec![
        Fault::new(any(), FaultAction::OmitFromBatch).inside_batches(),
        Fault::new(any(), FaultAction::RepeatInBatch).inside_batches(),
        Fault::status(any(), 503, "ServiceUnavailable").inside_batches(),
        Fault::status(any(), 429, "TooManyRequests")
            .retry_after("1")
            .inside_batches(),
    ];
    let mut faults = spread(seed, share * 4.0, parts);
    faults.push(Fault::html(whole(), 504).with_probability(seed, share));
    faults
}

fn loops(seed: u64, share: f64) -> Vec<Fault> {
    let bent = |action| Fault::new(RoutePattern::Any, action);
    let mut faults = spread(
        seed,
        share * 4.0,
        vec![
            bent(FaultAction::RepeatPage),
            bent(FaultAction::CyclePages).on_later_pages(),
            bent(FaultAction::ForeignLink),
            bent(FaultAction::RedirectAbroad),
        ],
    );
    faults.push(bent(FaultAction::RepeatItems));
    faults
}

fn expired_deltas(seed: u64) -> DeltaOptions {
    DeltaOptions {
        lifetime: Duration::ZERO,
        expiry: if Random::labelled(seed, "expiry").chance(0.5) {
            DeltaExpiry::Gone
        } else {
            DeltaExpiry::SyncStateNotFound
        },
        ..DeltaOptions::default()
    }
}

fn messy_deltas(seed: u64) -> DeltaOptions {
    DeltaOptions {
        page_size: 20,
        links_per_fragment: 7,
        links_per_page: 50,
        replay_share: 0.3,
        shuffled: true,
        empty_pages: 40,
        unknown_removals: 3,
        replication_delay: Random::labelled(seed, "delay").chance(0.5),
        seed,
        ..DeltaOptions::default()
    }
}

fn mixed(seed: u64) -> Bundle {
    let mut random = Random::labelled(seed, "mixed");
    let mut bundle = Bundle::default();
    let kinds: [fn(u64, f64) -> Vec<Fault>; 9] = [
        stray_rejections,
        flaky,
        poison,
        dying_tokens,
        page_tokens,
        unknown_types,
        slow,
        batches,
        loops,
    ];
    for kind in kinds {
        let share = 0.04 * random.unit();
        let own_seed = random.next();
        if random.chance(0.5) {
            bundle.faults.extend(kind(own_seed, share));
        }
    }
    if random.chance(0.2) {
        bundle.throttle = Some(throttle());
    }
    if random.chance(0.2) {
        let count = 1 + random.below(4);
        bundle.missing_roles = random.sample(MISSING_ROLES, count);
    }
    bundle.lacks_licences = random.chance(0.1);
    bundle.delta = match random.below(4) {
        0 => Some(expired_deltas(seed)),
        1 | 2 => Some(messy_deltas(seed)),
        _ => None,
    };
    if random.chance(0.3) {
        bundle.hostile_share = 0.2;
    }
    bundle
}

/// Gives every fault an equal part of a share, each by a seed of its own.
fn spread(seed: u64, share: f64, faults: Vec<Fault>) -> Vec<Fault> {
    let part = share / faults.len().max(1) as f64;
    let mut seeds = Random::labelled(seed, "spread");
    faults
        .into_iter()
        .map(|fault| fault.with_probability(seeds.next(), part))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_known_by_its_name() {
        for profile in Profile::ALL.iter().copied().chain([Profile::Mixed(17)]) {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert_eq!("mixed".parse(), Ok(Profile::Mixed(0)));
        let error = "nonsense".parse::<Profile>().expect_err("there is none");
        assert!(error.to_string().contains("flaky5"), "{error}");
    }
}
