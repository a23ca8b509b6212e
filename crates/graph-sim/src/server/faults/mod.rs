//! Faults that can be switched on and off while the simulator runs.

mod action;
pub(crate) mod bend;
mod board;
mod chance;

use uuid::Uuid;

use self::chance::Chance;
use super::query::Query;

pub use self::action::{FaultAction, FaultBody};
pub(crate) use self::board::Strike;
pub use self::board::{FaultId, Faults};

/// Which requests a fault hits. Paths are without the version prefix and compared
/// without regard to case: `/users`, `/groups/{id}/members`, `/$batch`; the token
/// endpoint is `/{tenant}/oauth2/v2.0/token`. Parts of a batch match on their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutePattern {
    /// Every request.
    Any,
    /// The path is exactly this.
    Exact(String),
    /// The path starts with this.
    Prefix(String),
    /// The path ends with this.
    Suffix(String),
    /// The path contains this; meant for object ids.
    Contains(String),
    /// The path names an object by its id.
    Object,
}

impl RoutePattern {
    fn matches(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        match self {
            Self::Any => true,
            Self::Exact(text) => path == text.to_lowercase(),
            Self::Prefix(text) => path.starts_with(&text.to_lowercase()),
            Self::Suffix(text) => path.ends_with(&text.to_lowercase()),
            Self::Contains(text) => path.contains(&text.to_lowercase()),
            Self::Object => path.split('/').any(|part| Uuid::parse_str(part).is_ok()),
        }
    }
}

/// One fault: which requests, what happens, how often.
#[derive(Debug, Clone)]
pub struct Fault {
    pattern: RoutePattern,
    action: FaultAction,
    skip: u64,
    remaining: Option<u64>,
    later_pages_only: bool,
    name: Option<String>,
    chance: Option<Chance>,
    selecting: Option<String>,
    expanding: bool,
    top_above: Option<usize>,
    inside_batch: Option<bool>,
}

impl Fault {
    /// A fault that stays until it is cleared.
    pub fn new(pattern: RoutePattern, action: FaultAction) -> Self {
        Self {
            pattern,
            action,
            skip: 0,
            remaining: None,
            later_pages_only: false,
            name: None,
            chance: None,
            selecting: None,
            expanding: false,
            top_above: None,
            inside_batch: None,
        }
    }

    /// An error answer in Graph's shape.
    pub fn status(pattern: RoutePattern, status: u16, code: &str) -> Self {
        let body = FaultBody::Json {
            code: code.to_owned(),
            message: "Simulated fault.".to_owned(),
        };
        Self::new(
            pattern,
            FaultAction::Answer {
                status,
                body,
                retry_after: None,
            },
        )
    }

    /// An error answer with an HTML page, as a gateway gives it.
    pub fn html(pattern: RoutePattern, status: u16) -> Self {
        let body = FaultBody::Html;
        Self::new(
            pattern,
            FaultAction::Answer {
                status,
                body,
                retry_after: None,
            },
        )
    }

    /// A gateway gives up on lists that expand a relation of more objects than this at once.
    pub fn heavy_expand(pattern: RoutePattern, most: usize) -> Self {
        Self::html(pattern, 504)
            .expanding()
            .when_top_above(most)
            .named("heavy expand")
    }

    /// Adds `Retry-After`; only error answers have one.
    #[must_use]
    pub fn retry_after(mut self, value: &str) -> Self {
        if let FaultAction::Answer { retry_after, .. } = &mut self.action {
            *retry_after = Some(value.to_owned());
        }
        self
    }

    /// Ends after this many hits.
    #[must_use]
    pub fn times(mut self, hits: u64) -> Self {
        self.remaining = Some(hits);
        self
    }

    /// Lets this many matching requests through first.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits only requests for a second or later page.
    #[must_use]
    pub fn on_later_pages(mut self) -> Self {
        self.later_pages_only = true;
        self
    }

    /// Hits this share of the requests it matches. Whether the n-th request for a URL
    /// is hit depends on the seed alone, not on what else is asked in between.
    #[must_use]
    pub fn with_probability(mut self, seed: u64, share: f64) -> Self {
        self.chance = Some(Chance::of_requests(seed, share));
        self
    }

    /// Hits every request for this share of the paths it matches.
    #[must_use]
    pub fn for_share_of_paths(mut self, seed: u64, share: f64) -> Self {
        self.chance = Some(Chance::of_paths(seed, share));
        self
    }

    /// Hits only requests that select this property.
    #[must_use]
    pub fn selecting(mut self, property: &str) -> Self {
        self.selecting = Some(property.to_owned());
        self
    }

    /// Hits only requests that expand something.
    #[must_use]
    pub fn expanding(mut self) -> Self {
        self.expanding = true;
        self
    }

    /// Hits only requests for pages larger than this.
    #[must_use]
    pub fn when_top_above(mut self, size: usize) -> Self {
        self.top_above = Some(size);
        self
    }

    /// Hits parts of batches only.
    #[must_use]
    pub fn inside_batches(mut self) -> Self {
        self.inside_batch = Some(true);
        self
    }

    /// Spares parts of batches; a batch as a whole can be hit.
    #[must_use]
    pub fn outside_batches(mut self) -> Self {
        self.inside_batch = Some(false);
        self
    }

    /// What statistics call it; else they name what it does.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The permission is taken away after this many requests.
    pub fn revoked_after(pattern: RoutePattern, requests: u64) -> Self {
        Self::status(pattern, 403, "Authorization_RequestDenied")
            .after(requests)
            .named("permission revoked")
    }

    fn matches(&self, asked: &Asked<'_>) -> bool {
        self.pattern.matches(asked.path)
            && (!self.later_pages_only || asked.is_later_page())
            && self.action.applies_to(asked.kind)
            && self
                .inside_batch
                .is_none_or(|inside| inside == (asked.kind == Kind::Part))
            && (!self.expanding || asked.query.get("$expand").is_some())
            && self
                .selecting
                .as_ref()
                .is_none_or(|property| asked.query.selects(property))
            && self
                .top_above
                .is_none_or(|limit| matches!(asked.query.top(), Ok(Some(size)) if size > limit))
    }

    fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.action.name())
    }
}

/// What kind of request is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    /// A part of a batch.
    Part,
    /// A batch as a whole.
    Batch,
    /// For a token.
    Token,
}

/// What a fault looks at to decide whether it hits.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: &'a Query,
    pub(crate) kind: Kind,
}

impl Asked<'_> {
    fn is_later_page(&self) -> bool {
        self.query.get("$skiptoken").is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(faults: &Faults, path: &str, query: &str) -> Option<FaultAction> {
        let query = Query::parse(query);
        let query = &query;
        let kind = Kind::Single;
        faults
            .strike(Asked { path, query, kind }, 1.0)
            .map(|strike| strike.action)
    }

    #[test]
    fn a_fault_skips_then_hits_then_ends() {
        let faults = Faults::default();
        let pattern = RoutePattern::Suffix("/members".to_owned());
        faults.add(
            Fault::status(pattern, 503, "ServiceUnavailable")
                .after(1)
                .times(2),
        );
        let hits: Vec<bool> = (0..5)
            .map(|_| struck(&faults, "/groups/1/Members", "").is_some())
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn a_removed_fault_no_longer_hits() {
        let faults = Faults::default();
        let id = faults.add(Fault::html(RoutePattern::Any, 502));
        assert!(struck(&faults, "/users", "").is_some());
        assert!(faults.remove(id));
        assert!(struck(&faults, "/users", "").is_none());
    }

    #[test]
    fn a_fault_for_later_pages_spares_the_first() {
        let faults = Faults::default();
        faults.add(Fault::html(RoutePattern::Any, 502).on_later_pages());
        assert!(struck(&faults, "/users", "").is_none());
        assert!(struck(&faults, "/users", "$skiptoken=x").is_some());
    }

    #[test]
    fn a_share_of_the_requests_is_hit_the_same_whatever_else_is_asked() {
        let pattern = || RoutePattern::Prefix("/groups".to_owned());
        let hits = |noise: usize| -> Vec<bool> {
            let faults = Faults::default();
            faults.add(Fault::html(pattern(), 502).with_probability(7, 0.3));
            (0..200)
                .map(|turn| {
                    for other in 0..noise {
                        struck(&faults, &format!("/groups/other-{other}"), "");
                    }
                    struck(&faults, &format!("/groups/{}", turn % 20), "").is_some()
                })
                .collect()
        };
        let quiet = hits(0);
        assert_eq!(quiet, hits(3));
        let count = quiet.iter().filter(|hit| **hit).count();
        assert!((30..90).contains(&count), "{count} of 200");
    }

    #[test]
    fn a_share_of_the_paths_is_hit_for_good() {
        let faults = Faults::default();
        faults.add(Fault::html(RoutePattern::Any, 500).for_share_of_paths(1, 0.5));
        let hit = |path: usize| struck(&faults, &format!("/groups/{path}"), "").is_some();
        let first: Vec<bool> = (0..50).map(hit).collect();
        assert_eq!(first, (0..50).map(hit).collect::<Vec<_>>());
        assert!(first.contains(&true) && first.contains(&false));
    }

    #[test]
    fn a_fault_can_look_at_the_options_of_a_request() {
        let faults = Faults::default();
        faults.add(Fault::html(RoutePattern::Any, 504).when_top_above(500));
        faults.add(Fault::html(RoutePattern::Any, 403).selecting("secret"));
        faults.add(Fault::heavy_expand(RoutePattern::Any, 200));
        faults.add(Fault::html(RoutePattern::Any, 502).selecting("unlucky"));
        for (query, is_hit) in [
            ("$top=999", true),
            ("$top=500", false),
            ("$select=id,secret", true),
            ("$select=id", false),
            ("$expand=members&$top=200", false),
            ("$expand=members&$top=201", true),
            ("$top=201", false),
            ("$select=unlucky", true),
        ] {
            assert_eq!(
                struck(&faults, "/users", query).is_some(),
                is_hit,
                "{query}"
            );
        }
    }
}
